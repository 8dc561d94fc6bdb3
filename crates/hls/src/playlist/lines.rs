//! Lines that several kinds of playlists have.

use std::fmt::{self, Write};

use headwater_media::{MediaSequence, PeriodStart, RenditionId, StoredSegment, UnixMillis};
use jiff::Timestamp;

use crate::object::Object;
use crate::window::is_discontinuity;

/// Writes the tags before a segment with which its period, or the playlist, begins. Gives the period.
pub(super) fn begin<'a>(
    out: &mut String,
    period: &'a PeriodStart,
    sequence: MediaSequence,
    map: Option<&PeriodStart>,
) -> Result<&'a PeriodStart, fmt::Error> {
    if sequence == period.first_sequence && is_discontinuity(period) {
        out.write_str("#EXT-X-DISCONTINUITY\n")?;
    }
    if map.is_none_or(|map| map.number != period.number) {
        writeln!(out, "#EXT-X-MAP:URI=\"{}\"", Object::Init(period.first_sequence))?;
    }
    Ok(period)
}

/// The same of what is stored. A period that lacks the rendition is a run of gaps, and has no init segment to name.
pub(super) fn begin_stored<'a>(
    out: &mut String,
    period: &'a PeriodStart,
    sequence: MediaSequence,
    map: Option<&PeriodStart>,
    rendition: &RenditionId,
) -> Result<&'a PeriodStart, fmt::Error> {
    let has_rendition = period.renditions.iter().any(|(other, _)| other.id == *rendition);
    begin(out, period, sequence, if has_rendition { map } else { Some(period) })
}

/// A segment that is stored, or lost in this rendition.
pub(super) fn stored_segment(
    out: &mut String,
    segment: &StoredSegment,
    rendition: &RenditionId,
) -> fmt::Result {
    if segment.size(rendition).is_none() {
        out.write_str("#EXT-X-GAP\n")?;
    }
    writeln!(out, "#EXTINF:{},\n{}", segment.place(rendition).1, Object::Segment(segment.sequence))
}

/// On every segment, so that a delta update needs nothing that it skipped.
pub(super) fn program_date_time(out: &mut String, time: UnixMillis) -> fmt::Result {
    match Timestamp::from_millisecond(i64::try_from(time.0).unwrap_or(i64::MAX)) {
        Ok(time) => writeln!(out, "#EXT-X-PROGRAM-DATE-TIME:{time:.3}"),
        // No calendar reaches that far; the tag is optional.
        Err(_) => Ok(()),
    }
}
