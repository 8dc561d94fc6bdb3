//! The vocabulary between whoever packages a broadcast and whoever shows it: a worker, its server, an origin, an
//! origin behind an origin. An [`Opening`] followed by the events of the window brings a newcomer to the same state as
//! one who watched from the start.

use bytes::Bytes;

use super::Policy;
use crate::ids::{BroadcastId, Epoch, MediaSequence, PartIndex, PeriodNumber, RenditionId};
use crate::ladder::Ladder;
use crate::segmentation::SegmentSettings;
use crate::time::{MediaTime, SourceTime, UnixMillis};

/// Ticks a second of every video rendition's timestamps.
pub const VIDEO_TIMESCALE: u32 = 90_000;

/// Settings of a whole broadcast, and the start of its window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opening {
    pub broadcast: BroadcastId,
    pub epoch: Epoch,
    pub settings: SegmentSettings,
    /// How many whole segments the live window holds.
    pub window_segments: u32,
    /// `EXT-X-MEDIA-SEQUENCE` of the window that follows.
    pub first_sequence: MediaSequence,
    /// `EXT-X-DISCONTINUITY-SEQUENCE` of the window that follows (RFC 8216bis §4.4.3.3).
    pub discontinuity_sequence: u64,
}

/// Kind of a rendition, with the attributes that playlists name.
#[derive(Clone, Debug, PartialEq)]
pub enum RenditionKind {
    Video {
        width: u32,
        height: u32,
        /// Frames per second of the source, or the cap where that is lower; what `FRAME-RATE` says.
        frame_rate: f64,
    },
    Audio {
        channels: u32,
        sample_rate: u32,
    },
}

/// Rendition of a broadcast, as playlists describe it.
#[derive(Clone, Debug, PartialEq)]
pub struct Rendition {
    pub id: RenditionId,
    pub kind: RenditionKind,
    /// RFC 6381 codec string of what is really sent, such as `avc1.64001f` or `mp4a.40.2`.
    pub codecs: String,
    /// The bit rate that the encoder is held to, in bits a second; `BANDWIDTH` until more was measured.
    pub declared_bitrate: u32,
}

impl Rendition {
    /// Ticks a second of its track, so that times are exact.
    pub fn timescale(&self) -> u32 {
        match self.kind {
            RenditionKind::Video { .. } => VIDEO_TIMESCALE,
            RenditionKind::Audio { sample_rate, .. } => sample_rate.max(1),
        }
    }

    /// The media type of its segments (RFC 4337).
    pub fn media_type(&self) -> &'static str {
        match self.kind {
            RenditionKind::Video { .. } => "video/mp4",
            RenditionKind::Audio { .. } => "audio/mp4",
        }
    }
}

/// A period begins: every rendition that it has, and where its first segment stands.
#[derive(Clone, Debug, PartialEq)]
pub struct PeriodStart {
    pub number: PeriodNumber,
    /// Number of the period's first segment.
    pub first_sequence: MediaSequence,
    /// Media time of `wall_clock`: where the period's grid begins.
    pub origin: MediaTime,
    /// The period's clock there. Wall-clock time is this plus the drift ([`MediaEvent::Drift`]).
    pub wall_clock: UnixMillis,
    /// Best first; the audio last. Each with its init segment.
    pub renditions: Vec<(Rendition, Bytes)>,
    /// The ladder that the renditions were encoded by; none where that is not known.
    pub ladder: Option<Ladder>,
}

impl PeriodStart {
    /// The period's clock at a media time.
    pub fn clock(&self, time: MediaTime) -> UnixMillis {
        let since = (time.0 as i64).saturating_sub(self.origin.0 as i64) / 1_000;
        UnixMillis(self.wall_clock.0.saturating_add_signed(since))
    }

