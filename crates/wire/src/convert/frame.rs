//! Encoded frames of a worker.

use headwater_media::{Cut, EncodedFrame, MediaSequence, PartIndex};

use super::{ConvertError, invalid_field};
use crate::v2::worker_output as w;

impl From<EncodedFrame> for w::Frame {
    fn from(frame: EncodedFrame) -> Self {
        let next = match frame.next {
            None => w::Cut::Unspecified,
            Some(Cut::None) => w::Cut::None,
            Some(Cut::Part) => w::Cut::Part,
            Some(Cut::Segment) => w::Cut::Segment,
        };
        Self {
            rendition: frame.rendition as u32,
            time_ticks: frame.time,
            end_ticks: frame.end,
            composition_offset_ticks: frame.composition_offset,
            keyframe: frame.keyframe,
            sequence: frame.sequence.0,
            part: frame.part.0,
            next: next.into(),
            payload: frame.payload,
        }
    }
}

impl TryFrom<w::Frame> for EncodedFrame {
    type Error = ConvertError;
    fn try_from(message: w::Frame) -> Result<Self, ConvertError> {
        let next = match w::Cut::try_from(message.next).map_err(|error| invalid_field("next", error))? {
            w::Cut::Unspecified => None,
            w::Cut::None => Some(Cut::None),
            w::Cut::Part => Some(Cut::Part),
            w::Cut::Segment => Some(Cut::Segment),
        };
        Ok(Self {
            rendition: message.rendition as usize,
            time: message.time_ticks,
            end: message.end_ticks,
            composition_offset: message.composition_offset_ticks,
            keyframe: message.keyframe,
            sequence: MediaSequence(message.sequence),
            part: PartIndex(message.part),
            next,
            payload: message.payload,
        })
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[test]
    fn frames_survive_the_wire() {
        for next in [None, Some(Cut::None), Some(Cut::Part), Some(Cut::Segment)] {
            let frame = EncodedFrame {
                rendition: 3,
                time: 1 << 40,
                end: (1 << 40) + 3_000,
                composition_offset: -6_000,
                keyframe: true,
                sequence: MediaSequence(9),
                part: PartIndex(2),
                next,
                payload: Bytes::from_static(b"nal"),
            };
            assert_eq!(w::Frame::from(frame.clone()).try_into(), Ok(frame));
        }
        let error = EncodedFrame::try_from(w::Frame { next: 9, ..w::Frame::default() }).unwrap_err();
        assert!(error.to_string().contains("`next`"), "{error}");
    }
}
