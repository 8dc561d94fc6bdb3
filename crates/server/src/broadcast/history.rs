//! The stored segments that viewers can go back to while the broadcast is live.

use std::sync::Arc;

use headwater_hls::Archive;
use headwater_media::{MediaSequence, MediaTime, Record, StoredSegment};

/// Records that are kept while what is before them can't be read: with them, a store that is away for hours costs some
/// megabytes.
const MAX_UNREAD_RECORDS: usize = 20_000;

/// The stored segments of a broadcast, back to the DVR window's length.
pub(super) struct History {
    /// Length of the DVR window; no segment is kept where that is zero.
    window: MediaTime,
    /// The first segment that is made here.
    first: MediaSequence,
    /// The archive at the beginning here.
    empty: Archive,
    state: State,
}

enum State {
    /// Another server has begun the broadcast, and its segments were not read yet. Records of this server wait for them.
    Unread(Vec<Record>),
    Read(Archive),
}

/// The change that a record makes.
pub(super) struct Taken {
    pub(super) is_news: bool,
    /// Segments that have become too old.
    pub(super) dropped: Vec<Arc<StoredSegment>>,
}

impl History {
    /// `empty` is the archive without any segment; `begins_here` says that no other server has stored anything before.
    pub(super) fn new(window: MediaTime, empty: Archive, first: MediaSequence, begins_here: bool) -> Self {
        let empty = empty.reaching_back(Some(window));
        let state = if begins_here { State::Read(empty.clone()) } else { State::Unread(Vec::new()) };
        Self { window, first, empty, state }
    }

    /// All of it; none where viewers can't go back, or as long as what is before is unknown.
    pub(super) fn archive(&self) -> Option<&Archive> {
        match &self.state {
            State::Read(archive) if self.window > MediaTime::ZERO => Some(archive),
            _ => None,
        }
    }

    /// Takes a record of what is stored.
    pub(super) fn take(&mut self, record: &Record) -> Taken {
        let mut taken = Taken { is_news: false, dropped: Vec::new() };
        if self.window == MediaTime::ZERO {
            return taken;
        }
        match &mut self.state {
            State::Unread(waiting) if waiting.len() < MAX_UNREAD_RECORDS => waiting.push(record.clone()),
            State::Unread(_) => {}
            State::Read(archive) => match archive.apply(record) {
                Ok(is_news) => {
                    taken.is_news = is_news;
                    taken.dropped = archive.trim(self.window);
                }
                Err(error) => tracing::warn!(%error, "a record does not fit what is stored"),
            },
        }
        taken
    }

    /// Takes the segments that other servers have stored before. The records of this server go on from them.
    pub(super) fn load_before(&mut self, before: Option<Archive>) -> Taken {
        let own: Vec<_> = match &mut self.state {
            State::Unread(waiting) => std::mem::take(waiting),
            State::Read(archive) => archive.records(),
        };
        let is_own = |record: &Record| match record {
            Record::Period(_) => true,
            Record::Segment(segment) => segment.sequence >= self.first,
        };
        let mut archive = before.unwrap_or_else(|| self.empty.clone()).reaching_back(Some(self.window));
        for record in own.iter().filter(|record| is_own(record)) {
            if let Err(error) = archive.apply(record) {
                tracing::warn!(%error, "a record does not fit what was stored before");
            }
        }
        let dropped = archive.trim(self.window);
        let is_news = !matches!(&self.state, State::Read(held) if *held == archive);
        self.state = State::Read(archive);
        Taken { is_news, dropped }
    }
}

#[cfg(test)]
mod tests {
    use headwater_media::{
        BroadcastId, PeriodNumber, PeriodStart, Piece, Rendition, RenditionKind, SegmentSettings, UnixMillis,
    };

    use super::*;

    const MINUTE: MediaTime = MediaTime::from_millis(60_000);

    fn empty() -> Archive {
        let settings = SegmentSettings { segment_ms: 2_000, part_ms: 334 };
        Archive::new(BroadcastId::from_bytes([1; 16]), settings, 0)
    }

    fn period() -> Record {
        let kind = RenditionKind::Audio { channels: 2, sample_rate: 48_000 };
        let id = "audio".parse().unwrap();
        let rendition = Rendition { id, kind, codecs: "mp4a.40.2".into(), declared_bitrate: 1 };
        Record::Period(PeriodStart {
            number: PeriodNumber(0),
            first_sequence: MediaSequence(0),
            origin: MediaTime::ZERO,
            wall_clock: UnixMillis(0),
            renditions: vec![(rendition, b"init".as_slice().into())],
            ladder: None,
        })
    }

    fn segment(sequence: u64) -> Record {
        let piece = Piece {
            rendition: "audio".parse().unwrap(),
            start: MediaTime::from_millis(sequence * 2_000),
            duration: MediaTime::from_millis(2_000),
            size: Some(1),
        };
        Record::Segment(StoredSegment { sequence: MediaSequence(sequence), pieces: vec![piece], drift: 0 })
    }

    fn before(segments: u64) -> Archive {
        let mut archive = empty();
        std::iter::once(period())
            .chain((0..segments).map(segment))
            .for_each(|record| drop(archive.apply(&record)));
        archive
    }

    fn held(history: &History) -> Vec<(u64, bool)> {
        let archive = history.archive().unwrap();
        archive.segments().map(|segment| (segment.sequence.0, segment.pieces[0].size.is_some())).collect()
    }

    #[test]
    fn what_is_stored_here_waits_for_what_was_stored_before() {
        let mut history = History::new(MINUTE, empty(), MediaSequence(3), false);
        for record in [period(), segment(3), segment(4)] {
            assert!(!history.take(&record).is_news);
        }
        assert!(history.archive().is_none());
        // The last one of the other server was still on its way.
        assert!(history.load_before(Some(before(2))).is_news);
        assert_eq!(held(&history), [(0, true), (1, true), (2, false), (3, true), (4, true)]);
        assert!(history.take(&segment(5)).is_news);
        assert!(history.load_before(Some(before(3))).is_news);
        assert_eq!(held(&history), [0, 1, 2, 3, 4, 5].map(|sequence| (sequence, true)));
        assert!(!history.load_before(Some(before(3))).is_news);
    }

    #[test]
    fn what_nobody_has_stored_before_is_nothing() {
        let mut history = History::new(MINUTE, empty(), MediaSequence(3), false);
        history.take(&period());
        history.take(&segment(3));
        assert!(history.load_before(None).is_news);
        assert_eq!(held(&history), [(3, true)]);
    }

    #[test]
    fn it_goes_back_no_further_than_it_has_to() {
        let mut history = History::new(MINUTE, empty(), MediaSequence(0), true);
        history.take(&period());
        let dropped: usize = (0..100).map(|nth| history.take(&segment(nth)).dropped.len()).sum();
        assert_eq!((held(&history).len(), dropped), (30, 70));
        let mut none = History::new(MediaTime::ZERO, empty(), MediaSequence(0), true);
        none.take(&period());
        assert!(!none.take(&segment(0)).is_news && none.archive().is_none());
    }
}
