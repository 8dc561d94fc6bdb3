//! Work of every transcoder besides encoding pictures, done by ffmpeg with the libraries that a worker uses too.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use headwater_media::Ladder;

use super::content::SIZE;
use super::tool::Tool;
use crate::series::Series;
use crate::usage;

/// CPU seconds for a minute of the source.
#[derive(Default)]
pub struct Parts {
    pub decoding: Series,
    /// To the sizes of the default ladder that the source does not have.
    pub scaling: Series,
    /// Decoded and encoded once.
    pub sound: Series,
}

impl Parts {
    /// Adds one measurement of each.
    pub fn push(&mut self, tool: &Tool, source: &Path, seconds: u64) -> Result<()> {
        let a_minute = |spent: Duration| spent.as_secs_f64() * 60.0 / seconds as f64;
        let decoding = spent(tool, source, &words("-map 0:v -f null -"))?;
        let scaled = spent(tool, source, &scales())?;
        let bitrate = Ladder::default().audio_bitrate;
        let sound = spent(tool, source, &words(&format!("-map 0:a -c:a aac -b:a {bitrate} -f null -")))?;
        self.decoding.push(a_minute(decoding));
        self.scaling.push(a_minute(scaled.saturating_sub(decoding)));
        self.sound.push(a_minute(sound));
        Ok(())
    }
}

fn scales() -> Vec<String> {
    let rungs = Ladder::default().renditions_for(SIZE.0, SIZE.1, (1, 1));
    let smaller = rungs.iter().filter(|rung| (rung.width, rung.height) != SIZE);
    smaller
        .flat_map(|rung| {
            words(&format!("-map 0:v -vf scale={}:{}:flags=bicubic -f null -", rung.width, rung.height))
        })
        .collect()
}

/// With one thread, as a worker's decoder has.
fn spent(tool: &Tool, source: &Path, outputs: &[String]) -> Result<Duration> {
    let mut command = tool.ffmpeg();
    command.args(["-threads", "1", "-i"]).arg(source).args(outputs).stderr(Stdio::inherit());
    let mut child = command.spawn().context("ffmpeg can't be started")?;
    let (status, spent) = usage::wait(&mut child)?;
    ensure!(status.success(), "{command:?} failed");
    Ok(spent.cpu)
}

fn words(text: &str) -> Vec<String> {
    text.split(' ').map(Into::into).collect()
}
