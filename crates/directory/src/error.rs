use std::time::Duration;

use headwater_media::StreamId;
use headwater_platform::store::{Key, StoreError};

use crate::seal::SealError;

/// Fault of a request to the directory. No text holds a key or a token.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    #[error("there is no live input {0}")]
    NoInput(StreamId),
    #[error("there is a live input {0} already")]
    InputExists(StreamId),
    /// Another writer changed the document after the caller had read it.
    #[error("the document was changed meanwhile: read it again, and repeat the change")]
    Changed,
    #[error("the document {key} can't be read: {reason}")]
    Damaged { key: Key, reason: String },
    #[error("the store did not answer within {0:?}")]
    TooSlow(Duration),
    #[error(transparent)]
    Seal(#[from] SealError),
    #[error(transparent)]
    Store(#[from] StoreError),
}
