//! How good a rendition is, picture by picture against its source.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use super::content::{FRAME_RATE, SIZE};
use super::tool::Tool;

/// Every so many pictures VMAF looks at one.
pub const VMAF_EVERY: u32 = 4;

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Quality {
    /// Of the pictures alone.
    pub kilobits: f64,
    /// Decibels, at the size of the rendition.
    pub ssim: f64,
    /// At the size of the source; none where there is no tool for it.
    pub vmaf: Option<f64>,
}

/// How many there are in a file.
pub fn pictures(tool: &Tool, file: &Path) -> Result<usize> {
    Ok(stored(tool, file)?.pictures)
}

/// Of a rendition that has as many pictures as its source.
pub fn measure(tool: &Tool, source: &Path, rendition: &Path) -> Result<Quality> {
    let stored = stored(tool, rendition)?;
    let mut command = tool.comparing();
    command.args(["-loglevel", "info", "-i"]).arg(source).arg("-i").arg(rendition);
    command.args(["-filter_complex", &graph(stored.size, tool.vmaf.is_some()), "-f", "null", "-"]);
    let said = tool.said(&mut command)?;
    let ssim = decibels(&said).context("no SSIM was said")?;
    let vmaf = tool.vmaf.is_some().then(|| score(&said).context("no VMAF was said")).transpose()?;
    let seconds = stored.pictures as f64 / f64::from(FRAME_RATE);
    Ok(Quality { kilobits: stored.bytes as f64 * 8.0 / 1_000.0 / seconds, ssim, vmaf })
}

/// Pictures are paired by their number; `ffmpeg`'s filters take the distorted one first.
fn graph((width, height): (u32, u32), vmaf: bool) -> String {
    let (full_width, full_height) = SIZE;
    let number = format!("settb=1/{FRAME_RATE},setpts=N");
    let ssim = format!("scale={width}:{height}:flags=bicubic[small];[coded][small]ssim");
    if !vmaf {
        return format!("[1:v]{number}[coded];[0:v]{number},{ssim}");
    }
    format!(
        "[1:v]{number},split[coded][other];[0:v]{number},split[source][whole];[source]{ssim}[one];[one]nullsink;\
         [other]scale={full_width}:{full_height}:flags=bicubic[large];\
         [large][whole]libvmaf=n_subsample={VMAF_EVERY}:n_threads=2"
    )
}

fn decibels(said: &str) -> Option<f64> {
    let line = said.lines().find(|line| line.contains("SSIM Y:"))?;
    line.rsplit_once('(')?.1.split(')').next()?.parse().ok()
}

fn score(said: &str) -> Option<f64> {
    said.split_once("VMAF score: ")?.1.split_whitespace().next()?.parse().ok()
}

struct Stored {
    pictures: usize,
    bytes: u64,
    size: (u32, u32),
}

fn stored(tool: &Tool, file: &Path) -> Result<Stored> {
    let mut command = Command::new("ffprobe");
    command.args(["-v", "error", "-select_streams", "v", "-of", "compact=p=0:nk=1"]);
    command.args(["-show_entries", "packet=size:stream=width,height"]).arg(file);
    parse(&tool.answer(&mut command)?).with_context(|| format!("{} can't be read", file.display()))
}

/// A line with the size of each packet, and one with width and height.
fn parse(text: &str) -> Option<Stored> {
    let mut sizes = Vec::new();
    let mut size = None;
    for line in text.lines().map(|line| line.trim_end_matches('|')).filter(|line| !line.is_empty()) {
        match line.split_once('|') {
            Some((width, height)) => size = Some((width.parse().ok()?, height.parse().ok()?)),
            None => sizes.push(line.parse::<u64>().ok()?),
        }
    }
    Some(Stored { pictures: sizes.len(), bytes: sizes.iter().sum(), size: size? })
}

/// The settings that x264 wrote into a stream, without those that differ by nature: how often keyframes come by
/// themselves.
pub fn settings(file: &Path) -> Result<String> {
    let bytes = std::fs::read(file)?;
    find(&bytes).with_context(|| format!("{} does not say its settings", file.display()))
}

fn find(bytes: &[u8]) -> Option<String> {
    let start = b"x264 - core ";
    let mark = b"options: ";
    let at = bytes.windows(start.len()).position(|window| window == start)?;
    let rest = &bytes[at..];
    let options = rest.windows(mark.len()).position(|window| window == mark)?;
    let end = rest[options..].iter().position(|byte| *byte == 0 || *byte == 0x80)?;
    let text = String::from_utf8_lossy(&rest[options + mark.len()..options + end]);
    let core = String::from_utf8_lossy(&rest[b"x264 - ".len()..options]).split(" - ").next()?.to_owned();
    let by_nature = |option: &&str| !["keyint=", "keyint_min="].iter().any(|name| option.starts_with(name));
    let kept: Vec<_> = text.split(' ').filter(by_nature).collect();
    Some(format!("{core}: {}", kept.join(" ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_tools_say_is_understood() {
        let said = "[Parsed_ssim_2 @ 0x1] SSIM Y:0.98 (17.1) U:0.99 (20.2) V:0.99 (21.0) All:0.985 (18.25)\n\
                    [Parsed_libvmaf_5 @ 0x2] VMAF score: 95.123456\n";
        assert_eq!((decibels(said), score(said)), (Some(18.25), Some(95.123456)));
        assert_eq!((decibels("SSIM"), score("")), (None, None));
    }

    #[test]
    fn packets_are_counted() {
        let stored = parse("100\n50|\n\n640|360\n").unwrap();
        assert_eq!((stored.pictures, stored.bytes, stored.size), (2, 150, (640, 360)));
        assert!(parse("100\n").is_none() && parse("a\n640|360").is_none());
    }

    #[test]
    fn settings_are_found_in_a_stream() {
        let stream = b"\0\x01x264 - core 164 r3095 baee400 - H.264 - options: cabac=1 keyint=60 keyint_min=6 rc=crf\0\x80";
        assert_eq!(find(stream).unwrap(), "core 164 r3095 baee400: cabac=1 rc=crf");
        assert!(find(b"nothing").is_none());
    }
}
