//! Signs of life of a recording's owner, which are objects that it writes anyway: its mark, and the newest block of its journal.
//!
//! They stand beside the media, so they hold where the registry is empty, away, or another one. An owner that can't reach
//! the store either gives no sign; its lease may still say that it is there.

use std::time::Duration;

use bytes::Bytes;
use headwater_media::Epoch;
use headwater_platform::store::{Key, ObjectStore, Replaced, StoreError, Version};
use headwater_wire::{Handoff, JournalBlock};
use uuid::Uuid;

use crate::Layout;
use crate::pages::all_below;

/// How long an owner may write nothing, besides the time that it waits for its publisher: a few segments of any length, and
/// the longest pause of uploads that fail.
pub const SILENT_OWNER_GRACE: Duration = Duration::from_secs(30);
const JOURNAL_TYPE: &str = "application/octet-stream";

/// The body of a mark: whose it is, and something that no other mark says, as versions may follow from the bytes.
pub fn mark_text(epoch: Option<Epoch>) -> Bytes {
    let epoch = epoch.map(|epoch| epoch.to_string()).unwrap_or_default();
    format!("{epoch} {}", Uuid::now_v7()).into()
}

/// The signs of life of a recording's owner, at one moment.
#[derive(Clone, Debug)]
pub struct Pulse {
    mark: Option<Mark>,
    newest: Option<Newest>,
}

/// The object that marks a recording as unfinished.
#[derive(Clone, Debug)]
struct Mark {
    version: Version,
    age: Duration,
    /// Of the owner that has written it, if it says so.
    epoch: Option<Epoch>,
}

/// The newest block of the newest owner that has written any.
#[derive(Clone, Debug)]
struct Newest {
    key: Key,
    version: Version,
    age: Duration,
    epoch: Option<Epoch>,
    /// None where it is damaged.
    block: Option<JournalBlock>,
}

impl Pulse {
    /// Looks at a recording. Costs a list and two reads.
    ///
    /// # Errors
    /// When the store does not say.
    pub async fn of(store: &dyn ObjectStore, layout: &Layout) -> Result<Self, StoreError> {
        let mark = find_mark(store, layout).await?;
        let mut blocks = all_below(store, &layout.journals()).await?;
        blocks.retain(|entry| Layout::block_of(&entry.key).is_some());
        let Some(last) = blocks.pop() else {
            return Ok(Self { mark, newest: None });
        };
        let newest = found_or_none(store.look(&last.key).await)?.map(|seen| Newest {
            epoch: Layout::epoch_of(&last.key),
            key: last.key,
            version: seen.version,
            age: seen.age,
            block: JournalBlock::decode(seen.body).ok(),
        });
        Ok(Self { mark, newest })
    }

    /// Whether the owner has shown that it lives, no longer ago than it may be silent: its reconnect window, or this one
    /// where that is longer, and [`SILENT_OWNER_GRACE`].
    pub fn is_beating(&self, reconnect_window: Duration) -> bool {
        !self.is_closed() && self.newest_age().is_some_and(|age| age < self.patience(reconnect_window))
    }

    /// How long the owner may be silent.
    pub fn patience(&self, reconnect_window: Duration) -> Duration {
        let own = self.journal_block().map_or(Duration::ZERO, |block| block.reconnect_window);
        own.max(reconnect_window) + SILENT_OWNER_GRACE
    }

    /// Whether there was no sign of life from the one moment to the other.
    pub fn is_still(&self, later: &Self) -> bool {
        self.is_mark_still(later)
            && self.newest.as_ref().map(Newest::key_and_version)
                == later.newest.as_ref().map(Newest::key_and_version)
    }

    /// Whether there was no sign of life from when everything but the mark was deleted to the later moment.
    pub(crate) fn is_all_there_is(&self, later: &Self) -> bool {
        self.is_mark_still(later) && later.newest.is_none()
    }

    fn is_mark_still(&self, later: &Self) -> bool {
        self.mark.as_ref().map(|mark| &mark.version) == later.mark.as_ref().map(|mark| &mark.version)
    }

    /// The newest owner that has written anything.
    pub(crate) fn newest_epoch(&self) -> Option<Epoch> {
        let successor = self.journal_block().and_then(|block| block.successor);
        self.marked_epoch().max(self.newest.as_ref().and_then(|newest| newest.epoch)).max(successor)
    }

