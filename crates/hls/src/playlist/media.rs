use std::fmt::{self, Write};
use std::sync::Arc;

use headwater_media::{MediaSequence, MediaTime, PartIndex, PeriodStart, RenditionId, StoredSegment};

use super::lines::{begin, has_rendition, program_date_time, write_gap, write_segment, write_stored_segment};
use super::tail::Tail;
use crate::archive::Archive;
use crate::object::{NamePrefix, Object};
use crate::reload::Skip;
use crate::window::{LiveWindow, Segment, is_discontinuity};

/// Options of a media playlist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MediaOptions {
    /// Leave out the segments that the client has; ignored after the end of the broadcast (RFC 8216bis §6.2.5.1).
    pub skip: Option<Skip>,
    /// List parts, and what belongs to them.
    pub low_latency: bool,
}

impl Default for MediaOptions {
    fn default() -> Self {
        Self { skip: None, low_latency: true }
    }
}

/// The media playlist (RFC 8216bis §4.4.3) of one rendition; none where there is no such rendition.
pub fn media(window: &LiveWindow, rendition: &RenditionId, options: MediaOptions) -> Option<String> {
    render(MediaPlaylist::new(window, None, rendition, options)?)
}

/// The same behind the end of another broadcast, for as long as the window alone would be a short list: viewers of that
/// one find the rest of it, and the next one behind a discontinuity. Both keep their numbers, and those between them are
/// gaps. Where these would be more than a window, or where the two do not go together in one playlist, there is the window
/// alone.
pub fn media_after(
    before: &LiveWindow,
    window: &LiveWindow,
    rendition: &RenditionId,
    options: MediaOptions,
) -> Option<String> {
    let follows = |tail: &Tail<'_>| window.listed(rendition).is_some_and(|(first, _)| first == tail.end);
    let tail = Tail::of(before, window).filter(|tail| tail.is_of(rendition) && follows(tail));
    let options = if tail.is_some() { MediaOptions { skip: None, ..options } } else { options };
    let mut playlist = MediaPlaylist::new(window, None, rendition, options)?;
    if let Some(tail) = tail {
        playlist.first = tail.first;
        playlist.discontinuities = before.discontinuities_before(tail.first);
        playlist.tail = Some(tail);
    }
    render(playlist)
}

/// The same with what is stored of the broadcast before the live window, so that players can go back (DVR). Where what
/// is stored does not reach to the window, or is of another broadcast, the window is all there is.
pub fn dvr(
    archive: &Archive,
    window: &LiveWindow,
    rendition: &RenditionId,
    options: MediaOptions,
) -> Option<String> {
    render(MediaPlaylist::new(window, Some(archive), rendition, options)?)
}

fn render(playlist: MediaPlaylist<'_>) -> Option<String> {
    let mut out = String::with_capacity(playlist.size_hint());
    playlist.write(&mut out).expect("writing to a String does not fail");
    Some(out)
}

/// `EXT-X-VERSION`: 9 for `EXT-X-SKIP` (RFC 8216bis §8).
const PLAYLIST_VERSION: u32 = 9;
/// Target durations from the end of the playlist within which parts are listed (RFC 8216bis §6.2.2).
const PARTS_LISTED: u64 = 3;
/// Target durations that a player stays behind the end (`HOLD-BACK`, RFC 8216bis §4.4.3.8).
const HOLD_BACK: u32 = 3;
/// Part targets that a low-latency player stays behind the end (`PART-HOLD-BACK`).
const PART_HOLD_BACK: u64 = 3;
/// Target durations before the end that a delta update always lists (`CAN-SKIP-UNTIL`); six at least.
const SKIP_UNTIL: u32 = 6;

/// State of one rendering.
struct MediaPlaylist<'a> {
    window: &'a LiveWindow,
    rendition: &'a RenditionId,
    /// Of the window's media.
    names: NamePrefix,
    low_latency: bool,
    target_duration: u32,
    /// `EXT-X-MEDIA-SEQUENCE`.
    first: MediaSequence,
    /// `EXT-X-DISCONTINUITY-SEQUENCE`.
    discontinuities: u64,
    /// File name of playlists of this kind.
    file: &'static str,
    /// The end of the broadcast before.
    tail: Option<Tail<'a>>,
    /// Stored segments before the live window.
    history: Option<History<'a>>,
    /// The segments of the live window, those that are skipped included.
    segments: Vec<(MediaSequence, &'a Arc<Segment>)>,
    /// Segments of the live window that are skipped.
    skipped: usize,
    /// The first segment whose parts are listed.
    parts_from: MediaSequence,
}

/// Stored segments that come before the live window.
struct History<'a> {
    archive: &'a Archive,
    segments: Vec<&'a Arc<StoredSegment>>,
    /// How many of them the playlist leaves out.
    skipped: usize,
}

