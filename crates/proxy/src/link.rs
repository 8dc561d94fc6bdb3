//! An encoder's connection: a socket and the RTMP session on it.

use std::io;

use bytes::BytesMut;
use headwater_rtmp::{Event, PublishRequest, Rejection, RtmpError, ServerSession};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// What is read at once: a tenth of a second at 5 Mb/s, so that a busy connection costs few system calls.
const READ_SIZE: usize = 64 << 10;

#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    #[error("the encoder closed the connection")]
    Closed,
    #[error("the connection broke: {0}")]
    Io(#[from] io::Error),
    #[error("the encoder broke the protocol: {0}")]
    Rtmp(#[from] RtmpError),
}

pub struct Link {
    socket: TcpStream,
    session: ServerSession,
    buffer: BytesMut,
}

impl Link {
    pub fn new(socket: TcpStream, session: ServerSession) -> Self {
        Self { socket, session, buffer: BytesMut::new() }
    }

    /// Waits for bytes; gives how many they were. Nothing is lost when it is cancelled. [`take_in`](Self::take_in)
    /// comes after it.
    pub async fn read(&mut self) -> Result<usize, LinkError> {
        self.buffer.reserve(READ_SIZE);
        match self.socket.read_buf(&mut self.buffer).await? {
            0 => Err(LinkError::Closed),
            count => Ok(count),
        }
    }

    /// Makes events of what was read, and sends what the session answers.
    pub async fn take_in(&mut self) -> Result<(), LinkError> {
        let taken = self.session.handle_input(self.buffer.split().freeze());
        // What the session has to say is sent even when it gives up.
        self.flush().await?;
        Ok(taken?)
    }

    pub fn next_event(&mut self) -> Option<Event> {
        self.session.poll_event()
    }

    pub fn close_requested(&self) -> bool {
        self.session.close_requested()
    }

    pub async fn accept(&mut self, request: PublishRequest) -> Result<(), LinkError> {
        self.session.accept(request)?;
        self.flush().await
    }

    pub async fn reject(&mut self, request: PublishRequest, rejection: Rejection) -> Result<(), LinkError> {
        self.session.reject(request, rejection)?;
        self.close().await
    }

    /// Tells an accepted publisher why it can't stay, and closes.
    pub async fn fail(&mut self, rejection: &Rejection) -> Result<(), LinkError> {
        self.session.fail(rejection)?;
        self.close().await
    }

    async fn flush(&mut self) -> Result<(), LinkError> {
        while let Some(bytes) = self.session.poll_output() {
            self.socket.write_all(&bytes).await?;
        }
        Ok(())
    }

    /// Sends what is left, then reads until the encoder closes as well: closing over unread bytes would reset the
    /// connection, and the encoder might never see the reason.
    async fn close(&mut self) -> Result<(), LinkError> {
        self.flush().await?;
        self.socket.shutdown().await?;
        let drained = async {
            loop {
                self.buffer.clear();
                self.buffer.reserve(READ_SIZE);
                if self.socket.read_buf(&mut self.buffer).await? == 0 {
                    return io::Result::Ok(());
                }
            }
        };
        match tokio::time::timeout(CLOSE_TIMEOUT, drained).await {
            Ok(closed) => Ok(closed?),
            Err(_) => Ok(()),
        }
    }
}

/// How long an encoder may take to close its side.
const CLOSE_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(2);