    /// The handoff of the newest owner, and its age; none where the broadcast does not go on, or no longer.
    pub(crate) fn newest_handoff(&self) -> Option<(Handoff, Duration)> {
        let newest = self.newest.as_ref().filter(|_| !self.is_closed())?;
        let handoff = newest.block.as_ref()?.handoff.clone()?;
        (newest.age < handoff.lasts).then_some((handoff, newest.age))
    }

    /// Whether no owner has written anything that viewers may have seen.
    pub(crate) fn is_unseen(&self) -> bool {
        self.newest.is_none()
    }

    /// Whether another owner has begun than the one that has written last.
    pub(crate) fn is_taken_up(&self) -> bool {
        self.newest.as_ref().is_some_and(|newest| self.marked_epoch() > newest.epoch)
    }

    /// Whether somebody has brought the recording to its end, and nobody has begun to go on with it since.
    pub(crate) fn is_closed(&self) -> bool {
        let is_newest = self.newest.as_ref().is_some_and(|newest| self.marked_epoch() <= newest.epoch);
        is_newest && self.journal_block().is_some_and(|block| block.is_closed)
    }

    /// Closes the recording, with what `add` makes of its newest block. An owner that has written meanwhile has the better
    /// claim: false then, and nothing is done. An owner that writes later finds out that it was taken for dead.
    pub(crate) async fn close_journal(
        &mut self,
        store: &dyn ObjectStore,
        add: impl FnOnce(&mut JournalBlock),
    ) -> Result<bool, StoreError> {
        self.change_block(store, |block| {
            block.is_closed = true;
            add(block);
        })
        .await
    }

    /// Changes the newest block, unless somebody has written it meanwhile: whether it is as it should be.
    pub(crate) async fn change_block(
        &mut self,
        store: &dyn ObjectStore,
        change: impl FnOnce(&mut JournalBlock),
    ) -> Result<bool, StoreError> {
        let Some((newest, block)) = self.newest.as_mut().and_then(|n| n.block.clone().map(|b| (n, b))) else {
            // There is nothing that an owner would write over.
            return Ok(true);
        };
        let mut block = JournalBlock { revision: block.revision + 1, ..block };
        change(&mut block);
        let changed = store.replace(&newest.key, block.encode(), JOURNAL_TYPE, &newest.version).await?;
        let Replaced::Stored(version) = changed else { return Ok(false) };
        (newest.version, newest.age, newest.block) = (version, Duration::ZERO, Some(block));
        Ok(true)
    }

    fn newest_age(&self) -> Option<Duration> {
        let mark = self.mark.as_ref().map(|mark| mark.age);
        mark.into_iter().chain(self.newest.as_ref().map(|newest| newest.age)).min()
    }

    fn marked_epoch(&self) -> Option<Epoch> {
        self.mark.as_ref().and_then(|mark| mark.epoch)
    }

    /// The newest block, and what it says.
    pub(crate) fn newest_block(&self) -> Option<((Epoch, u32), &JournalBlock)> {
        Layout::block_of(&self.newest.as_ref()?.key).zip(self.journal_block())
    }

    fn journal_block(&self) -> Option<&JournalBlock> {
        self.newest.as_ref()?.block.as_ref()
    }
}

impl Newest {
    fn key_and_version(&self) -> (&Key, &Version) {
        (&self.key, &self.version)
    }
}

async fn find_mark(store: &dyn ObjectStore, layout: &Layout) -> Result<Option<Mark>, StoreError> {
    let seen = found_or_none(store.look(&layout.marker()).await)?;
    Ok(seen.map(|seen| Mark { version: seen.version, age: seen.age, epoch: epoch_of(&seen.body) }))
}

fn epoch_of(mark: &[u8]) -> Option<Epoch> {
    let text = std::str::from_utf8(mark).ok()?;
    text.split(' ').next()?.parse().ok().map(Epoch)
}

fn found_or_none<T>(seen: Result<T, StoreError>) -> Result<Option<T>, StoreError> {
    match seen {
        Err(StoreError::NotFound) => Ok(None),
        seen => seen.map(Some),
    }
}

#[cfg(test)]
mod tests;
