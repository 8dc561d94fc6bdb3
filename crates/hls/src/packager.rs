//! From encoded frames to parts and segments, for one rendition.

use bytes::Bytes;
use headwater_media::{Cut, MediaEvent, MediaSequence, MediaTime, PartIndex, Placement, RenditionId};

use crate::cmaf::{self, Sample};

/// Kind of a rendition: the timescale of its frames, and whether each can be decoded by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrackFormat {
    /// 90,000 ticks a second.
    Video,
    /// As many ticks a second as samples.
    Audio { sample_rate: u32 },
}

impl TrackFormat {
    /// Ticks a second.
    pub fn timescale(self) -> u32 {
        match self {
            Self::Video => headwater_media::VIDEO_TIMESCALE,
            Self::Audio { sample_rate } => sample_rate,
        }
    }
}

/// Encoded frame, placed by a [`headwater_media::Cutter`]. Times are in ticks of the track's timescale, on the
/// source timeline of the period.
#[derive(Clone, Debug)]
pub struct PlacedSample {
    /// When it is decoded.
    pub time: u64,
    /// When the next one is decoded.
    pub end: u64,
    /// Presentation time minus `time`; 0 where there are no B-frames.
    pub composition_offset: i32,
    pub placement: Placement,
    pub keyframe: bool,
    pub data: Bytes,
    /// Boundary that the frame after this one begins, where it is known: then the part leaves with its last frame and not
    /// one frame later.
    pub next: Option<Cut>,
}

/// Cuts one rendition of one period into CMAF chunks, and says so in events.
///
/// Every frame is given in decoding order. Events come as soon as what they tell of is complete; the positions in
/// them are decode times, rounded once to microseconds.
#[derive(Debug)]
pub struct Packager {
    rendition: RenditionId,
    track: TrackFormat,
    samples: Vec<Sample>,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// No segment is open.
    Between,
    /// Frames for this part are wanted or waiting.
    Inside { sequence: MediaSequence, part: PartIndex },
}

impl Packager {
    /// A packager of a rendition's frames, before its first period.
    pub fn new(rendition: RenditionId, track: TrackFormat) -> Self {
        Self { rendition, track, samples: Vec::new(), state: State::Between }
    }

    /// Takes the next frame and gives what it completes, in order.
    pub fn push(&mut self, sample: PlacedSample) -> Vec<MediaEvent> {
        let mut events = Vec::new();
        self.begin(sample.placement, &mut events);
        self.samples.push(Sample {
            decode_time: sample.time,
            duration: u32::try_from(sample.end.saturating_sub(sample.time)).unwrap_or(u32::MAX),
            composition_offset: sample.composition_offset,
            keyframe: sample.keyframe || matches!(self.track, TrackFormat::Audio { .. }),
            data: sample.data,
        });
        match sample.next {
            Some(Cut::Segment) => self.end_segment(&mut events),
            Some(Cut::Part) => self.end_part(&mut events),
            Some(Cut::None) | None => {}
        }
        events
    }

    /// The period is over: closes what is open.
    pub fn finish(&mut self) -> Vec<MediaEvent> {
        let mut events = Vec::new();
        self.end_segment(&mut events);
        events
    }

    /// The period is over, and segment `last` is the last one that every rendition has: what waits for a later one
    /// is thrown away, and what is open up to it is closed.
    pub fn finish_at(&mut self, last: MediaSequence) -> Vec<MediaEvent> {
        match self.state {
            State::Inside { sequence, part: PartIndex(0) } if sequence > last => {
                self.samples.clear();
                self.state = State::Between;
                Vec::new()
            }
            _ => self.finish(),
        }
    }

    /// Closes what does not belong to the frame that is placed here.
    fn begin(&mut self, placement: Placement, events: &mut Vec<MediaEvent>) {
        let Placement { sequence, part, .. } = placement;
        match self.state {
            State::Inside { sequence: open, .. } if open != sequence => self.end_segment(events),
            State::Inside { part: open, .. } if open != part => self.end_part(events),
            _ => {}
        }
        self.state = State::Inside { sequence, part };
    }

    fn end_segment(&mut self, events: &mut Vec<MediaEvent>) {
        self.end_part(events);
        if let State::Inside { sequence, .. } = self.state {
            events.push(MediaEvent::SegmentEnd { rendition: self.rendition.clone(), sequence });
        }
        self.state = State::Between;
    }

    fn end_part(&mut self, events: &mut Vec<MediaEvent>) {
        let State::Inside { sequence, part } = self.state else { return };
        let (Some(first), Some(last)) = (self.samples.first(), self.samples.last()) else { return };
        let position = |ticks| MediaTime::from_ticks(ticks, self.track.timescale());
        let start = position(first.decode_time);
        events.push(MediaEvent::Part {
            rendition: self.rendition.clone(),
            sequence,
            index: part,
            start,
            duration: position(last.decode_time + u64::from(last.duration)).saturating_sub(start),
            independent: first.keyframe,
            bytes: cmaf::chunk(chunk_number(sequence, part), &self.samples),
        });
        self.samples.clear();
        self.state = State::Inside { sequence, part: part.next() };
    }
}

