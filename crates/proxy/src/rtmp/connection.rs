//! RTMP connection of an encoder: its socket, and the session on it.

use std::io;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
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
    /// Rest of an answer that was cut by a cancellation.
    unsent: Bytes,
    /// Fault of an encoder that broke the protocol, until [`end`](Self::end) returns it.
    broken: Option<RtmpError>,
}

impl RtmpConnection {
    /// Connection on this socket, whose handshake is still to come.
    pub fn new(socket: Box<dyn Socket>, session: ServerSession) -> Self {
        let buffer = BytesMut::with_capacity(READ_BLOCK_BYTES);
        Self { socket, session, buffer, unsent: Bytes::new(), broken: None }
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

    /// Makes events of the bytes that were read, and sends the session's answers. Nothing is lost when it is cancelled:
    /// the next call that sends goes on with the rest. The fault of an encoder that breaks the protocol is returned by
    /// [`end`](Self::end), behind the events before it.
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
        loop {
            if self.unsent.is_empty() {
                let Some(answers) = self.session.poll_output() else { return Ok(()) };
                self.unsent = answers;
            }
            timeout(WRITE_TIMEOUT, self.socket.write_all_buf(&mut self.unsent))
                .await
                .map_err(|_| SourceError::Unread)??;
        }
    }
}

#[cfg(test)]
mod tests {
    use headwater_rtmp::ServerConfig;

    use super::*;

    const HANDSHAKE: usize = 1_536;

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_is_cut_by_a_cancellation_goes_on_where_it_was() {
        let (mut encoder, socket) = tokio::io::duplex(HANDSHAKE + 1);
        let session = ServerSession::new(ServerConfig::default());
        let mut connection = RtmpConnection::new(Box::new(socket), session);
        let hello: Vec<u8> = (0..HANDSHAKE).map(|n| if n < 8 { 0 } else { n as u8 }).collect();
        encoder.write_all(&[&[3][..], &hello].concat()).await.unwrap();
        connection.read().await.unwrap();
        let cut = timeout(WRITE_TIMEOUT / 2, connection.process_input()).await;
        assert!(cut.is_err(), "the encoder has read nothing");

        let mut answer = vec![0; 1 + 2 * HANDSHAKE];
        let read = timeout(WRITE_TIMEOUT, encoder.read_exact(&mut answer));
        let (sent, read) = tokio::join!(connection.process_input(), read);
        sent.unwrap();
        read.expect("the rest of the answer comes").unwrap();
        assert_eq!(answer[0], 3);
        assert!(answer.ends_with(&hello[8..]), "the last part of the answer repeats the encoder's own");
    }
}
