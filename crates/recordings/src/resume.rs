//! The takeover of a broadcast whose server has died, where the journal is all that is left of it.
//!
//! The journal's newest block has a handoff, and is written for each segment: a publisher that comes back while that holds
//! goes on with the broadcast. A server takes it over by compare-and-set on that block, so one of several does; an owner
//! that has written meanwhile keeps its broadcast, one that writes later finds its successor named and stops.

use std::time::Duration;

use bytes::Bytes;
use headwater_media::{Epoch, ResumePoint, StreamId};
use headwater_platform::store::{ObjectStore, StoreError};
use headwater_wire::{Handoff, JournalBlock};
use tokio::time::{Instant, sleep};

use crate::Layout;
use crate::layout::marks_of;
use crate::pages::all_below;
use crate::pulse::Pulse;

/// Longest time, beyond a segment's length, between two writings of an owner with a publisher: as long as it, its encoder and its
/// store keep up.
const MAX_WRITE_DELAY: Duration = Duration::from_secs(2);
/// Time between two looks at the owner's objects.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);
/// Error of an object's age: a store tells it to the second.
const AGE_ERROR: Duration = Duration::from_secs(1);

/// A broadcast that may go on, by its journal, and whose owner may be dead.
#[derive(Debug)]
pub struct Abandoned {
    layout: Layout,
    pulse: Pulse,
    handoff: Handoff,
    /// Age of the handoff when it was read.
    age: Duration,
    /// Time of that reading.
    read: Instant,
}

/// Reason why an abandoned broadcast is not taken over.
#[derive(Debug, thiserror::Error)]
pub enum Doubt {
    #[error("it is still written, so its server lives")]
    Alive,
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Abandoned {
    /// The newest broadcast of a stream that viewers have seen, if it is unfinished and may go on.
    ///
    /// # Errors
    /// When the store does not say.
    pub async fn find(store: &dyn ObjectStore, stream: &StreamId) -> Result<Option<Self>, StoreError> {
        let mut marked: Vec<Layout> = all_below(store, &marks_of(stream))
            .await?
            .iter()
            .filter_map(|mark| Layout::of_marker(&mark.key))
            .collect();
        // Names of broadcasts begin with the time of their start.
        marked.sort_by(|one, other| other.broadcast.as_bytes().cmp(one.broadcast.as_bytes()));
        for layout in marked {
            let read = Instant::now();
            let pulse = Pulse::of(store, &layout).await?;
            if pulse.is_unseen() {
                continue;
            }
            let Some((mut handoff, age)) = pulse.newest_handoff() else { return Ok(None) };
            if pulse.is_taken_up() {
                // It may have begun the next period, and told nobody.
                handoff.point.period = handoff.point.period.next();
            }
            return Ok(Some(Self { layout, pulse, handoff, age: age + AGE_ERROR, read }));
        }
        Ok(None)
    }

    /// The objects of the broadcast.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Epoch of the newest owner. Its successor has a newer one.
    pub fn epoch(&self) -> Epoch {
        self.pulse.newest_epoch().unwrap_or_default()
    }

    /// Waits until the owner is silent for longer than it would be if it lived. An owner without a publisher has nothing to
    /// write, and nothing to lose.
    ///
    /// # Errors
    /// When it turns out to live, or the store does not say.
    pub async fn falls_silent(&self, store: &dyn ObjectStore) -> Result<(), Doubt> {
        let segment = Duration::from_millis(self.handoff.point.settings.segment_ms.into());
        while self.handoff.is_publishing
            && self.read.elapsed() + self.age < segment + MAX_WRITE_DELAY + AGE_ERROR
        {
            sleep(LOOK_INTERVAL).await;
            if !self.pulse.is_still(&Pulse::of(store, &self.layout).await?) {
                return Err(Doubt::Alive);
            }
        }
        Ok(())
    }

    /// Takes the broadcast over under an epoch above its own. Gives the point at which its next publisher begins: behind all
    /// that viewers may have.
    ///
    /// # Errors
    /// When somebody else has written meanwhile, or the store does not take it.
    pub async fn take_over(mut self, store: &dyn ObjectStore, epoch: Epoch) -> Result<ResumePoint, Doubt> {
        let age = self.age + self.read.elapsed();
        let point = self.handoff.clone().point_after(age);
        let next = point.clone().begun().left_out(point.period.next());
        let handoff = Handoff { point: next, is_publishing: true, lasts: self.handoff.lasts };
        let change = |block: &mut JournalBlock| {
            block.successor = Some(epoch);
            // Should the successor die before it has written anything.
            block.handoff = Some(handoff);
        };
        if self.pulse.change_block(store, change).await? { Ok(point) } else { Err(Doubt::Alive) }
    }
}

/// Whether a block of a journal says that another server goes on with the recording.
pub fn names_successor(block: &Bytes) -> bool {
    JournalBlock::decode(block.clone()).is_ok_and(|block| block.successor.is_some())
}

#[cfg(test)]
mod tests;
