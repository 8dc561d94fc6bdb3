//! Connections: HTTP/1.1 and HTTP/2 with prior knowledge on one port, with limits, until told to stop.

use std::convert::Infallible;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use headwater_runtime::listener::{Accepted, Guard, Listener};
use http::Request;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::debug;

use super::Service;
use super::progress::{Counted, Patience, Progress};
use super::seldom::Seldom;

/// Request line and headers; players send some 500 bytes, cookies of other services on the same name some KB.
const HEADER_BYTES: usize = 32 << 10;
/// Time for a whole request, from having connected or from its first byte on.
const REQUEST_LIMIT: Duration = Duration::from_secs(10);
/// One that does not take a byte of an answer is given up after this time. How long an answer takes to be made does not count.
const STALL_LIMIT: Duration = Duration::from_secs(35);
/// Requests at once on one HTTP/2 connection. A player has a handful; a proxy in front of us opens more connections.
const CONCURRENT_REQUESTS: u32 = 256;

/// Answers viewers until `drain` is cancelled, and then until the requests that are under way are answered. A connection
/// without a request stays for `keep_alive`.
///
/// # Errors
/// When the listener is broken.
pub(crate) async fn serve(
    service: Arc<Service>,
    mut listener: Listener,
    keep_alive: Duration,
    drain: CancellationToken,
) -> io::Result<()> {
    let patience = Patience { request: REQUEST_LIMIT, answer: STALL_LIMIT, keep_alive };
    let connections = TaskTracker::new();
    let protocol = Arc::new(protocol());
    let broken = loop {
        tokio::select! {
            () = drain.cancelled() => break Ok(()),
            accepted = listener.accept() => match accepted {
                Ok(accepted) => {
                    connections.spawn(connection(
                        service.clone(),
                        protocol.clone(),
                        accepted,
                        patience,
                        drain.clone(),
                    ));
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
    patience: Patience,
    drain: CancellationToken,
) {
    let Accepted { stream, peer, guard } = accepted;
    let _counted = service.metrics.connections.enter();
    let (stream, progress) = Counted::new(stream, guard.give_way());
    let from = peer.ip().to_canonical();
    let answer = service_fn(|request: Request<_>| {
        let work = progress.asked(request.version());
        let (making, service) = (progress.making(), service.clone());
        async move {
            let response = service.respond(from, request).await;
            drop(making);
            Ok::<_, Infallible>(response.map(|body| body.during(work)))
        }
    });
    let mut served = pin!(protocol.serve_connection(TokioIo::new(stream), answer));
    let ended = tokio::select! {
        biased;
        ended = &mut served => ended,
        why = Seldom::new(enough(&progress, patience, &guard, &drain)) => match why {
            Enough::Stalled => return debug!(%peer, "nothing moved: closed"),
            Enough::Displaced => return debug!(%peer, "idle, and its place was needed: closed"),
            Enough::Draining => {
                served.as_mut().graceful_shutdown();
                tokio::select! {
                    ended = served => ended,
                    () = progress.stalled(patience) => return,
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
    /// There were no places left, and it was idle.
    Displaced,
    Draining,
}

async fn enough(progress: &Progress, patience: Patience, guard: &Guard, drain: &CancellationToken) -> Enough {
    tokio::select! {
        () = progress.stalled(patience) => Enough::Stalled,
        () = guard.given_up() => Enough::Displaced,
        () = drain.cancelled() => Enough::Draining,
    }
}
