//! From encoded frames to parts and segments.

use headwater_media::{
    Cut, EncodedFrame, MediaEvent, MediaSequence, MediaTime, PartIndex, PeriodStart, Rendition, RenditionId,
    RenditionKind,
};

use crate::cmaf::{self, Sample};
use crate::window::MAX_PARTS;

/// Bytes of frames that wait for the end of their parts, in all renditions together: sixteen renditions of 10 Mb/s wait with
/// 7 MiB, in parts of a third of a second.
pub const MAX_OPEN_BYTES: usize = 32 << 20;

/// Chunk numbers of one segment.
const CHUNK_NUMBERS: usize = 1 << 8;
const _: () = assert!(MAX_PARTS <= CHUNK_NUMBERS);

/// Frame, period or end that can't come next.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum PackagingError {
    /// The frame or the end is of no rendition of the period, or comes before any period.
    #[error("the period has no rendition {0}")]
    UnknownRendition(usize),
    /// The frame or the end follows the rendition's end.
    #[error("rendition {0} goes on after its end")]
    AfterEnd(RenditionId),
    /// The frame begins before the end of the last one, ends before it begins, or lasts for hours.
    #[error("rendition {0} has a frame with a wrong time")]
    WrongTime(RenditionId),
    /// The frame belongs to a part or a segment before those that were begun.
    #[error("rendition {0} goes back to an earlier part")]
    EarlierPart(RenditionId),
    /// More than [`MAX_OPEN_BYTES`] wait.
    #[error("parts do not end")]
    EndlessParts,
    /// The next period begins, or the output ends, before the rendition's end.
    #[error("rendition {0} does not end with its period")]
    NoEnd(RenditionId),
}

/// Cuts the renditions of a broadcast into CMAF chunks, period after period, and says so in events.
///
/// The frames of each rendition are given in decoding order. Events come as soon as what they tell of is complete; the
/// positions in them are decode times, rounded once to microseconds. After an error nothing more is to be given.
#[derive(Debug, Default)]
pub struct Packager {
    /// In the order of the period.
    tracks: Vec<Track>,
    /// Bytes of open parts.
    open_bytes: usize,
}

/// Rendition of a period with its open part.
#[derive(Debug)]
struct Track {
    rendition: RenditionId,
    timescale: u32,
    /// Whether each frame can be decoded by itself.
    is_audio: bool,
    /// Frames of the open part.
    samples: Vec<Sample>,
    /// Bytes that are held for them.
    open_bytes: usize,
    /// End of the last frame, in ticks of the timescale.
    end: u64,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// No segment is open; this was the last one.
    Between {
        last: Option<MediaSequence>,
    },
    /// Frames for this part are wanted or waiting.
    Inside {
        sequence: MediaSequence,
        part: PartIndex,
    },
    Ended,
}

impl Packager {
    /// Begins a period.
    ///
    /// # Errors
    /// A rendition of the period before has not ended.
    pub fn begin(&mut self, period: &PeriodStart) -> Result<(), PackagingError> {
        self.check_ended()?;
        self.tracks = period.renditions.iter().map(|(rendition, _)| Track::new(rendition)).collect();
        Ok(())
    }

    /// Takes the next frame and gives what it completes, in order.
    ///
    /// # Errors
    /// The frame can't come next.
    pub fn push(&mut self, frame: EncodedFrame) -> Result<Vec<MediaEvent>, PackagingError> {
        let track = self.tracks.get_mut(frame.rendition);
        let track = track.ok_or(PackagingError::UnknownRendition(frame.rendition))?;
        track.check(&frame)?;
        let before = track.open_bytes;
        let events = track.push(frame);
        self.open_bytes = self.open_bytes - before + track.open_bytes;
        if self.open_bytes > MAX_OPEN_BYTES { Err(PackagingError::EndlessParts) } else { Ok(events) }
    }

    /// Ends a rendition in the period: closes what is open.
    ///
    /// # Errors
    /// The period has no such rendition, or it has ended.
    pub fn end(&mut self, rendition: usize) -> Result<Vec<MediaEvent>, PackagingError> {
        let track = self.tracks.get_mut(rendition).ok_or(PackagingError::UnknownRendition(rendition))?;
        self.open_bytes -= track.open_bytes;
        track.finish()
    }

