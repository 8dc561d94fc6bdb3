use std::sync::Arc;

use headwater_media::{MediaSequence, MediaTime, PeriodStart, Piece, Rendition, RenditionId, StoredSegment};

use super::timeline::Timeline;
use super::{Period, Presentation, State, Track, start, write, zero};
use crate::archive::Archive;
use crate::object::NamePrefix;

/// The static MPD of what is stored, for the directory that the broadcast's own is in. None where there is nothing.
pub fn stored(archive: &Archive) -> Option<String> {
    let mut periods: Vec<Period<'_>> = Vec::new();
    let mut duration = MediaTime::ZERO;
    for (about, segments) in by_period(archive) {
        for (nth, run) in runs(about, &segments).into_iter().enumerate() {
            let Some(mut period) = period(archive, about, run) else { continue };
            if nth > 0 {
                period.id = format!("{}.{}", about.number, run[0].sequence);
            }
            period.start = duration;
            duration = duration + period.length();
            periods.push(period);
        }
    }
    let state = State::Stored { duration };
    let base = format!("{}/", archive.broadcast());
    let names = NamePrefix::Recorded;
    let presentation = Presentation { settings: archive.settings(), state, base, names, periods };
    (!presentation.periods.is_empty()).then(|| write::mpd(&presentation))
}

/// The static MPD of a broadcast that has ended, beside the directories of its renditions: as [`dvr`] has it, when the live
/// window is gone. None where there is nothing.
///
/// [`dvr`]: super::dvr
pub fn ended(archive: &Archive) -> Option<String> {
    let zero = zero(archive.broadcast());
    let on_air = |(about, segments): (_, Segments<'_>)| {
        let period = period(archive, about, &segments)?;
        Some(Period { start: start(about, zero), from: about.origin, ..period })
    };
    let periods: Vec<_> = by_period(archive).into_iter().filter_map(on_air).collect();
    let duration = periods.last().map(|newest| newest.start + newest.length())?;
    let settings = archive.settings();
    let state = State::Ended { duration };
    let names = NamePrefix::live(archive.broadcast());
    Some(write::mpd(&Presentation { settings, state, base: String::new(), names, periods }))
}

pub(super) type Segments<'a> = Vec<&'a StoredSegment>;

/// The segments of each period.
pub(super) fn by_period(archive: &Archive) -> Vec<(&PeriodStart, Segments<'_>)> {
    let mut segments = archive.segments().map(Arc::as_ref).peekable();
    let mut ends = archive.periods().skip(1).map(|next| next.first_sequence);
    let of = |about| {
        let end = ends.next().unwrap_or(MediaSequence(u64::MAX));
        (about, std::iter::from_fn(|| segments.next_if(|segment| segment.sequence < end)).collect())
    };
    archive.periods().map(Arc::as_ref).map(of).collect()
}

/// The pieces of a period that every rendition goes through without a hole; one that ended early is only shorter.
fn runs<'a, 'b>(about: &PeriodStart, segments: &'b [&'a StoredSegment]) -> Vec<&'b [&'a StoredSegment]> {
    let ids: Vec<_> = about.renditions.iter().map(|(rendition, _)| &rendition.id).collect();
    let last = |id: &RenditionId| segments.iter().rev().find(|segment| segment.size(id).is_some());
    let lasts: Vec<_> = ids.iter().map(|id| last(id).map(|segment| segment.sequence)).collect();
    let lacks = |segment: &StoredSegment| -> Vec<bool> {
        let missing = |(id, last): (&&RenditionId, &Option<MediaSequence>)| {
            segment.size(id).is_none() && last.is_some_and(|last| segment.sequence < last)
        };
        ids.iter().zip(&lasts).map(missing).collect()
    };
    segments.chunk_by(|before, after| lacks(before) == lacks(after)).collect()
}

fn period<'a>(archive: &Archive, about: &'a PeriodStart, run: &[&StoredSegment]) -> Option<Period<'a>> {
    let there = |rendition: &'a Rendition| track(archive, about, rendition, run);
    let tracks: Vec<_> = about.renditions.iter().filter_map(|(rendition, _)| there(rendition)).collect();
    let from = tracks.iter().filter_map(|track| track.timeline.start()).min()?;
    Some(Period { id: about.number.to_string(), start: MediaTime::ZERO, from, about, tracks })
}

fn track<'a>(
    archive: &Archive,
    about: &PeriodStart,
    rendition: &'a Rendition,
    run: &[&StoredSegment],
) -> Option<Track<'a>> {
    let mut timeline = Timeline::new(about.origin, archive.settings());
    let pieces = run.iter().filter_map(|segment| Some((segment.sequence, segment.piece(&rendition.id)?)));
    for (sequence, piece) in pieces.filter(|(_, piece)| piece.size.is_some()) {
        timeline.add(sequence, piece.start, piece.start + piece.duration);
    }
    let bandwidth = bandwidth(archive, rendition);
    (!timeline.is_empty()).then_some(Track { rendition, bandwidth, timeline })
}

/// The largest rate of a segment that is not a period's first or last, and so short that one keyframe is half of it; what
/// the encoder was held to, at least.
fn bandwidth(archive: &Archive, rendition: &Rendition) -> u64 {
    let least = u64::from(archive.settings().segment_ms) * 1_000 / 2;
    let rate = |piece: &Piece| {
        let bits = piece.size.filter(|_| piece.duration.0 >= least.max(1))? * 8;
        u64::try_from(u128::from(bits) * 1_000_000 / u128::from(piece.duration.0)).ok()
    };
    let pieces = archive.segments().filter_map(|segment| segment.piece(&rendition.id));
    pieces.filter_map(rate).max().unwrap_or(0).max(u64::from(rendition.declared_bitrate))
}
