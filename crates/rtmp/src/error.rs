//! Errors of a connection. No text here holds anything that the peer sent: it could be a stream key.

use rml_rtmp::chunk_io::ChunkSerializationError;
use rml_rtmp::handshake::HandshakeError;

use crate::amf::AmfError;

/// The connection cannot go on: send what [`poll_output`](crate::ServerSession::poll_output) still holds, and close it.
#[derive(Debug, thiserror::Error)]
pub enum RtmpError {
    #[error("this is TLS: use the rtmps port, or an rtmp:// URL without TLS")]
    Tls,
    #[error("this is not an RTMP handshake")]
    Handshake(#[source] HandshakeError),
    #[error("a chunk continues or refers to a message that never began")]
    NoPrecedingChunk,
    #[error("a new message began on a chunk stream before its last one was complete")]
    UnfinishedMessage,
    #[error("more than {limit} chunk streams")]
    TooManyChunkStreams { limit: usize },
    #[error("a message of {length} bytes, where {limit} are allowed")]
    MessageTooLong { length: usize, limit: usize },
    #[error("unfinished messages hold more than {limit} bytes")]
    ReassemblyFull { limit: usize },
    #[error("more than {limit} messages at once")]
    TooManyMessages { limit: usize },
    #[error("{limit} bytes arrived before the publish request was answered")]
    HeldBackFull { limit: usize },
    #[error("a chunk size of zero, or above 2^31 - 1")]
    ChunkSize,
    #[error("a {what} message is too short")]
    Truncated { what: &'static str },
    #[error("unreadable AMF0")]
    Amf(#[from] AmfError),
    #[error("a command without a name")]
    NamelessCommand,
    #[error("{command} came before connect, or after it was already done")]
    OutOfOrder { command: &'static str },
    #[error("more than {limit} message streams")]
    TooManyStreams { limit: usize },
    #[error("a message is too long to be sent")]
    Serialise(#[from] ChunkSerializationError),
    #[error("nothing is being published on this connection")]
    NotPublishing,
}
