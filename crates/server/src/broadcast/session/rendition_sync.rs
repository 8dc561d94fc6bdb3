//! Events of a rendition that is too far ahead of the others. Players can't use them yet, and they would be in the way if this
//! server were lost now: only a segment of which viewers have seen nothing may be made anew as something else.

use std::collections::VecDeque;

use headwater_media::{MediaEvent, MediaSequence, ResumePoint};

use crate::broadcast::failure::worker_failed;
use crate::failure::Failure;

/// Bytes that wait at most: a rendition of 10 Mb/s that is 25 s sync. A worker keeps its renditions within some seconds.
const MAX_WAITING_BYTES: usize = 32 << 20;
/// Events that wait at most, however small: of five renditions that are 100 s sync.
const MAX_WAITING_EVENTS: usize = 2_048;

/// Events in the order of the worker.
#[derive(Default)]
pub(super) struct RenditionSync {
    waiting: VecDeque<MediaEvent>,
    bytes: usize,
    /// Period starts among them: events before one have nothing more to wait for.
    periods: usize,
}

impl RenditionSync {
    pub(super) fn push_event(&mut self, event: MediaEvent) -> Result<(), Failure> {
        self.bytes += size_of_event(&event);
        self.periods += usize::from(is_period(&event));
        self.waiting.push_back(event);
        if self.bytes > MAX_WAITING_BYTES || self.waiting.len() > MAX_WAITING_EVENTS {
            return Err(worker_failed("a rendition is too far ahead of the others"));
        }
        Ok(())
    }

    /// The next event to show, when all renditions are whole before this segment.
    pub(super) fn pop_aligned(&mut self, uncommitted: MediaSequence) -> Option<MediaEvent> {
        let end = MediaSequence(uncommitted.0 + ResumePoint::LEAD_SEGMENTS);
        let may_be_shown = |event: &MediaEvent| sequence_of(event).is_none_or(|sequence| sequence < end);
        let next = if self.periods > 0 { 0 } else { self.waiting.iter().position(may_be_shown)? };
        self.remove_at(next)
    }

    /// The next event of all, when the worker has finished.
    pub(super) fn pop_rest(&mut self) -> Option<MediaEvent> {
        self.remove_at(0)
    }

    fn remove_at(&mut self, at: usize) -> Option<MediaEvent> {
        let event = self.waiting.remove(at)?;
        self.bytes -= size_of_event(&event);
        self.periods -= usize::from(is_period(&event));
        Some(event)
    }
}

fn is_period(event: &MediaEvent) -> bool {
    matches!(event, MediaEvent::PeriodStart(_))
}

fn sequence_of(event: &MediaEvent) -> Option<MediaSequence> {
    match event {
        MediaEvent::Part { sequence, .. } | MediaEvent::SegmentEnd { sequence, .. } => Some(*sequence),
        MediaEvent::PeriodStart(_) | MediaEvent::Drift { .. } | MediaEvent::BroadcastEnd => None,
    }
}

fn size_of_event(event: &MediaEvent) -> usize {
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

    fn shown(sync: &mut RenditionSync, uncommitted: u64) -> Vec<MediaEvent> {
        std::iter::from_fn(|| sync.pop_aligned(MediaSequence(uncommitted))).collect()
    }

    #[test]
    fn what_is_two_segments_ahead_waits_for_the_others() {
        let mut sync = RenditionSync::default();
        let [first, second, third] = [7, 8, 9].map(|sequence| part("audio", sequence, 1));
        for event in [&first, &second, &third] {
            sync.push_event(event.clone()).unwrap();
        }
        assert_eq!(shown(&mut sync, 7), [first, second]);
        let picture = part("720p", 7, 1);
        sync.push_event(picture.clone()).unwrap();
        assert_eq!(shown(&mut sync, 7), [picture], "the others are not held up");
        assert_eq!(shown(&mut sync, 8), [third]);
    }

    #[test]
    fn nothing_waits_when_the_worker_has_finished_or_grows_without_bound() {
        let mut sync = RenditionSync::default();
        sync.push_event(part("audio", 9, 1)).unwrap();
        assert_eq!((shown(&mut sync, 7), sync.pop_rest()), (vec![], Some(part("audio", 9, 1))));
        assert_eq!(sync.bytes, 0);
        assert!(sync.push_event(part("audio", 9, MAX_WAITING_BYTES + 1)).is_err());
        let mut sync = RenditionSync::default();
        assert!((0..=MAX_WAITING_EVENTS).any(|_| sync.push_event(part("audio", 9, 1)).is_err()));
    }
}
