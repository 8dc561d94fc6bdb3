//! Cost of being ready for the death of a server: the proxy with its replay buffer against the proxy without it,
//! and what a server does for it.

use std::fmt::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use headwater_registry::Registry;
use headwater_registry::testing::RedisServer;
use tempfile::TempDir;

use crate::processes::{self, Process, Service};
use crate::series::Series;
use crate::sink::Sink;
use crate::usage::Scope;
use crate::{Common, committed, machine, source};

/// Until the buffers are as full as they get and have given back what they kept first: several segments.
const SETTLE: Duration = Duration::from_secs(8);
/// How long a server's own cost is measured.
const SERVER: Duration = Duration::from_secs(15);

/// Prefix of the registry in which the sink and its proxies find each other.
const SHARED: &str = "sink";

#[derive(clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    pub common: Common,
    /// Numbers of publishers
    #[arg(long, value_delimiter = ',', default_values_t = [1, 20, 100])]
    publishers: Vec<u32>,
}

/// State that all measurements share.
struct Bench {
    redis: RedisServer,
    source: std::path::PathBuf,
    directory: TempDir,
    window: Duration,
}

/// A proxy with its publishers. These go first.
struct Loaded {
    load: Process,
    proxy: Service,
}

/// Measurement of a proxy.
struct Cost {
    cpu_seconds_per_gb: f64,
    megabits: f64,
    peak_mb: f64,
    /// In replay buffers, by the proxy's own account.
    replay_mb: f64,
}

/// Measurements of one side.
#[derive(Default)]
struct Side {
    cpu: Series,
    megabits: Series,
    peak: Series,
    replay: Series,
}

pub async fn run(arguments: &Arguments) -> Result<String> {
    let directory = tempfile::tempdir()?;
    let source = source::make(arguments.common.source.as_deref(), directory.path())?;
    let window = Duration::from_secs(arguments.common.seconds);
    let bench = Bench { redis: RedisServer::start(), source, directory, window };
    let mut section = heading(&arguments.common);
    let sink = Sink::start(bench.registry()?).await?;
    for publishers in &arguments.publishers {
        let mut with = Side::default();
        let mut without = Side::default();
        for _ in 0..arguments.common.rounds {
            let [kept, passed] = bench.both(*publishers).await?;
            with.push(&kept);
            without.push(&passed);
        }
        row(&mut section, *publishers, &with, &without);
    }
    drop(sink);
    section.push_str(&bench.server().await?);
    Ok(section)
}

impl Bench {
    fn registry(&self) -> Result<Arc<dyn Registry>> {
        let url = self.redis.url_text();
        Ok(headwater_registry::open(Some(&url), SHARED, headwater_registry::LEASE_TTL)?)
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    async fn start_proxy(&self, directory: &Path, prefix: &str, replay: &str) -> Result<Service> {
        let settings = [
            ("REGISTRY_URL", self.redis.url_text()),
            ("REGISTRY_PREFIX", prefix.into()),
            ("PROXY_REPLAY_DURATION", replay.to_owned()),
            ("PROXY_MAX_CONNECTIONS_PER_ADDRESS", "10000".into()),
        ];
        Service::start(directory, "proxy", "RTMP_LISTEN", &settings).await
    }

    /// Both sides at the same time: what each thread costs to wake changes from one minute to the next by more than what
    /// is looked for.
    async fn both(&self, publishers: u32) -> Result<[Cost; 2]> {
        let with = self.loaded("with", "30s", publishers).await?;
        let without = self.loaded("without", "0s", publishers).await?;
        tokio::time::sleep(SETTLE).await;
        let before = [with.account()?, without.account()?];
        tokio::time::sleep(self.window).await;
        Ok([with.cost(before[0], self.window)?, without.cost(before[1], self.window)?])
    }

    /// A fresh proxy, so that its peak is its own.
    async fn loaded(&self, name: &str, replay: &str, publishers: u32) -> Result<Loaded> {
        let directory = self.path().join(name);
        std::fs::create_dir_all(&directory)?;
        let proxy = self.start_proxy(&directory, SHARED, replay).await?;
        let load = processes::publishers(&directory, &proxy, name, publishers, &self.source).await?;
        Ok(Loaded { proxy, load })
    }

    /// A server's own process with one broadcast of the default ladder, without its worker.
    async fn server(&self) -> Result<String> {
        // The sink is not to be chosen.
        let apart = "real";
        let settings = [("REGISTRY_URL", self.redis.url_text()), ("REGISTRY_PREFIX", apart.into())];
        let server = Service::start(self.path(), "server", "GRPC_LISTEN", &settings).await?;
        let proxy = self.start_proxy(self.path(), apart, "30s").await?;
        let _load = processes::publishers(self.path(), &proxy, "load", 1, &self.source).await?;
        tokio::time::sleep(SETTLE).await;
        let own = Scope::Process(server.process.id());
        let before = own.cpu()?;
        tokio::time::sleep(SERVER).await;
        let spent = (own.cpu()? - before).as_secs_f64() / SERVER.as_secs_f64() * 1e6;
        let telling = committed::micros_per_second()?;
        Ok(format!(
            "\nThe server tells the proxy after each segment where another one would go on. That costs {telling:.1} µs \
             of CPU a second and stream; its process without the worker uses {spent:.0} µs a second for one stream \
             (default ladder), so it is {:.2} % of that.\n",
            telling / spent * 100.0,
        ))
    }
}

impl Loaded {
    /// CPU time, and bytes that it has received.
    fn account(&self) -> Result<(Duration, f64)> {
        Ok((self.proxy.process.tree().cpu()?, self.proxy.metric("headwater_proxy_received_bytes_total")?))
    }

