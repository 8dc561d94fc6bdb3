//! Thousands who wait for the same part: how much later than the part the last of them has his playlist.

use std::fmt::Write;
use std::io::Read;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock, RwLock};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use headwater_hls::{LiveObject, Object};
use headwater_media::SegmentSettings;
use headwater_media::lock::RwLockExt;
use headwater_registry::testing::RedisServer;
use rustix::process::{Resource, getrlimit, setrlimit};
use tokio::runtime::{Builder, Runtime};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::interval;

use crate::broadcast::{RENDITION, Shape};
use crate::keepalive::{Connection, request};
use crate::processes::{Service, until};
use crate::series::Series;
use crate::stub::{STREAM, Stub};
use crate::usage::Scope;
use crate::{Common, machine, origin};

/// As by default, with parts of 50 KB.
const SHAPE: Shape =
    Shape { settings: SegmentSettings { segment_ms: 2_000, part_ms: 334 }, parts: 6, part_bytes: 50_000 };
/// Files beside the connections.
const OTHER_FILES: u64 = 500;
/// No playlist of a window is longer, compressed.
const ROOM: usize = 8 << 10;
/// Answers of the last parts that a late viewer may get.
const KNOWN: usize = 8;

/// Text on how the time is spent.
const REST: &str = "\nAn answer and the question after it take the origin some 27 µs of a processor, so two cores need 135 ms \
    for those of 10,000 viewers, if the viewers themselves and the stub leave it both; the last answers wait for that. Of it \
    (`perf`, 5,000 viewers) 65 % are the kernel's: TCP over loopback, the firewall's connection tracking, and 15 % \
    switching to threads that were woken, as questions come one by one while the viewers' thread is slow. Outside of it no \
    function takes more than 2.3 %: hyper's loop over a connection, copying memory, reading and writing heads.\n";

#[derive(clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    pub common: Common,
    /// Numbers of viewers
    #[arg(long, value_delimiter = ',', default_values_t = [1_000, 5_000, 10_000])]
    viewers: Vec<usize>,
}

/// Description of the broadcast for viewers.
struct Show {
    /// When each part was given to the origin, from the first one behind the window.
    played: Vec<OnceLock<SystemTime>>,
    /// Answers that were looked into, and the part that each ends with: those of one part have the same bytes.
    known: RwLock<Vec<(Bytes, u64)>>,
}

/// How much later than its part, or than its question where that came after the part, an answer was there.
struct Delay {
    /// In the viewer's socket.
    came: Duration,
    /// In the viewer's hands.
    read: Duration,
    /// The viewer asked for the part when it was there already, and `came` counts from then on.
    is_late: bool,
}

/// Measurements with one number of viewers.
struct Found {
    came: Series,
    read: Series,
    /// The share of questions that were late.
    late: f64,
    memory_per_viewer: f64,
    calls_per_second: f64,
    cpu_per_answer: f64,
    client_cpu_per_answer: f64,
    busy: f64,
}

pub async fn run(arguments: &Arguments) -> Result<String> {
    let most = arguments.viewers.iter().copied().max().unwrap_or_default();
    raise_file_limit(most as u64)?;
    let mut section = heading(&arguments.common);
    for viewers in &arguments.viewers {
        let found = measure(*viewers, Duration::from_secs(arguments.common.seconds)).await?;
        row(&mut section, *viewers, &found);
    }
    section.push_str(REST);
    Ok(section)
}

/// A fresh origin, so that its memory is its own.
async fn measure(viewers: usize, window: Duration) -> Result<Found> {
    let directory = tempfile::tempdir()?;
    let redis = RedisServer::start();
    let player = Player::start(redis.url_text()).await?;
    let origin = origin::start_origin(&redis, directory.path()).await?;
    let first = ask_for(origin.address, SHAPE.window() - 1);
    let mut connection = Connection::open(origin.address, ROOM).await?;
    ensure!(connection.get(&first, |_| ()).await?.status == 200, "the stream is not on air");
    let empty = origin.process.tree().peak_memory()?;

    let parts = window.as_millis().div_ceil(u128::from(SHAPE.settings.part_ms)) as usize;
    let played = std::iter::repeat_with(OnceLock::new).take(parts).collect();
    let show = Arc::new(Show { played, known: RwLock::default() });
    let mut audience = Audience::start(origin.address, viewers, show.clone())?;
    all_wait(&origin, viewers).await?;

    let own = Scope::Process(std::process::id());
    let before = (origin.process.tree().cpu()?, own.cpu()?, player.stub.calls(), Instant::now());
    player.play(&show).await?;
    let delays = audience.delays().await?;
    let wall = before.3.elapsed().as_secs_f64();
    ensure!(delays.len() == viewers * parts, "{} answers instead of {}", delays.len(), viewers * parts);
    let spent = (origin.process.tree().cpu()? - before.0).as_secs_f64();
    let client_spent = (own.cpu()? - before.1).as_secs_f64();
    drop(audience);
    let answers = delays.len() as f64;
    let series =
        |of: fn(&Delay) -> Duration| delays.iter().map(|delay| of(delay).as_secs_f64() * 1e3).collect();
    Ok(Found {
        memory_per_viewer: (origin.process.tree().peak_memory()? - empty) as f64 / viewers as f64,
        calls_per_second: (player.stub.calls() - before.2) as f64 / wall,
        cpu_per_answer: spent / answers,
        client_cpu_per_answer: client_spent / answers,
        busy: spent / wall,
        came: series(|delay| delay.came),
        read: series(|delay| delay.read),
        late: delays.iter().filter(|delay| delay.is_late).count() as f64 / answers,
    })
}

