//! Live window of one broadcast: the media that viewers may still ask for.

mod apply;
mod drift;
mod error;
mod resume;
mod retention;
mod segment;
mod snapshot;
mod timed;
mod whole;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use headwater_media::{
    MediaSequence, MediaTime, Opening, PartIndex, PeriodNumber, PeriodStart, Rendition, RenditionId,
    SegmentSettings, StoredSegment,
};

pub use apply::Change;
pub use error::WindowError;
pub use segment::{Part, Segment};
pub use timed::Timed;
pub use whole::WholeSegment;

/// The live window of one broadcast: the periods, segments and parts that are listed in playlists, and those that no
/// playlist lists any more but which somebody who holds an older playlist may still fetch.
///
/// It is a value: the same opening and events give an equal window, wherever and whenever they are applied, and
/// applying an event again changes nothing. Cloning is cheap, media is shared.
///
/// **What is listed.** The last `window_segments` segments that are whole in every rendition (three at least), more
/// where they are so short that a playlist would fall under three target durations (RFC 8216bis §6.2.2), and the
/// open segment of each rendition. A sequence leaves all playlists at the same moment, so media and discontinuity
/// sequences agree between renditions.
///
/// **What is kept.** A segment and its parts stay for twice the longest playlist and two segments after the segment's
/// own start (gaps do not count); so, counted from when it left the playlists, at least its own duration plus that of
/// the longest playlist that listed it.
///
/// **Bound.** [`MAX_BYTES`] of media, [`MAX_RENDITIONS`] renditions, and of each at most six windows of segments that
/// are whole everywhere (36 where that is more), however short they are, and one window more where a rendition runs
/// ahead. With the defaults (three rungs, 10 segments of 2 s) it holds 24 segments of each, about 30 MB.
///
/// What happens at a period's end: all renditions should end in the same segment. Where one did not (its source ended
/// earlier), the segments that it lacks are listed with `EXT-X-GAP`, so that the numbers go on agreeing.
#[derive(Clone, Debug, PartialEq)]
pub struct LiveWindow {
    /// Its sequences are those of the oldest segment that is kept.
    opening: Opening,
    /// Oldest first; the first one holds the oldest segment that is kept.
    periods: VecDeque<Arc<PeriodStart>>,
    tracks: BTreeMap<RenditionId, Track>,
    /// How far the wall clock is from that of the period, from these times on.
    drifts: BTreeMap<(PeriodNumber, MediaTime), i32>,
    /// First sequence of every playlist.
    listed_from: MediaSequence,
    /// Discontinuities that this window counts beyond those of its broadcast, as it follows another one's window.
    followed: i64,
    /// Media bytes held.
    bytes: usize,
    ended: bool,
}

/// The segments of one rendition. There are holes only where a whole period was without this rendition.
type Track = BTreeMap<MediaSequence, Arc<Segment>>;

/// Media held by one window at most: 48 s at 85 Mb/s, far more than any ladder makes.
pub const MAX_BYTES: usize = 512 << 20;
/// A part's bytes at most: a third of a second at 200 Mb/s.
pub const MAX_PART_BYTES: usize = 8 << 20;
/// An init segment's bytes at most; usual ones have 700.
pub const MAX_INIT_BYTES: usize = 64 << 10;
/// Parts of one segment at most; the defaults make six. A part that does not end its segment lasts for more than half of its
/// nominal length, as it takes in each frame that is not expected to end beyond that.
pub const MAX_PARTS: usize = 256;
const _: () = assert!(2 * SegmentSettings::MAX_SEGMENT_MS / SegmentSettings::MIN_PART_MS < MAX_PARTS as u32);
/// Renditions of one period at most.
pub const MAX_RENDITIONS: usize = 16;
/// Segments that presentations announce beyond the one that is being made or begins next. A player reads a presentation
/// again after a segment's length, from a cache that may be half as old once more; two segments outlast both.
pub const ANNOUNCED_SEGMENTS: u64 = 2;

impl LiveWindow {
    /// An empty window of the broadcast with this opening.
    pub fn new(opening: Opening) -> Self {
        Self {
            listed_from: opening.first_sequence,
            opening,
            periods: VecDeque::new(),
            tracks: BTreeMap::new(),
            drifts: BTreeMap::new(),
            followed: 0,
            bytes: 0,
            ended: false,
        }
    }

