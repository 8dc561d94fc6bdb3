//! The directory: who may publish and who may ask, as documents in the object store.
//!
//! | Document | Object | Holds |
//! | --- | --- | --- |
//! | [live input](LiveInput) | `inputs/<uid>.json` | settings of one stream, and its sealed stream key |
//! | look-up of a key | `keys/<HMAC of the key>.json` | uid of the input that the key may open |
//! | [access token](AccessToken) | `tokens/<id>.json` | scopes, expiry, and the hash of the token |
//!
//! A document is written by compare-and-set, so that of several writers of one state one succeeds. The input document is
//! the truth: a look-up document opens nothing unless the input that it names has this key. The two are written so that
//! a writer may die between them: creating and rotating write the look-up first, deleting deletes it last.
//!
//! Stream keys must be shown again, so they are [sealed](Sealer) under `directory.secret`; tokens are kept as hashes only.
//! Times of documents come from the caller.

mod copy;
mod document;
mod error;
mod input;
mod inputs;
mod layout;
mod seal;
mod settings;
mod tokens;

use std::sync::Arc;

use headwater_platform::store::ObjectStore;

pub use headwater_access::{AccessToken, NewToken, Scope, TokenText};

pub use copy::{DirectoryCopy, Found};
pub use error::DirectoryError;
pub use input::{Block, InputRecording, InputSettings, LiveInput, RecordingMode};
pub use inputs::{InputPage, MAX_PAGE_INPUTS};
pub use seal::{SealError, Sealer};
pub use settings::{open_directory, own_secret};

/// Live inputs and access tokens in one store. Clones share it.
#[derive(Clone, Debug)]
pub struct Directory {
    store: Arc<dyn ObjectStore>,
    sealer: Arc<Sealer>,
}

impl Directory {
    /// Directory in a store of its own: nobody else's objects may lie beside its own.
    pub fn new(store: Arc<dyn ObjectStore>, sealer: Sealer) -> Self {
        Self { store, sealer: Arc::new(sealer) }
    }
}
