//! `headwater-bench`: measures what the services cost, and writes it into `BENCHMARKS.md` (`make bench-replay` and others).

mod arrival;
mod broadcast;
mod committed;
mod document;
mod flv;
mod keepalive;
mod ladder;
mod latency;
mod load;
mod machine;
mod nginx;
mod origin;
mod peers;
mod processes;
mod proxy;
mod received;
mod recording;
mod replay;
mod rtmp_sink;
mod scale;
mod series;
mod sink;
mod source;
mod stub;
mod usage;
mod viewers;

use std::path::PathBuf;

use clap::{Parser, Subcommand};

/// Measures what Headwater costs
#[derive(Parser)]
// What a Makefile names can be said again.
#[command(name = "headwater-bench", version, args_override_self = true)]
struct Arguments {
    #[command(subcommand)]
    benchmark: Benchmark,
}

#[derive(Subcommand)]
enum Benchmark {
    /// The proxy with its replay buffer against the proxy without it
    Replay(replay::Arguments),
    /// From a camera to the glass of a browser
    Latency(latency::Arguments),
    /// Costs of a stream and a viewer when there are many
    Scale(scale::Arguments),
    /// The proxy against HAProxy and nginx-rtmp
    Proxy(proxy::Arguments),
    /// The origin against nginx
    Origin(origin::Arguments),
    /// Many viewers who wait for the same part
    Viewers(viewers::Arguments),
    /// Costs of recording: requests to the store, how soon a segment is listed, what going back and downloads cost
    Recording(recording::Arguments),
    /// A worker against one ffmpeg with three outputs, and against x264 alone
    Ladder(ladder::Arguments),
}

/// Arguments of all benchmarks.
#[derive(clap::Args)]
pub struct Common {
    /// A film to publish; without one, a moving picture with noise is made
    #[arg(long, value_name = "FILE")]
    source: Option<PathBuf>,
    /// How often each side is measured, in turns
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    /// Seconds of each measurement
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=3600))]
    seconds: u64,
    /// Write the result into this document, between its markers
    #[arg(long, value_name = "FILE")]
    write: Option<PathBuf>,
}

#[tokio::main]
#[expect(clippy::print_stdout, reason = "the result is what the command was run for")]
async fn main() -> anyhow::Result<()> {
    anyhow::ensure!(
        !cfg!(debug_assertions),
        "debug builds say nothing about cost: cargo run --release -p headwater-bench"
    );
    let (name, common, section) = match Arguments::parse().benchmark {
        Benchmark::Replay(arguments) => {
            let section = replay::run(&arguments).await?;
            ("replay", arguments.common, section)
        }
        Benchmark::Latency(arguments) => {
            let section = latency::run(&arguments).await?;
            ("latency", arguments.common, section)
        }
        Benchmark::Scale(arguments) => {
            let section = scale::run(&arguments).await?;
            ("scale", arguments.common, section)
        }
        Benchmark::Proxy(arguments) => {
            let section = proxy::run(&arguments).await?;
            ("proxy", arguments.common, section)
        }
        Benchmark::Origin(arguments) => {
            let section = origin::run(&arguments).await?;
            ("origin", arguments.common, section)
        }
        Benchmark::Viewers(arguments) => {
            let section = viewers::run(&arguments).await?;
            ("viewers", arguments.common, section)
        }
        Benchmark::Recording(arguments) => {
            let section = recording::run(&arguments).await?;
            ("recording", arguments.common, section)
        }
        Benchmark::Ladder(arguments) => {
            let section = ladder::run(&arguments)?;
            ("ladder", arguments.common, section)
        }
    };
    println!("{section}");
    match common.write {
        Some(path) => document::write(&path, name, &section),
        None => Ok(()),
    }
}
