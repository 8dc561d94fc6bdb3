use std::fmt::{self, Write};

use headwater_media::{MediaSequence, MediaTime, SegmentSettings};

/// The segments of one rendition in one period that are listed: one after the other, without a hole.
pub(super) struct Timeline {
    origin: MediaTime,
    settings: SegmentSettings,
    /// Number of the first segment.
    first: MediaSequence,
    /// Start and end of each segment that is whole.
    whole: Vec<(MediaTime, MediaTime)>,
    /// What follows the last whole segment.
    then: Then,
}

enum Then {
    Nothing,
    /// Segments that are missing.
    Gap,
    /// A segment that is being made, and where it starts.
    Open(MediaTime),
    /// One that is being made or begins next, with its start and the boundary where it ends; and one for each cell of
    /// the grid from there on.
    More(MediaTime, MediaTime),
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
        let (start, cell) = match (&self.then, self.whole.last()) {
            (Then::Open(start), _) => (*start, cell(*start)),
            (Then::Nothing, Some((last, end))) => (*end, cell(*last) + 1),
            _ => return,
        };
        let end = self.origin + self.settings.cell_start(cell + 1);
        if start < end {
            self.then = Then::More(start, end);
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

    pub(super) fn is_empty(&self) -> bool {
        self.whole.is_empty() && !matches!(self.then, Then::More(..))
    }

    /// The number of the first segment.
    pub(super) fn first(&self) -> MediaSequence {
        self.first
    }

    /// Where the first segment starts, if any is whole.
    pub(super) fn start(&self) -> Option<MediaTime> {
        self.whole.first().map(|(start, _)| *start)
    }

    /// Where what is whole ends.
    pub(super) fn end(&self) -> MediaTime {
        match (self.whole.last(), &self.then) {
            (Some((_, end)), _) => *end,
            (None, Then::More(start, _)) => *start,
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
        let next = if let Then::More(start, end) = self.then { Some((start, end)) } else { None };
        for (start, end) in self.whole.iter().copied().chain(next) {
            let (start, end) = (start.ticks(timescale), end.ticks(timescale));
            let duration = end.saturating_sub(start);
            let follows = reached == Some(start);
            match rows.last_mut() {
                Some(row) if follows && row.duration == duration => row.repeat += 1,
                _ => rows.push(Row { start: (!follows).then_some(start), duration, repeat: 0 }),
            }
            reached = Some(end);
        }
        if next.is_some() {
            let cell = MediaTime::from_millis(u64::from(self.settings.segment_ms));
            rows.push(Row { start: None, duration: cell.ticks(timescale), repeat: -1 });
        }
        rows
    }
}

/// An `S` element (§5.3.9.6.2).
struct Row {
    /// Left out where it is the end of the one before.
    start: Option<u64>,
    duration: u64,
    /// How often it comes once more; -1 for as often as there is time.
    repeat: i64,
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
