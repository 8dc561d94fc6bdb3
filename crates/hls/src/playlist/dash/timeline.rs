use std::fmt::{self, Write};

use headwater_media::{MediaSequence, MediaTime, SegmentSettings};

use crate::window::ANNOUNCED_SEGMENTS;

/// The segments of one rendition in one period that are listed: one after the other, without a hole.
pub(super) struct Timeline {
    origin: MediaTime,
    settings: SegmentSettings,
    /// Number of the first segment.
    first: MediaSequence,
    /// Start and end of each segment that is whole.
    whole: Vec<(MediaTime, MediaTime)>,
    /// Continuation after the last whole segment.
    then: Then,
}

enum Then {
    Nothing,
    /// Segments that are missing.
    Gap,
    /// A segment that is being made, and where it starts.
    Open(MediaTime),
    /// Segments that are announced: the one that is being made or begins next, and [`ANNOUNCED_SEGMENTS`] after it, each with its
    /// start and the boundary where it ends.
    More(Vec<(MediaTime, MediaTime)>),
}

impl Timeline {
    pub(super) fn new(origin: MediaTime, settings: SegmentSettings) -> Self {
        Self { origin, settings, first: MediaSequence(0), whole: Vec::new(), then: Then::Nothing }
    }

    /// The next segment is this one; it is whole.
    pub(super) fn add(&mut self, sequence: MediaSequence, start: MediaTime, end: MediaTime) {
        self.reach(sequence);
        self.whole.push((start, end));
    }

    /// The next segment is this one; it is being made.
    pub(super) fn open(&mut self, sequence: MediaSequence, start: MediaTime) {
        self.reach(sequence);
        self.then = Then::Open(start);
    }

    /// The next segment will never be there.
    pub(super) fn gap(&mut self) {
        self.then = Then::Gap;
    }

    /// More is going to come.
    pub(super) fn go_on(&mut self) {
        let cell = |start: MediaTime| self.settings.cell(start.saturating_sub(self.origin));
        let boundary = |cell| self.origin + self.settings.cell_start(cell);
        let (start, cell) = match (&self.then, self.whole.last()) {
            (Then::Open(start), _) => (*start, cell(*start)),
            // It may have been broken off before its cell was over.
            (Then::Nothing, Some((last, end))) => ((*end).max(boundary(cell(*last) + 1)), cell(*last) + 1),
            _ => return,
        };
        if start < boundary(cell + 1) {
            let next = (start, boundary(cell + 1));
            let further = (1..=ANNOUNCED_SEGMENTS).map(|n| (boundary(cell + n), boundary(cell + n + 1)));
            self.then = Then::More([next].into_iter().chain(further).collect());
        }
    }

    /// Starts anew after a hole.
    fn reach(&mut self, sequence: MediaSequence) {
        let follows = sequence.0 == self.first.0 + self.whole.len() as u64;
        if self.whole.is_empty() || !follows || matches!(self.then, Then::Gap) {
            self.whole.clear();
            self.first = sequence;
        }
        self.then = Then::Nothing;
    }

    /// Whether the first segment is far shorter than others, and a whole one follows it.
    pub(super) fn has_short_start_behind(&self) -> bool {
        let half = MediaTime::from_millis(u64::from(self.settings.segment_ms) / 2);
        matches!(self.whole.as_slice(), [(start, end), _, ..] if end.saturating_sub(*start) < half)
    }

    pub(super) fn leave_first_out(&mut self) {
        self.whole.remove(0);
        self.first = self.first.next();
    }

    pub(super) fn is_empty(&self) -> bool {
        self.whole.is_empty() && !matches!(self.then, Then::More(..))
    }

    /// The number of the first segment.
    pub(super) fn first(&self) -> MediaSequence {
        self.first
    }

    /// Start of the first segment, if any is whole.
    pub(super) fn start(&self) -> Option<MediaTime> {
        self.whole.first().map(|(start, _)| *start)
    }

    /// End of the last whole segment.
    pub(super) fn end(&self) -> MediaTime {
        match (self.whole.last(), &self.then) {
            (Some((_, end)), _) => *end,
            (None, Then::More(announced)) => announced.first().map_or(self.origin, |(start, _)| *start),
            (None, _) => self.origin,
        }
    }

    /// `SegmentTimeline`, in ticks of this timescale (ISO/IEC 23009-1 §5.3.9.6).
    pub(super) fn write(&self, out: &mut String, timescale: u32) -> fmt::Result {
        out.write_str("<SegmentTimeline>")?;
        self.rows(timescale).iter().try_for_each(|row| row.write(out))?;
        out.write_str("</SegmentTimeline>")
    }

    fn rows(&self, timescale: u32) -> Vec<Row> {
        let mut rows: Vec<Row> = Vec::new();
        let mut reached = None;
        let announced = if let Then::More(announced) = &self.then { announced.as_slice() } else { &[] };
        for (start, end) in self.whole.iter().chain(announced) {
            let start = start.ticks(timescale);
            let end = end.ticks(timescale);
            let duration = end.saturating_sub(start);
            let follows = reached == Some(start);
            match rows.last_mut() {
                Some(row) if follows && row.duration == duration => row.repeat += 1,
                _ => rows.push(Row { start: (!follows).then_some(start), duration, repeat: 0 }),
            }
            reached = Some(end);
        }
        rows
    }
}

/// An `S` element (§5.3.9.6.2).
struct Row {
    /// Left out where it is the end of the one before.
    start: Option<u64>,
    duration: u64,
    /// How often it comes once more.
    repeat: u64,
}

impl Row {
    fn write(&self, out: &mut String) -> fmt::Result {
        out.write_str("<S")?;
        if let Some(start) = self.start {
            write!(out, " t=\"{start}\"")?;
        }
        write!(out, " d=\"{}\"", self.duration)?;
        if self.repeat != 0 {
            write!(out, " r=\"{}\"", self.repeat)?;
        }
        out.write_str("/>")
    }
}
