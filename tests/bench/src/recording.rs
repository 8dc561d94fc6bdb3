//! What recording asks of the store, and how soon a segment that is whole is listed as stored: `headwater up` with its
//! default settings, an S3-compatible store on the same machine, one publisher.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use headwater_hls::{MediaEvent, Record};
use headwater_store::{ACCESS_KEY, BUCKET, SECRET_KEY, TestStore, Traffic};
use headwater_wire::v1::delivery_client::DeliveryClient;
use headwater_wire::{Channels, WatchMessage, v1};
use tokio::task::JoinSet;

use crate::processes::{self, Process, free_address};
use crate::series::Series;
use crate::{Common, machine, source};

/// What one publisher of `headwater bench publish` is called.
const STREAM: &str = "load";
/// Segments until all is as it stays: playlists are written often in the first minute.
const SETTLE: usize = 5;
const HOUR: f64 = 3600.0;

#[derive(clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    pub common: Common,
}

pub async fn run(arguments: &Arguments) -> Result<String> {
    let directory = tempfile::tempdir()?;
    let source = source::make(arguments.common.source.as_deref(), directory.path())?;
    let window = Duration::from_secs(arguments.common.seconds);
    let mut rounds = Vec::new();
    for _ in 0..arguments.common.rounds {
        rounds.push(measure(&source, window).await?);
    }
    Ok(section(&arguments.common, &rounds))
}

/// One measurement.
struct Round {
    /// Milliseconds from a whole segment to its record, of each segment.
    lag: Vec<f64>,
    seconds: f64,
    before: Traffic,
    after: Traffic,
    /// Bytes of all segments that were listed meanwhile.
    media: u64,
}

async fn measure(source: &Path, window: Duration) -> Result<Round> {
    let directory = tempfile::tempdir()?;
    let store = TestStore::start().await;
    let (all, rtmp, grpc) = all_in_one(directory.path(), &store).await?;
    let watched = Watched::start(grpc);
    let arguments = [
        "bench",
        "publish",
        "-n",
        "1",
        "--url",
        &format!("rtmp://{rtmp}/live/{STREAM}"),
        "--loop",
        "--source",
    ];
    let source = source.to_string_lossy();
    let arguments = arguments.into_iter().chain([&*source]);
    let publisher = Process::start(directory.path(), "headwater", arguments, &[])?;
    let settled = || (watched.lock().lag.len() >= SETTLE).then_some(());
    processes::until("segments to be stored", settled)
        .await
        .with_context(|| format!("{}{}", all.output(), publisher.output()))?;

    let (before, since, first) = (store.traffic(), Instant::now(), watched.lock().lag.len());
    let media = watched.lock().media;
    tokio::time::sleep(window).await;
    let (after, seconds) = (store.traffic(), since.elapsed().as_secs_f64());
    processes::check(&publisher)?;
    let seen = watched.lock();
    ensure!(seen.lag.len() > first, "no segment was stored: {}", all.output());
    Ok(Round { lag: seen.lag[first..].to_vec(), seconds, before, after, media: seen.media - media })
}

async fn all_in_one(directory: &Path, store: &TestStore) -> Result<(Process, String, String)> {
    let address = || free_address().map(|address| address.to_string());
    let (rtmp, http, grpc, metrics) = (address()?, address()?, address()?, address()?);
    let mut command = Command::new(std::env::current_exe()?.with_file_name("headwater"));
    command.arg("up").current_dir(directory).envs([
        ("HEADWATER_PROXY_RTMP_LISTEN", rtmp.clone()),
        ("HEADWATER_ORIGIN_HTTP_LISTEN", http),
        ("HEADWATER_SERVER_GRPC_LISTEN", grpc.clone()),
        ("HEADWATER_UP_METRICS_LISTEN", metrics.clone()),
        ("HEADWATER_STORE_URL", format!("s3://{BUCKET}")),
        ("HEADWATER_STORE_ENDPOINT", store.endpoint()),
        ("HEADWATER_RECORDING_SPOOL", directory.join("spool").to_string_lossy().into_owned()),
        ("AWS_ACCESS_KEY_ID", ACCESS_KEY.into()),
        ("AWS_SECRET_ACCESS_KEY", SECRET_KEY.into()),
    ]);
    let process = Process::spawn(command, directory.join("up.log")).context("build it first")?;
    let metrics = metrics.parse()?;
    let ready =
        || processes::get(metrics, "/readyz").ok().filter(|answer| answer.starts_with("HTTP/1.1 200"));
    processes::until("headwater to be ready", ready).await.with_context(|| process.output())?;
    Ok((process, rtmp, grpc))
}

