//! Telling a connection that does something from one that only takes a place: whoever neither completes a request nor
//! takes a byte of an answer, whether it holds back a request, the rest of one, its first byte or what it was answered.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Instant;

/// From one look to the next, so that a connection costs no timer for each of its requests.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// A connection whose progress is counted.
pub(super) struct Counted {
    stream: TcpStream,
    progress: Progress,
}

/// Requests that came, and writes that moved something.
#[derive(Clone, Default)]
pub(super) struct Progress(Arc<AtomicU64>);

impl Progress {
    /// Ends once there was no progress for `limit`, or a look longer.
    pub(super) async fn stalled(&self, limit: Duration) {
        let (mut before, mut since) = (self.now(), Instant::now());
        while since.elapsed() < limit {
            tokio::time::sleep(LOOK_EVERY.min(limit)).await;
            let now = self.now();
            if now != before {
                (before, since) = (now, Instant::now());
            }
        }
    }

    /// A request has come.
    pub(super) fn asked(&self) {
        self.moved(1);
    }

    fn now(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    fn moved(&self, bytes: usize) {
        if bytes > 0 {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Counted {
    pub(super) fn new(stream: TcpStream) -> (Self, Progress) {
        let progress = Progress::default();
        (Self { stream, progress: progress.clone() }, progress)
    }
}

impl AsyncRead for Counted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Counted {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.note(polled)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.note(polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

impl Counted {
    fn note(&self, polled: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Ok(bytes)) = polled {
            self.progress.moved(bytes);
        }
        polled
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    const LIMIT: Duration = Duration::from_secs(30);

    async fn connection() -> (Counted, Progress, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let far = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (counted, progress) = Counted::new(listener.accept().await.unwrap().0);
        tokio::time::pause();
        (counted, progress, far)
    }

    /// How long it lasts, in seconds, when something happens after the half of the limit.
    async fn lasts(progress: &Progress, happens: impl Future<Output = ()>) -> u64 {
        let began = Instant::now();
        let later = async {
            tokio::time::sleep(LIMIT / 2).await;
            happens.await;
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = progress.stalled(LIMIT) => {}
            () = later => {}
        }
        began.elapsed().as_secs()
    }

    #[tokio::test]
    async fn what_is_written_and_requests_put_the_end_off() {
        let (mut counted, progress, _far) = connection().await;
        assert_eq!(lasts(&progress, async {}).await, LIMIT.as_secs());
        let written = lasts(&progress, async { counted.write_all(b"x").await.unwrap() }).await;
        assert!((40..=50).contains(&written), "{written}");
        let asked = lasts(&progress, async { progress.asked() }).await;
        assert!((40..=50).contains(&asked), "{asked}");
    }

    #[tokio::test]
    async fn a_request_that_comes_byte_by_byte_does_not() {
        let (mut counted, progress, mut far) = connection().await;
        let trickle = async {
            far.write_all(b"G").await.unwrap();
            counted.read_u8().await.unwrap();
        };
        assert_eq!(lasts(&progress, trickle).await, LIMIT.as_secs());
    }
}
