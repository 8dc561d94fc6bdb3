//! The index of a recording, as its owners have written it down: a later owner reads there which segments are stored.
//!
//! Each owner of the stream writes blocks of its own, named by its epoch. An owner that has lost the stream without knowing
//! it therefore can't harm its successor's blocks, and its records of segments that the successor has made are void.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use headwater_hls::Archive;
use headwater_media::{Epoch, MediaSequence, Record, RenditionId, SegmentSettings, StoredSegment};
use headwater_platform::store::{Key, ObjectStore, StoreError};
use headwater_wire::{ConvertError, Handoff, JournalBlock, JournalIndex, SegmentSamples};

use crate::Layout;
use crate::pages::all_below;

/// Segments of a block. The newest block is written again for every segment: at half a minute of 100 bytes a rendition, and
/// their sample tables, that is 60 KB a segment at most, for however long a broadcast lasts.
const BLOCK_SEGMENTS: usize = 60;
/// Bytes of sample tables in a block: a minute of the usual ladder has a little less.
const BLOCK_TABLES: usize = 48 << 10;
/// Blocks that are fetched at the same time. An hour has 30 of them.
const CONCURRENT_READS: usize = 8;

/// Writer of one owner's blocks.
#[derive(Debug)]
pub struct JournalWriter {
    layout: Layout,
    epoch: Epoch,
    settings: SegmentSettings,
    kept: Option<Vec<RenditionId>>,
    reconnect_window: Duration,
    dvr_window: Duration,
    retention: Option<Duration>,
    /// The point at which the next owner goes on.
    handoff: Option<Handoff>,
    /// How often a block was written.
    revision: u64,
    /// The number of the open block.
    number: u32,
    /// Records of the open block.
    open: Vec<Record>,
    /// The sample tables of its segments.
    samples: Vec<SegmentSamples>,
}

impl JournalWriter {
    /// Writer that has written nothing. `kept` are the renditions that the recording keeps; none for all.
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
            retention: None,
            handoff: None,
            revision: 0,
            number: 0,
            open: Vec::new(),
            samples: Vec::new(),
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

    /// The same, of a recording that is kept for so long after its end; none where the configuration counts.
    #[must_use]
    pub fn kept_for(self, retention: Option<Duration>) -> Self {
        Self { retention, ..self }
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

    /// Sets the point at which the next owner goes on; none where the broadcast does not go on.
    pub fn hand_off(&mut self, handoff: Option<Handoff>) {
        self.handoff = handoff;
    }

    /// Takes one more record. A record replaces an earlier one of the same segment.
    pub fn append(&mut self, record: Record) {
        if let Record::Segment(segment) = &record
            && let Some(said) = self.open.iter_mut().find(|said| is_of(said, segment.sequence))
        {
            *said = record;
            return;
        }
        if self.is_full() {
            self.open.clear();
            self.samples.clear();
            self.number += 1;
        }
        self.open.push(record);
    }

    /// Adds the sample tables of a segment whose record is in the open block.
    pub fn add_samples(&mut self, samples: SegmentSamples) {
        if !samples.tables.is_empty() {
            self.samples.push(samples);
        }
    }

    fn is_full(&self) -> bool {
        let segments = self.open.iter().filter(|record| matches!(record, Record::Segment(_)));
        let tables = self.samples.iter().flat_map(|samples| &samples.tables);
        segments.count() >= BLOCK_SEGMENTS
            || tables.map(|(_, table)| table.len()).sum::<usize>() >= BLOCK_TABLES
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
            retention: self.retention,
            handoff: self.handoff.clone(),
            samples: self.samples.clone(),
            successor: None,
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
    /// Time that the recording is kept after its end, as the newest owner has it; none where the configuration counts.
    pub retention: Option<Duration>,
    /// Epoch of the newest owner that has written.
    pub epoch: Epoch,
}

impl Recording {
    /// Reads the journal; none where there is none.
    ///
    /// # Errors
    /// When the store does not give it.
    pub async fn load(store: &dyn ObjectStore, layout: &Layout) -> Result<Option<Self>, StoreError> {
        Ok(Self::of_blocks(layout, &Blocks::read_all(store, layout).await?))
    }

    /// Reads the journal of a recording that is finished: one read, unless an older server has finished it.
    ///
    /// # Errors
    /// When the store does not give it.
    pub async fn load_finished(store: &dyn ObjectStore, layout: &Layout) -> Result<Option<Self>, StoreError> {
        match Blocks::read_index(store, layout).await? {
            Some(blocks) => Ok(Self::of_blocks(layout, &blocks)),
            None => Self::load(store, layout).await,
        }
    }

    /// The part of the archive that the recording keeps.
    pub fn kept(&self) -> Archive {
        let Some(kept) = &self.kept else { return self.archive.clone() };
        keep_renditions(&self.archive, |id| kept.contains(id))
    }

    /// The recording that the blocks of a journal describe together; none where there are none.
    pub(crate) fn of_blocks(layout: &Layout, blocks: &Blocks) -> Option<Self> {
        let mut epochs: BTreeMap<Epoch, Vec<Record>> = BTreeMap::new();
        let mut newest = None;
        for ((epoch, _), block) in &blocks.all {
            if block.broadcast == layout.broadcast {
                epochs.entry(*epoch).or_default().extend(block.records.iter().cloned());
                newest = Some((*epoch, block));
            }
        }
        let (epoch, last) = newest?;
        let mut archive = Archive::new(layout.broadcast, last.settings, 0);
        let mut merged: Vec<Record> = Vec::new();
        // From the newest owner back, as each one bounds what those before it may say.
        let mut end = MediaSequence(u64::MAX);
        for records in epochs.into_values().rev() {
            let first = records.iter().filter_map(record_sequence).min();
            let valid = records.into_iter().filter(|record| first_sequence(record) < end).collect();
            merged = [valid, merged].concat();
            end = end.min(first.unwrap_or(end));
        }
        for record in merged {
            if let Err(error) = archive.apply(&record) {
                tracing::warn!(broadcast = %layout.broadcast, %error, "a record of the journal is left out");
            }
        }
        let kept = last.kept.clone();
        Some(Self { archive, kept, dvr_window: last.dvr_window, retention: last.retention, epoch })
    }
}

/// The blocks of a journal, by the epoch of their owner and their number.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Blocks {
    all: BTreeMap<Place, JournalBlock>,
    /// Blocks with an object of their own.
    apart: Vec<Place>,
    /// Whether there is an index, which holds the others.
    is_folded: bool,
}

type Place = (Epoch, u32);

impl Blocks {
    /// Reads them all. A block with an object of its own counts, not its copy in the index: it may have been written again.
    ///
    /// # Errors
    /// When the store does not give them.
    pub(crate) async fn read_all(store: &dyn ObjectStore, layout: &Layout) -> Result<Self, StoreError> {
        let entries = all_below(store, &layout.journals()).await?;
        let mut blocks = if entries.iter().any(|entry| entry.key == layout.journal_index()) {
            Self::read_index(store, layout).await?.unwrap_or_default()
        } else {
            Self::default()
        };
        let read = |entry: headwater_platform::store::Entry| async move {
            let Some(place) = Layout::block_of(&entry.key) else { return Ok(None) };
            let bytes = store.get(&entry.key).await?;
            let block = JournalBlock::decode(bytes).inspect_err(|error| log_damaged(&entry.key, error));
            Ok::<_, StoreError>(block.ok().map(|block| (place, block)))
        };
        let apart: Vec<_> = stream::iter(entries).map(read).buffered(CONCURRENT_READS).try_collect().await?;
        for (place, block) in apart.into_iter().flatten() {
            blocks.all.insert(place, block);
            blocks.apart.push(place);
        }
        Ok(blocks)
    }

