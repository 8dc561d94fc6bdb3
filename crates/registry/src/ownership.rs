use std::time::Duration;

use headwater_media::{BroadcastId, Epoch};

use crate::ServerId;

/// Owner of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ownership {
    pub server: ServerId,
    /// Address of the server's gRPC, `host:port`.
    pub address: String,
    pub epoch: Epoch,
    /// Broadcast on air; `None` until the owner's first renewal.
    pub broadcast: Option<BroadcastId>,
}

/// State that the next owner of a stream needs to continue its broadcast, should this one die without a word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handoff {
    /// The servers' own: some hundred bytes, without a secret.
    pub document: String,
    /// How long it holds, from when it was written.
    pub lasts: Duration,
}

/// Outcome of a claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claim {
    /// The stream belongs to the claimed server now.
    Granted(Ownership),
    /// The stream has a living owner already.
    Held(Ownership),
    /// Nobody owns the stream now, and since the epoch that was to be gone on from another one was on air, this one.
    Passed(Epoch),
}