/// What a subscriber of the stream is told.
#[derive(Default)]
struct Seen {
    /// The renditions of the stream.
    renditions: BTreeSet<String>,
    /// When a segment became whole in its last rendition so far.
    whole: BTreeMap<u64, Instant>,
    /// In milliseconds, of each stored segment.
    lag: Vec<f64>,
    media: u64,
}

impl Seen {
    fn take(&mut self, message: WatchMessage) {
        match message {
            WatchMessage::Event(MediaEvent::SegmentEnd { rendition, sequence }) => {
                self.renditions.insert(rendition.as_str().to_owned());
                self.whole.insert(sequence.0, Instant::now());
            }
            WatchMessage::Stored(Record::Segment(segment)) => {
                // One that was whole before the subscription has no beginning.
                let Some(whole) = self.whole.remove(&segment.sequence.0) else { return };
                self.lag.push(whole.elapsed().as_secs_f64() * 1e3);
                self.media += segment.pieces.iter().filter_map(|piece| piece.size).sum::<u64>();
            }
            _ => {}
        }
    }
}

/// Watches the stream until it is dropped.
struct Watched {
    seen: Arc<Mutex<Seen>>,
    _task: JoinSet<()>,
}

impl Watched {
    fn start(server: String) -> Self {
        let (seen, mut task) = (Arc::<Mutex<Seen>>::default(), JoinSet::new());
        let into = seen.clone();
        task.spawn(async move {
            loop {
                // Not on air yet.
                let _ = watch(&server, &into).await;
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        });
        Self { seen, _task: task }
    }

    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn watch(server: &str, into: &Mutex<Seen>) -> Result<()> {
    let channel = Channels::default().to(server)?;
    let mut client =
        DeliveryClient::new(channel).max_decoding_message_size(headwater_wire::frames::MESSAGE_LIMIT);
    let mut messages = client.watch(v1::WatchRequest { stream: STREAM.into() }).await?.into_inner();
    while let Some(message) = messages.message().await? {
        let message = message.try_into()?;
        into.lock().unwrap_or_else(PoisonError::into_inner).take(message);
    }
    Ok(())
}

fn section(common: &Common, rounds: &[Round]) -> String {
    let per_hour = |value: &dyn Fn(&Round) -> f64| -> Series {
        rounds.iter().map(|round| value(round) / round.seconds * HOUR).collect()
    };
    let asked = |kind: &'static str| {
        per_hour(&move |round| {
            let count = |traffic: &Traffic| traffic.requests.get(kind).copied().unwrap_or_default();
            (count(&round.after) - count(&round.before)) as f64
        })
    };
    let bytes = per_hour(&|round| (round.after.bytes - round.before.bytes) as f64 / 1e6);
    let media = per_hour(&|round| round.media as f64 / 1e6);
    let index: Series = rounds
        .iter()
        .map(|round| (round.after.bytes - round.before.bytes) as f64 / round.media as f64 * 100.0 - 100.0)
        .collect();
    let lag: Series = rounds.iter().flat_map(|round| round.lag.iter().copied()).collect();
    let mut text = format!(
        "## Recording\n\n`make bench-recording`. `headwater up` with default settings, which stores all renditions in an \
         S3-compatible store (s3s) on the same machine; one publisher of 720p30. Segments of 2 s in three pictures and the \
         sound. {} s in each of {} rounds, counted at the store and projected to an hour of broadcast; median (least–greatest) of \
         the rounds. The lag is from the moment in which a segment is whole in its last rendition to its record, which is what \
         playlists list from; a real store adds the time of two requests.\n\n{}\n\n",
        common.seconds,
        rounds.len(),
        machine::describe(),
    );
    text.push_str("| Segment whole → stored and listed, ms | p50 | p95 | max |\n| --- | --- | --- | --- |\n");
    let [p50, p95, most] = [0.5, 0.95, 1.0].map(|share| lag.quantile(share));
    text.push_str(&format!("| {} segments | {p50:.0} | {p95:.0} | {most:.0} |\n\n", lag.len()));
    text.push_str("| Per hour of broadcast | |\n| --- | --- |\n");
    for (what, values) in [
        ("PUT requests", asked("PUT")),
        ("LIST requests", asked("LIST")),
        ("GET requests", asked("GET")),
        ("HEAD requests", asked("HEAD")),
        ("POST requests (deletions)", asked("POST")),
    ] {
        text.push_str(&format!("| {what} | {} |\n", values.show(0)));
    }
    text.push_str(&format!("| MB sent to the store | {} |\n", bytes.show(0)));
    text.push_str(&format!("| of that, MB of media | {} |\n", media.show(0)));
    text.push_str(&format!("| what indexes and requests add, % | {} |\n", index.show(2)));
    text
}
