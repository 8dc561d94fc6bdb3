//! Cost of a gigabyte on its way through the proxy, against HAProxy, which only moves bytes, and nginx-rtmp, which
//! also reads the protocol.

use std::fmt::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use headwater_registry::testing::RedisServer;
use tempfile::TempDir;

use crate::peers::{self, Peer};
use crate::processes::{self, Process, Service};
use crate::received::Received;
use crate::rtmp_sink::RtmpSink;
use crate::series::Series;
use crate::sink::Sink;
use crate::{Common, flv, machine, source};

/// Until the replay buffers are as full as they get and memory is used again: several segments.
const SETTLE: Duration = Duration::from_secs(7);
/// The others keep nothing.
const SETTLE_PEER: Duration = Duration::from_secs(2);
/// From so many publishers on, a source of about half a megabit a second.
const MANY: u32 = 200;
/// nginx-rtmp connects to where it pushes only when a publisher has begun: what comes meanwhile does not get through.
/// That much may be missing at its end, in frames of one publisher: a second of video and audio.
const LATE: u64 = 80;
/// Prefix of the registry in which the sink and its proxies find each other.
const SHARED: &str = "sink";

#[derive(clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    pub common: Common,
    /// Numbers of publishers
    #[arg(long, value_delimiter = ',', default_values_t = [1, 10, 100, 500])]
    publishers: Vec<u32>,
}

/// Program between publishers and sink.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Headwater { threads: usize },
    HaProxy { threads: usize },
    Nginx,
}

/// Film that is published.
struct Film {
    file: PathBuf,
    /// Frames and bytes that no decoder could show, and that the proxy therefore leaves out, once a publisher.
    unshown: (u64, u64),
}

/// State that all measurements share.
struct Bench {
    redis: RedisServer,
    grpc: Sink,
    rtmp: RtmpSink,
    usual: Film,
    low: Film,
    directory: TempDir,
    window: Duration,
}

/// Something that forwards.
enum Forwarder {
    Headwater(Service),
    Peer(Peer),
}

/// Measurements of one way.
#[derive(Default)]
struct Side {
    cpu: Series,
    megabits: Series,
    peak: Series,
    replay: Series,
}

pub async fn run(arguments: &Arguments) -> Result<String> {
    let Common { source, rounds, seconds, .. } = &arguments.common;
    let directory = tempfile::tempdir()?;
    let redis = RedisServer::start();
    let registry = headwater_registry::open(Some(&redis.url_text()), SHARED, headwater_registry::LEASE_TTL)?;
    let bench = Bench {
        grpc: Sink::start(registry).await?,
        rtmp: RtmpSink::start().await?,
        usual: Film::new(source::make(source.as_deref(), directory.path())?)?,
        low: Film::new(source::low(source.as_deref(), directory.path())?)?,
        window: Duration::from_secs(*seconds),
        redis,
        directory,
    };
    let ways = ways();
    let mut section = heading(&arguments.common, &versions()?);
    for publishers in &arguments.publishers {
        let mut sides: Vec<Side> = ways.iter().map(|_| Side::default()).collect();
        for _ in 0..*rounds {
            for (way, side) in ways.iter().zip(&mut sides) {
                let measured = bench.measure(*way, *publishers, side).await;
                measured.with_context(|| format!("{publishers} publishers, {}", way.name()))?;
            }
        }
        rows(&mut section, *publishers, &ways, &sides);
    }
    section.push_str(WHERE);
    Ok(section)
}

/// The proxy and HAProxy with as many threads as there are cores, which both take by default, and with one. nginx-rtmp has
/// one anyway.
fn ways() -> Vec<Way> {
    let most = std::thread::available_parallelism().map_or(1, usize::from);
    let numbers = if most > 1 { vec![most, 1] } else { vec![1] };
    let own = numbers.iter().map(|threads| Way::Headwater { threads: *threads });
    let haproxy = numbers.iter().map(|threads| Way::HaProxy { threads: *threads });
    own.chain(haproxy).chain([Way::Nginx]).collect()
}

