//! Telling a connection that does something from one that only takes a place: whoever neither sends nor takes a byte,
//! whether it holds back a request, its first byte or what it was answered.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// A connection whose progress is counted.
pub(super) struct Counted {
    stream: TcpStream,
    progress: Progress,
}

/// Reads and writes that moved something.
#[derive(Clone, Default)]
pub(super) struct Progress(Arc<AtomicU64>);

impl Progress {
    /// Ends once nothing has moved for `limit`, or up to twice as long.
    pub(super) async fn stalled(&self, limit: Duration) {
        let mut before = None;
        loop {
            let now = self.0.load(Ordering::Relaxed);
            if before.replace(now) == Some(now) {
                return;
            }
            tokio::time::sleep(limit).await;
        }
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
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buf);
        self.progress.moved(buf.filled().len() - before);
        polled
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
    use tokio::io::AsyncWriteExt as _;
    use tokio::net::TcpListener;
    use tokio::time::Instant;

    use super::*;

    #[tokio::test]
    async fn bytes_put_the_end_off() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (mut counted, progress) = Counted::new(stream);
        tokio::time::pause();
        let began = Instant::now();
        let limit = Duration::from_secs(10);
        let writes = async {
            tokio::time::sleep(limit / 2).await;
            counted.write_all(b"x").await.unwrap();
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = progress.stalled(limit) => {}
            () = writes => {}
        }
        assert_eq!(began.elapsed().as_secs(), 2 * limit.as_secs());
    }
}
