//! The index of a recording, as its owners have written it down: who comes later reads what was stored before.
//!
//! Each owner of the stream writes blocks of its own, named by its epoch. One that has lost the stream without knowing it
//! therefore can't harm what its successor has written, and what it says of segments that the successor has made is void.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use headwater_hls::{Archive, Record, StoredSegment};
use headwater_media::{Epoch, MediaSequence, RenditionId, SegmentSettings};
use headwater_platform::store::{Key, ObjectStore, StoreError};
use headwater_wire::JournalBlock;

use crate::Layout;
use crate::pages::all_below;

/// Segments of a block. The newest block is written again for every segment: at half a minute of 100 bytes a rendition, that is
/// 12 KB a segment at most, for however long a broadcast lasts.
const BLOCK_SEGMENTS: usize = 60;
/// Blocks that are fetched at the same time. An hour has 30 of them.
const AT_ONCE: usize = 8;

/// What one owner writes.
#[derive(Debug)]
pub struct JournalWriter {
    layout: Layout,
    epoch: Epoch,
    settings: SegmentSettings,
    kept: Option<Vec<RenditionId>>,
    reconnect_window: Duration,
    dvr_window: Duration,
    /// How often a block was written.
    revision: u64,
    /// The number of the open block.
    number: u32,
    /// What it says.
    open: Vec<Record>,
}

impl JournalWriter {
    /// One that has written nothing. `kept` are the renditions that the recording keeps; none for all.
    pub fn new(
        layout: Layout,
        epoch: Epoch,
        settings: SegmentSettings,
        kept: Option<Vec<RenditionId>>,
    ) -> Self {
        Self {
            layout,
            epoch,
            settings,
            kept,
            reconnect_window: Duration::ZERO,
            dvr_window: Duration::ZERO,
            revision: 0,
            number: 0,
            open: Vec::new(),
        }
    }

    /// The same, for an owner that waits for its publisher for so long, and writes nothing meanwhile.
    #[must_use]
    pub fn waiting_for(self, reconnect_window: Duration) -> Self {
        Self { reconnect_window, ..self }
    }

    /// The same, of a broadcast that viewers can go back in by so much: the recording's end waits for them.
    #[must_use]
    pub fn reaching_back(self, dvr_window: Duration) -> Self {
        Self { dvr_window, ..self }
    }

    /// Whether there is nothing to be written yet.
    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// The renditions that the recording keeps; none for all.
    pub fn kept(&self) -> Option<&[RenditionId]> {
        self.kept.as_deref()
    }

    /// The recording keeps these from now on.
    pub fn keep(&mut self, kept: Vec<RenditionId>) {
        self.kept = Some(kept);
    }

    /// Takes one more record. What is said anew of a segment replaces what was said before.
    pub fn append(&mut self, record: Record) {
        if let Record::Segment(segment) = &record
            && let Some(said) = self.open.iter_mut().find(|said| is_of(said, segment.sequence))
        {
            *said = record;
            return;
        }
        if self.open.iter().filter(|record| matches!(record, Record::Segment(_))).count() >= BLOCK_SEGMENTS {
            self.open.clear();
            self.number += 1;
        }
        self.open.push(record);
    }

    /// The open block as an object: to be written, again, after what it names.
    pub fn block(&mut self) -> (Key, Bytes) {
        self.revision += 1;
        let block = JournalBlock {
            broadcast: self.layout.broadcast,
            settings: self.settings,
            kept: self.kept.clone(),
            records: self.open.clone(),
            revision: self.revision,
            is_closed: false,
            reconnect_window: self.reconnect_window,
            dvr_window: self.dvr_window,
        };
        (self.layout.journal(self.epoch, self.number), block.encode())
    }
}

fn is_of(record: &Record, sequence: MediaSequence) -> bool {
    matches!(record, Record::Segment(segment) if segment.sequence == sequence)
}