async fn all_wait(origin: &Service, viewers: usize) -> Result<()> {
    let blocked = || origin.metric("headwater_origin_blocked_requests").ok();
    let waiting = || blocked().filter(|count| *count == viewers as f64);
    until("all viewers to wait", waiting).await.with_context(|| format!("{:?} of {viewers}", blocked()))?;
    Ok(())
}

/// The stub on a thread of its own: it must not wait for viewers.
struct Player {
    stub: Arc<Stub>,
    runtime: Option<Runtime>,
}

impl Player {
    async fn start(redis: String) -> Result<Self> {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let stub = runtime.spawn(async move { origin::start_stub(redis, &SHAPE).await }).await??;
        Ok(Self { stub: Arc::new(stub), runtime: Some(runtime) })
    }

    /// All parts, each when it is due.
    async fn play(&self, show: &Arc<Show>) -> Result<()> {
        let stub = self.stub.clone();
        let show = show.clone();
        let played = async move {
            let id = RENDITION.parse()?;
            let mut due = interval(Duration::from_millis(SHAPE.settings.part_ms.into()));
            for (nth, at) in (SHAPE.window()..).zip(&show.played) {
                let part = SHAPE.part(&id, nth);
                due.tick().await;
                at.get_or_init(SystemTime::now);
                stub.play(part)?;
            }
            anyhow::Ok(())
        };
        let runtime = self.runtime.as_ref().context("it is there until the end")?;
        runtime.spawn(played).await?
    }
}

impl Drop for Player {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// All viewers, on a thread of their own that has a processor when the origin leaves one: they stand for other machines.
struct Audience {
    runtime: Option<Runtime>,
    delays: JoinHandle<Result<Vec<Delay>>>,
}

impl Audience {
    fn start(address: SocketAddr, viewers: usize, show: Arc<Show>) -> Result<Self> {
        let mut builder = Builder::new_multi_thread();
        let runtime = builder.worker_threads(1).enable_all().on_thread_start(step_back).build()?;
        let delays = runtime.spawn(async move {
            let mut connections = Vec::with_capacity(viewers);
            for _ in 0..viewers {
                connections.push(Connection::open(address, ROOM).await?.clocked()?);
            }
            // All ask at once: an origin holds a request for no longer than three target durations.
            let watching = connections.into_iter().map(|connection| watch(connection, address, show.clone()));
            let mut watching: JoinSet<_> = watching.collect();
            let mut delays = Vec::with_capacity(viewers * show.played.len());
            while let Some(of_one) = watching.join_next().await {
                delays.extend(of_one??);
            }
            Ok(delays)
        });
        Ok(Self { runtime: Some(runtime), delays })
    }

