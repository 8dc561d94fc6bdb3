//! HTTP connections of a listener, encrypted or not: HTTP/1.1, and HTTP/2 by ALPN or with prior knowledge where the listener
//! takes it, within limits, until the process is told to stop.

mod problem;
mod progress;
pub mod query;
mod selective_poll;

use std::convert::Infallible;
use std::error::Error;
use std::io;
use std::net::IpAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Frame, SizeHint};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::debug;

use crate::listener::{Accepted, Connection, Guard, Listener, ObservedStream, Work};
pub use problem::{PROBLEM_JSON, ProblemDetails};

use progress::Progress;
use selective_poll::SelectivePoll;

/// Request line and headers; players send some 500 bytes, cookies of other services on the same name some KB.
const HEADER_BYTES: usize = 32 << 10;
/// Requests at once on one HTTP/2 connection. A player has a handful; a proxy in front of us opens more connections.
const CONCURRENT_REQUESTS: u32 = 256;

/// Answers to the requests of a listener.
pub trait Handler: Send + Sync + 'static {
    /// The body of an answer.
    type Body: http_body::Body<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>>
        + Send
        + Unpin
        + 'static;

    /// The answer to a request that came from this address.
    fn handle(
        &self,
        from: IpAddr,
        request: Request<Incoming>,
    ) -> impl Future<Output = Response<Self::Body>> + Send;

    /// Notes that a connection is open, until the returned value is dropped.
    fn connection_opened(&self) -> impl Send + 'static {}
}

/// Versions of HTTP that a listener takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Versions {
    /// HTTP/1.1 only.
    Http1,
    /// HTTP/1.1, and HTTP/2 from clients that begin with it (RFC 9113 §3.3).
    Http1And2,
}

impl Versions {
    /// Names of the versions in ALPN (RFC 7301), best first.
    pub fn alpn(self) -> &'static [&'static [u8]] {
        match self {
            Self::Http1 => &[b"http/1.1"],
            Self::Http1And2 => &[b"h2", b"http/1.1"],
        }
    }
}

/// Time limits of a connection that makes no progress.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// From its first byte, or from having connected, to a whole request.
    pub request: Duration,
    /// To take a byte of what it is answered.
    pub answer: Duration,
    /// From one request to the next.
    pub keep_alive: Duration,
}

impl Patience {
    /// Limits of listeners for operators and their programs: a request is one line and a few headers.
    pub const OPERATORS: Self = Self {
        request: Duration::from_secs(5),
        answer: Duration::from_secs(35),
        keep_alive: Duration::from_secs(5),
    };
}

/// Answers requests until `drain` is cancelled, and then until those under way are answered. Idle connections give way
/// to new ones where the listener has no place left. Dropped, it ends all connections at once.
///
/// # Errors
/// When the listener is broken; the requests under way are answered first, and `drain` is cancelled.
pub async fn serve<H: Handler>(
    handler: Arc<H>,
    mut listener: Listener,
    versions: Versions,
    patience: Patience,
    drain: CancellationToken,
) -> io::Result<()> {
    let protocol = Arc::new(http_protocol(versions));
    let mut connections = JoinSet::new();
    let broken = loop {
        tokio::select! {
            () = drain.cancelled() => break Ok(()),
            accepted = listener.accept() => match accepted {
                Ok(accepted) => {
                    let handler = handler.clone();
                    let protocol = protocol.clone();
                    connections.spawn(serve_connection(handler, protocol, accepted, patience, drain.clone()));
                }
                Err(error) => break Err(error),
            },
            Some(_) = connections.join_next() => {}
        }
    };
    drop(listener);
    drain.cancel();
    while connections.join_next().await.is_some() {}
    broken
}

fn http_protocol(versions: Versions) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    // How long a request's headers may take is seen by its connection's progress: a timer for each would cost more.
    builder.http1().timer(TokioTimer::new()).header_read_timeout(None).max_buf_size(HEADER_BYTES);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_header_list_size(HEADER_BYTES as u32)
        .max_concurrent_streams(CONCURRENT_REQUESTS);
    match versions {
        Versions::Http1 => builder.http1_only(),
        Versions::Http1And2 => builder,
    }
}

async fn serve_connection<H: Handler>(
    handler: Arc<H>,
    protocol: Arc<Builder<TokioExecutor>>,
    accepted: Accepted,
    patience: Patience,
    drain: CancellationToken,
) {
    let opened = drain.run_until_cancelled(accepted.open_within(patience.request)).await;
    let Some(Connection { stream, client: peer, guard }) = opened.flatten() else { return };
    let _opened = handler.connection_opened();
    let progress = Progress::new(guard.give_way());
    let stream = ObservedStream::new(stream, progress.clone());
    let from = peer.ip().to_canonical();
    let answer = service_fn(|request: Request<Incoming>| {
        let work = progress.begin_request(request.version());
        let making = progress.begin_answer();
        let handler = handler.clone();
        async move {
            let response = handler.handle(from, request).await;
            drop(making);
            Ok::<_, Infallible>(response.map(|body| Answered { body, _work: work }))
        }
    });
    let mut served = pin!(protocol.serve_connection(TokioIo::new(stream), answer));
    let ended = tokio::select! {
        biased;
        ended = &mut served => ended,
        why = SelectivePoll::new(wait_for_enough(&progress, patience, &guard, &drain)) => match why {
            Enough::Stalled => return debug!(%peer, "nothing moved: closed"),
            Enough::Displaced => return debug!(%peer, "idle, and its place was needed: closed"),
            Enough::Draining => {
                served.as_mut().graceful_shutdown();
                tokio::select! {
                    ended = served => ended,
                    () = progress.wait_for_stall(patience) => return,
                }
            }
        },
    };
    if let Err(error) = ended {
        debug!(%peer, error, "a client's connection broke");
    }
}

/// Why a connection that its client keeps open ends.
enum Enough {
    Stalled,
    /// There were no places left, and it was idle.
    Displaced,
    Draining,
}

async fn wait_for_enough(
    progress: &Progress,
    patience: Patience,
    guard: &Guard,
    drain: &CancellationToken,
) -> Enough {
    tokio::select! {
        () = progress.wait_for_stall(patience) => Enough::Stalled,
        () = guard.given_up() => Enough::Displaced,
        () = drain.cancelled() => Enough::Draining,
    }
}

/// The body of an answer: until it is sent, there is work on its connection.
struct Answered<B> {
    body: B,
    _work: Work,
}

impl<B: http_body::Body + Unpin> http_body::Body for Answered<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