    /// Checks that nothing is open.
    ///
    /// # Errors
    /// A rendition has not ended.
    pub fn check_ended(&self) -> Result<(), PackagingError> {
        match self.tracks.iter().find(|track| track.state != State::Ended) {
            Some(open) => Err(PackagingError::NoEnd(open.rendition.clone())),
            None => Ok(()),
        }
    }
}

impl Track {
    fn new(rendition: &Rendition) -> Self {
        Self {
            rendition: rendition.id.clone(),
            timescale: rendition.timescale(),
            is_audio: matches!(rendition.kind, RenditionKind::Audio { .. }),
            samples: Vec::new(),
            open_bytes: 0,
            end: 0,
            state: State::Between { last: None },
        }
    }

    fn check(&self, frame: &EncodedFrame) -> Result<(), PackagingError> {
        let is_next = match self.state {
            State::Ended => return Err(PackagingError::AfterEnd(self.rendition.clone())),
            State::Between { last } => last.is_none_or(|last| frame.sequence > last),
            State::Inside { sequence, part } => (frame.sequence, frame.part) >= (sequence, part),
        };
        if !is_next {
            return Err(PackagingError::EarlierPart(self.rendition.clone()));
        }
        let duration = frame.end.checked_sub(frame.time).map(u32::try_from);
        let fits = frame.time >= self.end && matches!(duration, Some(Ok(_)));
        if fits { Ok(()) } else { Err(PackagingError::WrongTime(self.rendition.clone())) }
    }

    fn push(&mut self, frame: EncodedFrame) -> Vec<MediaEvent> {
        let mut events = Vec::new();
        self.begin(frame.sequence, frame.part, &mut events);
        self.end = frame.end;
        self.open_bytes += size_of::<Sample>() + frame.payload.len();
        self.samples.push(Sample {
            decode_time: frame.time,
            duration: u32::try_from(frame.end.saturating_sub(frame.time)).unwrap_or(u32::MAX),
            composition_offset: frame.composition_offset,
            keyframe: frame.keyframe || self.is_audio,
            data: frame.payload,
        });
        match frame.next {
            Some(Cut::Segment) => self.end_segment(&mut events),
            Some(Cut::Part) => self.end_part(&mut events),
            Some(Cut::None) | None => {}
        }
        events
    }

    fn finish(&mut self) -> Result<Vec<MediaEvent>, PackagingError> {
        if self.state == State::Ended {
            return Err(PackagingError::AfterEnd(self.rendition.clone()));
        }
        let mut events = Vec::new();
        self.end_segment(&mut events);
        self.state = State::Ended;
        Ok(events)
    }

    /// Closes what does not belong to the frame that is placed here.
    fn begin(&mut self, sequence: MediaSequence, part: PartIndex, events: &mut Vec<MediaEvent>) {
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
            self.state = State::Between { last: Some(sequence) };
        }
    }

    fn end_part(&mut self, events: &mut Vec<MediaEvent>) {
        let State::Inside { sequence, part } = self.state else { return };
        let Some(first) = self.samples.first() else { return };
        let position = |ticks| MediaTime::from_ticks(ticks, self.timescale);
        let start = position(first.decode_time);
        events.push(MediaEvent::Part {
            rendition: self.rendition.clone(),
            sequence,
            index: part,
            start,
            duration: position(self.end).saturating_sub(start),
            independent: first.keyframe,
            bytes: cmaf::chunk(chunk_number(sequence, part), &self.samples),
        });
        self.samples.clear();
        self.open_bytes = 0;
        self.state = State::Inside { sequence, part: PartIndex(part.0.saturating_add(1)) };
    }
}