    /// Goes on with a new owner of the same broadcast, whose opening this is: what is held stays, and the events of the
    /// owner's window may be applied, those that are held already included. What is missing before the owner's window
    /// will never come: it is a gap.
    ///
    /// # Errors
    /// When it is another broadcast or has other settings, when the epoch is lower than the one held, and when the
    /// owner's window starts further behind the end of this one than a window is long.
    pub fn adopt(&mut self, opening: &Opening) -> Result<(), WindowError> {
        if (opening.broadcast, opening.settings) != (self.opening.broadcast, self.opening.settings) {
            return Err(WindowError::OtherBroadcast);
        }
        if opening.epoch < self.opening.epoch {
            return Err(WindowError::Fenced { held: self.opening.epoch, offered: opening.epoch });
        }
        let next = self.next_sequence();
        let got = opening.first_sequence;
        if got.0.saturating_sub(next.0) > self.most_left_out() {
            return Err(WindowError::SequenceSkipped { expected: next, got });
        }
        self.skip_to(got);
        self.opening.epoch = opening.epoch;
        // A shorter window would take away what a playlist has just listed.
        self.opening.window_segments = self.opening.window_segments.max(opening.window_segments);
        Ok(())
    }

    /// Numbers that a new period, or a new owner's window, may leave out: those of one live window.
    pub fn most_left_out(&self) -> u64 {
        self.window_segments().into()
    }

    /// Follows the window of another broadcast: viewers of that one have its discontinuities behind them, and this one
    /// begins with another one.
    pub fn follow(&mut self, before: &LiveWindow) {
        let passed = before.discontinuities_before(before.next_sequence()) + 1;
        let counted =
            self.discontinuities_before(self.listed_from.next()) - self.opening.discontinuity_sequence;
        let own = self.opening.discontinuity_sequence;
        self.opening.discontinuity_sequence = passed.saturating_sub(counted);
        self.followed = self.opening.discontinuity_sequence as i64 - own as i64;
    }

    /// Takes the place of a window of the same broadcast that does not go on: its viewers go on counting discontinuities.
    pub fn replace(&mut self, before: &LiveWindow) {
        let own = self.opening.discontinuity_sequence;
        self.opening.discontinuity_sequence = own.saturating_add_signed(before.followed);
        self.followed = before.followed;
    }

    /// How long a segment may still be asked for by somebody who holds a playlist of this window, when no playlist lists it
    /// any more (RFC 8216bis §6.2.2).
    pub fn outlives_playlists_by(&self) -> MediaTime {
        let segment = MediaTime::from_millis(u64::from(self.opening.settings.segment_ms));
        self.nominal_length() + segment + segment
    }

    /// Whether nothing will come any more.
    pub fn ended(&self) -> bool {
        self.ended
    }

    /// The number after that of the newest period.
    pub fn next_period(&self) -> PeriodNumber {
        self.periods.back().map_or(PeriodNumber(0), |period| period.number.next())
    }

    /// Whether every rendition of the newest period has something to show.
    pub fn is_playable(&self) -> bool {
        let mut renditions = self.renditions().peekable();
        renditions.peek().is_some()
            && renditions.all(|r| self.tracks.get(&r.id).is_some_and(|t| !t.is_empty()))
    }

    /// Media bytes held.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The renditions of the newest period, best first, the audio last; none before the first period.
    pub fn renditions(&self) -> impl Iterator<Item = &Rendition> {
        self.periods
            .back()
            .into_iter()
            .flat_map(|period| period.renditions.iter().map(|(rendition, _)| rendition))
    }

    /// Whether this rendition has a playlist.
    pub fn has_rendition(&self, rendition: &RenditionId) -> bool {
        self.tracks.contains_key(rendition)
    }

    /// The init segment of a rendition in the period whose first segment has this number.
    pub fn init(&self, rendition: &RenditionId, first_sequence: MediaSequence) -> Option<&Bytes> {
        let period = self.periods.iter().find(|period| period.first_sequence == first_sequence)?;
        init_of(period, rendition)
    }

    /// A part, for as long as its segment is kept.
    pub fn part(&self, rendition: &RenditionId, sequence: MediaSequence, index: PartIndex) -> Option<&Part> {
        self.held(rendition, sequence)?.parts().get(index.0 as usize)
    }

    /// A segment, once it is whole.
    pub fn segment(&self, rendition: &RenditionId, sequence: MediaSequence) -> Option<&Arc<Segment>> {
        self.held(rendition, sequence).filter(|segment| segment.is_whole() && !segment.is_gap())
    }

    /// A segment that has its first part, whole or not.
    pub fn begun(&self, rendition: &RenditionId, sequence: MediaSequence) -> Option<&Arc<Segment>> {
        self.held(rendition, sequence).filter(|segment| !segment.parts().is_empty())
    }

    /// The last segment that is whole in every rendition of its period.
    pub fn committed(&self) -> Option<MediaSequence> {
        let next = self.next_uncommitted();
        (next > self.opening.first_sequence).then(|| MediaSequence(next.0 - 1))
    }

