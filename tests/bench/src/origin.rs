//! CPU time of an origin for playlists, parts and segments, against nginx with the same bytes in files and nginx with a
//! cache in front of an origin.

use std::fmt::Write;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use headwater_hls::Object;
use headwater_media::{MediaSequence, PartIndex, SegmentSettings};
use headwater_registry::testing::RedisServer;

use crate::broadcast::{self, RENDITION, Shape, live_file};
use crate::keepalive::{Connection, request};
use crate::load::{self, Cost, Wanted};
use crate::nginx::Nginx;
use crate::processes::Service;
use crate::series::Series;
use crate::stub::{STREAM, Stub};
use crate::{Common, machine, nginx};

/// Prefix of the registry in which origin and stub find each other.
pub const PREFIX: &str = "bench";
/// Ten parts of 100 KiB: parts of some 100 KB, segments of 1 MB.
const SHAPE: Shape =
    Shape { settings: SegmentSettings { segment_ms: 2_000, part_ms: 200 }, parts: 10, part_bytes: 100 << 10 };
const ROOM: usize = 256 << 10;
/// Of A / B, at least.
const AIM: f64 = 0.9;

#[derive(clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    pub common: Common,
    /// Numbers of connections
    #[arg(long, value_delimiter = ',', default_values_t = [50, 1_000])]
    connections: Vec<usize>,
    /// Objects to ask for
    #[arg(long, value_delimiter = ',', default_values_t = ["playlist".to_owned(), "part".into(), "segment".into()])]
    objects: Vec<String>,
    /// Leave nginx out: for profiles of the origin
    #[arg(long)]
    alone: bool,
}

/// Repeated measurements of one server.
#[derive(Default)]
struct Side {
    requests: Series,
    gigabytes: Series,
}

impl Side {
    fn push(&mut self, cost: &Cost) {
        self.requests.push(cost.requests_per_cpu_second);
        self.gigabytes.push(cost.gb_per_cpu_second);
    }
}

pub async fn run(arguments: &Arguments) -> Result<String> {
    let directory = tempfile::tempdir()?;
    let redis = RedisServer::start();
    let stub = start_stub(redis.url_text(), &SHAPE).await?;
    let origin = start_origin(&redis, directory.path()).await?;
    let paths = [
        ("playlist", "index.m3u8".to_owned()),
        ("part", live_file(Object::Part(last_whole(), PartIndex(4)))),
        ("segment", live_file(Object::Segment(last_whole()))),
    ];
    let mut objects = Vec::new();
    for (name, file) in
        paths.into_iter().filter(|(name, _)| arguments.objects.iter().any(|wanted| wanted == name))
    {
        let path = format!("/{STREAM}/{RENDITION}/{file}");
        let body = fetch(&origin, &path).await?;
        keep(directory.path(), &path, &body)?;
        objects.push((name, Wanted { path, body }));
    }
    let files = Nginx::files(directory.path()).await?;
    let cache = Nginx::cache(directory.path(), origin.address).await?;
    let mut section = heading(&arguments.common)?;
    let mut ratios = Series::default();
    let window = Duration::from_secs(arguments.common.seconds);
    for (name, wanted) in &objects {
        for connections in &arguments.connections {
            let [mut own, mut of_files, mut of_cache] = [(); 3].map(|()| Side::default());
            let origin_only = [origin.process.tree()];
            for _ in 0..arguments.common.rounds {
                own.push(&load::measure(origin.address, &origin_only, wanted, *connections, window).await?);
                if arguments.alone {
                    continue;
                }
                of_files.push(
                    &load::measure(files.address, &[files.process.tree()], wanted, *connections, window)
                        .await?,
                );
                let both = [cache.process.tree(), origin.process.tree()];
                of_cache.push(&load::measure(cache.address, &both, wanted, *connections, window).await?);
            }
            ratios.push(own.requests.over(&of_files.requests).median());
            row(&mut section, name, wanted.body.len(), *connections, &[own, of_files, of_cache]);
        }
    }
    section.push_str(&judgement(&ratios));
    drop(stub);
    Ok(section)
}

/// On air with a whole window that stands still from here on.
pub async fn start_stub(redis: String, shape: &Shape) -> Result<Stub> {
    let registry = headwater_registry::open(Some(&redis), PREFIX, headwater_registry::LEASE_TTL)?;
    let stub = Stub::start(registry, |broadcast, epoch| shape.opening(broadcast, epoch)).await?;
    let id = RENDITION.parse()?;
    stub.play([broadcast::period(&id)])?;
    stub.play((0..shape.window()).flat_map(|nth| shape.part(&id, nth)))?;
    Ok(stub)
}

pub async fn start_origin(redis: &RedisServer, directory: &Path) -> Result<Service> {
    start_origin_with(redis, directory, &[]).await
}

pub async fn start_origin_with(
    redis: &RedisServer,
    directory: &Path,
    more: &[(&str, String)],
) -> Result<Service> {
    let mut settings = more.to_vec();
    settings.extend([
        ("REGISTRY_URL", redis.url_text()),
        ("REGISTRY_PREFIX", PREFIX.into()),
        ("ORIGIN_MAX_CONNECTIONS", "50000".into()),
        ("ORIGIN_MAX_CONNECTIONS_PER_ADDRESS", "50000".into()),
    ]);
    Service::start(directory, "origin", "HTTP_LISTEN", &settings).await
}

