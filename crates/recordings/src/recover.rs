//! Segments that were stored when their server died, before its journal named them: a few, as media does not wait for the
//! journal, and what was in a spool.

use headwater_hls::cmaf::{read, table};
use headwater_media::{MediaTime, Piece, Record, StoredSegment};
use headwater_platform::store::{ObjectStore, StoreError};
use headwater_wire::{JournalBlock, SegmentSamples};

use crate::Layout;
use crate::journal::Recording;

/// Most segments that are recovered: half an hour, in pieces of a second.
const MAX_RECOVERED_SEGMENTS: usize = 1_800;

/// Segments that were taken in, as the journal says them.
#[derive(Debug, Default)]
pub(crate) struct Recovered {
    records: Vec<Record>,
    samples: Vec<SegmentSamples>,
}

impl Recovered {
    pub(crate) fn add_to(self, block: &mut JournalBlock) {
        block.records.extend(self.records);
        block.samples.extend(self.samples);
    }
}

/// Takes the segments that follow on to the last one of an orphan, and gives them for its journal. A segment that is missing
/// in any rendition is not whole in the store, and stays out.
pub(crate) async fn recover_segments(
    store: &dyn ObjectStore,
    layout: &Layout,
    recording: &mut Recording,
) -> Result<Recovered, StoreError> {
    let mut recovered = Recovered::default();
    while recovered.records.len() < MAX_RECOVERED_SEGMENTS
        && let Some((segment, samples)) = next(store, layout, recording).await?
    {
        let record = Record::Segment(segment);
        if recording.archive.apply(&record) != Ok(true) {
            break;
        }
        recovered.records.push(record);
        recovered.samples.push(samples);
    }
    if !recovered.records.is_empty() {
        let segments = recovered.records.len();
        tracing::info!(segments, broadcast = %layout.broadcast, "segments that no journal named are taken in");
    }
    Ok(recovered)
}

/// The segment after the last one; none where it is not there, is another period's, or is not what its name says.
async fn next(
    store: &dyn ObjectStore,
    layout: &Layout,
    recording: &Recording,
) -> Result<Option<(StoredSegment, SegmentSamples)>, StoreError> {
    let Some(last) = recording.archive.segments().next_back() else { return Ok(None) };
    let sequence = last.sequence.next();
    let Some(period) = recording.archive.period_of(sequence) else { return Ok(None) };
    if period.first_sequence > last.sequence {
        return Ok(None);
    }
    let mut pieces = Vec::new();
    let mut tables = Vec::new();
    for before in &last.pieces {
        let id = &before.rendition;
        let described = period.renditions.iter().find(|(rendition, _)| rendition.id == *id);
        let Some((rendition, _)) = described else { return Ok(None) };
        // A period begins with init segments of its own.
        if store.size(&layout.init(id, sequence)).await?.is_some() {
            return Ok(None);
        }
        let bytes = match store.get(&layout.segment(id, sequence)).await {
            Err(StoreError::NotFound) => return Ok(None),
            got => got?,
        };
        let place = read::span(&bytes).map(|(start, end)| {
            [start, end].map(|ticks| MediaTime::from_ticks(ticks, rendition.timescale()))
        });
        tables.extend(table::table_of(&bytes).map(|table| (id.clone(), table)));
        match place {
            Some([start, end]) if start == before.start + before.duration => pieces.push(Piece {
                rendition: id.clone(),
                start,
                duration: end.saturating_sub(start),
                size: Some(bytes.len() as u64),
            }),
            _ => return Ok(None),
        }
    }
    let segment = StoredSegment { sequence, pieces, drift: last.drift };
    Ok(Some((segment, SegmentSamples { sequence, tables })))
}

#[cfg(test)]
mod tests {
    use headwater_hls::cmaf::{self, Sample};
    use headwater_media::{Epoch, MediaSequence};
    use headwater_platform::store::testing::MemoryStore;

    use super::*;
    use crate::testing::{RENDITIONS, SETTINGS, layout, period, segment};
    use crate::{Finished, Finisher, JournalWriter, Pulse, Samples, State, describe, finish};

    /// Segments that the journal names.
    const NAMED: std::ops::Range<u64> = 7..10;

    async fn orphan() -> MemoryStore {
        let store = MemoryStore::new();
        let mut journal = JournalWriter::new(layout(1), Epoch(4), SETTINGS, None);
        journal.append(period(0, 7));
        NAMED.for_each(|number| journal.append(segment(number)));
        let (key, block) = journal.block();
        store.put(&key, block, "").await.unwrap();
        store.put(&layout(1).marker(), "4".into(), "").await.unwrap();
        store
    }