impl Way {
    fn settle(self) -> Duration {
        match self {
            Self::Headwater { .. } => SETTLE,
            Self::HaProxy { .. } | Self::Nginx => SETTLE_PEER,
        }
    }

    fn name(self) -> String {
        match self {
            Self::Headwater { threads } => format!("headwater-proxy, {}", count(threads)),
            Self::HaProxy { threads } => format!("HAProxy, {}", count(threads)),
            Self::Nginx => "nginx-rtmp".into(),
        }
    }
}

fn count(threads: usize) -> String {
    if threads == 1 { "1 thread".into() } else { format!("{threads} threads") }
}

impl Film {
    fn new(file: PathBuf) -> Result<Self> {
        let unshown = flv::unshown(&file)?;
        Ok(Self { file, unshown })
    }
}

impl Forwarder {
    fn process(&self) -> &Process {
        match self {
            Self::Headwater(service) => &service.process,
            Self::Peer(peer) => &peer.process,
        }
    }

    fn address(&self) -> SocketAddr {
        match self {
            Self::Headwater(service) => service.address,
            Self::Peer(peer) => peer.address,
        }
    }

    /// Megabytes in replay buffers, by the proxy's own account.
    fn replay_mb(&self) -> Result<f64> {
        match self {
            Self::Headwater(service) => Ok(service.metric("headwater_proxy_replay_bytes")? / 1e6),
            Self::Peer(_) => Ok(0.0),
        }
    }
}

impl Bench {
    fn path(&self) -> &Path {
        self.directory.path()
    }

    async fn start(&self, way: Way) -> Result<Forwarder> {
        let to = self.rtmp.address;
        Ok(match way {
            Way::Headwater { threads } => {
                let settings = [
                    ("REGISTRY_URL", self.redis.url_text()),
                    ("REGISTRY_PREFIX", SHARED.into()),
                    ("PROXY_MAX_CONNECTIONS_PER_ADDRESS", "10000".into()),
                ];
                // What tokio itself listens to (tokio::runtime::Builder::worker_threads).
                let others = [("TOKIO_WORKER_THREADS", threads.to_string())];
                let start = Service::start_with(self.path(), "proxy", "RTMP_LISTEN", &settings, &others);
                Forwarder::Headwater(start.await?)
            }
            Way::HaProxy { threads } => Forwarder::Peer(Peer::haproxy(self.path(), threads, to).await?),
            Way::Nginx => Forwarder::Peer(Peer::nginx(self.path(), to).await?),
        })
    }

    fn received(&self, way: Way) -> &Arc<Received> {
        match way {
            Way::Headwater { .. } => &self.grpc.received,
            Way::HaProxy { .. } | Way::Nginx => &self.rtmp.received,
        }
    }

    /// A fresh process, so that its peak is its own.
    async fn measure(&self, way: Way, publishers: u32, side: &mut Side) -> Result<()> {
        let received = self.received(way);
        let before = received.so_far();
        let forwarder = self.start(way).await?;
        let mut load = self.publishers(forwarder.address(), publishers)?;
        let all = || (received.publishers() == u64::from(publishers)).then_some(());
        processes::until("all publishers to be on air", all).await.with_context(|| load.output())?;
        tokio::time::sleep(way.settle()).await;
        let tree = forwarder.process().tree();
        let cpu = tree.cpu()?;
        let bytes = received.so_far().1;
        tokio::time::sleep(self.window).await;
        let cpu = (tree.cpu()? - cpu).as_secs_f64();
        let bytes = (received.so_far().1 - bytes) as f64;
        side.replay.push(forwarder.replay_mb()?);
        side.peak.push(tree.peak_memory()? as f64 / 1e6);
        load.interrupt()?;
        let gone = || (received.publishers() == 0).then_some(());
        processes::until("all publishers to be gone", gone).await?;
        let after = received.so_far();
        let arrived = (after.0 - before.0, after.1 - before.1);
        compare(way, publishers, &load.output(), self.film(publishers).unshown, arrived)?;
        side.cpu.push(cpu / bytes * 1e9);
        side.megabits.push(bytes * 8.0 / 1e6 / self.window.as_secs_f64());
        Ok(())
    }

