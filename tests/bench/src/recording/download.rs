//! A recording as one file: what it costs the origin that makes it of segments, against nginx that has it as a file.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use headwater_registry::testing::RedisServer;
use headwater_store::TestStore;
use serde_json::Value;

use super::upload::{STREAM, credentials, of_store};
use crate::keepalive::{Connection, request};
use crate::load::{self, Wanted};
use crate::nginx::Nginx;
use crate::processes::{self, Service};
use crate::usage::Scope;

/// Read at once by who downloads.
const ROOM: usize = 256 << 10;
/// Of each measurement.
const WINDOW: Duration = Duration::from_secs(3);
/// Number of downloads at the same time.
pub const DOWNLOADS: usize = 8;

/// Way to get the file.
pub struct Way {
    pub name: &'static str,
    /// MB per CPU second of the server: one download at a time, and several.
    pub speed: [f64; 2],
    /// MB of memory at the most, and by how much more than before the first one.
    pub memory: [f64; 2],
}

pub struct Downloads {
    /// MB.
    pub size: f64,
    /// How long the recording is, in seconds.
    pub seconds: f64,
    /// CPU milliseconds of the origin for the first request, which plans the file.
    pub plan: f64,
    pub ways: Vec<Way>,
}

/// Downloads the recording that is in the store, once it is complete.
pub async fn measure(store: &TestStore) -> Result<Downloads> {
    let redis = RedisServer::start();
    let directory = tempfile::tempdir()?;
    let settings = |more: &[(&'static str, String)]| {
        let mut settings = vec![("REGISTRY_URL", redis.url_text())];
        settings.extend_from_slice(more);
        settings
    };
    let in_s3 = settings(&of_store(store));
    let start = async |settings: &[(&'static str, String)]| {
        Service::start_with(directory.path(), "origin", "HTTP_LISTEN", settings, &credentials()).await
    };
    let origin = start(&in_s3).await?;
    let recording = complete(&origin).await?;
    let id = recording["broadcast"].as_str().context("a recording without a number")?;
    let path = format!("/{STREAM}/vod-{id}.mp4");
    let wanted = Wanted { body: fetch(&origin, &path).await?, path };
    drop(origin);

    let mut ways = Vec::new();
    let (s3, plan) = from_origin("origin, segments in S3", &start(&in_s3).await?, &wanted).await?;
    ways.push(s3);
    let in_directory = settings(&[("STORE_URL", format!("file://{}", store.path("").display()))]);
    let origin = start(&in_directory).await?;
    ways.push(from_origin("origin, segments in a directory", &origin, &wanted).await?.0);
    drop(origin);
    let file = directory.path().join("files").join(wanted.path.trim_start_matches('/'));
    fs::create_dir_all(file.parent().context("a file lies in a directory")?)?;
    fs::write(file, &wanted.body)?;
    let nginx = Nginx::files(directory.path()).await?;
    let scope = nginx.process.tree();
    let before = scope.peak_memory()?;
    ways.push(way("nginx, one file", nginx.address, scope, &wanted, before).await?);
    let seconds = recording["duration_seconds"].as_f64().context("a recording without a length")?;
    Ok(Downloads { size: wanted.body.len() as f64 / 1e6, seconds, plan, ways })
}

/// With the CPU milliseconds of the first byte, for which the file is planned.
async fn from_origin(name: &'static str, origin: &Service, wanted: &Wanted) -> Result<(Way, f64)> {
    let scope = origin.process.tree();
    let before = scope.peak_memory()?;
    let cpu = scope.cpu()?;
    let mut connection = Connection::open(origin.address, ROOM).await?;
    let mut question = request(origin.address, &wanted.path);
    question.truncate(question.len() - 2);
    question.extend_from_slice(b"Range: bytes=0-0\r\n\r\n");
    let head = connection.get(&question, |_| ()).await?;
    ensure!(head.status == 206 && head.length == 1, "{head:?}");
    let plan = (scope.cpu()? - cpu).as_secs_f64() * 1e3;
    Ok((way(name, origin.address, scope, wanted, before).await?, plan))
}

async fn way(
    name: &'static str,
    address: std::net::SocketAddr,
    scope: Scope,
    wanted: &Wanted,
    before: u64,
) -> Result<Way> {
    let one = load::measure(address, &[scope], wanted, 1, WINDOW).await?.gb_per_cpu_second * 1e3;
    let many = load::measure(address, &[scope], wanted, DOWNLOADS, WINDOW).await?.gb_per_cpu_second * 1e3;
    let peak = scope.peak_memory()?;
    Ok(Way { name, speed: [one, many], memory: [peak, peak - before].map(|bytes| bytes as f64 / 1e6) })
}

/// The origin's description of the only recording, once it is complete.
async fn complete(origin: &Service) -> Result<Value> {
    let listed = || {
        let answer = processes::get(origin.address, &format!("/{STREAM}/recordings.json")).ok()?;
        let (_, body) = answer.split_once("\r\n\r\n")?;
        let all: Vec<Value> = serde_json::from_str(body).ok()?;
        all.into_iter().find(|recording| recording["state"] == "complete")
    };
    let found = processes::until("the recording to be complete", listed).await;
    found.with_context(|| {
        processes::get(origin.address, &format!("/{STREAM}/recordings.json")).unwrap_or_default()
    })
}

async fn fetch(origin: &Service, path: &str) -> Result<Bytes> {
    let mut connection = Connection::open(origin.address, ROOM).await?;
    let mut body = Vec::new();
    let head = connection.get(&request(origin.address, path), |piece| body.extend_from_slice(piece)).await?;
    ensure!(head.status == 200 && body.len() == head.length, "{path}: {head:?}");
    ensure!(body.get(4..8) == Some(b"ftyp"), "{path} is not an MP4 file");
    Ok(body.into())
}
