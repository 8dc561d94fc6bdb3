//! A broadcast that is recorded: how soon each segment is listed, and what the store is asked meanwhile.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use headwater_media::lock::MutexExt;
use headwater_media::{MediaEvent, Record};
use headwater_store::{ACCESS_KEY, BUCKET, SECRET_KEY, TestStore, Traffic};
use headwater_wire::v2::delivery_client::DeliveryClient;
use headwater_wire::{Channels, WatchMessage, v2};
use tokio::task::JoinSet;

use crate::processes::{self, Process, free_address};

/// Stream of one publisher of `headwater bench publish`.
pub const STREAM: &str = "load";
/// Segments until all is as it stays: playlists are written often in the first minute.
const SETTLE: usize = 5;

/// Measurement of uploads.
pub struct Uploads {
    /// Milliseconds from a whole segment to its record, of each segment.
    pub lag: Vec<f64>,
    pub seconds: f64,
    pub before: Traffic,
    pub after: Traffic,
    /// Bytes of all segments that were listed meanwhile.
    pub media: u64,
}

/// Records a broadcast for so long, and leaves the recording to be finished.
pub async fn measure(store: &TestStore, source: &Path, window: Duration) -> Result<Uploads> {
    let directory = tempfile::tempdir()?;
    let (mut all, rtmp, grpc) = all_in_one(directory.path(), store).await?;
    let watched = Watched::start(grpc);
    let url = format!("rtmp://{rtmp}/live/{STREAM}");
    let arguments = ["bench", "publish", "-n", "1", "--url", &url, "--loop", "--source"];
    let source = source.to_string_lossy();
    let arguments = arguments.into_iter().chain([&*source]);
    let mut publisher = Process::start(directory.path(), "headwater", arguments, &[])?;
    let settled = || (watched.lock().lag.len() >= SETTLE).then_some(());
    processes::until("segments to be stored", settled)
        .await
        .with_context(|| format!("{}{}", all.output(), publisher.output()))?;

    let before = store.traffic();
    let since = Instant::now();
    let first = watched.lock().lag.len();
    let media = watched.lock().media;
    tokio::time::sleep(window).await;
    let after = store.traffic();
    let seconds = since.elapsed().as_secs_f64();
    processes::check(&publisher)?;
    let uploads = {
        let seen = watched.lock();
        ensure!(seen.lag.len() > first, "no segment was stored: {}", all.output());
        let lag = seen.lag[first..].to_vec();
        Uploads { lag, seconds, before, after, media: seen.media - media }
    };
    publisher.interrupt()?;
    // What is on air is finished before it ends.
    all.interrupt()?;
    Ok(uploads)
}

async fn all_in_one(directory: &Path, store: &TestStore) -> Result<(Process, String, String)> {
    let address = || free_address().map(|address| address.to_string());
    let rtmp = address()?;
    let http = address()?;
    let grpc = address()?;
    let metrics = address()?;
    let mut command = Command::new(std::env::current_exe()?.with_file_name("headwater"));
    command.arg("up").current_dir(directory).envs([
        ("HEADWATER_PROXY_RTMP_LISTEN", rtmp.clone()),
        ("HEADWATER_ORIGIN_HTTP_LISTEN", http),
        ("HEADWATER_SERVER_GRPC_LISTEN", grpc.clone()),
        ("HEADWATER_UP_METRICS_LISTEN", metrics.clone()),
        ("HEADWATER_RECORDING_SPOOL", directory.join("spool").to_string_lossy().into_owned()),
    ]);
    command.envs(of_store(store).map(|(name, value)| (format!("HEADWATER_{name}"), value)));
    command.envs(credentials());
    let process = Process::spawn(command, directory.join("up.log")).context("build it first")?;
    let metrics = metrics.parse()?;
    let ready =
        || processes::get(metrics, "/readyz").ok().filter(|answer| answer.starts_with("HTTP/1.1 200"));
    processes::until("headwater to be ready", ready).await.with_context(|| process.output())?;
    Ok((process, rtmp, grpc))
}

/// The settings of a service that uses this store.
pub fn of_store(store: &TestStore) -> [(&'static str, String); 2] {
    [("STORE_URL", format!("s3://{BUCKET}")), ("STORE_ENDPOINT", store.endpoint())]
}

pub fn credentials() -> [(&'static str, String); 2] {
    [("AWS_ACCESS_KEY_ID", ACCESS_KEY.into()), ("AWS_SECRET_ACCESS_KEY", SECRET_KEY.into())]
}

/// Messages that a subscriber of the stream gets.
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
        let seen = Arc::<Mutex<Seen>>::default();
        let mut task = JoinSet::new();
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
        self.seen.lock_ignoring_poison()
    }
}

async fn watch(server: &str, into: &Mutex<Seen>) -> Result<()> {
    let channel = Channels::default().dedicated(server)?;
    let mut client =
        DeliveryClient::new(channel).max_decoding_message_size(headwater_wire::frames::MESSAGE_LIMIT);
    let mut messages = client.watch(v2::WatchRequest { stream: STREAM.into() }).await?.into_inner();
    while let Some(message) = messages.message().await? {
        let message = message.try_into()?;
        into.lock_ignoring_poison().take(message);
    }
    Ok(())
}