    /// Three chunks: half a second each.
    fn media(id: &str, start: u64) -> bytes::Bytes {
        let timescale = if id == "audio" { 48_000 } else { u64::from(headwater_media::VIDEO_TIMESCALE) };
        let chunk = |nth: u64| {
            let sample = Sample {
                decode_time: start * timescale / 1_000 + nth * timescale / 2,
                duration: timescale as u32 / 2,
                composition_offset: 0,
                keyframe: nth == 0,
                data: "media".into(),
            };
            cmaf::chunk(nth as u32, &[sample]).to_vec()
        };
        (0..3).flat_map(chunk).collect::<Vec<_>>().into()
    }

    async fn put(store: &MemoryStore, id: &str, number: u64, bytes: bytes::Bytes) {
        let key = layout(1).segment(&id.parse().unwrap(), MediaSequence(number));
        store.put(&key, bytes, "").await.unwrap();
    }

    /// The segments of the finished recording, and its length in milliseconds.
    async fn finished(store: &MemoryStore) -> (Vec<u64>, u64) {
        let pulse = Pulse::of(store, &layout(1)).await.unwrap();
        assert_eq!(finish(store, &layout(1), Finisher::Heir(&pulse)).await, Ok(Finished::Done));
        let summary = describe(store, &layout(1)).await.unwrap().unwrap();
        assert_eq!(summary.state, State::Interrupted);
        let recording = Recording::load(store, &layout(1)).await.unwrap().unwrap();
        (recording.archive.segments().map(|segment| segment.sequence.0).collect(), summary.duration_ms)
    }

    #[tokio::test]
    async fn a_segment_that_was_stored_last_is_taken_in() {
        let store = orphan().await;
        for id in RENDITIONS {
            put(&store, id, 10, media(id, 20_000)).await;
            put(&store, id, 11, media(id, 21_500)).await;
        }
        put(&store, "720p", 12, media("720p", 23_000)).await;
        let all = (vec![7, 8, 9, 10, 11], 9_000);
        assert_eq!(finished(&store).await, all);
        let recording = Recording::load(&store, &layout(1)).await.unwrap().unwrap();
        let recovered = recording.archive.segment(MediaSequence(11)).unwrap();
        let size = media("audio", 0).len() as u64;
        let place = recovered.place(&"audio".parse().unwrap());
        assert_eq!(place, (MediaTime::from_millis(21_500), MediaTime::from_millis(1_500)));
        assert_eq!(recovered.size(&"audio".parse().unwrap()), Some(size));
        let audio = "audio".parse().unwrap();
        let tables = Samples::load(&store, &layout(1), std::slice::from_ref(&audio)).await.unwrap();
        let samples = tables.samples_of(&audio, MediaSequence(11), size).unwrap();
        assert_eq!(Ok(samples), read::samples(&media("audio", 21_500)));
        assert_eq!(finished(&store).await, all, "it can be done again");
    }

    #[tokio::test]
    async fn what_is_not_whole_or_does_not_follow_stays_out() {
        let named: (Vec<u64>, u64) = (NAMED.collect(), 6_000);
        let whole = media("audio", 20_000);
        let changed = |at: usize| [&whole[..at], b"free", &whole[at + 4..]].concat().into();
        let late = media("audio", 20_001);
        for audio in [whole.slice(..whole.len() - 1), late, "nonsense".into(), "".into(), changed(4)] {
            let store = orphan().await;
            put(&store, "720p", 10, media("720p", 20_000)).await;
            put(&store, "360p", 10, media("360p", 20_000)).await;
            assert_eq!(finished(&store).await, named, "the sound is missing");
            put(&store, "audio", 10, audio).await;
            assert_eq!(finished(&store).await, named);
            put(&store, "audio", 10, whole.clone()).await;
            assert_eq!(finished(&store).await.0.len(), named.0.len() + 1);
        }
    }

    #[tokio::test]
    async fn the_first_segment_of_a_period_that_nobody_described_stays_out() {
        let store = orphan().await;
        for id in RENDITIONS {
            put(&store, id, 10, media(id, 20_000)).await;
            let key = layout(1).init(&id.parse().unwrap(), MediaSequence(10));
            store.put(&key, "init".into(), "").await.unwrap();
        }
        assert_eq!(finished(&store).await.1, 6_000);
    }
}
