//! Failures of a broadcast, and their measurements.

use std::path::Path;
use std::time::Duration;

use anyhow::{Result, ensure};
use headwater_tests::broadcasts;
use headwater_tests::player::{Media, Player};
use headwater_tests::process::Process;
use headwater_tests::publish;
use headwater_tests::stack::{Plan, Service, Stack};
use headwater_tests::{http, wait, workers};

use crate::arrivals::{Arrival, Arrivals, now};

const LIVE: Duration = Duration::from_secs(20);
/// A broadcast has found its pace by then: this many whole segments.
const CALM: usize = 4;
/// How long it is watched after it has gone on, in seconds: what came late has been made up for.
const AFTER: f64 = 4.0;
/// How long there is no server at all in that case.
const NO_SERVER: Duration = Duration::from_secs(3);
const SEGMENT: Duration = Duration::from_secs(2);
const RENDITION: &str = "360p";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Case {
    Kill,
    Freeze,
    Drain,
    Worker,
    NoServer,
    Redis,
    Publisher,
}

/// Seconds.
#[derive(Clone, Copy, Debug)]
pub struct Outcome {
    /// From the event to the first part that came from whoever goes on. None where nobody has to take over.
    pub first_part: Option<f64>,
    /// The longest time from one part to the next one.
    pub longest_wait: f64,
    /// The usual one: the median before the event.
    pub usual_wait: f64,
    /// How long a player stands still that keeps PART-HOLD-BACK ahead, as hls.js does.
    pub stall: f64,
}

/// A broadcast on air, and what has come of it.
struct Show<'a> {
    stack: Stack,
    source: &'a Path,
    encoder: Process,
    arrivals: Arrivals,
    /// The server that has the broadcast; it is taken out of the stack, and lives until the end.
    owner: Service,
}

impl Case {
    pub const ALL: [Self; 7] =
        [Self::Kill, Self::Freeze, Self::Drain, Self::Worker, Self::NoServer, Self::Redis, Self::Publisher];

    pub fn name(self) -> &'static str {
        match self {
            Self::Kill => "kill",
            Self::Freeze => "freeze",
            Self::Drain => "drain",
            Self::Worker => "worker",
            Self::NoServer => "no-server",
            Self::Redis => "redis",
            Self::Publisher => "publisher",
        }
    }

    pub fn title(self) -> &'static str {
        match self {
            Self::Kill => "server killed (`kill -9`)",
            Self::Freeze => "server frozen (`SIGSTOP`), as when its host vanishes",
            Self::Drain => "server told to stop (`SIGTERM`)",
            Self::Worker => "worker killed",
            Self::NoServer => "no server for 3 s; from when one is ready",
            Self::Redis => "Redis killed",
            Self::Publisher => "publisher gone and started again; from its start",
        }
    }

    /// Plays it once. `phase` is how far into a segment it happens, from 0 to 1.
    pub async fn play(self, source: &Path, phase: f64) -> Result<Outcome> {
        let servers = if matches!(self, Self::Kill | Self::Freeze | Self::Drain) { 2 } else { 1 };
        // A publisher who comes back has the usual time to do so.
        let plan = Plan::default().servers(servers).set("SERVER_RECONNECT_WINDOW", "60s");
        let stack = plan.start().await?;
        let encoder = publish::ffmpeg(stack.path(), source, &stack.publish_url("demo"))?;
        let url = format!("{}/demo/{RENDITION}/index.m3u8", stack.origin(0));
        Player::new(&stack.origin(0), "demo").wait_segments(RENDITION, 1, LIVE).await?;
        let arrivals = Arrivals::default();
        let following = tokio::spawn(arrivals.clone().follow(url.clone()));
        let outcome = async {
            let mut show = Show::new(stack, source, encoder, arrivals).await?;
            // Until a segment has just begun, and then some.
            Player::new(&show.stack.origin(0), "demo").wait_segments(RENDITION, CALM, LIVE).await?;
            tokio::time::sleep(SEGMENT.mul_f64(phase)).await;
            let hold_back = Media::parse(http::get(&url).await?.ok(&url)?.text())?.part_hold_back;
            let event = self.happen(&mut show).await?;
            self.measure(&mut show, event, hold_back).await
        };
        let outcome = outcome.await;
        following.abort();
        outcome
    }

    /// Lets it happen, and says when that was.
    async fn happen(self, show: &mut Show<'_>) -> Result<f64> {
        let at = now();
        match self {
            Self::Kill => show.owner.process.kill().await?,
            Self::Freeze => show.owner.process.signal("STOP").await?,
            Self::Drain => show.owner.process.signal("TERM").await?,
            Self::Worker => {
                for worker in workers::of(&show.owner)? {
                    workers::signal(worker, "KILL").await?;
                }
            }
            Self::NoServer => {
                show.owner.process.kill().await?;
                tokio::time::sleep(NO_SERVER).await;
                show.stack.add_server().await?;
                return Ok(now());
            }
            Self::Redis => show.stack.redis.kill(),
            Self::Publisher => {
                show.encoder.kill().await?;
                let at = now();
                show.encoder =
                    publish::ffmpeg(show.stack.path(), show.source, &show.stack.publish_url("demo"))?;
                return Ok(at);
            }
        }
        Ok(at)
    }

    async fn measure(self, show: &mut Show<'_>, event: f64, hold_back: f64) -> Result<Outcome> {
        let arrivals = show.arrivals.clone();
        let first = match self {
            Self::Redis => event,
            _ => {
                let attached = show.attached_after(self, event).await?;
                let first = || async { arrivals.all().iter().map(|part| part.at).find(|at| *at > attached) };
                wait::until("the first new part", LIVE, first).await?
            }
        };
        let over = || async { arrivals.all().last().filter(|part| part.at > first + AFTER).map(drop) };
        wait::until("the broadcast to go on", LIVE, over).await?;
        ensure!(show.encoder.is_running(), "the encoder has ended: {}", show.encoder.output());
        let first_part = (self != Self::Redis).then_some(first - event);
        Ok(judge(&arrivals.all(), event, first_part, hold_back))
    }
}

