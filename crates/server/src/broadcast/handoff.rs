//! What stands with the lease of a broadcast for its next owner, should this one die without a word: where the next
//! publisher begins.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use headwater_media::{MediaSequence, ResumePoint};
use headwater_registry::Handoff;
use headwater_wire::v1;
use prost::Message as _;

use super::Feed;

/// Segments that the owner may have begun since its last word, at most, however old that is: an owner that lost the registry
/// first may have gone on for long, but origins go on with nothing that is further ahead than their window.
const MOST_UNHEARD: u64 = 8;

/// Says where the next publisher begins. While one is there, viewers may get the beginning of
/// [`ResumePoint::LEAD`] segments before the next word.
pub(super) fn write(feed: &Feed, is_publishing: bool, lasts: Duration) -> Handoff {
    let mut point = ResumePoint { begun_as: None, ..feed.starting_point() };
    if is_publishing {
        let shown = MediaSequence(feed.next_uncommitted().0 + ResumePoint::LEAD);
        point.next_sequence = point.next_sequence.max(shown);
        point.free = point.next_sequence;
    }
    let lasts_ms = u64::try_from(lasts.as_millis()).unwrap_or(u64::MAX);
    let handoff = v1::Handoff { point: Some(point.into()), publishing: is_publishing, lasts_ms };
    Handoff { document: STANDARD.encode(handoff.encode_to_vec()), lasts }
}

/// Where the next publisher begins, behind all that viewers may have; none where that can't be read.
pub(super) fn read(left: &Handoff) -> Option<ResumePoint> {
    let bytes = STANDARD.decode(&left.document).ok()?;
    let v1::Handoff { point, publishing, lasts_ms } = v1::Handoff::decode(bytes.as_slice()).ok()?;
    let mut point = ResumePoint::try_from(point?).ok()?;
    if publishing {
        let age = Duration::from_millis(lasts_ms).saturating_sub(left.lasts);
        let segment = u64::from(point.settings.segment_ms.max(1));
        // One segment is in the making, and the word about it is on its way.
        let unheard = (age.as_millis() as u64 / segment).saturating_sub(1).min(MOST_UNHEARD);
        point.next_sequence = MediaSequence(point.next_sequence.0 + unheard);
        point.free = point.next_sequence;
    }
    Some(point)
}