    /// The part that comes next in a rendition, if its period goes on: what `EXT-X-PRELOAD-HINT` announces and a
    /// request for it may wait for. None when the broadcast has ended or the rendition is not in the newest period.
    pub fn next_part(&self, rendition: &RenditionId) -> Option<(MediaSequence, PartIndex)> {
        if self.ended || !self.is_current(rendition) {
            return None;
        }
        let next = self.next_of(rendition);
        match self.open_segment(rendition) {
            Some((open, segment)) if !self.is_full(open, segment) => Some((open, segment.next_index())),
            _ => Some((next, PartIndex(0))),
        }
    }

    /// Whether a rendition is going to have this segment, if its period goes on: it is being made, or was announced, here
    /// or by another window of the same broadcast that is ahead of this one by less than a segment.
    pub fn expects(&self, rendition: &RenditionId, sequence: MediaSequence) -> bool {
        self.next_part(rendition).is_some_and(|(next, _)| {
            // The end of a segment is said a moment after its last part.
            sequence.next() >= next && sequence.0 <= next.0 + ANNOUNCED_SEGMENTS + 1
        })
    }

    /// How far a number is behind the last segment that a rendition has in its period, where nothing more comes of that:
    /// zero for the next one, which DASH players have been told to expect. None for everything else.
    pub fn past_end(&self, rendition: &RenditionId, sequence: MediaSequence) -> Option<u64> {
        let at = self.periods.iter().rposition(|period| period.first_sequence <= sequence)?;
        let period = &self.periods[at];
        let next = self.periods.get(at + 1);
        let is_over = self.ended || next.is_some();
        let is_known = sequence >= self.opening.first_sequence && init_of(period, rendition).is_some();
        if !is_over || !is_known {
            return None;
        }
        let end = next.map_or(MediaSequence(u64::MAX), |next| next.first_sequence);
        let mut made = self.tracks.get(rendition)?.range(period.first_sequence..end).rev();
        let last = made.find(|(_, segment)| !segment.is_gap());
        sequence.0.checked_sub(last.map_or(period.first_sequence, |(last, _)| last.next()).0)
    }

    /// A segment that is whole in every rendition of its period, as an index names it, and that period.
    pub fn stored(&self, sequence: MediaSequence) -> Option<(&Arc<PeriodStart>, StoredSegment)> {
        let period = self.period_of(sequence)?;
        let piece = |rendition: &RenditionId| {
            let segment = self.held(rendition, sequence).filter(|segment| segment.is_whole())?;
            Some(segment.piece(rendition))
        };
        let pieces = period.renditions.iter().map(|(rendition, _)| piece(&rendition.id));
        let pieces: Vec<_> = pieces.collect::<Option<_>>()?;
        let drift = self.drift_of(period, pieces.iter().map(|piece| piece.start).min().unwrap_or_default());
        Some((period, StoredSegment { sequence, pieces, drift }))
    }

    pub(crate) fn held(&self, rendition: &RenditionId, sequence: MediaSequence) -> Option<&Arc<Segment>> {
        self.tracks.get(rendition)?.get(&sequence)
    }

    /// All segments of a rendition that are kept, oldest first; the last one may be open.
    pub fn kept(&self, rendition: &RenditionId) -> impl Iterator<Item = (MediaSequence, &Arc<Segment>)> {
        self.tracks.get(rendition).into_iter().flatten().map(|(sequence, segment)| (*sequence, segment))
    }

    /// The newest segment of a rendition.
    pub(crate) fn last(&self, rendition: &RenditionId) -> Option<(MediaSequence, &Arc<Segment>)> {
        let (sequence, segment) = self.tracks.get(rendition)?.last_key_value()?;
        Some((*sequence, segment))
    }

    /// The segments that a rendition's playlist lists: the last run of periods that have it, from the first listed
    /// sequence on.
    pub(crate) fn listed(
        &self,
        rendition: &RenditionId,
    ) -> Option<(MediaSequence, impl DoubleEndedIterator<Item = (MediaSequence, &Arc<Segment>)> + Clone)>
    {
        let first = self.run_of(rendition).max(self.listed_from);
        let track = self.tracks.get(rendition)?;
        Some((first, track.range(first..).map(|(sequence, segment)| (*sequence, segment))))
    }

    /// First sequence of every playlist.
    pub(crate) fn listed_from(&self) -> MediaSequence {
        self.listed_from
    }

