use headwater_media::{MediaSequence, PeriodStart, Rendition, UnixMillis};

use super::stored::{Segments, by_period};
use super::timeline::Timeline;
use super::{Period, Presentation, State, Track, start, write, zero};
use crate::archive::Archive;
use crate::object::NamePrefix;
use crate::playlist::bitrate::Bitrate;
use crate::window::LiveWindow;

/// The MPD of what is live: dynamic until the broadcast ends, static from then on. None before there is anything to
/// play.
pub fn live(window: &LiveWindow) -> Option<String> {
    presentation(window, sources(window, None))
}

/// The same with what is stored of the broadcast before the live window, so that players can go back. Where what is
/// stored does not reach to the window, or is of another broadcast, the window is all there is.
pub fn dvr(archive: &Archive, window: &LiveWindow) -> Option<String> {
    presentation(window, sources(window, Some(archive)))
}

fn presentation(window: &LiveWindow, sources: Vec<Source<'_>>) -> Option<String> {
    let zero = zero(window.opening().broadcast);
    let periods: Vec<_> = sources.iter().filter_map(|source| period(window, source, zero)).collect();
    let oldest = periods.first()?;
    let newest = periods.last()?;
    let end = newest.start + newest.length();
    let state = if window.ended() {
        State::Ended { duration: end }
    } else {
        let published = UnixMillis(zero.0 + end.as_millis());
        let starts = oldest.tracks.iter().filter_map(|track| track.timeline.start());
        let oldest = starts.min().map(|start| oldest.start + start.saturating_sub(oldest.from));
        let there = end.saturating_sub(oldest.unwrap_or(end));
        let depth = there.max(window.nominal_length());
        State::Dynamic { zero, published, reached: reached(window, newest, zero), depth }
    };
    let settings = window.opening().settings;
    let names = NamePrefix::live(window.opening().broadcast);
    Some(write::mpd(&Presentation { settings, state, base: String::new(), names, periods }))
}

/// The wall clock at the end of the newest part.
fn reached(window: &LiveWindow, newest: &Period<'_>, zero: UnixMillis) -> UnixMillis {
    let ends = newest.tracks.iter().filter_map(|track| window.last(&track.rendition.id));
    let end = ends.map(|(_, segment)| segment.end()).max().unwrap_or(newest.from);
    UnixMillis(zero.0 + (newest.start + end.saturating_sub(newest.from)).as_millis())
}

/// Source of a period's segments.
struct Source<'a> {
    about: &'a PeriodStart,
    /// Before the live window.
    stored: Segments<'a>,
    /// The first sequence after it; none where it goes on.
    end: Option<MediaSequence>,
}

fn sources<'a>(window: &'a LiveWindow, archive: Option<&'a Archive>) -> Vec<Source<'a>> {
    let from = window.listed_from();
    let reaches = |archive: &&Archive| {
        archive.broadcast() == window.opening().broadcast
            && archive.next_sequence().is_some_and(|next| next >= from)
    };
    let stored = archive.filter(reaches).into_iter().flat_map(by_period);
    let mut all: Vec<_> = stored
        .map(|(about, mut stored)| {
            stored.retain(|segment| segment.sequence < from);
            Source { about, stored, end: Some(from) }
        })
        .filter(|source| !source.stored.is_empty())
        .collect();
    for (about, end) in window.listed_periods() {
        match all.last_mut() {
            Some(last) if last.about.number == about.number => last.end = end,
            _ => all.push(Source { about, stored: Vec::new(), end }),
        }
    }
    all
}

fn period<'a>(window: &LiveWindow, source: &Source<'a>, zero: UnixMillis) -> Option<Period<'a>> {
    let about = source.about;
    let there = |rendition: &'a Rendition| track(window, source, rendition);
    let mut tracks: Vec<_> = about.renditions.iter().filter_map(|(rendition, _)| there(rendition)).collect();
    if !window.ended() {
        leave_out_short_start(&mut tracks, about.first_sequence);
    }
    // A new period is shown once it has begun in every rendition.
    let has_begun = source.end.is_some() || tracks.len() == about.renditions.len();
    let period =
        Period { id: about.number.to_string(), start: start(about, zero), from: about.origin, about, tracks };
    (has_begun && !period.tracks.is_empty()).then_some(period)
}

/// Leaves the short segment that a period begins with out of what is live, in all renditions at once, as soon as a whole
/// one follows it everywhere. ffmpeg looks for the segment to go on with by the second, and of two that begin within the
/// same one it would find the first, each time that it has read the MPD.
fn leave_out_short_start(tracks: &mut [Track<'_>], first: MediaSequence) {
    let is_passed =
        |track: &Track<'_>| track.timeline.first() > first || track.timeline.has_short_start_behind();
    if !tracks.iter().all(is_passed) {
        return;
    }
    for track in tracks.iter_mut().filter(|track| track.timeline.first() == first) {
        track.timeline.leave_first_out();
    }
}

/// Segments of a rendition that are listed in a period.
fn track<'a>(window: &LiveWindow, source: &Source<'a>, rendition: &'a Rendition) -> Option<Track<'a>> {
    let mut timeline = Timeline::new(source.about.origin, window.opening().settings);
    for segment in &source.stored {
        match segment.piece(&rendition.id).filter(|piece| piece.size.is_some()) {
            Some(piece) => timeline.add(segment.sequence, piece.start, piece.start + piece.duration),
            None => timeline.gap(),
        }
    }
    for (sequence, segment) in window.listed_of(&rendition.id, source.about.first_sequence, source.end) {
        match (segment.is_gap(), segment.is_whole()) {
            (true, _) => timeline.gap(),
            (false, true) => timeline.add(sequence, segment.start(), segment.end()),
            (false, false) => timeline.open(sequence, segment.start()),
        }
    }
    if source.end.is_none() && !window.ended() {
        timeline.go_on();
    }
    let bandwidth = Bitrate::of(window, rendition).peak;
    (!timeline.is_empty()).then_some(Track { rendition, bandwidth, timeline })
}
