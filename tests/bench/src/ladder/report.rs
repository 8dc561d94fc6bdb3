//! The section of the document.

use std::fmt::Write;
use std::path::Path;

use anyhow::Result;

use super::curve::Curve;
use super::quality::{self, Quality, VMAF_EVERY};
use super::tool::Tool;
use super::{NEIGHBOURS, Outcome, RUNGS, Rung, peer};
use crate::series::Series;
use crate::{Common, machine};

/// Points of VMAF that nobody sees: within these a rendition is as good as the other.
const UNSEEN: f64 = 0.5;
/// Aims of CPU time: of ffmpeg's at equal quality and bits, and of x264's alone.
const OF_FFMPEG: f64 = 0.70;
const OF_FLOOR: f64 = 1.20;

pub fn section(tool: &Tool, common: &Common, outcomes: &[Outcome], worker: &Path) -> Result<String> {
    let mut text = heading(tool, common, worker)?;
    text.push_str(
        "| Source | Worker | ffmpeg | ffmpeg, single threads | x264 alone | Worker / ffmpeg | Worker / single threads | \
         Worker / x264 alone | Peak memory, worker | Peak memory, ffmpeg |\n\
         | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n",
    );
    outcomes.iter().for_each(|outcome| cost(&mut text, outcome));
    text.push_str(&whereabouts(outcomes));
    text.push_str(
        "\n| Source | Rung | kb/s, worker | kb/s, ffmpeg | VMAF, worker | VMAF, ffmpeg | SSIM dB, worker | SSIM dB, \
         ffmpeg | Bits at ffmpeg's VMAF | Bits at ffmpeg's SSIM |\n\
         | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n",
    );
    for outcome in outcomes {
        outcome.rungs.iter().for_each(|rung| quality_row(&mut text, outcome.name, rung));
    }
    text.push_str(&verdict(outcomes));
    Ok(text)
}

fn heading(tool: &Tool, common: &Common, worker: &Path) -> Result<String> {
    let Common { rounds, seconds, .. } = common;
    let first = if common.source.is_some() { "a film" } else { "a generated picture" };
    let version = tool.version("ffmpeg")?;
    let compared = match &tool.vmaf {
        Some(program) => format!("ffmpeg {} (libvmaf, model vmaf_v0.6.1)", tool.version(program)?),
        None => "no program with libvmaf was there: VMAF is missing".into(),
    };
    let settings = quality::settings(&peer::file(worker, RUNGS[0]))?;
    let [(less, more_bits), (more, less_bits)] = NEIGHBOURS;
    Ok(format!(
        "## What a ladder costs\n\n\
         `headwater-server worker`, fed through its pipe as fast as it takes, makes the default ladder (1280x720, 854x480, \
         640x360, AAC) from an FLV file. Against it: one ffmpeg {version} with three outputs (`{}`, `-maxrate` and \
         `-bufsize` 2800k, 1400k, 800k at 1280x720, 842x480, 640x360, AAC at 128k once; `-fps_mode passthrough`, so that its pictures are the source's), with its own choice of threads \
         and with `-threads 1` for decoder and encoders; and x264 alone with the worker's settings, three at a time on \
         frames that were scaled before, less what reading them costs: the floor. In turns, {rounds} of each, {seconds} s \
         of each source: {first} at 1280x720 and 30 a second; the same panned, zoomed and shaken with things that cross \
         it (sport); a generated screen with scrolling text; all encoded with x264 at 4.5 Mb/s as OBS does. CPU seconds \
         for a minute of source, by the kernel's account of the ended process; memory in MB is the peak of what was \
         resident; median (least–greatest), ratios round by round.\n\n\
         Quality is measured against that source, with both sides' pictures paired by number and counted. VMAF at the \
         size of the source (bicubic, every {VMAF_EVERY}th picture), SSIM at the size of the rendition; with {compared}. \
         Bits at ffmpeg's quality: what the worker would need for it, by encoding also with a rate factor {less:+} and \
         {more:+} at {more_bits} and {less_bits} times the bit rates, over what ffmpeg needs; a dash where quality does not \
         rise with bits, or ffmpeg's is far from the worker's. ffmpeg's keyframes are 1.6 s apart, the worker's 2 s; but the worker's \
         first segment is a third of a second long, so that its first two keyframes have to share one buffer of bits.\n\n\
         The worker's x264, as its stream says: `{settings}`\n\n\
         {}\n\n",
        peer::SETTINGS,
        machine::describe()
    ))
}

fn cost(text: &mut String, outcome: &Outcome) {
    let Outcome { name, worker, ffmpeg, single, floor, .. } = outcome;
    let _ = writeln!(
        text,
        "| {name} | {} | {} | {} | {} | {} | {} | {} | {} | {} |",
        worker.cpu.show(1),
        ffmpeg.cpu.show(1),
        single.cpu.show(1),
        floor.show(1),
        worker.cpu.over(&ffmpeg.cpu),
        worker.cpu.over(&single.cpu),
        worker.cpu.over(floor),
        worker.peak.show(0),
        ffmpeg.peak.show(0),
    );
}

