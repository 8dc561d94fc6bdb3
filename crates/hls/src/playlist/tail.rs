//! The end of a broadcast in the playlists of the next one.

use std::fmt;

use headwater_media::{MediaSequence, MediaTime, RenditionId};

use super::lines::{begin, has_rendition, program_date_time, write_gap, write_segment};
use crate::object::NamePrefix;
use crate::window::LiveWindow;

/// Whether the playlists of a window still list something of the broadcast before, in one rendition at least.
pub fn lists_before(before: &LiveWindow, window: &LiveWindow) -> bool {
    Tail::of(before, window).is_some()
}

/// The last segments of a broadcast that another one follows.
#[derive(Clone, Copy)]
pub(super) struct Tail<'a> {
    before: &'a LiveWindow,
    pub(super) first: MediaSequence,
    /// The first number of the window that follows.
    pub(super) end: MediaSequence,
}

impl<'a> Tail<'a> {
    /// As many as the next one's window lacks. Players know these by their media sequence numbers, so nothing of them can
    /// be listed before a window whose numbers are smaller, or far away.
    pub(super) fn of(before: &'a LiveWindow, window: &LiveWindow) -> Option<Self> {
        let next = before.next_sequence();
        let end = window.listed_from();
        let listed = window.next_uncommitted().0.saturating_sub(end.0);
        let most = u64::from(window.opening().window_segments);
        let first = next.0.saturating_sub(most.saturating_sub(listed)).max(before.listed_from().0);
        let goes_together = before.opening().settings == window.opening().settings
            && end.0.checked_sub(next.0).is_some_and(|between| between <= most);
        (goes_together && first < next.0).then_some(Self { before, first: MediaSequence(first), end })
    }

    /// Whether the broadcast had the rendition in all that is listed of it.
    pub(super) fn is_of(&self, rendition: &RenditionId) -> bool {
        let mut all = (self.first.0..self.before.next_sequence().0).map(MediaSequence);
        all.all(|sequence| {
            let period = self.before.period_of(sequence);
            period.is_some_and(|period| has_rendition(period, rendition))
        })
    }

    /// Writes the last segments under the names that viewers of their broadcast know, and gaps up to the window that
    /// follows.
    pub(super) fn write(&self, out: &mut String, rendition: &RenditionId) -> fmt::Result {
        let names = NamePrefix::live(self.before.opening().broadcast);
        let mut map = None;
        for sequence in (self.first.0..self.before.next_sequence().0).map(MediaSequence) {
            let Some(period) = self.before.period_of(sequence) else { continue };
            map = Some(begin(out, names, period, sequence, map)?);
            match self.before.segment(rendition, sequence) {
                Some(segment) => {
                    program_date_time(out, self.before.wall_clock(period, segment.start()))?;
                    write_segment(out, names, sequence, segment.duration())?;
                }
                None => write_gap(out, names, sequence, self.before.duration_of(sequence))?,
            }
        }
        let duration = MediaTime::from_millis(u64::from(self.before.opening().settings.segment_ms));
        let mut between = (self.before.next_sequence().0..self.end.0).map(MediaSequence);
        between.try_for_each(|never| write_gap(out, names, never, duration))
    }
}
