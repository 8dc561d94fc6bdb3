//! A window as the events that make an equal one.

use headwater_media::{MediaEvent, MediaSequence, Opening, PartIndex, RenditionId};

use super::{LiveWindow, Part};

impl LiveWindow {
    /// The opening for a newcomer. Its first sequence is that of the oldest segment that is kept, which may be older
    /// than the first one listed: where playlists start follows from the events.
    pub fn opening(&self) -> &Opening {
        &self.opening
    }

    /// Events that bring a newcomer with [`LiveWindow::opening`] to this state. Media is shared, not copied.
    pub fn events(&self) -> Vec<MediaEvent> {
        let mut events = Vec::new();
        for (nth, period) in self.periods.iter().enumerate() {
            events.push(MediaEvent::PeriodStart(period.as_ref().clone()));
            events.extend(self.drift_events(period.number));
            let first = period.first_sequence.max(self.opening.first_sequence);
            let end = self.periods.get(nth + 1).map_or(self.next_sequence(), |next| next.first_sequence);
            for sequence in (first.0..end.0).map(MediaSequence) {
                for (rendition, _) in &period.renditions {
                    self.segment_events(&rendition.id, sequence, &mut events);
                }
            }
        }
        if self.ended {
            events.push(MediaEvent::BroadcastEnd);
        }
        events
    }

    /// Gaps are left out: the next period's start makes them again.
    fn segment_events(&self, rendition: &RenditionId, sequence: MediaSequence, events: &mut Vec<MediaEvent>) {
        let Some(segment) = self.held(rendition, sequence).filter(|segment| !segment.is_gap()) else {
            return;
        };
        let part = |(index, part): (usize, &Part)| MediaEvent::Part {
            rendition: rendition.clone(),
            sequence,
            index: PartIndex(index as u32),
            start: part.start,
            duration: part.duration,
            independent: part.independent,
            bytes: part.bytes.clone(),
        };
        events.extend(segment.parts().iter().enumerate().map(part));
        if segment.is_whole() {
            events.push(MediaEvent::SegmentEnd { rendition: rendition.clone(), sequence });
        }
    }
}