/// All that is written down of a recording.
#[derive(Clone, Debug, PartialEq)]
pub struct Recording {
    /// Everything that was stored, in all renditions.
    pub archive: Archive,
    /// The renditions that the recording keeps; none for all. The others are deleted when they leave the DVR window.
    pub kept: Option<Vec<RenditionId>>,
    /// How far viewers can go back, as the newest owner has it.
    pub dvr_window: Duration,
    /// Of the newest owner that has written.
    pub epoch: Epoch,
}

impl Recording {
    /// Reads the journal; none where there is none.
    ///
    /// # Errors
    /// When the store does not give it.
    pub async fn load(store: &dyn ObjectStore, layout: &Layout) -> Result<Option<Self>, StoreError> {
        let blocks = all_below(store, &layout.journals()).await?;
        let read = |entry: headwater_platform::store::Entry| async move {
            let bytes = store.get(&entry.key).await?;
            Ok::<_, StoreError>(decode(&entry.key, bytes))
        };
        let blocks: Vec<_> = stream::iter(blocks).map(read).buffered(AT_ONCE).try_collect().await?;
        Ok(Self::merge(layout, blocks.into_iter().flatten()))
    }

    /// What the recording keeps of it.
    pub fn kept(&self) -> Archive {
        let Some(kept) = &self.kept else { return self.archive.clone() };
        only(&self.archive, |id| kept.contains(id))
    }

    fn merge(layout: &Layout, blocks: impl IntoIterator<Item = (Epoch, JournalBlock)>) -> Option<Self> {
        let mut epochs: BTreeMap<Epoch, Vec<Record>> = BTreeMap::new();
        let mut newest = None;
        for (epoch, block) in blocks {
            if block.broadcast == layout.broadcast {
                epochs.entry(epoch).or_default().extend(block.records);
                newest = Some((epoch, block.settings, block.kept, block.dvr_window));
            }
        }
        let (epoch, settings, kept, dvr_window) = newest?;
        let mut archive = Archive::new(layout.broadcast, settings, 0);
        let mut merged: Vec<Record> = Vec::new();
        // From the newest owner back, as each one bounds what those before it may say.
        let mut end = MediaSequence(u64::MAX);
        for records in epochs.into_values().rev() {
            let first = records.iter().filter_map(sequence).min();
            let valid = records.into_iter().filter(|record| begins(record) < end).collect();
            merged = [valid, merged].concat();
            end = end.min(first.unwrap_or(end));
        }
        for record in merged {
            if let Err(error) = archive.apply(&record) {
                tracing::warn!(broadcast = %layout.broadcast, %error, "a record of the journal is left out");
            }
        }
        Some(Self { archive, kept, dvr_window, epoch })
    }
}

/// One that can't be read is left out: its segments are gaps, and the others are there.
fn decode(key: &Key, bytes: Bytes) -> Option<(Epoch, JournalBlock)> {
    let epoch = Layout::epoch_of(key)?;
    match JournalBlock::decode(bytes) {
        Ok(block) => Some((epoch, block)),
        Err(error) => {
            tracing::error!(%key, %error, "a block of the journal can't be read");
            None
        }
    }
}

fn sequence(record: &Record) -> Option<MediaSequence> {
    match record {
        Record::Segment(segment) => Some(segment.sequence),
        Record::Period(_) => None,
    }
}

/// The first segment that a record says something of.
fn begins(record: &Record) -> MediaSequence {
    match record {
        Record::Segment(segment) => segment.sequence,
        Record::Period(period) => period.first_sequence,
    }
}

/// An archive without the renditions that are not wanted.
pub(crate) fn only(archive: &Archive, wanted: impl Fn(&RenditionId) -> bool) -> Archive {
    let mut kept = Archive::new(archive.broadcast(), archive.settings(), archive.discontinuity_sequence());
    for mut record in archive.records() {
        match &mut record {
            Record::Period(period) => period.renditions.retain(|(rendition, _)| wanted(&rendition.id)),
            Record::Segment(StoredSegment { pieces, .. }) => pieces.retain(|piece| wanted(&piece.rendition)),
        }
        // What is left out of a valid archive leaves a valid one, but for segments with nothing left.
        let _ = kept.apply(&record);
    }
    kept
}

#[cfg(test)]
mod tests;
