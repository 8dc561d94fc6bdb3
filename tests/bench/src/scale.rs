//! Cost of a stream when there are many: each service, its memory, Redis, and what origins ask of servers.

mod chart;
mod upstream;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::io::{Read, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use headwater_registry::testing::RedisServer;
use tempfile::TempDir;

use crate::processes::{self, Process, Service};
use crate::series::Series;
use crate::usage::Scope;
use crate::{Common, machine};

/// Until every stream has been on air for some segments.
const SETTLE: Duration = Duration::from_secs(5);
/// How long Redis may take for an answer.
const ANSWER: Duration = Duration::from_secs(5);
/// Path of the plot, beside the document.
const PLOT: &str = "docs/benchmarks/scale.svg";
/// Small enough that 64 of them leave two cores time to spare: without sound, which costs a worker four times as much.
const PICTURE: &str = "testsrc2=s=160x90:r=10";
const RUNGS: &str = "160x90@100k";
const VIDEO: &str = "-c:v libx264 -preset veryfast -b:v 100k -g 20 -sc_threshold 0 -pix_fmt yuv420p -an";

#[derive(clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    pub common: Common,
    /// Numbers of streams
    #[arg(long, value_delimiter = ',', default_values_t = [1, 4, 16, 64])]
    streams: Vec<u32>,
    /// Numbers of viewers of one stream
    #[arg(long, value_delimiter = ',', default_values_t = [1, 10, 100])]
    viewers: Vec<u32>,
}

/// Services whose costs are accounted for: CPU in ms a second, memory in MB, both of all streams together.
const PARTS: [&str; 4] = ["proxy", "server", "workers", "origin"];

/// Measurement of one service.
struct Cost {
    cpu: [f64; 4],
    memory: [f64; 4],
    /// Commands a second.
    redis: f64,
}

/// Measurements with one number of streams.
#[derive(Default)]
struct Costs {
    cpu: [Series; 4],
    memory: [Series; 4],
    redis: Series,
}

pub async fn run(arguments: &Arguments) -> Result<String> {
    let directory = tempfile::tempdir()?;
    let source = source(arguments.common.source.as_deref(), directory.path())?;
    let window = Duration::from_secs(arguments.common.seconds);
    let mut all: BTreeMap<u32, Costs> = BTreeMap::new();
    for _ in 0..arguments.common.rounds {
        for streams in &arguments.streams {
            let stack = Stack::start(*streams, &source).await?;
            all.entry(*streams).or_default().push(stack.measure(window).await?);
        }
    }
    let mut section = heading(&arguments.common);
    table(&mut section, &all);
    section.push_str(&load(&all));
    if let Some(document) = &arguments.common.write {
        let plot = document.parent().unwrap_or(Path::new("")).join(PLOT);
        std::fs::create_dir_all(plot.parent().context("the plot has a folder")?)?;
        std::fs::write(&plot, chart::draw(&lines(&all)))?;
    }
    let stack = Stack::start(1, &source).await?;
    section.push_str(&upstream::measure(&stack, &arguments.viewers, window).await?);
    Ok(section)
}

/// An FLV file is taken as it is; a film is made small.
fn source(film: Option<&Path>, directory: &Path) -> Result<PathBuf> {
    if let Some(film) = film.filter(|film| film.extension().is_some_and(|name| name == "flv")) {
        return Ok(film.to_owned());
    }
    let file = directory.join("small.flv");
    let mut command = Command::new("ffmpeg");
    command.args(["-hide_banner", "-loglevel", "error", "-y"]);
    match film {
        Some(film) => {
            command.args(["-stream_loop", "-1", "-i"]).arg(film).args(["-vf", "scale=160:90,fps=10"])
        }
        None => command.args(["-f", "lavfi", "-i", PICTURE]),
    };
    let status = command.args(["-t", "20"]).args(VIDEO.split_whitespace()).arg(&file).status();
    let status = status.context("ffmpeg could not be started: deploy/setup.sh test")?;
    ensure!(status.success(), "ffmpeg could not make the source: {status}");
    Ok(file)
}

/// Proxy, server and origin as processes of their own, around a Redis, with streams on air that the origin mirrors.
struct Stack {
    streams: u32,
    redis: RedisServer,
    server: Service,
    proxy: Service,
    origin: Service,
    publishers: Process,
    _directory: TempDir,
}

