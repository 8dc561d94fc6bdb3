//! Peers that the worker is compared with: one ffmpeg with three outputs, and x264 alone.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use headwater_media::Ladder;

use super::content::{FRAME_RATE, SIZE};
use super::tool::Tool;
use super::{RUNGS, TRELLIS, X264};
use crate::usage::{self, Spent};

/// Width, height, kb/s of the system that Headwater replaces.
const OUTPUTS: [(u32, u32, u32); 3] = [(1_280, 720, 2_800), (842, 480, 1_400), (640, 360, 800)];
pub const SETTINGS: &str =
    "-c:v libx264 -preset veryfast -profile:v main -crf 20 -g 48 -keyint_min 48 -sc_threshold 0";

/// How ffmpeg works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Threads {
    /// As many as it wants: what the command does when nothing is said.
    Default,
    /// A single thread for the decoder and for each encoder: the cheapest.
    Single,
}

/// All three rungs and the sound, into the directory.
pub fn run(tool: &Tool, source: &Path, threads: Threads, directory: &Path) -> Result<Spent> {
    let mut command = tool.ffmpeg();
    let single: &[&str] = if threads == Threads::Single { &["-threads", "1"] } else { &[] };
    command.args(single).arg("-i").arg(source);
    for ((width, height, rate), name) in OUTPUTS.iter().zip(RUNGS) {
        let scale = format!("scale={width}:{height}");
        let rate = format!("{rate}k");
        command.args(["-map", "0:v", "-vf", &scale]).args(SETTINGS.split(' ')).args(single);
        // Otherwise the first picture is doubled, where B-frames make it late, and nothing could be compared.
        command.args(["-fps_mode", "passthrough"]);
        command.args(["-maxrate", &rate, "-bufsize", &rate, "-an"]).arg(file(directory, name));
    }
    command.args(["-map", "0:a", "-c:a", "aac", "-b:a", "128k"]).arg(file(directory, "audio"));
    let mut child = command.stderr(Stdio::inherit()).spawn().context("ffmpeg can't be started")?;
    let (status, spent) = usage::wait(&mut child)?;
    ensure!(status.success(), "{command:?} failed");
    Ok(spent)
}

pub fn file(directory: &Path, rung: &str) -> PathBuf {
    directory.join(format!("{rung}.mp4"))
}

/// Decoded pictures of a source, in the sizes of the default ladder.
pub struct Frames {
    /// Size, kb/s and file.
    rungs: Vec<(u32, u32, u32, PathBuf)>,
}

impl Frames {
    /// Scaled as a worker does it.
    pub fn make(tool: &Tool, source: &Path, directory: &Path) -> Result<Self> {
        let ladder = Ladder::default().renditions_for(SIZE.0, SIZE.1, (1, 1));
        let rungs: Vec<_> = ladder
            .iter()
            .map(|rung| {
                let file = directory.join(format!("{}.yuv", rung.name));
                (rung.width, rung.height, rung.bitrate / 1_000, file)
            })
            .collect();
        let mut command = tool.ffmpeg();
        command.arg("-i").arg(source);
        for (width, height, _, file) in &rungs {
            let scale = format!("scale={width}:{height}:flags=bicubic");
            command.args(["-map", "0:v", "-vf", &scale, "-pix_fmt", "yuv420p", "-fps_mode", "passthrough"]);
            command.args(["-f", "rawvideo"]).arg(file);
        }
        tool.run(&mut command)?;
        Ok(Self { rungs })
    }

    /// x264 alone, all rungs at a time as a worker has them, less what reading costs. The files show afterwards with
    /// which settings.
    pub fn encode(&self, tool: &Tool, directory: &Path) -> Result<Duration> {
        let spent = self.all(tool, |rate, name| {
            let rate = format!("{rate}k");
            let coded: Vec<String> = [
                "-c:v",
                "libx264",
                "-preset",
                "veryfast",
                "-profile:v",
                "high",
                "-maxrate",
                &rate,
                "-bufsize",
                &rate,
            ]
            .map(Into::into)
            .into();
            let trellis =
                RUNGS.iter().zip(TRELLIS).find(|(rung, _)| **rung == name).map_or(0, |(_, trellis)| trellis);
            let crf = Ladder::default().crf;
            let settings = format!("{X264}:crf={crf}:trellis={trellis}");
            let target = file(directory, name).to_string_lossy().into_owned();
            [coded, vec!["-x264-params".into(), settings, target]].concat()
        })?;
        let reading = self.all(tool, |_, _| ["-c:v", "copy", "-f", "null", "-"].map(Into::into).into())?;
        Ok(spent.saturating_sub(reading))
    }

    fn all(&self, tool: &Tool, output: impl Fn(u32, &str) -> Vec<String>) -> Result<Duration> {
        let start = |((width, height, rate, file), name): (&(u32, u32, u32, PathBuf), &str)| {
            let size = format!("{width}x{height}");
            let frames = FRAME_RATE.to_string();
            let mut command = tool.ffmpeg();
            command
                .args(["-f", "rawvideo", "-s", &size, "-r", &frames, "-i"])
                .arg(file)
                .args(output(*rate, name));
            command.stderr(Stdio::inherit()).spawn().context("ffmpeg can't be started")
        };
        let children: Vec<_> = self.rungs.iter().zip(RUNGS).map(start).collect::<Result<_>>()?;
        let mut sum = Duration::ZERO;
        for mut child in children {
            let (status, spent) = usage::wait(&mut child)?;
            ensure!(status.success(), "x264 alone failed");
            sum += spent.cpu;
        }
        Ok(sum)
    }
}