/// `mfhd` wants a number that grows from chunk to chunk; this one needs no memory, so a producer that takes over
/// writes the same.
fn chunk_number(sequence: MediaSequence, part: PartIndex) -> u32 {
    (sequence.0 << 8 | u64::from(part.0 & 0xff)) as u32
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use headwater_media::{PeriodNumber, UnixMillis};

    use super::*;
    use crate::cmaf::walk::{Walk, be32};

    /// A frame of the first rendition: its number, segment and part.
    fn frame(number: u64, (sequence, part): (u64, u32), next: Option<Cut>) -> EncodedFrame {
        EncodedFrame {
            rendition: 0,
            time: number * 3_000,
            end: (number + 1) * 3_000,
            composition_offset: 0,
            keyframe: part == 0,
            sequence: MediaSequence(sequence),
            part: PartIndex(part),
            next,
            payload: Bytes::from_static(b"frame"),
        }
    }

    fn summary(events: Result<Vec<MediaEvent>, PackagingError>) -> Vec<String> {
        let line = |event: &MediaEvent| match event {
            MediaEvent::Part { sequence, index, start, duration, independent, bytes, .. } => {
                let payload = Walk::new(bytes).payload(&["mdat"]).len();
                format!("{sequence}.{index} {start}+{duration} {independent} {payload}")
            }
            MediaEvent::SegmentEnd { sequence, .. } => format!("end {sequence}"),
            other => panic!("{other:?}"),
        };
        events.unwrap().iter().map(line).collect()
    }

    /// A period of a video and an audio rendition.
    fn period() -> PeriodStart {
        let video = RenditionKind::Video { width: 1280, height: 720, frame_rate: 30.0 };
        let audio = RenditionKind::Audio { channels: 2, sample_rate: 44_100 };
        let rendition = |(name, kind): (&str, _)| Rendition {
            id: name.parse().unwrap(),
            kind,
            codecs: String::new(),
            declared_bitrate: 1,
        };
        PeriodStart {
            number: PeriodNumber(0),
            first_sequence: MediaSequence(5),
            origin: MediaTime::ZERO,
            wall_clock: UnixMillis(0),
            renditions: [("720p", video), ("audio", audio)]
                .map(rendition)
                .map(|it| (it, Bytes::new()))
                .into(),
            ladder: None,
        }
    }

    fn packager() -> Packager {
        let mut packager = Packager::default();
        packager.begin(&period()).unwrap();
        packager
    }

    #[test]
    fn a_part_leaves_with_its_last_frame_when_what_follows_is_known() {
        let mut packager = packager();
        assert!(summary(packager.push(frame(0, (5, 0), Some(Cut::None)))).is_empty());
        let events = packager.push(frame(1, (5, 0), Some(Cut::Part)));
        assert_eq!(summary(events), ["5.0 0.000000+0.066667 true 10"]);
        let events = packager.push(frame(2, (5, 1), Some(Cut::Segment)));
        assert_eq!(summary(events), ["5.1 0.066667+0.033333 false 5", "end 5"]);
        assert!(summary(packager.push(frame(3, (6, 0), None))).is_empty());
        assert_eq!(summary(packager.end(0)), ["6.0 0.100000+0.033333 true 5", "end 6"]);
    }

    #[test]
    fn a_part_leaves_one_frame_later_when_what_follows_is_not_known() {
        let mut packager = packager();
        assert!(summary(packager.push(frame(0, (5, 0), None))).is_empty());
        assert_eq!(summary(packager.push(frame(1, (5, 1), None))), ["5.0 0.000000+0.033333 true 5"]);
        let events = packager.push(frame(2, (6, 0), None));
        assert_eq!(summary(events), ["5.1 0.033333+0.033334 false 5", "end 5"]);
    }

    #[test]
    fn a_segment_closed_early_by_the_end_has_no_empty_part() {
        let mut packager = packager();
        packager.push(frame(0, (5, 0), Some(Cut::Part))).unwrap();
        assert_eq!(summary(packager.end(0)), ["end 5"]);
    }

    #[test]
    fn audio_is_independent_and_counts_in_samples() {
        let mut packager = packager();
        let time = 44_100;
        let end = time + 1_024;
        let of_audio =
            EncodedFrame { rendition: 1, time, end, keyframe: false, ..frame(0, (9, 2), Some(Cut::Part)) };
        let events = packager.push(of_audio).unwrap();
        let MediaEvent::Part { bytes, .. } = &events[0] else { panic!() };
        assert_eq!(be32(Walk::new(bytes).payload(&["moof", "mfhd"]), 4), 9 << 8 | 2);
        assert_eq!(summary(Ok(events)), ["9.2 1.000000+0.023220 true 5"]);
    }

    #[test]
    fn renditions_have_parts_of_their_own() {
        let mut packager = packager();
        packager.push(frame(0, (5, 0), None)).unwrap();
        packager.push(EncodedFrame { rendition: 1, ..frame(0, (5, 0), None) }).unwrap();
        assert_eq!(summary(packager.end(0)), ["5.0 0.000000+0.033333 true 5", "end 5"]);
        assert_eq!(summary(packager.end(1)), ["5.0 0.000000+0.068027 true 5", "end 5"]);
        packager.begin(&period()).unwrap();
        assert!(summary(packager.push(frame(0, (6, 0), None))).is_empty(), "times begin anew");
    }

    #[test]
    fn frames_that_cannot_come_next_are_refused() {
        use PackagingError::*;
        let after = |frame| {
            let mut packager = packager();
            packager.push(self::frame(4, (5, 1), Some(Cut::None))).unwrap();
            packager.push(frame).unwrap_err()
        };
        let fits = frame(5, (5, 1), None);
        let id = "720p".parse::<RenditionId>().unwrap();
        assert_eq!(after(EncodedFrame { rendition: 2, ..fits.clone() }), UnknownRendition(2));
        assert_eq!(after(frame(4, (5, 1), None)), WrongTime(id.clone()));
        assert_eq!(after(EncodedFrame { end: fits.time - 1, ..fits.clone() }), WrongTime(id.clone()));
        assert_eq!(after(EncodedFrame { end: u64::MAX, ..fits.clone() }), WrongTime(id.clone()));
        assert_eq!(after(frame(5, (5, 0), None)), EarlierPart(id.clone()));
        assert_eq!(after(frame(5, (4, 7), None)), EarlierPart(id.clone()));
        let mut packager = packager();
        packager.push(frame(0, (5, 0), Some(Cut::Segment))).unwrap();
        assert_eq!(packager.push(frame(1, (5, 1), None)), Err(EarlierPart(id)), "the segment is whole");
        assert_eq!(Packager::default().push(fits), Err(UnknownRendition(0)), "no period has begun");
    }

    #[test]
    fn a_rendition_ends_once_and_before_the_next_period() {
        let mut packager = packager();
        let id = "720p".parse::<RenditionId>().unwrap();
        assert_eq!(packager.begin(&period()), Err(PackagingError::NoEnd(id.clone())));
        packager.end(0).unwrap();
        assert_eq!(packager.end(0), Err(PackagingError::AfterEnd(id.clone())));
        assert_eq!(packager.push(frame(0, (5, 0), None)), Err(PackagingError::AfterEnd(id)));
        assert_eq!(packager.end(2), Err(PackagingError::UnknownRendition(2)));
        assert_eq!(packager.check_ended(), Err(PackagingError::NoEnd("audio".parse().unwrap())));
        packager.end(1).unwrap();
        packager.check_ended().unwrap();
    }

    /// Also of frames without a byte.
    #[test]
    fn parts_that_do_not_end_are_bounded_in_all_renditions_together() {
        for size in [0, 1 << 20] {
            let mut packager = packager();
            let payload = Bytes::from(vec![0; size]);
            let mut push = |number: u64| {
                let rendition = (number % 2) as usize;
                let payload = payload.clone();
                packager.push(EncodedFrame { rendition, payload, ..frame(number, (5, 0), Some(Cut::None)) })
            };
            let most = (MAX_OPEN_BYTES / (size_of::<Sample>() + size)) as u64;
            assert!((0..most).all(|number| push(number).is_ok()));
            assert_eq!(push(most), Err(PackagingError::EndlessParts));
        }
        let mut packager = packager();
        let payload = Bytes::from(vec![0; MAX_OPEN_BYTES / 2]);
        for number in 0..4 {
            let ends = frame(number, (5 + number, 0), Some(Cut::Segment));
            packager.push(EncodedFrame { payload: payload.clone(), ..ends }).unwrap();
        }
    }
}
