//! Connections that ask for one thing again and again, and what a server spends on them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::keepalive::{Connection, request};
use crate::processes::until;
use crate::usage::Scope;

/// After all were answered once.
const SETTLE: Duration = Duration::from_millis(300);
/// Read at once: no more than fits into a processor's cache for all.
const ROOM: usize = 64 << 10;

/// Requests of a load test, and the answers that must come.
#[derive(Clone)]
pub struct Wanted {
    pub path: String,
    pub body: Bytes,
}

/// Cost of a load test.
#[derive(Debug)]
pub struct Cost {
    pub requests_per_cpu_second: f64,
    pub gb_per_cpu_second: f64,
}

#[derive(Default)]
struct Counts {
    /// Connections that were answered once.
    begun: AtomicU64,
    bytes: AtomicU64,
}

/// Loads the server at this address, whose processes these are, for so long. Fails when an answer is not as it must be:
/// every connection's first one byte by byte, all others by status and length.
pub async fn measure(
    address: SocketAddr,
    processes: &[Scope],
    wanted: &Wanted,
    connections: usize,
    window: Duration,
) -> Result<Cost> {
    let counts = Arc::new(Counts::default());
    let stop = watch::Sender::new(false);
    let mut tasks = JoinSet::new();
    for _ in 0..connections {
        tasks.spawn(repeat(address, wanted.clone(), counts.clone(), stop.subscribe()));
    }
    let all_begun = || (counts.begun.load(Ordering::Relaxed) == connections as u64).then_some(());
    until("every connection's first answer", all_begun).await?;
    tokio::time::sleep(SETTLE).await;
    let cpu = cpu(processes)?;
    let bytes = counts.bytes.load(Ordering::Relaxed);
    tokio::time::sleep(window).await;
    let spent = (self::cpu(processes)? - cpu).as_secs_f64();
    let bytes = (counts.bytes.load(Ordering::Relaxed) - bytes) as f64;
    stop.send_replace(true);
    while let Some(ended) = tasks.join_next().await {
        ended?.with_context(|| format!("{} of {address}", wanted.path))?;
    }
    Ok(Cost {
        requests_per_cpu_second: bytes / wanted.body.len() as f64 / spent,
        gb_per_cpu_second: bytes / 1e9 / spent,
    })
}

fn cpu(processes: &[Scope]) -> Result<Duration> {
    processes.iter().map(|scope| scope.cpu()).sum()
}

async fn repeat(
    address: SocketAddr,
    wanted: Wanted,
    counts: Arc<Counts>,
    stop: watch::Receiver<bool>,
) -> Result<()> {
    let mut connection = Connection::open(address, ROOM.min(wanted.body.len() + 4_096)).await?;
    let request = request(address, &wanted.path);
    let mut first = Vec::with_capacity(wanted.body.len());
    let head = connection.get(&request, |piece| first.extend_from_slice(piece)).await?;
    ensure!(head.status == 200 && first == wanted.body, "{}: other bytes", head.status);
    drop(first);
    counts.begun.fetch_add(1, Ordering::Relaxed);
    while !*stop.borrow() {
        let count = |piece: &[u8]| {
            counts.bytes.fetch_add(piece.len() as u64, Ordering::Relaxed);
        };
        let head = connection.get(&request, count).await?;
        ensure!(
            head.status == 200 && head.length == wanted.body.len(),
            "{head:?} instead of {}",
            wanted.body.len()
        );
    }
    Ok(())
}
