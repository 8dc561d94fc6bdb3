//! An object on its way to the store.

use bytes::Bytes;
use headwater_platform::store::Key;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio::time::Instant;

use super::guard::Guard;

/// How an object is put.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum PutMode {
    /// Unless there is one: media, whose first copy is the one that viewers know.
    New,
    /// Over the one that is there, which its owner alone writes as long as nobody takes it for dead ([`Guard`]).
    Own,
    /// Over the one that is there, whoever has written it. Out of date as soon as somebody else has taken over.
    Latest,
}

impl PutMode {
    /// Whether it still should be put when another process finds it.
    pub(super) fn outlives_its_process(self) -> bool {
        self != Self::Latest
    }
}

/// How far an object is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// In memory: lost with the process.
    Waiting,
    /// On the disk of this machine; the store is slow or away.
    Spooled,
    /// In the store.
    Stored {
        /// Bytes of what is there, which may be another copy that was there before.
        size: u64,
    },
    /// There was no room for it until the store came back. It is lost.
    Dropped,
}

impl Progress {
    fn is_settled(self) -> bool {
        matches!(self, Self::Stored { .. } | Self::Dropped)
    }
}

/// The progress of an object, to be followed by whoever has handed it over.
#[derive(Clone, Debug)]
pub struct Receipt(pub(super) watch::Receiver<Progress>);

impl Receipt {
    /// How far the object is now.
    pub fn progress(&self) -> Progress {
        *self.0.borrow()
    }

    /// Waits until the object survives this process, or is lost: [`Progress::Waiting`] only when the uploads have ended.
    pub async fn safe(&mut self) -> Progress {
        self.wait_until(|progress| progress != Progress::Waiting).await
    }

    /// Waits until the object is stored or lost; something else only when the uploads have ended.
    pub async fn settled(&mut self) -> Progress {
        self.wait_until(Progress::is_settled).await
    }

    async fn wait_until(&mut self, wanted: impl Fn(Progress) -> bool) -> Progress {
        // Without the uploads nothing changes any more.
        let _ = self.0.wait_for(|progress| wanted(*progress)).await;
        self.progress()
    }
}

/// An object that is not stored yet.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) lane: String,
    pub(super) key: Key,
    pub(super) content_type: String,
    pub(super) mode: PutMode,
    /// Of an object that somebody else may take over.
    pub(super) guard: Option<Guard>,
    pub(super) body: Body,
    /// Bytes of the object.
    pub(super) size: u64,
    /// When it was handed over.
    pub(super) since: Instant,
    /// Whether a request with it is at work.
    pub(super) is_in_flight: bool,
    /// More than one where an object was replaced before it was stored.
    pub(super) receipts: Vec<watch::Sender<Progress>>,
}

/// Bytes of an object, or their place.
#[derive(Clone, Debug)]
pub(super) enum Body {
    Memory(Bytes),
    Disk {
        /// Bytes of the file.
        file_size: u64,
    },
}

impl Job {
    pub(super) fn tell_receipts(&self, progress: Progress) {
        for receipt in &self.receipts {
            receipt.send_replace(progress);
        }
    }

    pub(super) fn in_memory(&self) -> Option<&Bytes> {
        match &self.body {
            Body::Memory(bytes) => Some(bytes),
            Body::Disk { .. } => None,
        }
    }
}
