//! Observed connections: what comes and what is taken is told to an observer, which may also end a connection that waits.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::Stream;

/// Observer of one connection.
pub trait Observer: Unpin {
    /// Notes bytes that the peer has sent, at least one.
    fn note_read(&mut self, bytes: usize);

    /// Notes bytes that were written towards the peer, at least one.
    fn note_written(&mut self, _bytes: usize) {}

    /// Error that ends the connection while it waits for bytes of its peer.
    fn poll_end(&mut self, _cx: &mut Context<'_>) -> Poll<io::Error> {
        Poll::Pending
    }
}

/// Connection with an observer.
pub struct ObservedStream<O> {
    stream: Stream,
    observer: O,
}

impl<O> ObservedStream<O> {
    /// Has a connection observed.
    pub fn new(stream: Stream, observer: O) -> Self {
        Self { stream, observer }
    }

    /// The connection's observer.
    pub fn observer(&self) -> &O {
        &self.observer
    }
}

impl<O: Observer> ObservedStream<O> {
    fn note_written(&mut self, polled: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Ok(bytes @ 1..)) = polled {
            self.observer.note_written(bytes);
        }
        polled
    }
}

impl<O: Observer> AsyncRead for ObservedStream<O> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buf);
        let bytes = buf.filled().len() - before;
        if bytes > 0 {
            self.observer.note_read(bytes);
        }
        match polled {
            Poll::Pending => self.observer.poll_end(cx).map(Err),
            ready => ready,
        }
    }
}

impl<O: Observer> AsyncWrite for ObservedStream<O> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.note_written(polled)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.note_written(polled)
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

#[cfg(feature = "grpc")]
impl<O> tonic::transport::server::Connected for ObservedStream<O> {
    type ConnectInfo = tonic::transport::server::TcpConnectInfo;

    fn connect_info(&self) -> Self::ConnectInfo {
        match &self.stream {
            Stream::Plain(tcp) => tcp.connect_info(),
            Stream::Tls(tls) => tls.get_ref().0.connect_info(),
        }
    }
}
