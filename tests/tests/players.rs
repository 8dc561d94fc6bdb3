//! Players that other people made watch on two origins while a server dies or stops: ffmpeg, GStreamer's old HLS demuxer
//! (`hlsdemux`) and its new one (`hlsdemux2`, by `playbin3`). Each plays to the end of the broadcast, ends with success,
//! complains of nothing, and shows every picture from its first to the last one, once, in order.
//!
//! They don't know low-latency HLS: they read whole segments. tests/browser has hls.js, which reads parts.
//!
//! GStreamer 1.22's `hlsdemux2` has two habits of its own, with any broadcast. It asks for 30 s in its buffer before
//! anything is shown, so here it loads in time with the broadcast and shows what it has when that is over. And where it
//! comes while there is only one segment, it may lose its way at once ("Could not synchronize media playlists") and hang.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use headwater_tests::broadcasts;
use headwater_tests::content::{self, HEIGHT, WIDTH};
use headwater_tests::player::Player;
use headwater_tests::process::Process;
use headwater_tests::publish;
use headwater_tests::stack::{Plan, Service};
use headwater_tests::wait;

const LIVE: Duration = Duration::from_secs(20);
/// Time for the media that a player still has, and for the wait for a publisher who might come back.
const TO_THE_END: Duration = Duration::from_secs(60);
const SECONDS: u32 = 16;
const KINDS: [Kind; 3] = [Kind::Ffmpeg, Kind::Hlsdemux, Kind::Playbin3];

#[tokio::test]
async fn a_killed_server_is_seen_by_no_player() -> Result<()> {
    players_see_nothing(async |mut server| server.process.kill().await).await
}

#[tokio::test]
async fn a_server_that_stops_is_seen_by_no_player() -> Result<()> {
    players_see_nothing(async |mut server| server.stop().await).await
}

async fn players_see_nothing(happens: impl AsyncFnOnce(Service) -> Result<()>) -> Result<()> {
    let mut stack = Plan::tiny().servers(2).origins(2).start().await?;
    let source = broadcasts::tiny(SECONDS);
    let file = source.make(stack.path(), "source").await?;
    let mut encoder = publish::ffmpeg(stack.path(), &file, &stack.publish_url("demo"))?;
    let mut viewers = Vec::new();
    for number in 0..stack.origins.len() {
        let origin = stack.origin(number);
        Player::new(&origin, "demo").wait_segments("180p", 3, LIVE).await?;
        for kind in KINDS {
            viewers.push(Viewer::start(stack.path(), kind, number, &format!("{origin}/demo/live.m3u8"))?);
        }
    }
    for viewer in &viewers {
        viewer.has_begun().await?;
    }
    let owner = broadcasts::owner(stack.registry()?.as_ref(), "demo", LIVE).await?;
    let server = stack.take_server(&owner.address)?;
    happens(server).await?;
    for viewer in &mut viewers {
        viewer.check(source.frames()).await.with_context(|| viewer.name.clone())?;
    }
    ensure!(encoder.wait(LIVE).await?.success(), "the encoder noticed: {}", encoder.output());
    let metrics = stack.proxy().metrics().await?;
    ensure!(metrics.contains("headwater_proxy_failovers_total 1\n"), "{metrics}");
    Ok(())
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Ffmpeg,
    Hlsdemux,
    Playbin3,
}

/// A player that writes the pictures that it shows to a file.
struct Viewer {
    name: String,
    process: Process,
    pictures: PathBuf,
}

impl Viewer {
    fn start(directory: &Path, kind: Kind, number: usize, url: &str) -> Result<Self> {
        let name = format!("{kind:?}-{number}").to_lowercase();
        let pictures = directory.join(format!("{name}.grey"));
        let (program, arguments) = kind.command(url, &pictures.to_string_lossy());
        // Errors of anybody, and warnings of whoever reads or decodes media.
        let told = [("GST_DEBUG", "1,qtdemux:2,h264parse:2,libav:2"), ("GST_DEBUG_NO_COLOR", "1")];
        let told = told.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let process = Process::start(directory, &name, Path::new(program), arguments, &told)?;
        Ok(Self { name, process, pictures })
    }

    /// Waits until it has shown something, or loaded something where it shows nothing yet.
    async fn has_begun(&self) -> Result<()> {
        let shown = || content::written(&self.pictures).is_ok_and(|all| !all.is_empty());
        let loaded = || self.process.output().contains("buffering... 1");
        let begun = || async { (shown() || loaded()).then_some(()) };
        wait::until(&format!("{} to begin", self.name), LIVE, begun).await
    }

    /// Waits for its end, and looks at what it has shown and said.
    async fn check(&mut self, frames: usize) -> Result<()> {
        let status = self.process.wait(TO_THE_END).await?;
        ensure!(status.success(), "{status}");
        let said = self.process.output();
        let complaints: Vec<_> = said.lines().filter(|line| is_complaint(line)).collect();
        ensure!(complaints.is_empty(), "it complains: {complaints:?}");
        let numbers = content::written(&self.pictures)?;
        let first = *numbers.first().context("it has shown nothing")?;
        let all: Vec<_> = (first..frames as u32).collect();
        ensure!(numbers == all, "it has shown {numbers:?}");
        Ok(())
    }
}

impl Kind {
    fn command(self, url: &str, file: &str) -> (&'static str, Vec<String>) {
        let grey = format!(
            "videoconvert ! videoscale add-borders=false ! \
             video/x-raw,format=GRAY8,width={WIDTH},height={HEIGHT} ! filesink sync=true buffer-mode=unbuffered location={file}"
        );
        let (program, arguments) = match self {
            Self::Ffmpeg => {
                let scale = format!("scale={WIDTH}:{HEIGHT}:flags=area,format=gray");
                let fixed =
                    ["-v", "warning", "-nostdin", "-i", url, "-map", "0:v:0", "-fps_mode", "passthrough"];
                let chosen = ["-vf", &scale, "-f", "rawvideo", "-flush_packets", "1", file];
                ("ffmpeg", fixed.into_iter().chain(chosen).map(Into::into).collect())
            }
            Self::Hlsdemux => {
                let pipeline = format!("-q souphttpsrc location={url} ! hlsdemux ! decodebin ! {grey}");
                ("gst-launch-1.0", pipeline.split_whitespace().map(Into::into).collect::<Vec<_>>())
            }
            Self::Playbin3 => {
                let video = format!("video-sink={grey}");
                let arguments = ["playbin3", &format!("uri={url}"), &video, "audio-sink=fakesink sync=true"];
                ("gst-launch-1.0", arguments.map(Into::into).into())
            }
        };
        (program, arguments)
    }
}

/// Whether a line of ffmpeg's or GStreamer's output is an error or a warning. ffmpeg reads the init segment again after
/// each reload of a live playlist, and says each time that it knows it.
fn is_complaint(line: &str) -> bool {
    let is_ffmpeg = line.starts_with('[') && !line.contains("Found duplicated MOOV Atom");
    is_ffmpeg || ["ERROR", "WARN", "rror:"].iter().any(|word| line.contains(word))
}
