//! Connections: HTTP/1.1 and HTTP/2 with prior knowledge on one port, with limits, until told to stop.

use std::convert::Infallible;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use headwater_runtime::listener::{Accepted, Listener};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::debug;

use super::Service;
use super::progress::{Counted, Progress};
use super::seldom::Seldom;

/// Request line and headers; players send some 500 bytes, cookies of other services on the same name some KB.
const HEADER_BYTES: usize = 32 << 10;
/// A connection that neither completes a request nor takes a byte of an answer is given up. No blocked request waits for
/// so long: three target durations are 30 s at most.
const STALL_LIMIT: Duration = Duration::from_secs(35);
/// Requests at once on one HTTP/2 connection. A player has a handful; a proxy in front of us opens more connections.
const CONCURRENT_REQUESTS: u32 = 256;

/// Answers viewers until `drain` is cancelled, and then until the requests that are under way are answered.
///
/// # Errors
/// When the listener is broken.
pub(crate) async fn serve(
    service: Arc<Service>,
    mut listener: Listener,
    drain: CancellationToken,
) -> io::Result<()> {
    let connections = TaskTracker::new();
    let protocol = Arc::new(protocol());
    let broken = loop {
        tokio::select! {
            () = drain.cancelled() => break Ok(()),
            accepted = listener.accept() => match accepted {
                Ok(accepted) => {
                    connections.spawn(connection(service.clone(), protocol.clone(), accepted, drain.clone()));
                }
                Err(error) => break Err(error),
            },
        }
    };
    drop(listener);
    drain.cancel();
    connections.close();
    connections.wait().await;
    broken
}

fn protocol() -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    // How long a request's headers may take is seen by its connection's progress: a timer for each would cost more.
    builder.http1().timer(TokioTimer::new()).header_read_timeout(None).max_buf_size(HEADER_BYTES);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_header_list_size(HEADER_BYTES as u32)
        .max_concurrent_streams(CONCURRENT_REQUESTS);
    builder
}

async fn connection(
    service: Arc<Service>,
    protocol: Arc<Builder<TokioExecutor>>,
    accepted: Accepted,
    drain: CancellationToken,
) {
    let Accepted { stream, peer, guard: _place } = accepted;
    let _counted = service.metrics.connections.enter();
    let (stream, progress) = Counted::new(stream);
    let from = peer.ip().to_canonical();
    let answer = service_fn(|request| {
        progress.asked();
        let service = service.clone();
        async move { Ok::<_, Infallible>(service.respond(from, request).await) }
    });
    let mut served = pin!(protocol.serve_connection(TokioIo::new(stream), answer));
    let ended = tokio::select! {
        biased;
        ended = &mut served => ended,
        why = Seldom::new(enough(progress.clone(), drain)) => match why {
            Enough::Stalled => return debug!(%peer, "nothing moved: closed"),
            Enough::Draining => {
                served.as_mut().graceful_shutdown();
                tokio::select! {
                    ended = served => ended,
                    () = progress.stalled(STALL_LIMIT) => return,
                }
            }
        },
    };
    if let Err(error) = ended {
        debug!(%peer, error, "a viewer's connection broke");
    }
}

/// Why a connection that its viewer keeps open ends.
enum Enough {
    Stalled,
    Draining,
}

async fn enough(progress: Progress, drain: CancellationToken) -> Enough {
    tokio::select! {
        () = progress.stalled(STALL_LIMIT) => Enough::Stalled,
        () = drain.cancelled() => Enough::Draining,
    }
}
