//! Connections of proxies and origins: within limits, and for peers that speak.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::stream::{self, Stream};
use headwater_runtime::listener::{
    Activity, Connection, Guard, Limits, Listener, ObservedStream, Observer, Work,
};
use tokio::task::JoinSet;
use tokio::time::timeout;

/// Peers are services of the same installation, which have some connections each.
const MAX_CONNECTIONS: usize = 16_384;
/// Machines with many of them, or a network that shows several machines as one.
const MAX_CONNECTIONS_PER_ADDRESS: usize = 2_048;
/// Time for a connection to say that it speaks HTTP/2. From then on pings tell whether anybody is there.
const PREFACE_LIMIT: Duration = Duration::from_secs(10);
/// Length of the connection preface (RFC 9113 §3.4).
const PREFACE_BYTES: usize = 24;

pub(crate) fn limits() -> Limits {
    Limits::new(MAX_CONNECTIONS, MAX_CONNECTIONS_PER_ADDRESS)
}

/// The connections that a listener accepts, after their TLS handshakes where it speaks TLS.
pub(crate) fn incoming(listener: Listener) -> impl Stream<Item = io::Result<Peer>> {
    stream::unfold((listener, JoinSet::new()), |(mut listener, mut opening)| async {
        let peer = next_peer(&mut listener, &mut opening).await;
        Some((peer, (listener, opening)))
    })
}

/// Next connection that is open. A handshake that takes long keeps no other connection waiting.
async fn next_peer(listener: &mut Listener, opening: &mut JoinSet<Option<Connection>>) -> io::Result<Peer> {
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                opening.spawn(accepted?.open_within(PREFACE_LIMIT));
            }
            Some(opened) = opening.join_next() => {
                if let Ok(Some(connection)) = opened {
                    return Ok(observe(connection));
                }
            }
        }
    }
}

/// Connection that fails when its peer does not begin to speak in time, or has not yet when its place is needed.
pub(crate) type Peer = ObservedStream<Preface>;

/// Observer that waits for the preface of HTTP/2.
pub(crate) struct Preface {
    activity: Activity,
    state: State,
    _guard: Arc<Guard>,
}

enum State {
    Silent {
        /// Bytes that are still to be said.
        missing_bytes: usize,
        /// Ends when it has taken too long.
        over: Pin<Box<dyn Future<Output = ()> + Send>>,
    },
    /// It keeps its place.
    Speaking(#[expect(dead_code, reason = "dropped with the connection")] Work),
}

fn observe(connection: Connection) -> Peer {
    let Connection { stream, guard, .. } = connection;
    ObservedStream::new(stream, Preface::new(guard))
}

impl Preface {
    fn new(guard: Guard) -> Self {
        let activity = guard.give_way();
        let guard = Arc::new(guard);
        let waited_for = guard.clone();
        let over = Box::pin(async move {
            // Either ends it.
            let _ = timeout(PREFACE_LIMIT, waited_for.given_up()).await;
        });
        Self { activity, state: State::Silent { missing_bytes: PREFACE_BYTES, over }, _guard: guard }
    }
}

impl Observer for Preface {
    fn note_read(&mut self, bytes: usize) {
        if let State::Silent { missing_bytes, .. } = &mut self.state {
            *missing_bytes = missing_bytes.saturating_sub(bytes);
            if *missing_bytes == 0 {
                self.state = State::Speaking(self.activity.work());
            }
        }
    }

    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        match &mut self.state {
            State::Silent { over, .. } => over.as_mut().poll(cx).map(|()| io::ErrorKind::TimedOut.into()),
            State::Speaking(_) => Poll::Pending,
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::StreamExt as _;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpStream;
    use tokio::time::Instant;

    use super::*;

    async fn accepted(limits: Limits, connect: usize) -> (Vec<Peer>, Vec<TcpStream>) {
        let address = "127.0.0.1:0".parse().unwrap();
        let listener = Listener::bind(address, "server.grpc_listen", limits).await.unwrap();
        let address = listener.local_addr();
        let mut near = Vec::new();
        let mut far = Vec::new();
        let mut incoming = Box::pin(incoming(listener));
        for _ in 0..connect {
            far.push(TcpStream::connect(address).await.unwrap());
            near.push(incoming.next().await.unwrap().unwrap());
        }
        tokio::time::pause();
        (near, far)
    }

    #[tokio::test]
    async fn who_does_not_say_the_whole_preface_is_closed() {
        let (mut near, mut far) = accepted(limits(), 1).await;
        far[0].write_all(b"PRI * HTTP/2.0").await.unwrap();
        let began = Instant::now();
        let mut said = Vec::new();
        let error = near[0].read_to_end(&mut said).await.unwrap_err();
        assert_eq!((error.kind(), said.len()), (io::ErrorKind::TimedOut, 14));
        assert_eq!(began.elapsed().as_secs(), PREFACE_LIMIT.as_secs());
    }

    #[tokio::test]
    async fn who_speaks_keeps_its_place_and_who_does_not_gives_way() {
        let (mut near, mut far) = accepted(Limits::total(1), 1).await;
        far[0].write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
        near[0].read_exact(&mut [0; PREFACE_BYTES]).await.unwrap();
        let silent = tokio::time::timeout(2 * PREFACE_LIMIT, near[0].read(&mut [0])).await;
        assert!(silent.is_err() && near[0].observer().activity.is_working());

        tokio::time::resume();
        let (mut near, _far) = accepted(Limits::total(1), 2).await;
        let error = near[0].read(&mut [0]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }
}