    /// All delays, once all viewers have had the last part.
    async fn delays(&mut self) -> Result<Vec<Delay>> {
        (&mut self.delays).await?
    }
}

impl Drop for Audience {
    /// Not before the account of its thread was read, which ends with it.
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// A tenth of the origin's weight, for this thread only (sched(7): Linux has a priority for each).
fn step_back() {
    const NICE: i32 = 10;
    // At worst it competes with the origin.
    let _ = rustix::process::nice(NICE);
}

/// Runs one viewer, who asks for each part's playlist as soon as he has the one before. Gives his delay at each part.
async fn watch(mut connection: Connection, address: SocketAddr, show: Arc<Show>) -> Result<Vec<Delay>> {
    let mut delays = Vec::with_capacity(show.played.len());
    let mut body = Vec::with_capacity(ROOM);
    for (nth, at) in (SHAPE.window()..).zip(&show.played) {
        body.clear();
        let question = ask_for(address, nth);
        let asked = SystemTime::now();
        let head = connection.get(&question, |piece| body.extend_from_slice(piece)).await?;
        let now = SystemTime::now();
        ensure!(head.status == 200, "{} instead of part {nth}", head.status);
        let played = *at.get().context("an answer before its part")?;
        let came = connection.came().context("the kernel keeps no times")?;
        let waited = asked.max(played);
        delays.push(Delay {
            came: came.duration_since(waited)?,
            read: now.duration_since(played)?,
            is_late: asked > played,
        });
        show.check(&body, nth)?;
    }
    Ok(delays)
}

impl Show {
    /// Whether the answer has this part, or a later one.
    fn check(&self, body: &[u8], nth: u64) -> Result<()> {
        let known =
            |all: &[(Bytes, u64)]| all.iter().rev().find(|(bytes, _)| bytes == body).map(|(_, last)| *last);
        let found = known(&self.known.read_ignoring_poison());
        let last = match found {
            Some(last) => last,
            None => {
                let last = last_part(body)?;
                let mut all = self.known.write_ignoring_poison();
                if known(&all).is_none() {
                    all.push((Bytes::copy_from_slice(body), last));
                    let old = all.len().saturating_sub(KNOWN);
                    all.drain(..old);
                }
                last
            }
        };
        ensure!(last >= nth, "the playlist ends with part {last} instead of {nth}");
        Ok(())
    }
}

/// The number of the last part that a compressed playlist lists.
fn last_part(body: &[u8]) -> Result<u64> {
    let mut text = String::new();
    flate2::read::GzDecoder::new(body).read_to_string(&mut text)?;
    let is_part = |line: &&str| line.starts_with("#EXT-X-PART:");
    let line = text.lines().rfind(is_part).context("a playlist without parts")?;
    let file = line.split_once("URI=\"").and_then(|(_, rest)| rest.split('"').next());
    let live = file.and_then(LiveObject::parse).context("a part without a name")?;
    let Object::Part(sequence, index) = live.object else { bail!("{live} is no part") };
    SHAPE.number(sequence.0, index.0).context("a part of another broadcast")
}

fn ask_for(address: SocketAddr, nth: u64) -> Vec<u8> {
    let (sequence, index) = SHAPE.name(nth);
    request(address, &format!("/{STREAM}/{RENDITION}/index.m3u8?_HLS_msn={sequence}&_HLS_part={index}"))
}

/// For this process and those that it starts.
fn raise_file_limit(viewers: u64) -> Result<()> {
    let needed = viewers + OTHER_FILES;
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current.is_none_or(|current| current >= needed) {
        return Ok(());
    }
    ensure!(limit.maximum.is_none_or(|most| most >= needed), "{needed} open files are needed: ulimit -Hn");
    limit.current = Some(needed);
    Ok(setrlimit(Resource::Nofile, limit)?)
}

fn heading(common: &Common) -> String {
    format!(
        "## Viewers who wait\n\n`make bench-viewers`. \
         A stub server gives one origin (`headwater-origin`, fresh for each row) a part of 50 KB every 334 ms for {} s. \
         Viewers, each with a connection of HTTP/1.1 over loopback and the headers that a browser sends, ask for the playlist \
         with the next part (`_HLS_msn`, `_HLS_part`, gzip) and, once they have it, for the one after; all begin waiting before \
         the first part. The added delay is the time from the moment in which the stub hands the part to its gRPC connection to \
         the moment in which the answer's last byte is in the viewer's socket, by the kernel's clock (`SO_TIMESTAMPNS`). All \
         viewers are one thread of low priority on the same machine, so the origin has the processors first. Where a viewer was \
         so late with its question that the part was there already (\"late\"), its answer's delay counts from the question. \
         \"Read\" counts from the part to when that thread has read the answer. Each answer is checked for status and length, and for having the part. \
         Memory is the growth of the origin's peak by a viewer; calls are what the stub was asked (`Locate`, `Watch`) meanwhile. \
         Aim: p99 at most 100 ms with 10,000, the client's own CPU apart.\n\n\
         {}\n\n\
         | Viewers | Answers | Delay p50, ms | p95 | p99 | Greatest | Late, % | Read p50, ms | p99 | Memory of the origin, KB a viewer | Origin's CPU, µs an answer \
         | Client's CPU, µs an answer | Processors the origin kept busy | Upstream calls a second |\n\
         | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n",
        common.seconds,
        machine::describe()
    )
}

fn row(section: &mut String, viewers: usize, found: &Found) {
    let [came, read] = [&found.came, &found.read];
    let _ = writeln!(
        section,
        "| {viewers} | {} | {:.1} | {:.1} | {:.1} | {:.1} | {:.0} | {:.1} | {:.1} | {:.1} | {:.1} | {:.1} | {:.2} | {:.2} |",
        came.len(),
        came.quantile(0.5),
        came.quantile(0.95),
        came.quantile(0.99),
        came.quantile(1.0),
        found.late * 100.0,
        read.quantile(0.5),
        read.quantile(0.99),
        found.memory_per_viewer / 1024.0,
        found.cpu_per_answer * 1e6,
        found.client_cpu_per_answer * 1e6,
        found.busy,
        found.calls_per_second,
    );
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn zipped(text: &str) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), Default::default());
        encoder.write_all(text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn an_answer_without_the_part_is_refused() {
        let show = Show { played: Vec::new(), known: RwLock::default() };
        let body = zipped(
            "#EXT-X-PART:DURATION=0.334,URI=\"07070707-1010.2.m4s\"\n#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"07070707-1010.3.m4s\"\n",
        );
        for _ in 0..2 {
            show.check(&body, 62).unwrap();
            assert!(show.check(&body, 63).is_err());
        }
        assert!(show.check(&zipped("#EXTM3U\n"), 0).is_err());
    }
}
