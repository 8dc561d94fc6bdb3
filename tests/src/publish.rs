//! Sources and encoders. A source is a file made once by ffmpeg: every picture carries its number as a strip of black
//! and white fields, and every second starts with a flash and a beep.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::process::{self, Process};

/// Fields of the strip on top of the picture: the bits of the picture's number, lowest first.
pub const STRIP_BITS: usize = 16;
/// How long the flash and the beep at the start of every second last, in seconds.
pub const FLASH_SECONDS: f64 = 0.1;

/// Description of a source.
#[derive(Clone, Debug)]
pub struct Source {
    pub width: u32,
    pub height: u32,
    pub frame_rate: u32,
    pub seconds: u32,
    pub b_frames: u32,
    pub video: bool,
    pub audio: bool,
    pub pixel_format: &'static str,
    /// Pictures from one keyframe to the next.
    pub keyframe_interval: u32,
}

impl Default for Source {
    fn default() -> Self {
        Self {
            width: 640,
            height: 360,
            frame_rate: 30,
            seconds: 8,
            b_frames: 2,
            video: true,
            audio: true,
            pixel_format: "yuv420p",
            keyframe_interval: 60,
        }
    }
}

impl Source {
    /// How many pictures the source has.
    pub fn frames(&self) -> usize {
        (self.frame_rate * self.seconds) as usize
    }

    /// Makes the file, in FLV as it goes into RTMP.
    pub async fn make(&self, directory: &Path, name: &str) -> Result<PathBuf> {
        let path = directory.join(format!("{name}.flv"));
        let mut arguments: Vec<String> = ["-hide_banner", "-loglevel", "error", "-y"].map(Into::into).into();
        if self.video {
            arguments.extend(["-f".into(), "lavfi".into(), "-i".into(), self.picture()]);
        }
        if self.audio {
            arguments.extend(["-f".into(), "lavfi".into(), "-i".into(), self.sound()]);
        }
        arguments.extend(["-t".into(), self.seconds.to_string()]);
        if self.video {
            arguments.extend(self.video_encoder());
        }
        if self.audio {
            arguments.extend(["-c:a", "aac", "-b:a", "128k"].map(Into::into));
        }
        arguments.extend(["-f".into(), "flv".into(), path.to_string_lossy().into_owned()]);
        process::run("ffmpeg", &arguments.iter().map(String::as_str).collect::<Vec<_>>()).await?;
        Ok(path)
    }

    fn picture(&self) -> String {
        let Self { width, height, frame_rate, .. } = self;
        let strip = height / 10;
        format!(
            "testsrc2=s={width}x{height}:r={frame_rate},format={format}[picture];\
             color=s={STRIP_BITS}x2:r={frame_rate},format=gray,geq=lum='255*mod(floor(N/pow(2,X)),2)',\
             scale={width}:{strip}:flags=neighbor[number];\
             color=s=2x2:r={frame_rate},format=gray,geq=lum='255*lt(mod(T+0.0001,1),{FLASH_SECONDS})',\
             scale={width}:{strip}:flags=neighbor[flash];\
             [picture][number]overlay=0:0:format=auto[numbered];[numbered][flash]overlay=0:H-h:format=auto",
            format = self.pixel_format,
        )
    }

    fn sound(&self) -> String {
        format!("aevalsrc='0.8*sin(2*PI*1000*t)*lt(mod(t,1),{FLASH_SECONDS})':s=44100:c=stereo")
    }

    fn video_encoder(&self) -> Vec<String> {
        let keyframes = self.keyframe_interval.to_string();
        let b_frames = self.b_frames.to_string();
        let fixed = ["-c:v", "libx264", "-preset", "ultrafast", "-crf", "18", "-sc_threshold", "0"];
        let chosen = ["-pix_fmt", self.pixel_format, "-g", &keyframes, "-bf", &b_frames];
        fixed.into_iter().chain(chosen).map(Into::into).collect()
    }
}

/// ffmpeg, sending a file at its own pace.
pub fn ffmpeg(directory: &Path, file: &Path, url: &str) -> Result<Process> {
    ffmpeg_named(directory, "ffmpeg", file, url)
}

/// Starts one of several publishers. It keeps `<directory>/<name>.progress`, see [`sent`].
pub fn ffmpeg_named(directory: &Path, name: &str, file: &Path, url: &str) -> Result<Process> {
    ffmpeg_with(directory, name, file, &[url])
}

/// Starts a publisher by RTMPS that sends nothing to a server without a certificate of the authority in this file.
pub fn ffmpeg_encrypted(
    directory: &Path,
    name: &str,
    file: &Path,
    url: &str,
    authority: &Path,
) -> Result<Process> {
    ffmpeg_with(directory, name, file, &["-tls_verify", "1", "-ca_file", &authority.to_string_lossy(), url])
}

fn ffmpeg_with(directory: &Path, name: &str, file: &Path, to: &[&str]) -> Result<Process> {
    let file = file.to_string_lossy();
    let progress = progress(directory, name);
    let told = ["-hide_banner", "-loglevel", "warning", "-stats_period", "0.1", "-progress", &progress];
    let sent = ["-re", "-i", &file, "-c", "copy", "-f", "flv"];
    let arguments = told.iter().chain(&sent).chain(to);
    Process::start(directory, name, Path::new("ffmpeg"), arguments, &[])
}

/// Pictures that an encoder has counted as sent and that the proxy has not read when it ends the connection: those that
/// the encoder's muxer holds back for the sound beside them, and those in the buffers of the connection, which on a busy
/// machine are read up to a tenth of a second later. A quarter of a second at 30 pictures a second.
pub const IN_HAND: usize = 8;

/// How many pictures an ffmpeg had sent when it last told, which it does ten times a second.
pub fn sent(directory: &Path, name: &str) -> Result<usize> {
    let told = std::fs::read_to_string(progress(directory, name))?;
    let mut frames = told.lines().filter_map(|line| line.strip_prefix("frame="));
    Ok(frames.next_back().context("the encoder has told nothing yet")?.trim().parse()?)
}

fn progress(directory: &Path, name: &str) -> String {
    directory.join(format!("{name}.progress")).to_string_lossy().into_owned()
}

/// GStreamer's `rtmp2sink`, sending a file with video and audio at its own pace.
pub fn gstreamer(directory: &Path, file: &Path, url: &str) -> Result<Process> {
    let pipeline = format!(
        "filesrc location={} ! flvdemux name=source \
         source.video ! queue ! h264parse ! mux. source.audio ! queue ! aacparse ! mux. \
         flvmux name=mux streamable=true ! rtmp2sink location={url} sync=true",
        file.display()
    );
    Process::start(directory, "gstreamer", Path::new("gst-launch-1.0"), pipeline.split_whitespace(), &[])
}