impl<'a> History<'a> {
    /// Stored segments up to the one with this number; `None` where there are none.
    fn before(archive: &'a Archive, end: MediaSequence) -> Option<Self> {
        let first = archive.first_sequence().filter(|first| *first < end)?;
        let reaches = archive.next_sequence().is_some_and(|next| next >= end);
        let segments = archive.segments().take((end.0 - first.0) as usize).collect();
        reaches.then_some(Self { archive, segments, skipped: 0 })
    }
}

impl<'a> MediaPlaylist<'a> {
    fn new(
        window: &'a LiveWindow,
        archive: Option<&'a Archive>,
        rendition: &'a RenditionId,
        options: MediaOptions,
    ) -> Option<Self> {
        let (first, listed) = window.listed(rendition)?;
        let low_latency = options.low_latency;
        let segments: Vec<_> = listed.filter(|(_, segment)| low_latency || segment.is_whole()).collect();
        let target_duration = window.opening().settings.target_duration();
        let target = u64::from(target_duration) * 1_000_000;
        let same = archive.filter(|archive| archive.broadcast() == window.opening().broadcast);
        let mut history = same.and_then(|archive| History::before(archive, first));
        let mut skipped = 0;
        if options.skip.is_some() && !window.ended() {
            let boundary = target * u64::from(SKIP_UNTIL);
            let whole = segments.iter().filter(|(_, segment)| segment.is_whole());
            let live: Vec<_> = whole.map(|(_, segment)| segment.duration().0).collect();
            skipped = skippable(&live, boundary);
            if let Some(history) = &mut history {
                let left = boundary.saturating_sub(live.iter().sum());
                let stored: Vec<_> = history.segments.iter().map(|segment| segment.duration().0).collect();
                history.skipped = if skipped > 0 { stored.len() } else { skippable(&stored, left) };
            }
        }
        let oldest = history.as_ref().map_or((first, window.discontinuities_before(first)), |history| {
            (history.segments[0].sequence, history.archive.discontinuity_sequence())
        });
        Some(Self {
            window,
            rendition,
            names: NamePrefix::live(window.opening().broadcast),
            low_latency,
            target_duration,
            first: oldest.0,
            discontinuities: oldest.1,
            file: if archive.is_some() { "dvr.m3u8" } else { "index.m3u8" },
            tail: None,
            history,
            skipped,
            parts_from: parts_from(&segments, target * PARTS_LISTED),
            segments,
        })
    }

    /// Whether the first segment of the window says itself that a period begins.
    fn begins_by_itself(&self) -> bool {
        let first = self.segments.first().map(|(sequence, _)| *sequence);
        let period = first.and_then(|first| self.window.period_of(first));
        period.is_some_and(|period| is_discontinuity(period) && Some(period.first_sequence) == first)
    }

    fn size_hint(&self) -> usize {
        let parts: usize = self.segments.iter().map(|(_, segment)| segment.parts().len()).sum();
        let history = self.history.as_ref().map_or(0, |h| h.segments.len() - h.skipped);
        512 + 140 * self.segments.len() + 90 * parts + 56 * history
    }

    fn write(&self, out: &mut String) -> fmt::Result {
        self.header(out)?;
        if let Some(tail) = &self.tail {
            tail.write(out, self.rendition)?;
            if !self.begins_by_itself() {
                out.write_str("#EXT-X-DISCONTINUITY\n")?;
            }
        }
        let mut map = self.history(out)?;
        if let Some(last) = self.skipped.checked_sub(1) {
            map = self.window.period_of(self.segments[last].0).map(Arc::as_ref);
        }
        for (sequence, segment) in &self.segments[self.skipped..] {
            let Some(period) = self.window.period_of(*sequence) else { continue };
            map = Some(begin(out, self.names, period, *sequence, map)?);
            program_date_time(out, self.window.wall_clock(period, segment.start()))?;
            self.segment(out, *sequence, segment)?;
        }
        self.tail(out)
    }

