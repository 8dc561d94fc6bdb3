//! Media on its way from the proxy to the worker: the publisher's messages, unwrapped and sorted into periods.

use bytes::Bytes;

use crate::access_unit::{Codec, Track, TrackId, TrackKind};
use crate::ids::{MediaSequence, OutputUid, PeriodNumber};
use crate::time::{SourceTime, UnixMillis};

/// Continuous source timeline within a broadcast. A new one begins when the publisher reconnects, its
/// timestamps jump, or its codec configuration, picture size or set of tracks changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Period {
    pub number: PeriodNumber,
    /// Least number of its first segment, where the media that should come before it was lost, as viewers may have
    /// smaller ones in part.
    pub first_sequence: Option<MediaSequence>,
    /// Presentation time of the first frame that is shown (where there is video, of a picture: the first keyframe, or one
    /// that the pictures from a keyframe on lead up to). Segment boundaries are counted from here.
    pub origin: SourceTime,
    /// Wall-clock time of `origin`, but for the drift of the frame there: periods follow each other on this clock, also
    /// where an encoder was faster than the time that passed.
    pub wall_clock: UnixMillis,
    /// Elementary streams: at least one, of each kind one at most.
    pub tracks: Vec<Track>,
}

impl Period {
    /// Number of the video track of every timeline.
    pub const VIDEO_TRACK: TrackId = TrackId(1);
    /// Number of the audio track of every timeline.
    pub const AUDIO_TRACK: TrackId = TrackId(2);

    /// Tracks of a period of H.264 and AAC, by their decoder configurations; none for a kind that it does not have.
    pub fn tracks_of(video: Option<Bytes>, audio: Option<Bytes>) -> Vec<Track> {
        let video =
            video.map(|configuration| Track { id: Self::VIDEO_TRACK, codec: Codec::H264, configuration });
        let audio =
            audio.map(|configuration| Track { id: Self::AUDIO_TRACK, codec: Codec::Aac, configuration });
        video.into_iter().chain(audio).collect()
    }

    /// The track of a kind; none where the period does not have it.
    pub fn track(&self, kind: TrackKind) -> Option<&Track> {
        self.tracks.iter().find(|track| track.kind() == kind)
    }

    /// Decoder configuration of the video; none for a period without.
    pub fn video(&self) -> Option<&Bytes> {
        self.track(TrackKind::Video).map(|track| &track.configuration)
    }

    /// Decoder configuration of the audio; none for a period without.
    pub fn audio(&self) -> Option<&Bytes> {
        self.track(TrackKind::Audio).map(|track| &track.configuration)
    }
}

/// Kind of a tag's payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TagKind {
    /// H.264 access unit, NAL units with length prefixes as its configuration record says.
    Video { keyframe: bool },
    /// Raw AAC frame.
    Audio,
}

/// Access unit of the publisher.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tag {
    pub track: TrackId,
    pub kind: TagKind,
    /// Decoding time.
    pub time: SourceTime,
    /// Presentation time minus decoding time, in microseconds; 0 for audio.
    pub composition_offset_us: i32,
    /// Wall-clock time of this frame minus that of the period's clock, in milliseconds: [`Period::wall_clock`] and the
    /// time since the origin drift apart, as an encoder counts by a clock of its own.
    pub drift: i32,
    pub payload: Bytes,
}

/// Bytes that a tag is counted with besides its payload: three times its size, as collections grow by doubling and begin
/// with the length of the one before, and the header of a shared payload.
pub(crate) const TAG_COST: usize = 200;
/// Bytes of the header of a shared payload, and more.
const SHARED_HEADER: usize = 32;
const _: () = assert!(TAG_COST >= 3 * size_of::<Tag>() + SHARED_HEADER);

impl Tag {
    /// Bytes that it costs to keep the tag. The payloads of a timeline are memory of their own, and so no more than this.
    pub(crate) fn memory_cost(&self) -> usize {
        TAG_COST + self.payload.len()
    }

    /// Time at which the frame is shown or heard.
    pub fn presentation_time(&self) -> SourceTime {
        self.time.offset_us(i64::from(self.composition_offset_us))
    }

    /// Whether the tag is a picture.
    pub fn is_video(&self) -> bool {
        matches!(self.kind, TagKind::Video { .. })
    }

    /// Whether decoding can start at this tag's picture.
    pub fn is_keyframe(&self) -> bool {
        matches!(self.kind, TagKind::Video { keyframe: true })
    }
}

/// Output of the timeline. Every tag belongs to the last period before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TimelineEvent {
    Period(Period),
    Tag(Tag),
}

/// Media that a server has encoded for an output. Every tag belongs to the last period before it of the same output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutputTag {
    pub output: OutputUid,
    pub media: TimelineEvent,
}
