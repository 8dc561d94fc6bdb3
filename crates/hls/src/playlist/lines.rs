//! Lines that several kinds of playlists have.

use std::fmt::{self, Write};

use headwater_media::{MediaSequence, MediaTime, PeriodStart, RenditionId, StoredSegment, UnixMillis};
use jiff::Timestamp;

use crate::object::{NamePrefix, Object};
use crate::window::is_discontinuity;

/// Writes the tags before a segment with which its period, or the playlist, begins. Gives the period.
pub(super) fn begin<'a>(
    out: &mut String,
    names: NamePrefix,
    period: &'a PeriodStart,
    sequence: MediaSequence,
    map: Option<&PeriodStart>,
) -> Result<&'a PeriodStart, fmt::Error> {
    if sequence == period.first_sequence && is_discontinuity(period) {
        out.write_str("#EXT-X-DISCONTINUITY\n")?;
    }
    if map.is_none_or(|map| map.number != period.number) {
        write_map(out, names, period)?;
    }
    Ok(period)
}

/// Writes the init segment of a period.
pub(super) fn write_map(out: &mut String, names: NamePrefix, period: &PeriodStart) -> fmt::Result {
    writeln!(out, "#EXT-X-MAP:URI=\"{names}{}\"", Object::Init(period.first_sequence))
}

/// Whether a period has the rendition. One that lacks it is a run of gaps, and has no init segment to name.
pub(super) fn has_rendition(period: &PeriodStart, rendition: &RenditionId) -> bool {
    period.renditions.iter().any(|(other, _)| other.id == *rendition)
}

/// Writes a whole segment.
pub(super) fn write_segment(
    out: &mut String,
    names: NamePrefix,
    sequence: MediaSequence,
    duration: MediaTime,
) -> fmt::Result {
    writeln!(out, "#EXTINF:{duration},\n{names}{}", Object::Segment(sequence))
}

/// Writes a segment without media.
pub(super) fn write_gap(
    out: &mut String,
    names: NamePrefix,
    sequence: MediaSequence,
    duration: MediaTime,
) -> fmt::Result {
    out.write_str("#EXT-X-GAP\n")?;
    write_segment(out, names, sequence, duration)
}

/// Writes a segment that is stored, or lost in this rendition.
pub(super) fn write_stored_segment(
    out: &mut String,
    names: NamePrefix,
    segment: &StoredSegment,
    rendition: &RenditionId,
) -> fmt::Result {
    let duration = segment.place(rendition).1;
    match segment.size(rendition) {
        Some(_) => write_segment(out, names, segment.sequence, duration),
        None => write_gap(out, names, segment.sequence, duration),
    }
}

/// On every segment, so that a delta update needs nothing that it skipped.
pub(super) fn program_date_time(out: &mut String, time: UnixMillis) -> fmt::Result {
    match Timestamp::from_millisecond(i64::try_from(time.0).unwrap_or(i64::MAX)) {
        Ok(time) => writeln!(out, "#EXT-X-PROGRAM-DATE-TIME:{time:.3}"),
        // No calendar reaches that far; the tag is optional.
        Err(_) => Ok(()),
    }
}
