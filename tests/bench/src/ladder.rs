//! Cost and quality of the default ladder: a worker process against one ffmpeg with three outputs, and against
//! x264 alone.

mod content;
mod curve;
mod parts;
mod peer;
mod quality;
mod report;
mod tool;
mod worker;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use headwater_media::{Ladder, TimelineEvent};
use tempfile::TempDir;

use crate::Common;
use crate::flv;
use crate::series::Series;
use crate::usage::Spent;
use content::Content;
use parts::Parts;
use peer::{Frames, Threads};
use quality::Quality;
use tool::Tool;

/// Best first; also the names of the files.
const RUNGS: [&str; 3] = ["720p", "480p", "360p"];
/// The worker once more with other rate factors and bit rates, so that it is known what a bit more quality costs.
const NEIGHBOURS: [(f64, f64); 2] = [(-2.0, 1.2), (2.0, 0.8)];
/// Options that a worker passes to x264, rung by rung: checked against what its streams say. Keyframes come where the worker
/// forces them, at the beginning of each segment.
const X264: &str = "threads=1:lookahead-threads=1:sync-lookahead=0:keyint=60:min-keyint=60:scenecut=0:bframes=0:\
                    partitions=i8x8,i4x4:me=dia:aq-mode=1:subme=1:8x8dct=1:rc-lookahead=10";
const TRELLIS: [u8; 3] = [0, 0, 1];

#[derive(clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    pub common: Common,
    /// An ffmpeg with libvmaf
    #[arg(long, value_name = "PROGRAM")]
    vmaf: Option<PathBuf>,
}

/// Measurements of one source.
struct Outcome {
    name: &'static str,
    worker: Costs,
    ffmpeg: Costs,
    single: Costs,
    /// CPU seconds a minute of x264 alone.
    floor: Series,
    parts: Parts,
    rungs: Vec<Rung>,
}

/// CPU seconds for a minute of the source, and the most memory in MB.
#[derive(Default)]
struct Costs {
    cpu: Series,
    peak: Series,
}

struct Rung {
    name: &'static str,
    worker: Quality,
    neighbours: Vec<Quality>,
    ffmpeg: Quality,
}

pub fn run(arguments: &Arguments) -> Result<String> {
    let tool = Tool::new(arguments.vmaf.clone());
    let directory = tempfile::tempdir()?;
    let common = &arguments.common;
    let contents = content::make(&tool, common.source.as_deref(), common.seconds, directory.path())?;
    let bench = Bench { tool, directory, common };
    let outcomes: Vec<_> = contents.iter().map(|content| bench.content(content)).collect::<Result<_>>()?;
    report::section(&bench.tool, common, &outcomes, &bench.directory.path().join("worker"))
}

struct Bench<'a> {
    tool: Tool,
    directory: TempDir,
    common: &'a Common,
}

impl Bench<'_> {
    fn content(&self, content: &Content) -> Result<Outcome> {
        let events = flv::read(&content.file)?;
        let [worker, ffmpeg, alone] = ["worker", "ffmpeg", "alone"].map(|name| self.fresh(name));
        let worker = worker?;
        let ffmpeg = ffmpeg?;
        let alone = alone?;
        let frames = Frames::make(&self.tool, &content.file, &alone)?;
        let [mut ours, mut default, mut single] = [(); 3].map(|()| Costs::default());
        let mut floor = Series::default();
        let mut parts = Parts::default();
        for _ in 0..self.common.rounds {
            ours.push(worker::run(&events, &Ladder::default(), &worker)?, self.common.seconds);
            single.push(peer::run(&self.tool, &content.file, Threads::Single, &ffmpeg)?, self.common.seconds);
            default
                .push(peer::run(&self.tool, &content.file, Threads::Default, &ffmpeg)?, self.common.seconds);
            let spent = frames.encode(&self.tool, &alone)?;
            floor.push(spent.as_secs_f64() * 60.0 / self.common.seconds as f64);
            parts.push(&self.tool, &content.file, self.common.seconds)?;
        }
        check_settings(&worker, &alone)?;
        [&worker, &ffmpeg, &alone].into_iter().try_for_each(|side| self.check_pictures(content, side))?;
        let rungs = self.rungs(content, &events, &worker, &ffmpeg)?;
        Ok(Outcome { name: content.name, worker: ours, ffmpeg: default, single, floor, parts, rungs })
    }

    fn rungs(
        &self,
        content: &Content,
        events: &[TimelineEvent],
        worker: &Path,
        ffmpeg: &Path,
    ) -> Result<Vec<Rung>> {
        let all = |directory: &Path| -> Result<Vec<Quality>> {
            let measure = |rung| quality::measure(&self.tool, &content.file, &peer::file(directory, rung));
            RUNGS.into_iter().map(measure).collect()
        };
        let ours = all(worker)?;
        let theirs = all(ffmpeg)?;
        let mut neighbours = Vec::new();
        for (factor, rate) in NEIGHBOURS {
            let directory = self.fresh("neighbour")?;
            worker::run(events, &neighbour(factor, rate), &directory)?;
            neighbours.push(all(&directory)?);
        }
        let rung = |(at, name)| Rung {
            name,
            worker: ours[at],
            neighbours: neighbours.iter().map(|all| all[at]).collect(),
            ffmpeg: theirs[at],
        };
        Ok(RUNGS.into_iter().enumerate().map(rung).collect())
    }

    /// Checks the number of pictures: a transcoder that lost some would look cheaper than it is.
    fn check_pictures(&self, content: &Content, side: &Path) -> Result<()> {
        let all = quality::pictures(&self.tool, &content.file)?;
        for rung in RUNGS {
            let file = peer::file(side, rung);
            let made = quality::pictures(&self.tool, &file)?;
            ensure!(made == all, "{} has {made} pictures, its source {all}", file.display());
        }
        Ok(())
    }

    fn fresh(&self, name: &str) -> Result<PathBuf> {
        let path = self.directory.path().join(name);
        if path.exists() {
            std::fs::remove_dir_all(&path)?;
        }
        std::fs::create_dir(&path).with_context(|| format!("{} can't be made", path.display()))?;
        Ok(path)
    }
}

impl Costs {
    fn push(&mut self, spent: Spent, seconds: u64) {
        self.cpu.push(spent.cpu.as_secs_f64() * 60.0 / seconds as f64);
        self.peak.push(spent.peak_memory as f64 / 1e6);
    }
}

fn neighbour(factor: f64, rate: f64) -> Ladder {
    let mut ladder = Ladder::default();
    ladder.crf += factor;
    for rung in &mut ladder.rungs {
        rung.bitrate = (f64::from(rung.bitrate) * rate) as u32;
    }
    ladder
}

/// A floor with other settings would be none.
fn check_settings(worker: &Path, alone: &Path) -> Result<()> {
    for rung in RUNGS {
        let [ours, floor] = [worker, alone].map(|side| quality::settings(&peer::file(side, rung)));
        let ours = ours?;
        let floor = floor?;
        ensure!(ours == floor, "the worker encodes with\n{ours}\nand x264 alone with\n{floor}");
    }
    Ok(())
}