    fn film(&self, publishers: u32) -> &Film {
        if publishers < MANY { &self.usual } else { &self.low }
    }

    fn publishers(&self, to: SocketAddr, number: u32) -> Result<Process> {
        let source = self.film(number).file.to_string_lossy();
        let number = number.to_string();
        let url = format!("rtmp://{to}/live/load");
        let arguments = [
            "bench", "publish", "-n", &number, "--url", &url, "--source", &source, "--loop", "--ramp", "4ms",
            "--json",
        ];
        Process::start(self.path(), "headwater", arguments, &[])
    }
}

/// Fails unless what was received is what was sent, and nobody was disturbed.
fn compare(
    way: Way,
    publishers: u32,
    output: &str,
    unshown: (u64, u64),
    (tags, bytes): (u64, u64),
) -> Result<()> {
    let summary: serde_json::Value = serde_json::from_str(output.lines().last().unwrap_or_default())
        .with_context(|| format!("the publishers gave no summary: {output}"))?;
    let number = |name: &str| summary[name].as_u64().with_context(|| format!("no {name}: {summary}"));
    let undisturbed =
        ["refused", "lost"].iter().all(|name| summary[*name].as_object().is_some_and(|all| all.is_empty()));
    ensure!(undisturbed && number("reconnects")? == 0, "the publishers were disturbed: {summary}");
    let publishers = u64::from(publishers);
    let left_out = match way {
        Way::Headwater { .. } => (publishers * unshown.0, publishers * unshown.1),
        Way::HaProxy { .. } | Way::Nginx => (0, 0),
    };
    let missing = |sent: u64, arrived: u64| {
        sent.checked_sub(arrived).with_context(|| format!("{arrived} arrived of {sent}"))
    };
    let missing = (missing(number("tags")?, tags)?, missing(number("media_bytes")?, bytes)?);
    match way {
        Way::Nginx => ensure!(missing.0 <= LATE * publishers, "{missing:?} frames and bytes are missing"),
        _ => ensure!(missing == left_out, "{missing:?} frames and bytes are missing, {left_out:?} should be"),
    }
    Ok(())
}

fn versions() -> Result<String> {
    Ok(format!(
        "HAProxy {}, nginx {} with libnginx-mod-rtmp",
        peers::version("haproxy")?,
        peers::version("nginx")?
    ))
}

fn heading(common: &Common, versions: &str) -> String {
    let Common { rounds, seconds, .. } = common;
    format!(
        "## What the proxy costs\n\n`make bench-proxy`. `headwater bench publish` sends H.264 and AAC, looped, through one of \
         several ways, each a fresh process, in turns, {rounds} times each: `headwater-proxy` (replay buffer of 30 s, as by default) \
         to a gRPC server that takes all, commits segments of 2 s one second after their end and makes nothing of them; \
         HAProxy in TCP mode (`option splice-auto`); both with as many threads as there are cores, their default, and with one \
         (`TOKIO_WORKER_THREADS=1`, `nbthread 1`); nginx-rtmp with `push` (one process, as more cost more; `chunk_size 65536`, which \
         costs a tenth less than the usual 4096; access log off). HAProxy and nginx-rtmp send to a server that accepts every publisher and counts. \
         The servers and the publishers are not counted. {} s after all are on air ({} s where nothing is kept) the CPU time of the process is read from the \
         kernel, and again {seconds} s later; a GB is of frames that arrived at the server meanwhile. Memory is the peak of \
         what was resident. At the end what arrived is compared with what was sent, frame for frame and byte for byte; \
         headwater-proxy leaves out what no decoder can show, the sound from before the first picture, and must lack exactly that; \
         nginx-rtmp loses what comes before its push is connected, and may lack that. From {MANY} publishers on the source has \
         about 0.5 Mb/s instead of 4.7, as two cores could not carry publishers and servers otherwise. \
         Median (least–greatest); ratios are taken round by round.\n\n\
         {}; {versions}\n\n\
         | Publishers | Mb/s | Way | CPU s per GB | {} against it | {} against it | Peak memory, MB | MB a publisher | Of that replay |\n\
         | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n",
        SETTLE.as_secs(),
        SETTLE_PEER.as_secs(),
        machine::describe(),
        ways()[0].name(),
        Way::Headwater { threads: 1 }.name(),
    )
}

