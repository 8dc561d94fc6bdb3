//! The handoff of a broadcast: left for its next owner, should this one die without a word.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use headwater_media::lock::MutexExt;
use headwater_media::{MediaSequence, ResumePoint};
use headwater_wire::Handoff;
use tokio::time::Instant;

use super::LiveFeed;
use crate::recording::JournalHandoff;

/// The handoff of one broadcast as it is now: for the registry, and for the journal in the store.
pub(crate) struct HandoffSource {
    feed: Arc<LiveFeed>,
    /// Time for which a publisher may be away.
    reconnect_window: Duration,
    /// Time at which the broadcast ends unless a publisher comes; none while one is there.
    ends_at: Mutex<Option<Instant>>,
}

impl HandoffSource {
    pub(crate) fn new(feed: Arc<LiveFeed>, reconnect_window: Duration) -> Self {
        Self { feed, reconnect_window, ends_at: Mutex::default() }
    }

    /// Notes that a publisher has come, or has left, and that the broadcast ends at this time.
    pub(super) fn ends_at(&self, at: Option<Instant>) {
        *self.ends_at.lock_ignoring_poison() = at;
    }
}

impl JournalHandoff for HandoffSource {
    /// None also where nobody has seen anything of the broadcast. While a publisher is there, viewers may get the beginning of
    /// [`ResumePoint::LEAD_SEGMENTS`] segments before the next word.
    fn handoff(&self, late: u64) -> Option<Handoff> {
        let ends_at = *self.ends_at.lock_ignoring_poison();
        let lasts = ends_at.map_or(self.reconnect_window, |at| at.saturating_duration_since(Instant::now()));
        if lasts.is_zero() || self.feed.has_ended() || self.feed.is_new() {
            return None;
        }
        let is_publishing = ends_at.is_none();
        let mut point = ResumePoint { begun_as: None, ..self.feed.starting_point() };
        if is_publishing {
            let shown = MediaSequence(self.feed.next_uncommitted().0 + ResumePoint::LEAD_SEGMENTS + late);
            point.next_sequence = point.next_sequence.max(shown);
            point.free = point.next_sequence;
        }
        Some(Handoff { point, is_publishing, lasts })
    }
}

/// The handoff as the registry keeps it.
pub(super) fn write(handoff: Handoff) -> headwater_registry::Handoff {
    let lasts = handoff.lasts;
    headwater_registry::Handoff { document: STANDARD.encode(handoff.encode()), lasts }
}

/// The point at which the next publisher begins, behind all that viewers may have; none where it can't be read.
pub(super) fn read(left: &headwater_registry::Handoff) -> Option<ResumePoint> {
    let handoff = Handoff::decode(&STANDARD.decode(&left.document).ok()?).ok()?;
    let age = handoff.lasts.saturating_sub(left.lasts);
    Some(handoff.point_after(age))
}
