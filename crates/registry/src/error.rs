use headwater_media::{Epoch, StreamId};

use crate::ServerId;

/// Why a registry did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// The backend does not answer or refuses to work. Whether the command was carried out is not known.
    #[error("the registry at {backend} is not available: {cause}")]
    Unavailable {
        /// Host and port, never a password.
        backend: String,
        cause: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Another claim owns the stream by now, or has owned it, or the epoch was released, or it is another server's.
    #[error("epoch {epoch} of the stream {stream} is not this server's: the newest one is {newest}")]
    Fenced {
        stream: StreamId,
        epoch: Epoch,
        newest: Epoch,
        /// The server that the newest epoch was given to, also when its lease has run out; none where that is not known,
        /// or it was released.
        server: Option<ServerId>,
    },
    /// Something stored by somebody else can't be understood: another version, or another program's key.
    #[error("the registry holds something unreadable under {key}: {reason}")]
    Unreadable { key: String, reason: String },
}