fn rows(section: &mut String, publishers: u32, ways: &[Way], sides: &[Side]) {
    let each = f64::from(publishers);
    let single = ways.iter().position(|way| matches!(way, Way::Headwater { threads: 1 })).unwrap_or_default();
    for (way, side) in ways.iter().zip(sides) {
        let _ = writeln!(
            section,
            "| {publishers} | {:.0} | {} | {} | {} | {} | {:.0} | {:.2} | {:.2} |",
            side.megabits.median(),
            way.name(),
            side.cpu,
            sides[0].cpu.over(&side.cpu),
            sides[single].cpu.over(&side.cpu),
            side.peak.median(),
            side.peak.median() / each,
            side.replay.median() / each,
        );
    }
}

/// Text on how the time is spent.
const WHERE: &str = "\nAims: at most 2 × HAProxy, at most 0.5 × nginx-rtmp. The first one is met from ten publishers on, thread \
    for thread. The second one is out of reach of a process between two sockets: HAProxy, which reads nothing of what it moves, \
    needs about as much as nginx-rtmp. Of headwater-proxy's time (`perf`, 50 and 500 publishers) half to six tenths are spent in \
    the kernel, on TCP, which all have to pay, and on waking threads: with few publishers a second thread costs up to a fifth more than one alone. \
    The rest is spread over tokio, h2, tonic and the proxy itself. The largest functions are copying each frame into its gRPC \
    message (4 %), counting who still holds a block (3 %) and the queue into the gRPC call (2 %); none of them makes a difference \
    alone. nginx-rtmp writes what it has read in the same thread, without a gRPC message, a queue, or anything kept for \
    another server.\n";

#[cfg(test)]
mod tests {
    use super::*;

    const SUMMARY: &str = r#"{"refused":{},"lost":{},"reconnects":0,"tags":1000,"media_bytes":5000}"#;

    #[test]
    fn exactly_what_cannot_be_shown_is_missing_and_what_nginx_misses_at_the_start() {
        let is_fine = |way, unshown, arrived| compare(way, 2, SUMMARY, unshown, arrived).is_ok();
        let own = Way::Headwater { threads: 2 };
        assert!(is_fine(own, (0, 0), (1000, 5000)));
        assert!(!is_fine(own, (0, 0), (1000, 4999)));
        assert!(!is_fine(own, (0, 0), (999, 5000)));
        assert!(is_fine(own, (2, 50), (996, 4900)));
        assert!(!is_fine(own, (2, 50), (996, 4899)));
        assert!(!is_fine(own, (2, 50), (1000, 5000)), "it should have been left out");
        let haproxy = Way::HaProxy { threads: 1 };
        assert!(is_fine(haproxy, (2, 50), (1000, 5000)));
        assert!(!is_fine(haproxy, (2, 50), (996, 4900)));
        assert!(is_fine(Way::Nginx, (2, 50), (840, 4900)));
        assert!(!is_fine(Way::Nginx, (2, 50), (839, 4900)));
        assert!(!is_fine(Way::Nginx, (2, 50), (1001, 5000)));
    }

    #[test]
    fn disturbed_publishers_are_an_error() {
        let lost = SUMMARY.replace(r#""lost":{}"#, r#""lost":{"broken":1}"#);
        assert!(compare(Way::Nginx, 1, &lost, (0, 0), (1000, 5000)).is_err());
    }
}