    /// Reads the index of a recording that is finished; none where there is none.
    async fn read_index(store: &dyn ObjectStore, layout: &Layout) -> Result<Option<Self>, StoreError> {
        let key = layout.journal_index();
        let bytes = match store.get(&key).await {
            Err(StoreError::NotFound) => return Ok(None),
            got => got?,
        };
        let index = JournalIndex::decode(bytes).inspect_err(|error| log_damaged(&key, error)).ok();
        Ok(index.map(|index| Self { all: index.blocks, apart: Vec::new(), is_folded: true }))
    }

    /// The index that holds them. Sample tables have objects of their own.
    pub(crate) fn to_index(&self) -> JournalIndex {
        let bare = |(place, block): (&Place, &JournalBlock)| {
            (*place, JournalBlock { samples: Vec::new(), ..block.clone() })
        };
        JournalIndex { blocks: self.all.iter().map(bare).collect() }
    }

    /// Whether an index holds those that have no object of their own.
    pub(crate) fn is_folded(&self) -> bool {
        self.is_folded
    }

    /// Blocks with an object of their own, but the newest one of each owner.
    pub(crate) fn older_apart(&self) -> impl Iterator<Item = Place> {
        let newest = |epoch: Epoch| self.apart.iter().filter(move |(of, _)| *of == epoch).max().copied();
        self.apart.iter().copied().filter(move |place| newest(place.0) != Some(*place))
    }

    /// A block was written since.
    pub(crate) fn set_block(&mut self, place: Place, block: JournalBlock) {
        self.all.insert(place, block);
    }

    /// The sample tables that they hold, those of newer owners last.
    pub(crate) fn sample_tables(&self) -> impl Iterator<Item = (MediaSequence, &RenditionId, &Bytes)> {
        let segments = self.all.values().flat_map(|block| &block.samples);
        segments.flat_map(|of| of.tables.iter().map(|(id, table)| (of.sequence, id, table)))
    }
}

/// Logs what can't be read, and is left out: the segments of a block are gaps then, and the others are there.
fn log_damaged(key: &Key, error: &ConvertError) {
    tracing::error!(%key, %error, "a block of the journal can't be read");
}

fn record_sequence(record: &Record) -> Option<MediaSequence> {
    match record {
        Record::Segment(segment) => Some(segment.sequence),
        Record::Period(_) => None,
    }
}

/// The first segment that a record says something of.
fn first_sequence(record: &Record) -> MediaSequence {
    match record {
        Record::Segment(segment) => segment.sequence,
        Record::Period(period) => period.first_sequence,
    }
}

/// An archive without the renditions that are not wanted.
pub(crate) fn keep_renditions(archive: &Archive, wanted: impl Fn(&RenditionId) -> bool) -> Archive {
    let mut kept = Archive::new(archive.broadcast(), archive.settings(), archive.discontinuity_sequence());
    for mut record in archive.records() {
        match &mut record {
            Record::Period(period) => period.renditions.retain(|(rendition, _)| wanted(&rendition.id)),
            Record::Segment(StoredSegment { pieces, .. }) => pieces.retain(|piece| wanted(&piece.rendition)),
        }
        // A valid archive stays valid without some renditions, but for segments that have none left.
        let _ = kept.apply(&record);
    }
    kept
}

#[cfg(test)]
mod tests;