/// `mfhd` wants a number that grows from chunk to chunk; this one needs no memory, so a producer that takes over
/// writes the same. 256 parts a segment are more than any settings make.
fn chunk_number(sequence: MediaSequence, part: PartIndex) -> u32 {
    (sequence.0 << 8 | u64::from(part.0 & 0xff)) as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cmaf::walk::{Walk, be32};

    fn at(sequence: u64, part: u32, cut: Cut) -> Placement {
        Placement { sequence: MediaSequence(sequence), part: PartIndex(part), cut }
    }

    fn frame(number: u64, placement: Placement, next: Option<Cut>) -> PlacedSample {
        let (time, end) = (number * 3_000, (number + 1) * 3_000);
        let (keyframe, data) = (placement.cut == Cut::Segment, Bytes::from_static(b"frame"));
        PlacedSample { time, end, composition_offset: 0, placement, keyframe, data, next }
    }

    fn summary(events: &[MediaEvent]) -> Vec<String> {
        let line = |event: &MediaEvent| match event {
            MediaEvent::Part { sequence, index, start, duration, independent, bytes, .. } => {
                let payload = Walk::new(bytes).payload(&["mdat"]).len();
                format!("{sequence}.{index} {start}+{duration} {independent} {payload}")
            }
            MediaEvent::SegmentEnd { sequence, .. } => format!("end {sequence}"),
            other => panic!("{other:?}"),
        };
        events.iter().map(line).collect()
    }

    fn video() -> Packager {
        Packager::new("720p".parse().unwrap(), TrackFormat::Video)
    }

    #[test]
    fn a_part_leaves_with_its_last_frame_when_what_follows_is_known() {
        let mut packager = video();
        assert!(packager.push(frame(0, at(5, 0, Cut::Segment), Some(Cut::None))).is_empty());
        let events = packager.push(frame(1, at(5, 0, Cut::None), Some(Cut::Part)));
        assert_eq!(summary(&events), ["5.0 0.000000+0.066667 true 10"]);
        let events = packager.push(frame(2, at(5, 1, Cut::Part), Some(Cut::Segment)));
        assert_eq!(summary(&events), ["5.1 0.066667+0.033333 false 5", "end 5"]);
        assert!(packager.push(frame(3, at(6, 0, Cut::Segment), None)).is_empty());
        assert_eq!(summary(&packager.finish()), ["6.0 0.100000+0.033333 true 5", "end 6"]);
        assert!(packager.finish().is_empty());
    }

    #[test]
    fn a_part_leaves_one_frame_later_when_what_follows_is_not_known() {
        let mut packager = video();
        assert!(packager.push(frame(0, at(5, 0, Cut::Segment), None)).is_empty());
        let events = packager.push(frame(1, at(5, 1, Cut::Part), None));
        assert_eq!(summary(&events), ["5.0 0.000000+0.033333 true 5"]);
        let events = packager.push(frame(2, at(6, 0, Cut::Segment), None));
        assert_eq!(summary(&events), ["5.1 0.033333+0.033334 false 5", "end 5"]);
    }

    #[test]
    fn a_segment_closed_early_by_the_end_has_no_empty_part() {
        let mut packager = video();
        packager.push(frame(0, at(5, 0, Cut::Segment), Some(Cut::Part)));
        assert_eq!(summary(&packager.finish()), ["end 5"]);
    }

    #[test]
    fn what_only_this_rendition_has_is_thrown_away() {
        let mut packager = video();
        packager.push(frame(0, at(5, 0, Cut::Segment), Some(Cut::Segment)));
        packager.push(frame(1, at(6, 0, Cut::Segment), None));
        assert!(packager.finish_at(MediaSequence(5)).is_empty());
        packager.push(frame(1, at(6, 0, Cut::Segment), None));
        assert_eq!(summary(&packager.finish_at(MediaSequence(6))).len(), 2);
    }

    #[test]
    fn audio_is_independent_and_counts_in_samples() {
        let mut packager =
            Packager::new("audio".parse().unwrap(), TrackFormat::Audio { sample_rate: 44_100 });
        let sample = PlacedSample {
            time: 44_100,
            end: 44_100 + 1_024,
            ..frame(0, at(9, 2, Cut::Part), Some(Cut::Part))
        };
        let events = packager.push(PlacedSample { keyframe: false, ..sample });
        assert_eq!(summary(&events), ["9.2 1.000000+0.023220 true 5"]);
        let MediaEvent::Part { bytes, .. } = &events[0] else { panic!() };
        assert_eq!(be32(Walk::new(bytes).payload(&["moof", "mfhd"]), 4), 9 << 8 | 2);
    }
}