    fn cost(&self, before: (Duration, f64), window: Duration) -> Result<Cost> {
        let now = self.account()?;
        let cpu = (now.0 - before.0).as_secs_f64();
        let bytes = now.1 - before.1;
        processes::check(&self.load)?;
        Ok(Cost {
            cpu_seconds_per_gb: cpu / bytes * 1e9,
            megabits: bytes * 8.0 / 1e6 / window.as_secs_f64(),
            peak_mb: self.proxy.process.tree().peak_memory()? as f64 / 1e6,
            replay_mb: self.proxy.metric("headwater_proxy_replay_bytes")? / 1e6,
        })
    }
}

impl Side {
    fn push(&mut self, cost: &Cost) {
        self.cpu.push(cost.cpu_seconds_per_gb);
        self.megabits.push(cost.megabits);
        self.peak.push(cost.peak_mb);
        self.replay.push(cost.replay_mb);
    }
}

fn heading(common: &Common) -> String {
    let Common { rounds, seconds, .. } = common;
    format!(
        "## What replay costs\n\n`make bench-replay`. \
         The proxy keeps what no server has finished, so that another one can take over. `headwater-proxy` with that \
         (`proxy.replay_duration = \"30s\"`, A) and without (`\"0s\"`, B), each a fresh process, both at the same time, \
         {rounds} times: with few publishers the cost of waking threads changes by more than what is looked for from one \
         minute to the next. `headwater bench publish` sends each H.264 and AAC at about 4.7 Mb/s a publisher, looped; a gRPC server \
         takes all, commits a segment of 2 s one second after its end, and makes nothing of it. 8 s after all are on air, when each \
         has had several segments committed and dropped, the CPU time of \
         the proxy is read from the kernel (`schedstat`, nanoseconds), and again {seconds} s later; bytes are what the \
         proxy has received meanwhile; memory is the peak of what was resident. Median (least–greatest); the ratio is taken \
         round by round.\n\n\
         {}\n\n\
         | Publishers | Mb/s | CPU s per GB, A | CPU s per GB, B | A / B | Peak memory A, MB | Peak memory B, MB | \
         Replay buffers, MB a publisher |\n| --- | --- | --- | --- | --- | --- | --- | --- |\n",
        machine::describe()
    )
}

fn row(section: &mut String, publishers: u32, with: &Side, without: &Side) {
    let _ = writeln!(
        section,
        "| {publishers} | {:.0} | {} | {} | {} | {} | {} | {:.2} |",
        with.megabits.median(),
        with.cpu,
        without.cpu,
        with.cpu.over(&without.cpu),
        with.peak.show(0),
        without.peak.show(0),
        with.replay.median() / f64::from(publishers),
    );
}
