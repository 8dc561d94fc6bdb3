//! End of a simulated connection.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tonic::transport::server::Connected;

use super::net::Net;

pub struct Socket {
    net: Net,
    connection: u64,
    end: usize,
}

impl Socket {
    pub(super) fn new(net: Net, connection: u64, end: usize) -> Self {
        Self { net, connection, end }
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Some(read) = self.net.read(self.connection, self.end, cx.waker()) else { return Poll::Pending };
        if let Some(mut bytes) = read? {
            let rest: Bytes = bytes.split_off(bytes.len().min(buffer.remaining()));
            buffer.put_slice(&bytes);
            if !rest.is_empty() {
                self.net.unread(self.connection, self.end, rest);
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.net.write(self.connection, self.end, bytes, cx.waker()) {
            Some(written) => Poll::Ready(written),
            None => Poll::Pending,
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.net.finish(self.connection, self.end);
        Poll::Ready(Ok(()))
    }
}

impl Connected for Socket {
    type ConnectInfo = ();
    fn connect_info(&self) {}
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.net.close(self.connection, self.end);
    }
}
