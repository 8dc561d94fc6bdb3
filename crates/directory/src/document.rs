//! Documents as they are stored: JSON, read again by later releases, which may add fields.

use bytes::Bytes;
use headwater_media::{StreamId, UnixMillis};
use headwater_platform::store::Key;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::error::DirectoryError;
use crate::input::{Block, InputSettings, LiveInput};
use crate::seal::Sealer;

pub(crate) const CONTENT_TYPE: &str = "application/json";

/// Document of a live input.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct InputDocument {
    uid: String,
    revision: u64,
    created: u64,
    modified: u64,
    /// The input is being deleted: it is as good as gone.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) deleted: bool,
    sealed_key: String,
    key_made: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key_used: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    blocked: Option<BlockDocument>,
    settings: InputSettings,
}

/// Block of a live input.
#[derive(Serialize, Deserialize)]
struct BlockDocument {
    reason: String,
    since: u64,
}

/// Document that leads from a stream key to its input.
#[derive(Serialize, Deserialize)]
pub(crate) struct LookupDocument {
    pub(crate) uid: String,
}

impl InputDocument {
    pub(crate) fn seal(sealer: &Sealer, input: &LiveInput) -> Result<Self, DirectoryError> {
        Ok(Self {
            uid: input.uid.to_string(),
            revision: input.revision,
            created: input.created.0,
            modified: input.modified.0,
            deleted: false,
            sealed_key: sealer.seal(&place(&input.uid), input.stream_key.expose())?,
            key_made: input.key_made.0,
            key_used: input.key_used.map(|used| used.0),
            blocked: input
                .blocked
                .as_ref()
                .map(|block| BlockDocument { reason: block.reason.clone(), since: block.since.0 }),
            settings: input.settings.clone(),
        })
    }

    pub(crate) fn open(self, sealer: &Sealer, at: &Key) -> Result<LiveInput, DirectoryError> {
        let uid: StreamId = self.uid.parse().map_err(|error| damaged(at, error))?;
        let stream_key = sealer.open(&place(&uid), &self.sealed_key)?;
        Ok(LiveInput {
            stream_key: stream_key.parse().map_err(|error| damaged(at, error))?,
            settings: self.settings,
            created: UnixMillis(self.created),
            modified: UnixMillis(self.modified),
            key_made: UnixMillis(self.key_made),
            key_used: self.key_used.map(UnixMillis),
            blocked: self.blocked.map(|block| Block { reason: block.reason, since: UnixMillis(block.since) }),
            revision: self.revision,
            uid,
        })
    }
}

fn place(uid: &StreamId) -> String {
    format!("inputs/{uid}/streamKey")
}

pub(crate) fn to_json(document: &impl Serialize) -> Bytes {
    serde_json::to_vec(document).expect("documents have texts as names").into()
}

pub(crate) fn from_json<T: DeserializeOwned>(at: &Key, body: &[u8]) -> Result<T, DirectoryError> {
    serde_json::from_slice(body).map_err(|error| damaged(at, error))
}

fn damaged(key: &Key, reason: impl ToString) -> DirectoryError {
    DirectoryError::Damaged { key: key.clone(), reason: reason.to_string() }
}