/// Text on the CPU time that the worker spends beyond the floor.
fn whereabouts(outcomes: &[Outcome]) -> String {
    let mut text = String::from(
        "\nWhere the worker's time goes, in the same seconds: x264 as in the floor; decoding, scaling to two sizes and \
         the sound as ffmpeg does them by itself with the same libraries; the rest is what is left (starting, GStreamer, \
         the kernel, CMAF, pipes).\n\n\
         | Source | x264 alone | Decoding | Scaling | Sound | Rest | Worker / all four |\n\
         | --- | --- | --- | --- | --- | --- | --- |\n",
    );
    for Outcome { name, worker, floor, parts, .. } in outcomes {
        let four = [floor, &parts.decoding, &parts.scaling, &parts.sound].map(Series::median);
        let [x264, decoding, scaling, sound] = four;
        let whole = worker.cpu.median();
        let known = four.iter().sum::<f64>();
        let _ = writeln!(
            text,
            "| {name} | {x264:.1} | {decoding:.1} | {scaling:.1} | {sound:.1} | {:.1} | {:.2} |",
            whole - known,
            whole / known
        );
    }
    let besides = outcomes.iter().map(|Outcome { floor, parts, .. }| {
        let others = [&parts.decoding, &parts.scaling, &parts.sound].map(Series::median);
        others.iter().sum::<f64>() / floor.median()
    });
    let (least, most) =
        besides.fold((f64::INFINITY, 0.0f64), |(least, most), ratio| (least.min(ratio), most.max(ratio)));
    let _ = writeln!(
        text,
        "\nDecoding, scaling and sound are {least:.2} to {most:.2} of the floor: what the aim of {OF_FLOOR:.2} leaves for \
         them is {:.2}.",
        OF_FLOOR - 1.0
    );
    text
}

fn quality_row(text: &mut String, source: &str, rung: &Rung) {
    let Rung { name, worker, ffmpeg, .. } = rung;
    let vmaf = |quality: &Quality| quality.vmaf.map_or("–".into(), |vmaf| format!("{vmaf:.1}"));
    let ratio = |bits: Option<f64>| bits.map_or("–".into(), |bits| format!("{bits:.2}"));
    let _ = writeln!(
        text,
        "| {source} | {name} | {:.0} | {:.0} | {} | {} | {:.1} | {:.1} | {} | {} |",
        worker.kilobits,
        ffmpeg.kilobits,
        vmaf(worker),
        vmaf(ffmpeg),
        worker.ssim,
        ffmpeg.ssim,
        ratio(rung.bits_at(|quality| quality.vmaf)),
        ratio(rung.bits_at(|quality| Some(quality.ssim))),
    );
}

impl Rung {
    /// As good as ffmpeg's for no more bits; none where VMAF is missing.
    fn is_as_good(&self) -> Option<bool> {
        let own = self.worker.vmaf?;
        let other = self.ffmpeg.vmaf?;
        // Both are held to the same rate by its buffer, and end at other levels of it.
        Some(own >= other - UNSEEN && self.worker.kilobits <= self.ffmpeg.kilobits * 1.005)
    }

    /// The worker's bits for ffmpeg's quality, over ffmpeg's.
    fn bits_at(&self, quality: impl Fn(&Quality) -> Option<f64>) -> Option<f64> {
        let own = self.neighbours.iter().chain([&self.worker]);
        let points = own.map(|own| Some((own.kilobits, quality(own)?))).collect::<Option<_>>()?;
        Some(Curve::new(points).rate(quality(&self.ffmpeg)?)? / self.ffmpeg.kilobits)
    }
}

fn verdict(outcomes: &[Outcome]) -> String {
    let mut text = String::from("\n");
    let ratio = |name: &str, aim: f64, ratios: Vec<(&str, Series)>| {
        let word = |(source, ratio): &(&str, Series)| {
            let met = if ratio.median() <= aim { "met" } else { "missed" };
            format!("{source} {:.2}, {met}", ratio.median())
        };
        format!("Aim {name} ≤ {aim:.2}: {}.", ratios.iter().map(word).collect::<Vec<_>>().join("; "))
    };
    let over = |side: fn(&Outcome) -> &Series| {
        outcomes.iter().map(move |o| (o.name, o.worker.cpu.over(side(o)))).collect()
    };
    let _ = writeln!(text, "{}", ratio("worker / ffmpeg", OF_FFMPEG, over(|outcome| &outcome.ffmpeg.cpu)));
    let _ = writeln!(text, "{}", ratio("worker / x264 alone", OF_FLOOR, over(|outcome| &outcome.floor)));
    let rungs = outcomes.iter().flat_map(|outcome| &outcome.rungs);
    let bits: Vec<_> = rungs.filter_map(|rung| rung.bits_at(|quality| quality.vmaf)).collect();
    if !bits.is_empty() {
        let mean = (bits.iter().map(|bits| bits.ln()).sum::<f64>() / bits.len() as f64).exp();
        let _ = write!(
            text,
            "At ffmpeg's VMAF the worker needs {mean:.2} times its bits (geometric mean of {} rungs). ",
            bits.len()
        );
    }
    text.push_str(&equality(outcomes));
    text
}

fn equality(outcomes: &[Outcome]) -> String {
    let all = outcomes.iter().flat_map(|o| o.rungs.iter().map(move |rung| (o.name, rung)));
    let judged: Vec<_> = all.filter_map(|(name, rung)| Some((name, rung.name, rung.is_as_good()?))).collect();
    if judged.is_empty() {
        return String::new();
    }
    let worse: Vec<_> =
        judged.iter().filter(|(.., good)| !good).map(|(name, rung, _)| format!("{name} {rung}")).collect();
    let but = if worse.is_empty() { String::new() } else { format!("; not {}", worse.join(", ")) };
    format!(
        "Within {UNSEEN} points of ffmpeg's VMAF, or above it, for no more bits (to half a percent): {} of {} rungs{but}.\n",
        judged.len() - worse.len(),
        judged.len()
    )
}
