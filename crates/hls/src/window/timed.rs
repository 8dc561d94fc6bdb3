//! Segments that are named by their period and the time where they begin, as presentations of DASH name them.

use headwater_media::{MediaSequence, RenditionId};

use super::LiveWindow;

/// Meaning of such a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timed {
    Segment(MediaSequence),
    /// It was announced, and then another period began: so many numbers behind the first one that is not there.
    Never(u64),
}

impl LiveWindow {
    /// The segment of a rendition that begins so many ticks after the start of the source's clock, in the period whose
    /// first segment has this number. None where the window has no such period.
    pub fn timed(&self, rendition: &RenditionId, first: MediaSequence, ticks: u64) -> Option<Timed> {
        let at = self.periods.iter().position(|period| period.first_sequence == first)?;
        let number = self.periods[at].number_at(rendition, ticks, self.opening.settings)?;
        let next = self.periods.get(at + 1);
        let past = next.and_then(|next| number.0.checked_sub(next.first_sequence.0));
        Some(past.map_or(Timed::Segment(number), Timed::Never))
    }
}
