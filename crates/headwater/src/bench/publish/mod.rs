//! `headwater bench publish`: many publishers of one recording.

mod connection;
mod counts;
mod publisher;
mod schedule;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::recording::Recording;
use super::run::{self, report_misuse};
use crate::target::Target;
use counts::PublishCounts;
use publisher::Publisher;

/// Arguments of `bench publish`.
#[derive(clap::Args)]
pub struct Arguments {
    /// How many publishers
    #[arg(short = 'n', long = "publishers", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=50_000))]
    publishers: u32,
    /// Address to publish to: rtmp://host[:port]/app/key. More than one publisher use key-1, key-2, …
    #[arg(long, default_value = "rtmp://127.0.0.1:1935/live/demo", value_parser = Target::parse)]
    url: Target,
    /// Source: an FLV file with H.264 and AAC. It is held in memory once
    #[arg(long, value_name = "FILE")]
    source: PathBuf,
    /// Begin again at the end of the file, with timestamps that go on
    #[arg(long = "loop")]
    looped: bool,
    #[command(flatten)]
    options: run::Options,
}

/// State that all publishers share.
struct Load {
    recording: Recording,
    looped: bool,
    counts: PublishCounts,
    stop: CancellationToken,
}

/// Publishes as often as the arguments say, and prints the results.
pub fn run(arguments: &Arguments) -> ExitCode {
    let Arguments { publishers, url, source, looped, options } = arguments;
    let recording = match Recording::read(source) {
        Ok(recording) => recording,
        Err(error) => return report_misuse(&error),
    };
    let counts = PublishCounts::new(*publishers);
    let load = Load { recording, looped: *looped, counts: counts.clone(), stop: CancellationToken::new() };
    run::run(options, &counts, |tasks, stop| start_publishers(tasks, Load { stop, ..load }, arguments, url))
}

fn start_publishers(tasks: &TaskTracker, load: Load, arguments: &Arguments, url: &Target) {
    let load = Arc::new(load);
    let began = Instant::now();
    for number in 1..=arguments.publishers {
        let target = if arguments.publishers == 1 { url.clone() } else { numbered_target(url, number) };
        let publisher = Publisher::new(target, load.clone());
        let at = began + arguments.options.ramp.saturating_mul(number - 1);
        tasks.spawn(async move {
            let stop = publisher.stop_token();
            if stop.run_until_cancelled(tokio::time::sleep_until(at)).await.is_some() {
                publisher.run().await;
            }
        });
    }
}

/// `key-3?query`
fn numbered_target(target: &Target, number: u32) -> Target {
    let key = match target.key.split_once('?') {
        Some((key, query)) => format!("{key}-{number}?{query}"),
        None => format!("{}-{number}", target.key),
    };
    Target { key, ..target.clone() }
}

/// OBS' rule for connections that are lost or refused: 2 s, and half as long again after each failure, 25 times.
struct Retries {
    left: u32,
    next: Duration,
}

impl Retries {
    const FIRST_PAUSE: Duration = Duration::from_secs(2);
    const MAX_RETRIES: u32 = 25;
    /// OBS' own limit of a delay that grows.
    const MAX_PAUSE: Duration = Duration::from_secs(15 * 60);

    fn new() -> Self {
        Self { left: Self::MAX_RETRIES, next: Self::FIRST_PAUSE }
    }

    /// How long to wait before the next try; none after the last one.
    fn next(&mut self) -> Option<Duration> {
        self.left = self.left.checked_sub(1)?;
        let delay = self.next;
        self.next = delay.mul_f64(1.5).min(Self::MAX_PAUSE);
        Some(delay)
    }
}