fn last_whole() -> MediaSequence {
    MediaSequence(SHAPE.name(SHAPE.window() - 1).0)
}

/// The bytes that all sides must answer with.
async fn fetch(origin: &Service, path: &str) -> Result<Bytes> {
    let mut connection = Connection::open(origin.address, ROOM).await?;
    let mut body = Vec::new();
    let head = connection.get(&request(origin.address, path), |piece| body.extend_from_slice(piece)).await?;
    ensure!(head.status == 200 && body.len() == head.length, "{path}: {head:?}");
    Ok(body.into())
}

/// As a file for nginx; compressed ones beside what they are made of.
fn keep(directory: &Path, path: &str, body: &[u8]) -> Result<()> {
    let file = directory.join("files").join(path.trim_start_matches('/'));
    std::fs::create_dir_all(file.parent().context("a file lies in a directory")?)?;
    if body.starts_with(&[0x1f, 0x8b]) {
        let mut plain = Vec::new();
        std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(body), &mut plain)?;
        std::fs::write(file.with_added_extension("gz"), body)?;
        return Ok(std::fs::write(file, plain)?);
    }
    Ok(std::fs::write(file, body)?)
}

fn heading(common: &Common) -> Result<String> {
    let Common { rounds, seconds, .. } = common;
    Ok(format!(
        "## What an origin costs\n\n`make bench-origin`. \
         One `headwater-origin` (A) mirrors a stream whose window stands still: ten segments of ten parts, CMAF chunks of six frames with 100 KiB of random \
         bytes. nginx {} serves the same bytes from files (B): `worker_processes auto`, `sendfile` and `tcp_nopush` for \
         media, `gzip_static` and one `writev` for the playlist, `open_file_cache` with errors, `reuseport`, no log, and the headers that the origin's answers have. \
         nginx with `proxy_cache` before the origin (C) keeps playlists for a second and media for long; its CPU includes that \
         of the origin behind it. Keep-alive HTTP/1.1 over loopback, each connection asks for the same thing again as soon as it \
         has it, with the headers that a browser sends; a client of a few lines over raw sockets, in another process, checks \
         each connection's first answer byte by byte and the status and length of all others. In turns A B C A B C …, {rounds} \
         of each, {seconds} s long. CPU time of the server's whole process tree from the kernel, that of the client is not in it. \
         Median (least–greatest); ratios are taken round by round. Aim: A / B at least 0.9.\n\n\
         {}\n\n\
         | Object | Bytes | Connections | Requests per CPU s, A | B | C | A / B | A / C | GB per CPU s, A | B | C |\n\
         | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n",
        nginx::version()?,
        machine::describe()
    ))
}

/// The aim, and what stands against it.
fn judgement(ratios: &Series) -> String {
    let met = ratios.iter().filter(|ratio| *ratio >= AIM).count();
    format!(
        "\nThe aim is met in {met} of {} rows; the lowest A / B is {:.2}. An answer costs the origin one `recvfrom` and one \
         `writev`; a playlist's costs nginx a `pread` besides, and a part's a `sendfile` and two `setsockopt`. Of the \
         origin's time for a playlist (`perf`) 66 % with 50 connections and 62 % with 1,000 are the kernel's: TCP over loopback, \
         the firewall's connection tracking, waking the client. The largest functions outside of it are copying memory \
         (5 %), hyper's loop over a connection (3 %), adding headers to the map (2 %), writing a head (2 %) and `free` (2 %). \
         With 1,000 connections an answer takes 6 to 7 µs longer than with 50, half of it in the kernel, as for nginx, whose \
         answer takes 3 µs longer. The other half is memory that is not in a processor's cache any more when a connection has its next turn: \
         the same functions run, up to six times as long. hyper keeps a read buffer, a map of headers and a write buffer \
         with each connection, where nginx gives a request's memory back, so that all connections share what is warm. \
         A part or a segment is copied into the socket, which `sendfile` spares nginx. Tried with 1,000 connections: one \
         thread instead of two (playlists +3 to +4 %, parts ±0: so no more is to be had from a runtime for each \
         processor), four threads (−8 %), huge pages (±0), another allocator (±0).\n",
        ratios.len(),
        ratios.quantile(0.0),
    )
}

fn row(section: &mut String, object: &str, bytes: usize, connections: usize, sides: &[Side; 3]) {
    let [own, files, cache] = sides;
    let _ = writeln!(
        section,
        "| {object} | {bytes} | {connections} | {} | {} | {} | {} | {} | {:.2} | {:.2} | {:.2} |",
        own.requests.show(0),
        files.requests.show(0),
        cache.requests.show(0),
        own.requests.over(&files.requests),
        own.requests.over(&cache.requests),
        own.gigabytes.median(),
        files.gigabytes.median(),
        cache.gigabytes.median(),
    );
}
