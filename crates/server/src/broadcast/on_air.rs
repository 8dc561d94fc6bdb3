//! A broadcast that is on air: its feed, its publisher's place, and what is stored of it.

use std::sync::Arc;

use headwater_hls::WindowError;
use headwater_media::{BroadcastId, MediaEvent, ResumePoint};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::failure::just_ended;
use super::feed::Published;
use super::lease::Lease;
use super::{Attachment, LiveFeed, PublisherSlot, SourceLog};
use crate::failure::Failure;
use crate::recording::{Durability, Recorder};

/// A broadcast that viewers can follow.
#[derive(Clone)]
pub struct OnAir {
    pub id: BroadcastId,
    pub feed: Arc<LiveFeed>,
    pub slot: PublisherSlot,
    /// Facts about its publishers, and their health.
    pub source: Arc<SourceLog>,
    pub(crate) lease: Arc<Lease>,
    /// Recorder of the broadcast, where it is stored.
    pub(crate) recorder: Option<Arc<Recorder>>,
    /// Closed when no publisher is taken any more; viewers may still follow for a while.
    pub(super) sessions: mpsc::Sender<Attachment>,
    /// Cancelled when another server owns the stream, or has owned it meanwhile.
    pub(super) fenced: CancellationToken,
}

/// A segment that is whole in every rendition.
pub(crate) struct Commit {
    /// The point at which another server would go on.
    pub(crate) resume: ResumePoint,
    /// Done when the segment need not be made again should this server be lost.
    pub(crate) safe: Durability,
}

impl OnAir {
    /// Shows an event to viewers, and hands over to be stored what it has made whole.
    pub(crate) fn publish_event(&self, event: MediaEvent) -> Result<Option<Commit>, WindowError> {
        let was_new = self.feed.is_new();
        let Published { committed, whole } = self.feed.publish_event(event)?;
        let safe = self.recorder.as_ref().map(|recorder| recorder.record(whole)).unwrap_or_default();
        if committed.is_some() || was_new {
            // The handoff for the next owner has changed.
            self.lease.changed.notify_one();
        }
        Ok(committed.map(|resume| Commit { resume, safe }))
    }

    /// Notes whether the end of what a publisher has sent is lost.
    pub(crate) fn set_cut_short(&self, is_cut_short: bool) {
        if let Some(recorder) = &self.recorder {
            recorder.set_cut_short(is_cut_short);
        }
    }

    /// Whether no publisher is taken any more.
    pub fn is_over(&self) -> bool {
        self.sessions.is_closed()
    }

    /// Ends it without a word: another server has the stream, or has had it.
    pub(super) fn end_fenced(&self) {
        self.fenced.cancel();
    }

    /// Hands an accepted publisher's call to the broadcast. Waits where a replaced publisher is not done yet.
    pub async fn attach_publisher(&self, attachment: Attachment) -> Result<(), Failure> {
        self.sessions.send(attachment).await.map_err(|_| just_ended())
    }
}