impl<'a> Show<'a> {
    async fn new(mut stack: Stack, source: &'a Path, encoder: Process, arrivals: Arrivals) -> Result<Self> {
        let owner = broadcasts::owner(stack.registry()?.as_ref(), "demo", LIVE).await?;
        let owner = stack.take_server(&owner.address)?;
        Ok(Self { stack, source, encoder, arrivals, owner })
    }

    /// When a server said after the event that it has the publisher now. What comes after that is from there: parts that
    /// its predecessor had made were sent long before.
    async fn attached_after(&self, case: Case, event: f64) -> Result<f64> {
        let earliest = if case == Case::NoServer { event - 1.0 } else { event };
        let servers = || self.stack.servers.iter().chain([&self.owner]);
        wait::until("a server to take over", LIVE, || async {
            let logs = servers().map(|server| server.process.output());
            let times: Vec<_> = logs.flat_map(|log| attachments(&log)).collect();
            times.into_iter().filter(|at| *at > earliest).min_by(f64::total_cmp)
        })
        .await
    }
}

/// The times at which a server's log says that a publisher was attached.
fn attachments(log: &str) -> Vec<f64> {
    let lines = log.lines().filter(|line| line.contains("publisher attached"));
    let stamps = lines.filter_map(|line| line.split_whitespace().next()?.parse::<jiff::Timestamp>().ok());
    stamps.map(|stamp| stamp.as_microsecond() as f64 / 1e6).collect()
}

fn judge(parts: &[Arrival], event: f64, first_part: Option<f64>, hold_back: f64) -> Outcome {
    let waits = |parts: &[Arrival]| parts.windows(2).map(|pair| pair[1].at - pair[0].at).collect::<Vec<_>>();
    let before: Vec<_> = parts.iter().copied().filter(|part| part.at <= event).collect();
    // The last one before it, so that the wait across the event counts.
    let around = &parts[before.len().saturating_sub(1)..];
    // The player's clock runs behind the broadcast by what is usual, and PART-HOLD-BACK more.
    let usual = median(before.iter().map(|part| part.at - part.end).collect());
    let late = around.iter().map(|part| part.at - (part.start + usual + hold_back));
    Outcome {
        first_part,
        longest_wait: waits(around).into_iter().fold(0.0, f64::max),
        usual_wait: median(waits(&before)),
        stall: late.fold(0.0, f64::max),
    }
}

pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}
