//! The handoff that a server leaves for the next owner of its stream.

use std::time::Duration;

use bytes::Bytes;
use headwater_media::{MediaSequence, ResumePoint};
use prost::Message;

use super::{ConvertError, invalid_field};
use crate::v2;

/// Segments that the owner may have begun since its last word, at most, however old that is: an owner that lost the registry
/// first may have gone on for long.
const MAX_UNHEARD_SEGMENTS: u64 = 8;

/// The point at which a broadcast goes on whose owner has died without a word. It stands in the registry beside the lease, and in the
/// journal of the recording.
#[derive(Clone, Debug, PartialEq)]
pub struct Handoff {
    /// The beginning of the next publisher, if it comes at once.
    pub point: ResumePoint,
    /// Whether a publisher was there: then viewers may have more by now.
    pub is_publishing: bool,
    /// How long it holds, from when it was written.
    pub lasts: Duration,
}

impl Handoff {
    /// The bytes that [`Handoff::decode`] reads.
    pub fn encode(self) -> Bytes {
        v2::Handoff::from(self).encode_to_vec().into()
    }

    /// Reads what [`Handoff::encode`] has made.
    ///
    /// # Errors
    /// When the bytes are none, or say what can't be.
    pub fn decode(bytes: &[u8]) -> Result<Self, ConvertError> {
        let message = v2::Handoff::decode(bytes).map_err(|error| invalid_field("handoff", error))?;
        message.try_into()
    }

    /// The beginning of a publisher that comes so long after this was written: behind all that viewers may have.
    pub fn point_after(self, age: Duration) -> ResumePoint {
        let mut point = self.point;
        if self.is_publishing {
            let segment = u64::from(point.settings.segment_ms.max(1));
            // One segment is in the making, and the word about it is on its way.
            let unheard = (age.as_millis() as u64 / segment).saturating_sub(1);
            // Origins go on with nothing that is further ahead than their window; the point is by the lead already.
            let most = u64::from(point.window_segments)
                .saturating_sub(ResumePoint::LEAD_SEGMENTS)
                .min(MAX_UNHEARD_SEGMENTS);
            let unheard = unheard.min(most);
            point.next_sequence = MediaSequence(point.next_sequence.0 + unheard);
            point.free = point.next_sequence;
        }
        point
    }
}

impl From<Handoff> for v2::Handoff {
    fn from(Handoff { point, is_publishing, lasts }: Handoff) -> Self {
        let lasts_ms = u64::try_from(lasts.as_millis()).unwrap_or(u64::MAX);
        Self { point: Some(point.into()), publishing: is_publishing, lasts_ms }
    }
}

impl TryFrom<v2::Handoff> for Handoff {
    type Error = ConvertError;
    fn try_from(message: v2::Handoff) -> Result<Self, ConvertError> {
        let v2::Handoff { point, publishing, lasts_ms } = message;
        Ok(Self {
            point: point.ok_or(ConvertError::Missing("point"))?.try_into()?,
            is_publishing: publishing,
            lasts: Duration::from_millis(lasts_ms),
        })
    }
}

#[cfg(test)]
mod tests {
    use headwater_media::broadcast::Policy;
    use headwater_media::{BroadcastId, Ladder, PeriodNumber, SegmentSettings};

    use super::*;

    fn handoff(is_publishing: bool) -> Handoff {
        let policy = Policy {
            ladder: Ladder::default(),
            recording: None,
            dvr_window: Duration::from_secs(90),
            reconnect_window: Duration::from_secs(60),
            retention: Some(Duration::from_secs(86_400)),
        };
        let point = ResumePoint {
            broadcast: BroadcastId::from_bytes([3; 16]),
            settings: SegmentSettings { segment_ms: 2_000, part_ms: 334 },
            window_segments: 10,
            period: PeriodNumber(2),
            start: None,
            next_sequence: MediaSequence(40),
            discontinuity_sequence: 1,
            kept: Vec::new(),
            begun_as: None,
            free: MediaSequence(40),
            policy: Some(policy),
        };
        Handoff { point, is_publishing, lasts: Duration::from_secs(60) }
    }

    #[test]
    fn a_handoff_survives_storing() {
        assert_eq!(Handoff::decode(&handoff(true).encode()), Ok(handoff(true)));
        assert!(Handoff::decode(b"\xff\xff").is_err());
    }

    #[test]
    fn the_next_publisher_begins_behind_what_the_last_one_may_have_sent_since() {
        let next = |is_publishing, seconds| {
            let point = handoff(is_publishing).point_after(Duration::from_secs(seconds));
            assert_eq!(point.next_sequence, point.free);
            point.free.0
        };
        assert_eq!([0, 3, 4, 6, 18, 50].map(|age| next(true, age)), [40, 40, 41, 42, 48, 48]);
        assert_eq!([0, 50].map(|age| next(false, age)), [40, 40], "nothing comes without a publisher");
    }

    #[test]
    fn the_next_publisher_does_not_begin_beyond_what_origins_go_on_with() {
        let mut left = handoff(true);
        left.point.window_segments = 3;
        let base = left.point.next_sequence.0 - ResumePoint::LEAD_SEGMENTS;
        let next = left.point_after(Duration::from_secs(3_600)).next_sequence.0;
        assert_eq!(next - base, 3, "a window of three segments");
    }
}
