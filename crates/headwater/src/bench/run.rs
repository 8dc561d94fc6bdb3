//! Frame of all load tools: a runtime, a line of progress, an end.

use std::io::IsTerminal;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use headwater_runtime::shutdown::Signals;
use serde::Serialize;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How often the line on a terminal is written anew.
const ON_TERMINAL: Duration = Duration::from_secs(1);
/// How often a line is added to a log.
const LOG_INTERVAL: Duration = Duration::from_secs(5);
/// How long what was told to stop may take for its goodbyes.
const STOP_TIMEOUT: Duration = Duration::from_secs(15);
/// Exit code of a process that was used wrongly, equal to clap's.
const USAGE_EXIT_CODE: u8 = 2;

/// Arguments that all load tools have.
#[derive(clap::Args)]
pub struct Options {
    /// Stop after this time
    #[arg(long, value_name = "TIME", value_parser = super::duration::parse)]
    pub duration: Option<Duration>,
    /// From one start to the next
    #[arg(long, value_name = "TIME", default_value = "10ms", value_parser = super::duration::parse)]
    pub ramp: Duration,
    /// Threads to work with; one sends some hundred MB/s
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub threads: u16,
    /// Print the summary as JSON
    #[arg(long)]
    pub json: bool,
}

/// Counters of a run.
pub trait Counts: Send + Sync + 'static {
    type Summary: Serialize;

    /// How it goes, in one line of less than 100 characters. `passed` since the start.
    fn progress_line(&self, passed: Duration) -> String;

    fn make_summary(&self, passed: Duration) -> Self::Summary;

    /// The summary for people.
    fn describe_summary(summary: &Self::Summary) -> String;

    /// Whether the run shows no fault.
    fn is_good(summary: &Self::Summary) -> bool;
}

/// Says what was wrong with the command.
#[expect(clippy::print_stderr, reason = "the command's own words to the person who typed it")]
pub fn report_misuse(error: &anyhow::Error) -> ExitCode {
    eprintln!("bench: {error:#}");
    ExitCode::from(USAGE_EXIT_CODE)
}

/// Runs until all tasks are done, the time is over or a signal comes, and prints the summary. `start` puts the tasks
/// into the tracker; they have to end soon after the token is cancelled.
#[expect(clippy::print_stdout, reason = "the summary is what the command was run for")]
pub fn run<C: Counts>(
    options: &Options,
    counts: &C,
    start: impl FnOnce(&TaskTracker, CancellationToken),
) -> ExitCode {
    let summary = match make_runtime(options.threads) {
        Ok(runtime) => {
            let summary = runtime.block_on(drive_load(options, counts, start));
            runtime.shutdown_background();
            summary
        }
        Err(error) => Err(error),
    };
    match summary {
        Ok(summary) => {
            if options.json {
                println!("{}", serde_json::json!(summary))
            } else {
                println!("{}", C::describe_summary(&summary))
            }
            if C::is_good(&summary) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => report_misuse(&error),
    }
}

/// Makes the tool's runtime. A single thread costs the least, as it hands over to no other one.
fn make_runtime(threads: u16) -> anyhow::Result<tokio::runtime::Runtime> {
    let mut builder = match threads {
        1 => tokio::runtime::Builder::new_current_thread(),
        _ => tokio::runtime::Builder::new_multi_thread(),
    };
    builder.worker_threads(threads.into()).enable_all().build().context("no runtime")
}

async fn drive_load<C: Counts>(
    options: &Options,
    counts: &C,
    start: impl FnOnce(&TaskTracker, CancellationToken),
) -> anyhow::Result<C::Summary> {
    let mut signals = Signals::listen()?;
    let tasks = TaskTracker::new();
    let stop = CancellationToken::new();
    let began = Instant::now();
    start(&tasks, stop.clone());
    tasks.close();
    let over = async {
        match options.duration {
            Some(duration) => tokio::time::sleep_until(began + duration).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        () = tasks.wait() => {}
        () = over => {}
        _ = signals.next() => {}
        () = report_progress(counts, began) => {}
    }
    let passed = began.elapsed();
    stop.cancel();
    tokio::select! {
        _ = tokio::time::timeout(STOP_TIMEOUT, tasks.wait()) => {}
        _ = signals.next() => {}
    }
    end_line();
    Ok(counts.make_summary(passed))
}

/// Tells how it goes, for ever.
#[expect(clippy::print_stderr, reason = "the command's own words to the person who typed it")]
async fn report_progress(counts: &impl Counts, began: Instant) {
    let terminal = std::io::stderr().is_terminal();
    let every = if terminal { ON_TERMINAL } else { LOG_INTERVAL };
    let mut ticks = tokio::time::interval_at(began + every, every);
    loop {
        ticks.tick().await;
        let line = counts.progress_line(began.elapsed());
        // Back to the line's start, and nothing left of what stood there.
        if terminal { eprint!("\r\x1b[K{line}") } else { eprintln!("{line}") }
    }
}

#[expect(clippy::print_stderr, reason = "the command's own words to the person who typed it")]
fn end_line() {
    if std::io::stderr().is_terminal() {
        eprintln!();
    }
}
