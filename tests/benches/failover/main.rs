//! How long it takes until a broadcast goes on: each case of docs/failover.md, played several times with real processes.
//!
//! `make bench-failover` measures release builds and rewrites the table in docs/failover.md. By hand, after
//! `cargo build --workspace --bins` of the same profile:
//!
//! ```text
//! cargo bench -p headwater-tests --bench failover -- [--runs N] [--only CASE] [--write]
//! cargo bench --profile dev -p headwater-tests --bench failover -- --runs 1 --only kill
//! ```

mod arrivals;
mod cases;
mod table;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use headwater_tests::process;
use headwater_tests::publish::Source;

use crate::cases::Case;

/// Longer than any case takes.
const SOURCE: Source = Source {
    width: 640,
    height: 360,
    frame_rate: 30,
    seconds: 60,
    b_frames: 2,
    video: true,
    audio: true,
    pixel_format: "yuv420p",
    keyframe_interval: 60,
};

struct Options {
    runs: usize,
    only: Option<String>,
    write: bool,
}

impl Options {
    fn read(mut arguments: impl Iterator<Item = String>) -> Result<Self> {
        let mut options = Self { runs: 5, only: None, write: false };
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--runs" => options.runs = arguments.next().context("--runs N")?.parse()?,
                "--only" => options.only = Some(arguments.next().context("--only CASE")?),
                "--write" => options.write = true,
                // Cargo says this to every benchmark.
                "--bench" => {}
                other => bail!("{other}: only --runs N, --only CASE and --write are known"),
            }
        }
        Ok(options)
    }
}

#[tokio::main]
#[expect(clippy::print_stdout, clippy::print_stderr, reason = "it is a program for a terminal")]
async fn main() -> Result<()> {
    let options = Options::read(std::env::args().skip(1))?;
    process::keep_quiet();
    let directory = tempfile::tempdir()?;
    let source = SOURCE.make(directory.path(), "source").await?;
    let mut rows = Vec::new();
    for case in
        Case::ALL.into_iter().filter(|case| options.only.as_deref().is_none_or(|name| name == case.name()))
    {
        let mut outcomes = Vec::new();
        for run in 0..options.runs {
            // Spread over the length of a segment: what happens at its end is repaired sooner than at its start.
            let phase = run as f64 / options.runs as f64;
            let outcome = case.play(&source, phase).await.with_context(|| case.name())?;
            eprintln!("{} {}/{}: {outcome:?}", case.name(), run + 1, options.runs);
            outcomes.push(outcome);
        }
        rows.push((case, outcomes));
    }
    let table = table::render(&rows, options.runs);
    println!("{table}");
    if options.write {
        table::write(&document(), &table)?;
    }
    Ok(())
}

fn document() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/failover.md")
}
