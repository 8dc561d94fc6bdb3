//! RTMP connection of an encoder: its socket, and the session on it.

use std::io;
use std::time::Duration;

use bytes::BytesMut;
use headwater_rtmp::{Event, PublishRequest, Rejection, RtmpError, ServerSession};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

use crate::source::SourceError;

/// Bytes of the block that is read into: a tenth of a second at 5 Mb/s, so that a busy connection costs few system
/// calls. The block is used again, as the timeline copies the payloads that are kept (`media::Timeline`).
const READ_BLOCK_BYTES: usize = 64 << 10;
/// Free bytes of the block below which a new one is made.
const MIN_FREE_BYTES: usize = 8 << 10;
/// Time that an encoder may leave messages to it unread. They are few, and fit into the system's buffer.
const WRITE_TIMEOUT: Duration = Duration::from_secs(5);
/// Time that an encoder may take to close its side.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// Transport of a connection: TCP, unless the network is simulated.
pub trait Socket: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Socket for S {}

/// RTMP connection of an encoder.
pub struct RtmpConnection {
    socket: Box<dyn Socket>,
    session: ServerSession,
    buffer: BytesMut,
    /// Fault of an encoder that broke the protocol, until [`end`](Self::end) returns it.
    broken: Option<RtmpError>,
}

impl RtmpConnection {
    /// Connection on this socket, whose handshake is still to come.
    pub fn new(socket: Box<dyn Socket>, session: ServerSession) -> Self {
        Self { socket, session, buffer: BytesMut::with_capacity(READ_BLOCK_BYTES), broken: None }
    }

    /// Waits for bytes; gives how many they were. Nothing is lost when it is cancelled.
    /// [`process_input`](Self::process_input) has to follow.
    pub async fn read(&mut self) -> Result<usize, SourceError> {
        self.reserve_block();
        match self.socket.read_buf(&mut self.buffer).await? {
            0 => Err(SourceError::Closed),
            count => Ok(count),
        }
    }

    /// Makes events of the bytes that were read, and sends the session's answers. Not to be cancelled: half an answer
    /// would be sent. The fault of an encoder that breaks the protocol is returned by [`end`](Self::end), behind the
    /// events before it.
    pub async fn process_input(&mut self) -> Result<(), SourceError> {
        let taken = self.session.handle_input(self.buffer.split().freeze());
        self.record_error(taken);
        self.flush().await
    }

    /// Next event; none when more has to be read first, or the connection has ended.
    pub fn next_event(&mut self) -> Option<Event> {
        self.session.poll_event()
    }

    /// Reason why no more events will come, to be asked when there is no [`next_event`](Self::next_event).
    pub fn end(&mut self) -> Option<SourceError> {
        match self.broken.take() {
            Some(error) => Some(error.into()),
            None => self.session.close_requested().then_some(SourceError::Closed),
        }
    }

    /// Lets a publisher go on air, and goes on with what was held back.
    pub async fn accept(&mut self, request: PublishRequest) -> Result<(), SourceError> {
        let accepted = self.session.accept(request);
        self.record_error(accepted);
        self.flush().await
    }

    /// Tells a publisher why it is not accepted. The connection is to be closed.
    pub async fn reject(&mut self, request: PublishRequest, rejection: Rejection) -> Result<(), SourceError> {
        self.session.reject(request, rejection)?;
        self.flush().await
    }

    /// Tells an accepted publisher why it can't stay. The connection is to be closed.
    pub async fn fail(&mut self, rejection: &Rejection) -> Result<(), SourceError> {
        self.session.fail(rejection)?;
        self.flush().await
    }

    /// Asks an accepted publisher to connect again, if its `connect` said that it can. Gives whether it was asked.
    pub async fn request_reconnect(&mut self, description: &str) -> Result<bool, SourceError> {
        let asked = self.session.request_reconnect(description)?;
        self.flush().await?;
        Ok(asked)
    }

    /// Closes, and reads until the encoder closes as well: closing over unread bytes would reset the connection, and the
    /// encoder might never see the last message to it.
    pub async fn close(mut self) {
        let drained = async {
            self.socket.shutdown().await?;
            loop {
                self.buffer.clear();
                self.reserve_block();
                if self.socket.read_buf(&mut self.buffer).await? == 0 {
                    return io::Result::Ok(());
                }
            }
        };
        if let Ok(Err(error)) = timeout(CLOSE_TIMEOUT, drained).await {
            tracing::debug!(%error, "the connection broke while it was closed");
        }
    }

    fn record_error(&mut self, result: Result<(), RtmpError>) {
        self.broken = self.broken.take().or(result.err());
    }

    fn reserve_block(&mut self) {
        if self.buffer.capacity() - self.buffer.len() < MIN_FREE_BYTES {
            self.buffer.reserve(READ_BLOCK_BYTES);
        }
    }

    async fn flush(&mut self) -> Result<(), SourceError> {
        while let Some(bytes) = self.session.poll_output() {
            timeout(WRITE_TIMEOUT, self.socket.write_all(&bytes))
                .await
                .map_err(|_| SourceError::Unread)??;
        }
        Ok(())
    }
}