    /// The periods of which something is listed, oldest first, each with the first sequence of the one after it; the
    /// newest has none.
    pub(crate) fn listed_periods(&self) -> impl Iterator<Item = (&Arc<PeriodStart>, Option<MediaSequence>)> {
        let ends = self.periods.iter().skip(1).map(|next| Some(next.first_sequence)).chain([None]);
        let is_listed = |end: Option<MediaSequence>| end.is_none_or(|end| end > self.listed_from);
        self.periods.iter().zip(ends).filter(move |(_, end)| is_listed(*end))
    }

    /// The segments of a rendition that are listed, from `first` on and before `end`.
    pub(crate) fn listed_of(
        &self,
        rendition: &RenditionId,
        first: MediaSequence,
        end: Option<MediaSequence>,
    ) -> impl Iterator<Item = (MediaSequence, &Arc<Segment>)> {
        let first = first.max(self.listed_from);
        let listed = self.tracks.get(rendition).into_iter().flat_map(move |track| track.range(first..));
        listed
            .map(|(sequence, segment)| (*sequence, segment))
            .take_while(move |(n, _)| end.is_none_or(|end| *n < end))
    }

    /// How long the playlists are at the nominal length of a segment.
    pub(crate) fn nominal_length(&self) -> MediaTime {
        let segment = u64::from(self.opening.settings.segment_ms);
        MediaTime::from_millis(segment * u64::from(self.window_segments()))
    }

    /// The period that a sequence belongs to.
    pub fn period_of(&self, sequence: MediaSequence) -> Option<&Arc<PeriodStart>> {
        self.periods.iter().rev().find(|period| period.first_sequence <= sequence)
    }

    /// `EXT-X-DISCONTINUITY-SEQUENCE` of a playlist that starts with this sequence.
    pub(crate) fn discontinuities_before(&self, sequence: MediaSequence) -> u64 {
        let kept = self.opening.first_sequence;
        let removed = self.periods.iter().filter(|period| {
            is_discontinuity(period) && period.first_sequence >= kept && period.first_sequence < sequence
        });
        self.opening.discontinuity_sequence + removed.count() as u64
    }

    /// Whether the newest period has this rendition.
    pub(crate) fn is_current(&self, rendition: &RenditionId) -> bool {
        self.periods.back().is_some_and(|period| init_of(period, rendition).is_some())
    }

    /// First sequence of the last run of periods that have this rendition.
    fn run_of(&self, rendition: &RenditionId) -> MediaSequence {
        let has = |period: &&Arc<PeriodStart>| init_of(period, rendition).is_some();
        let run = self.periods.iter().rev().skip_while(|period| !has(period)).take_while(has);
        run.last().map_or(self.opening.first_sequence, |period| period.first_sequence)
    }

    fn open_segment(&self, rendition: &RenditionId) -> Option<(MediaSequence, &Arc<Segment>)> {
        self.last(rendition).filter(|(_, segment)| !segment.is_whole())
    }

    /// Whether an open segment reaches the boundary of its period's grid, so that no further part can come: its end
    /// is only not said yet.
    fn is_full(&self, sequence: MediaSequence, segment: &Segment) -> bool {
        let Some(period) = self.period_of(sequence) else { return false };
        let settings = self.opening.settings;
        let cell = settings.cell(segment.start().saturating_sub(period.origin));
        segment.end() >= period.origin + settings.cell_start(cell + 1)
    }

    /// The segment that a rendition of the newest period begins next.
    fn next_of(&self, rendition: &RenditionId) -> MediaSequence {
        let first = self.period_first();
        self.last(rendition).map_or(first, |(sequence, _)| sequence.next().max(first))
    }

    /// The first segment of the newest period that is not whole in every rendition.
    pub fn next_uncommitted(&self) -> MediaSequence {
        let next_of = |rendition: &Rendition| match self.open_segment(&rendition.id) {
            Some((open, _)) => open,
            None => self.next_of(&rendition.id),
        };
        self.renditions().map(next_of).min().unwrap_or(self.opening.first_sequence)
    }

    /// The first sequence that no rendition has begun: where the next period starts.
    pub fn next_sequence(&self) -> MediaSequence {
        self.renditions().map(|r| self.next_of(&r.id)).max().unwrap_or(self.opening.first_sequence)
    }

    /// The first sequence of the newest period that this window can hold.
    fn period_first(&self) -> MediaSequence {
        let kept = self.opening.first_sequence;
        self.periods.back().map_or(kept, |period| period.first_sequence.max(kept))
    }
}

/// A broadcast's first period follows nothing.
pub(crate) fn is_discontinuity(period: &PeriodStart) -> bool {
    period.number.0 > 0
}

fn init_of<'a>(period: &'a PeriodStart, rendition: &RenditionId) -> Option<&'a Bytes> {
    period.renditions.iter().find(|(r, _)| r.id == *rendition).map(|(_, init)| init)
}