    /// Lists what is stored before the live window, and tells which period the window begins in the middle of. A date
    /// stands only where it does not follow from the one before: a day of segments is a long list.
    fn history(&self, out: &mut String) -> Result<Option<&'a PeriodStart>, fmt::Error> {
        let Some(History { archive, segments, skipped }) = &self.history else { return Ok(None) };
        let names = NamePrefix::live(archive.broadcast());
        let before = skipped.checked_sub(1).map(|last| segments[last]);
        let mut map = before.and_then(|last| archive.period_of(last.sequence)).map(Arc::as_ref);
        let mut drift = before.map(|last| last.drift);
        for segment in &segments[*skipped..] {
            let Some(period) = archive.period_of(segment.sequence) else { continue };
            let is_first = map.is_none_or(|map| map.number != period.number);
            let named = if has_rendition(period, self.rendition) { map } else { Some(period.as_ref()) };
            map = Some(begin(out, names, period, segment.sequence, named)?);
            if drift.replace(segment.drift) != Some(segment.drift) || is_first {
                let start = segment.place(self.rendition).0;
                program_date_time(out, period.wall_clock_at(start, segment.drift))?;
            }
            write_stored_segment(out, names, segment, self.rendition)?;
        }
        Ok(map)
    }

    fn header(&self, out: &mut String) -> fmt::Result {
        let target = self.target_duration;
        writeln!(out, "#EXTM3U\n#EXT-X-VERSION:{PLAYLIST_VERSION}\n#EXT-X-TARGETDURATION:{target}")?;
        let hold_back = target * HOLD_BACK;
        let skip_until = target * SKIP_UNTIL;
        out.write_str("#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,")?;
        if self.low_latency {
            let part = self.window.opening().settings.part_target();
            write!(out, "PART-HOLD-BACK={},", MediaTime(part.0 * PART_HOLD_BACK))?;
            writeln!(out, "HOLD-BACK={hold_back},CAN-SKIP-UNTIL={skip_until}")?;
            writeln!(out, "#EXT-X-PART-INF:PART-TARGET={part}")?;
        } else {
            writeln!(out, "HOLD-BACK={hold_back},CAN-SKIP-UNTIL={skip_until}")?;
        }
        writeln!(out, "#EXT-X-MEDIA-SEQUENCE:{}", self.first)?;
        writeln!(out, "#EXT-X-DISCONTINUITY-SEQUENCE:{}", self.discontinuities)?;
        let skipped = self.skipped + self.history.as_ref().map_or(0, |history| history.skipped);
        if skipped > 0 {
            writeln!(out, "#EXT-X-SKIP:SKIPPED-SEGMENTS={skipped}")?;
        }
        Ok(())
    }

    fn segment(&self, out: &mut String, sequence: MediaSequence, segment: &Segment) -> fmt::Result {
        if self.low_latency && sequence >= self.parts_from {
            for (index, part) in (0..).zip(segment.parts()) {
                let independent = if part.independent { ",INDEPENDENT=YES" } else { "" };
                let duration = part.duration;
                let names = self.names;
                let part = Object::Part(sequence, PartIndex(index));
                writeln!(out, "#EXT-X-PART:DURATION={duration},URI=\"{names}{part}\"{independent}")?;
            }
        }
        let duration = segment.duration();
        match (segment.is_gap(), segment.is_whole()) {
            (true, _) => write_gap(out, self.names, sequence, duration),
            (false, true) => write_segment(out, self.names, sequence, duration),
            (false, false) => Ok(()),
        }
    }

    fn tail(&self, out: &mut String) -> fmt::Result {
        if self.window.ended() {
            return out.write_str("#EXT-X-ENDLIST\n");
        }
        if !self.low_latency {
            return Ok(());
        }
        if let Some((sequence, index)) = self.window.next_part(self.rendition) {
            let next = Object::Part(sequence, index);
            writeln!(out, "#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"{}{next}\"", self.names)?;
        }
        let others = self.window.renditions().filter(|other| other.id != *self.rendition);
        others.map(|other| &other.id).try_for_each(|other| self.report(out, other))
    }

    /// Writes the position of another rendition, so that a player that switches needn't ask (RFC 8216bis §4.4.5.4).
    fn report(&self, out: &mut String, other: &RenditionId) -> fmt::Result {
        let Some((sequence, segment)) = self.window.last(other) else { return Ok(()) };
        write!(out, "#EXT-X-RENDITION-REPORT:URI=\"../{other}/{}\",LAST-MSN={sequence}", self.file)?;
        match segment.parts().len() {
            0 => writeln!(out),
            parts => writeln!(out, ",LAST-PART={}", parts - 1),
        }
    }
}

/// How many of segments with these durations end further than `boundary` before the end of the last one, all in
/// microseconds.
fn skippable(durations: &[u64], boundary: u64) -> usize {
    let mut distance: u64 = durations.iter().sum();
    let beyond = |duration: &&u64| {
        distance -= **duration;
        distance > boundary
    };
    durations.iter().take_while(beyond).count()
}

/// The first segment that ends less than `distance` microseconds before the end.
fn parts_from(segments: &[(MediaSequence, &Arc<Segment>)], distance: u64) -> MediaSequence {
    let mut behind = 0;
    let near = |(_, segment): &&(MediaSequence, &Arc<Segment>)| {
        let near = behind < distance;
        behind += segment.duration().0;
        near
    };
    segments.iter().rev().take_while(near).last().map_or(MediaSequence(0), |(sequence, _)| *sequence)
}