    /// Number of the segment that begins so many ticks of the rendition after the start of the source's clock; none before
    /// the period, and for a rendition that it does not have. A segment holds the frames of one cell of the period's grid,
    /// so the time of its first frame tells its number.
    pub fn number_at(
        &self,
        rendition: &RenditionId,
        ticks: u64,
        settings: SegmentSettings,
    ) -> Option<MediaSequence> {
        let (rendition, _) = self.renditions.iter().find(|(known, _)| known.id == *rendition)?;
        // Times of frames are rounded to microseconds, some below the boundary that they stand on.
        let time = MediaTime::from_ticks(ticks, rendition.timescale());
        let time = time.0.checked_add(MediaTime::from_millis(1).0)?;
        let cell = settings.cell(time.checked_sub(self.origin.0).map(MediaTime)?);
        self.first_sequence.0.checked_add(cell).map(MediaSequence)
    }

    /// Wall-clock time at a media time where the clocks differ by so many milliseconds.
    pub fn wall_clock_at(&self, time: MediaTime, drift: i32) -> UnixMillis {
        UnixMillis(self.clock(time).0.saturating_add_signed(drift.into()))
    }
}

/// Point at which another producer continues a broadcast: all that must be equal between two producers of it, whatever the
/// configuration of the second one says.
#[derive(Clone, Debug, PartialEq)]
pub struct ResumePoint {
    pub broadcast: BroadcastId,
    pub settings: SegmentSettings,
    /// How many whole segments the live window holds.
    pub window_segments: u32,
    /// The period that the first segment to be made belongs to.
    pub period: PeriodNumber,
    /// Start of that segment, a boundary of the period's grid; `None` where it begins with the period.
    pub start: Option<SourceTime>,
    /// The segment's number.
    pub next_sequence: MediaSequence,
    /// `EXT-X-DISCONTINUITY-SEQUENCE` of a playlist that starts with it.
    pub discontinuity_sequence: u64,
    /// Renditions that viewers know, and so every period has.
    pub kept: Vec<Rendition>,
    /// The period as it was begun, where the point goes on with it: viewers have its init segments, and what comes must
    /// be encoded alike. None where the point begins a period.
    pub begun_as: Option<PeriodStart>,
    /// Viewers have nothing of this segment or any later one: where a new period begins if that segment is never made.
    pub free: MediaSequence,
    /// Policy of the broadcast, for its whole life; none where the producer of the point does not know it.
    pub policy: Option<Policy>,
}

impl ResumePoint {
    /// Segments that a producer may show the beginning of beyond what is whole in every rendition: the one that comes next,
    /// and the one after it, where a rendition runs ahead.
    pub const LEAD_SEGMENTS: u64 = 2;

    /// The same point for somebody else, when a producer makes and shows what comes next here, with or without success.
    pub fn begun(mut self) -> Self {
        self.free = self.free.max(MediaSequence(self.next_sequence.0 + Self::LEAD_SEGMENTS));
        self
    }

    /// Point for a producer whose next media is lost: this new period, behind
    /// all that viewers may have in part.
    pub fn left_out(self, period: PeriodNumber) -> Self {
        Self { period, start: None, next_sequence: self.free, begun_as: None, ..self }
    }
}

/// Event of a broadcast. In order per rendition: parts by index, a segment's end, the next segment.
#[derive(Clone, Debug, PartialEq)]
pub enum MediaEvent {
    PeriodStart(PeriodStart),
    Part {
        rendition: RenditionId,
        sequence: MediaSequence,
        index: PartIndex,
        /// Media time of the part's first frame.
        start: MediaTime,
        duration: MediaTime,
        /// Starts with a keyframe (`INDEPENDENT=YES`).
        independent: bool,
        /// CMAF chunk: `moof` and `mdat`.
        bytes: Bytes,
    },
    /// The segment is the concatenation of its parts, and no more will come.
    SegmentEnd {
        rendition: RenditionId,
        sequence: MediaSequence,
    },
    /// From this media time of a period on, the wall clock is so many milliseconds later than the period's:
    /// encoders count by clocks of their own. Comes before the part that begins there.
    Drift {
        period: PeriodNumber,
        from: MediaTime,
        drift: i32,
    },
    /// End of the broadcast (`EXT-X-ENDLIST`).
    BroadcastEnd,
}
