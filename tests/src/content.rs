//! Content that was really shown: pictures and sound, decoded by ffmpeg.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use crate::player::{ShownRendition, ShownSegment};
use crate::process;
use crate::publish::STRIP_BITS;

/// Size that pictures are looked at in. Every field of the strip is four pixels wide then.
pub const WIDTH: usize = STRIP_BITS * 4;
pub const HEIGHT: usize = 40;
const BRIGHT: u8 = 128;
const SAMPLE_RATE: usize = 48_000;

/// Decoded picture.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Picture {
    /// The number in its strip.
    pub number: u32,
    pub flash: bool,
    /// Presentation time in seconds.
    pub time: f64,
}

/// The segments of one rendition that belong together: the same init segment, one timeline.
pub fn timelines(rendition: &ShownRendition) -> Vec<Vec<&ShownSegment>> {
    let mut all: Vec<Vec<&ShownSegment>> = Vec::new();
    for segment in rendition.segments.values() {
        match all.last_mut() {
            Some(current) if !segment.discontinuity && current[0].init == segment.init => {
                current.push(segment)
            }
            _ => all.push(vec![segment]),
        }
    }
    all
}

/// Writes one timeline as an MP4 file.
pub fn write(directory: &Path, name: &str, segments: &[&ShownSegment]) -> Result<PathBuf> {
    let path = directory.join(format!("{name}.mp4"));
    let mut bytes = segments.first().context("no segment")?.init.to_vec();
    segments.iter().for_each(|segment| bytes.extend_from_slice(&segment.bytes));
    std::fs::write(&path, bytes)?;
    Ok(path)
}

/// The numbers of the pictures of each timeline, as they are shown.
pub async fn numbers(directory: &Path, name: &str, rendition: &ShownRendition) -> Result<Vec<Vec<u32>>> {
    let mut all = Vec::new();
    for (index, timeline) in timelines(rendition).iter().enumerate() {
        let file = write(directory, &format!("{name}-{index}"), timeline)?;
        all.push(pictures(&file).await?.iter().map(|picture| picture.number).collect());
    }
    Ok(all)
}

/// Decodes every picture; an error or a warning of the decoder is a failure.
pub async fn pictures(file: &Path) -> Result<Vec<Picture>> {
    let file = file.to_string_lossy();
    let scale = format!("scale={WIDTH}:{HEIGHT}:flags=area,format=gray");
    let raw = process::run(
        "ffmpeg",
        &[
            "-v",
            "error",
            "-xerror",
            "-err_detect",
            "explode",
            "-i",
            &file,
            "-map",
            "0:v",
            "-fps_mode",
            "passthrough",
            "-vf",
            &scale,
            "-f",
            "rawvideo",
            "-",
        ],
    )
    .await?;
    let times = times(&file, "v:0").await?;
    let pictures = raw.chunks_exact(WIDTH * HEIGHT);
    ensure!(pictures.len() == times.len(), "{} pictures, {} timestamps", pictures.len(), times.len());
    Ok(pictures.zip(times).map(|(pixels, time)| picture(pixels, time)).collect())
}

/// The numbers of pictures that a player has written as they are, in grey, [`WIDTH`] by [`HEIGHT`]. The last one may be
/// half written.
pub fn written(file: &Path) -> Result<Vec<u32>> {
    let raw = std::fs::read(file).with_context(|| file.display().to_string())?;
    Ok(raw.chunks_exact(WIDTH * HEIGHT).map(|pixels| picture(pixels, 0.0).number).collect())
}

fn picture(pixels: &[u8], time: f64) -> Picture {
    let bright = |x: usize, y: usize| pixels[y * WIDTH + x] >= BRIGHT;
    let number = (0..STRIP_BITS).map(|bit| u32::from(bright(bit * 4 + 2, 1)) << bit).sum();
    Picture { number, flash: bright(WIDTH / 2, HEIGHT - 2), time }
}

async fn times(file: &str, stream: &str) -> Result<Vec<f64>> {
    let entries =
        ["-v", "error", "-select_streams", stream, "-show_entries", "frame=pts_time", "-of", "csv=p=0", file];
    let text = String::from_utf8(process::run("ffprobe", &entries).await?)?;
    // Side data of a frame adds commas and empty lines.
    let lines = text.lines().map(|line| line.trim_matches(',')).filter(|line| !line.is_empty());
    lines.map(|line| line.parse().with_context(|| format!("the time {line}"))).collect()
}

/// Times at which a flash begins.
pub fn flashes(pictures: &[Picture]) -> Vec<f64> {
    pictures.windows(2).filter(|pair| !pair[0].flash && pair[1].flash).map(|pair| pair[1].time).collect()
}

/// Times at which a beep begins: the first loud sample after 50 ms of quiet.
pub async fn beeps(file: &Path) -> Result<Vec<f64>> {
    let name = file.to_string_lossy();
    let rate = SAMPLE_RATE.to_string();
    let raw = process::run(
        "ffmpeg",
        &["-v", "error", "-xerror", "-i", &name, "-map", "0:a", "-ac", "1", "-ar", &rate, "-f", "s16le", "-"],
    )
    .await?;
    let start = times(&name, "a:0").await?.first().copied().context("no sound")?;
    let samples = raw.chunks_exact(2).map(|pair| i16::from_le_bytes([pair[0], pair[1]]));
    let mut quiet_for = 0;
    let mut beeps = Vec::new();
    for (index, sample) in samples.enumerate() {
        if sample.unsigned_abs() > 4_000 {
            if quiet_for > SAMPLE_RATE / 20 {
                beeps.push(start + index as f64 / SAMPLE_RATE as f64);
            }
            quiet_for = 0;
        } else {
            quiet_for += 1;
        }
    }
    Ok(beeps)
}

/// For every flash, how far the nearest beep is, in seconds: positive when the sound is late.
pub fn offsets(flashes: &[f64], beeps: &[f64]) -> Vec<f64> {
    let nearest = |flash: &f64| {
        let distances = beeps.iter().map(|beep| beep - flash);
        distances.min_by(|a, b| a.abs().total_cmp(&b.abs()))
    };
    flashes.iter().filter_map(nearest).collect()
}