impl Stack {
    async fn start(streams: u32, source: &Path) -> Result<Self> {
        let redis = RedisServer::start();
        let directory = tempfile::tempdir()?;
        let settings = [
            ("REGISTRY_URL", redis.url_text()),
            ("LADDER_RUNGS", RUNGS.into()),
            // Cores of this machine are not what is measured.
            ("SERVER_CAPACITY", "1000".into()),
            ("SERVER_MAX_BROADCASTS", "1000".into()),
            ("PROXY_MAX_CONNECTIONS_PER_ADDRESS", "10000".into()),
            ("ORIGIN_MIRROR_LINGER", "10m".into()),
        ];
        let start = |kind, listen| Service::start(directory.path(), kind, listen, &settings);
        let server = start("server", "GRPC_LISTEN").await?;
        let proxy = start("proxy", "RTMP_LISTEN").await?;
        let origin = start("origin", "HTTP_LISTEN").await?;
        let publishers = processes::publishers(directory.path(), &proxy, "load", streams, source).await?;
        let stack = Self { streams, redis, server, proxy, origin, publishers, _directory: directory };
        stack.mirror().await?;
        Ok(stack)
    }

    /// Asks the origin once for each stream, as its first viewer does.
    async fn mirror(&self) -> Result<()> {
        for stream in 1..=self.streams {
            let name = if self.streams == 1 { "load".into() } else { format!("load-{stream}") };
            let path = format!("/{name}/live.m3u8");
            let found = || {
                let answer = processes::get(self.origin.address, &path).ok();
                answer.filter(|answer| answer.starts_with("HTTP/1.1 200"))
            };
            processes::until("a stream to be shown", found).await?;
        }
        Ok(())
    }

    async fn measure(&self, window: Duration) -> Result<Cost> {
        tokio::time::sleep(SETTLE).await;
        let cpu = self.cpu()?;
        let redis = commands(self.redis.address())?;
        tokio::time::sleep(window).await;
        let later = self.cpu()?;
        let redis_later = commands(self.redis.address())?;
        processes::check(&self.publishers)?;
        let live = self.server.metric("headwater_server_broadcasts")?;
        ensure!(live as u32 == self.streams, "{live} of {} streams are on air", self.streams);
        let watches = self.origin.metric("headwater_origin_upstream_watches")?;
        ensure!(watches as u32 == self.streams, "{watches} of {} streams are mirrored", self.streams);
        let seconds = window.as_secs_f64();
        Ok(Cost {
            cpu: std::array::from_fn(|part| (later[part] - cpu[part]) * 1e3 / seconds),
            memory: self.memory()?,
            redis: (redis_later - redis) as f64 / seconds,
        })
    }

    /// CPU seconds so far, in the order of [`PARTS`].
    fn cpu(&self) -> Result<[f64; 4]> {
        let seconds = |scope: Scope| anyhow::Ok(scope.cpu()?.as_secs_f64());
        let own = seconds(Scope::Process(self.server.process.id()))?;
        let tree = seconds(self.server.process.tree())?;
        Ok([seconds(self.proxy.process.tree())?, own, tree - own, seconds(self.origin.process.tree())?])
    }

    fn memory(&self) -> Result<[f64; 4]> {
        let megabytes = |scope: Scope| anyhow::Ok(scope.peak_memory()? as f64 / 1e6);
        let own = megabytes(Scope::Process(self.server.process.id()))?;
        let tree = megabytes(self.server.process.tree())?;
        Ok([megabytes(self.proxy.process.tree())?, own, tree - own, megabytes(self.origin.process.tree())?])
    }
}

/// Commands that Redis has executed, those of scripts included, and `INFO` itself left out.
fn commands(redis: SocketAddr) -> Result<u64> {
    let mut socket = TcpStream::connect_timeout(&redis, ANSWER)?;
    socket.set_read_timeout(Some(ANSWER))?;
    socket.write_all(b"INFO commandstats\r\nQUIT\r\n")?;
    let mut answer = String::new();
    socket.read_to_string(&mut answer)?;
    calls(&answer).context("Redis did not tell its commands")
}

fn calls(info: &str) -> Option<u64> {
    let lines = info.lines().filter_map(|line| line.trim().strip_prefix("cmdstat_"));
    let others = lines.filter(|line| !["info:", "quit:"].iter().any(|own| line.starts_with(own)));
    let counts = others.map(|line| line.split_once("calls=")?.1.split(',').next()?.parse::<u64>().ok());
    counts.sum()
}

