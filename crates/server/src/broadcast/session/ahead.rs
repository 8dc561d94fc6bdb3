//! Events of a rendition that is too far ahead of the others. Players can't use them yet, and they would be in the way if this
//! server were lost now: only a segment of which viewers have seen nothing may be made anew as something else.

use std::collections::VecDeque;

use headwater_media::{MediaEvent, MediaSequence, ResumePoint};
use headwater_wire::v2::Failure;

use crate::broadcast::failure::worker_failed;

/// Bytes that wait at most: a rendition of 10 Mb/s that is 25 s ahead. A worker keeps its renditions within some seconds.
const MOST_BYTES: usize = 32 << 20;
/// Events that wait at most, however small: of five renditions that are 100 s ahead.
const MOST_EVENTS: usize = 2_048;

/// Events in the order of the worker.
#[derive(Default)]
pub(super) struct Ahead {
    waiting: VecDeque<MediaEvent>,
    bytes: usize,
    /// Period starts among them: events before one have nothing more to wait for.
    periods: usize,
}

impl Ahead {
    pub(super) fn push(&mut self, event: MediaEvent) -> Result<(), Failure> {
        self.bytes += size(&event);
        self.periods += usize::from(is_period(&event));
        self.waiting.push_back(event);
        if self.bytes > MOST_BYTES || self.waiting.len() > MOST_EVENTS {
            return Err(worker_failed("a rendition is too far ahead of the others"));
        }
        Ok(())
    }

    /// The next event to show, when all renditions are whole before this segment.
    pub(super) fn next(&mut self, uncommitted: MediaSequence) -> Option<MediaEvent> {
        let end = MediaSequence(uncommitted.0 + ResumePoint::LEAD);
        let may_be_shown = |event: &MediaEvent| sequence(event).is_none_or(|sequence| sequence < end);
        let next = if self.periods > 0 { 0 } else { self.waiting.iter().position(may_be_shown)? };
        self.take(next)
    }

    /// The next event of all, when the worker has finished.
    pub(super) fn rest(&mut self) -> Option<MediaEvent> {
        self.take(0)
    }

    fn take(&mut self, at: usize) -> Option<MediaEvent> {
        let event = self.waiting.remove(at)?;
        self.bytes -= size(&event);
        self.periods -= usize::from(is_period(&event));
        Some(event)
    }
}

fn is_period(event: &MediaEvent) -> bool {
    matches!(event, MediaEvent::PeriodStart(_))
}

fn sequence(event: &MediaEvent) -> Option<MediaSequence> {
    match event {
        MediaEvent::Part { sequence, .. } | MediaEvent::SegmentEnd { sequence, .. } => Some(*sequence),
        MediaEvent::PeriodStart(_) | MediaEvent::Drift { .. } | MediaEvent::BroadcastEnd => None,
    }
}

fn size(event: &MediaEvent) -> usize {
    if let MediaEvent::Part { bytes, .. } = event { bytes.len() } else { 0 }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use headwater_media::{MediaTime, PartIndex};

    use super::*;

    fn part(rendition: &str, sequence: u64, bytes: usize) -> MediaEvent {
        MediaEvent::Part {
            rendition: rendition.parse().unwrap(),
            sequence: MediaSequence(sequence),
            index: PartIndex(0),
            start: MediaTime::ZERO,
            duration: MediaTime::ZERO,
            independent: true,
            bytes: Bytes::from(vec![0; bytes]),
        }
    }

    fn shown(ahead: &mut Ahead, uncommitted: u64) -> Vec<MediaEvent> {
        std::iter::from_fn(|| ahead.next(MediaSequence(uncommitted))).collect()
    }

    #[test]
    fn what_is_two_segments_ahead_waits_for_the_others() {
        let mut ahead = Ahead::default();
        let [first, second, third] = [7, 8, 9].map(|sequence| part("audio", sequence, 1));
        for event in [&first, &second, &third] {
            ahead.push(event.clone()).unwrap();
        }
        assert_eq!(shown(&mut ahead, 7), [first, second]);
        let picture = part("720p", 7, 1);
        ahead.push(picture.clone()).unwrap();
        assert_eq!(shown(&mut ahead, 7), [picture], "the others are not held up");
        assert_eq!(shown(&mut ahead, 8), [third]);
    }

    #[test]
    fn nothing_waits_when_the_worker_has_finished_or_grows_without_bound() {
        let mut ahead = Ahead::default();
        ahead.push(part("audio", 9, 1)).unwrap();
        assert_eq!((shown(&mut ahead, 7), ahead.rest()), (vec![], Some(part("audio", 9, 1))));
        assert_eq!(ahead.bytes, 0);
        assert!(ahead.push(part("audio", 9, MOST_BYTES + 1)).is_err());
        let mut ahead = Ahead::default();
        assert!((0..=MOST_EVENTS).any(|_| ahead.push(part("audio", 9, 1)).is_err()));
    }
}
