use bytes::Bytes;
use headwater_media::{MediaTime, PartIndex, Piece, RenditionId};

/// Part of a segment: a CMAF chunk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    pub start: MediaTime,
    pub duration: MediaTime,
    /// Starts with a keyframe.
    pub independent: bool,
    pub bytes: Bytes,
}

/// Segment of a rendition: its parts, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    start: MediaTime,
    duration: MediaTime,
    parts: Vec<Part>,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Open,
    Whole,
    /// Its rendition's source had ended, while another rendition still had this segment.
    Gap,
}

impl Segment {
    pub(super) fn open(part: Part) -> Self {
        Self { start: part.start, duration: part.duration, parts: vec![part], state: State::Open }
    }

    pub(super) fn gap(start: MediaTime, duration: MediaTime) -> Self {
        Self { start, duration, parts: Vec::new(), state: State::Gap }
    }

    pub(super) fn add(&mut self, part: Part) {
        self.duration = self.duration + part.duration;
        self.parts.push(part);
    }

    /// No more parts will come. Gaps stay gaps.
    pub(super) fn close(&mut self) {
        if self.state == State::Open {
            self.state = State::Whole;
        }
    }

    /// Start of the segment on its rendition's timeline.
    pub fn start(&self) -> MediaTime {
        self.start
    }

    /// The sum of its parts' durations.
    pub fn duration(&self) -> MediaTime {
        self.duration
    }

    /// End of the last part on the rendition's timeline.
    pub fn end(&self) -> MediaTime {
        self.start + self.duration
    }

    /// Its bytes are those of its parts, one after the other.
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// Bytes of all parts.
    pub fn size(&self) -> usize {
        self.parts.iter().map(|part| part.bytes.len()).sum()
    }

    /// This segment of a rendition, as an index names it. The segment is whole.
    pub fn piece(&self, rendition: &RenditionId) -> Piece {
        Piece {
            rendition: rendition.clone(),
            start: self.start,
            duration: self.duration,
            size: (!self.is_gap()).then(|| self.size() as u64),
        }
    }

    /// No more parts will come.
    pub fn is_whole(&self) -> bool {
        self.state != State::Open
    }

    /// There is nothing to fetch (`EXT-X-GAP`).
    pub fn is_gap(&self) -> bool {
        self.state == State::Gap
    }

    pub(super) fn next_index(&self) -> PartIndex {
        PartIndex(self.parts.len() as u32)
    }
}