impl Costs {
    fn push(&mut self, cost: Cost) {
        for part in 0..PARTS.len() {
            self.cpu[part].push(cost.cpu[part]);
            self.memory[part].push(cost.memory[part]);
        }
        self.redis.push(cost.redis);
    }

    /// Medians: CPU, memory, Redis.
    fn medians(&self) -> [f64; 9] {
        std::array::from_fn(|value| match value {
            0..4 => self.cpu[value].median(),
            4..8 => self.memory[value - 4].median(),
            _ => self.redis.median(),
        })
    }
}

fn table(section: &mut String, all: &BTreeMap<u32, Costs>) {
    for (streams, costs) in all {
        let count = f64::from(*streams);
        row(section, &streams.to_string(), costs.medians().map(|value| value / count));
    }
    if let (Some((few, at_few)), Some((many, at_many))) = (all.first_key_value(), all.last_key_value())
        && few < many
    {
        let few_costs = at_few.medians();
        let many_costs = at_many.medians();
        let more = f64::from(many - few);
        let each = std::array::from_fn(|value| (many_costs[value] - few_costs[value]) / more);
        row(section, &format!("each more, {few} → {many}"), each);
    }
}

/// How much of the machine the most streams take, the publishers and Redis not counted.
fn load(all: &BTreeMap<u32, Costs>) -> String {
    let Some((streams, costs)) = all.last_key_value() else { return String::new() };
    let used = costs.medians()[..PARTS.len()].iter().sum::<f64>() / 1e3;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let share = used / cores as f64 * 100.0;
    format!(
        "\n{streams} streams take {used:.2} of {cores} cores, {share:.0} %: the machine is full at 100.\n"
    )
}

fn row(section: &mut String, name: &str, values: [f64; 9]) {
    let _ = write!(section, "| {name} |");
    for (index, value) in values.into_iter().enumerate() {
        let digits = if (4..8).contains(&index) { 1 } else { 2 };
        let _ = write!(section, " {value:.digits$} |");
    }
    section.push('\n');
}

/// Lines of the plot: CPU of each part, and Redis' commands, for one stream.
fn lines(all: &BTreeMap<u32, Costs>) -> Vec<chart::Line> {
    let line = |name: &str, of: &dyn Fn(&Costs) -> f64| chart::Line {
        name: name.to_owned(),
        points: all.iter().map(|(n, costs)| (f64::from(*n), of(costs) / f64::from(*n))).collect(),
    };
    let mut lines: Vec<_> = PARTS
        .iter()
        .enumerate()
        .map(|(part, name)| line(&format!("{name}, CPU ms/s"), &|costs| costs.cpu[part].median()))
        .collect();
    lines.push(line("Redis, commands/s", &|costs| costs.redis.median()));
    lines
}

fn heading(common: &Common) -> String {
    let Common { rounds, seconds, .. } = common;
    format!(
        "## Scale\n\n`make bench-scale`. What one stream costs when there are many: `headwater-proxy`, `headwater-server` and \
         `headwater-origin` with a Redis, fresh for each number of streams, {rounds} rounds; `headwater bench publish` sends \
         160x90 at 10 pictures a second without sound, the ladder has one rung of that size, and the origin mirrors \
         every stream. CPU time is read from the kernel over {seconds} s, 5 s after all are on air; memory is the peak of \
         what was resident, pages that processes share counted in each; the server is its process without the workers. \
         Redis' commands are those of `INFO commandstats`, scripts and what is in them both counted, without the harness' \
         own. Medians, divided by the number of streams: what a process costs without any is in the first rows, and \
         not in the last one.\n\n{}\n\n\
         | Streams | proxy, CPU ms/s | server, CPU ms/s | worker, CPU ms/s | origin, CPU ms/s | proxy, MB | server, MB | \
         worker, MB | origin, MB | Redis, commands/s |\n| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n",
        machine::describe()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_added_without_the_harness() {
        let info = "$100\r\n# Commandstats\r\ncmdstat_info:calls=3,usec=5\r\ncmdstat_evalsha:calls=10,usec=5\r\n\
                    cmdstat_hset:calls=7,usec=1\r\n+OK\r\n";
        assert_eq!(calls(info), Some(17));
    }
}
