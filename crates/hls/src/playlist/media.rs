use std::fmt::{self, Write};
use std::sync::Arc;

use headwater_media::{MediaSequence, MediaTime, RenditionId};
use jiff::Timestamp;

use crate::event::PeriodStart;
use crate::reload::Skip;
use crate::window::{LiveWindow, Segment, is_discontinuity};

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
    let playlist = MediaPlaylist::new(window, rendition, options)?;
    let mut out = String::with_capacity(playlist.size_hint());
    playlist.write(&mut out).expect("writing to a String does not fail");
    Some(out)
}

/// `EXT-X-VERSION`: 9 for `EXT-X-SKIP` (RFC 8216bis §8).
const VERSION: u32 = 9;
/// Target durations from the end of the playlist within which parts are listed (RFC 8216bis §6.2.2).
const PARTS_LISTED: u64 = 3;
/// Target durations that a player stays behind the end (`HOLD-BACK`, RFC 8216bis §4.4.3.8).
const HOLD_BACK: u32 = 3;
/// Part targets that a low-latency player stays behind the end (`PART-HOLD-BACK`).
const PART_HOLD_BACK: u64 = 3;
/// Target durations before the end that a delta update always lists (`CAN-SKIP-UNTIL`); six at least.
const SKIP_UNTIL: u32 = 6;

/// What one rendering works with.
struct MediaPlaylist<'a> {
    window: &'a LiveWindow,
    rendition: &'a RenditionId,
    low_latency: bool,
    target_duration: u32,
    /// `EXT-X-MEDIA-SEQUENCE`.
    first: MediaSequence,
    /// The segments listed, those that are skipped included.
    segments: Vec<(MediaSequence, &'a Arc<Segment>)>,
    skipped: usize,
    /// The first segment whose parts are listed.
    parts_from: MediaSequence,
}

impl<'a> MediaPlaylist<'a> {
    fn new(window: &'a LiveWindow, rendition: &'a RenditionId, options: MediaOptions) -> Option<Self> {
        let (first, listed) = window.listed(rendition)?;
        let low_latency = options.low_latency;
        let segments: Vec<_> = listed.filter(|(_, segment)| low_latency || segment.is_whole()).collect();
        let target_duration = window.opening().settings.target_duration();
        let target = u64::from(target_duration) * 1_000_000;
        let skip = options.skip.is_some() && !window.ended();
        Some(Self {
            window,
            rendition,
            low_latency,
            target_duration,
            first,
            skipped: if skip { skippable(&segments, target * u64::from(SKIP_UNTIL)) } else { 0 },
            parts_from: parts_from(&segments, target * PARTS_LISTED),
            segments,
        })
    }

    fn size_hint(&self) -> usize {
        let parts: usize = self.segments.iter().map(|(_, segment)| segment.parts().len()).sum();
        512 + 128 * self.segments.len() + 80 * parts
    }

    fn write(&self, out: &mut String) -> fmt::Result {
        self.header(out)?;
        let mut map =
            self.skipped.checked_sub(1).and_then(|last| self.window.period_of(self.segments[last].0));
        for (sequence, segment) in &self.segments[self.skipped..] {
            let Some(period) = self.window.period_of(*sequence) else { continue };
            if *sequence == period.first_sequence && is_discontinuity(period) {
                out.write_str("#EXT-X-DISCONTINUITY\n")?;
            }
            if map.is_none_or(|map| map.number != period.number) {
                writeln!(out, "#EXT-X-MAP:URI=\"init-{}.mp4\"", period.first_sequence)?;
                map = Some(period);
            }
            program_date_time(out, period, segment.start())?;
            self.segment(out, *sequence, segment)?;
        }
        self.tail(out)
    }

    fn header(&self, out: &mut String) -> fmt::Result {
        let target = self.target_duration;
        writeln!(out, "#EXTM3U\n#EXT-X-VERSION:{VERSION}\n#EXT-X-TARGETDURATION:{target}")?;
        let (hold_back, skip_until) = (target * HOLD_BACK, target * SKIP_UNTIL);
        out.write_str("#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,")?;
        if self.low_latency {
            let part = self.window.opening().settings.part_target();
            write!(out, "PART-HOLD-BACK={},", MediaTime(part.0 * PART_HOLD_BACK))?;
            writeln!(out, "HOLD-BACK={hold_back},CAN-SKIP-UNTIL={skip_until}")?;
            writeln!(out, "#EXT-X-PART-INF:PART-TARGET={part}")?;
        } else {
            writeln!(out, "HOLD-BACK={hold_back},CAN-SKIP-UNTIL={skip_until}")?;
        }
        let discontinuities = self.window.discontinuities_before(self.first);
        writeln!(out, "#EXT-X-MEDIA-SEQUENCE:{}", self.first)?;
        writeln!(out, "#EXT-X-DISCONTINUITY-SEQUENCE:{discontinuities}")?;
        if self.skipped > 0 {
            writeln!(out, "#EXT-X-SKIP:SKIPPED-SEGMENTS={}", self.skipped)?;
        }
        Ok(())
    }

    fn segment(&self, out: &mut String, sequence: MediaSequence, segment: &Segment) -> fmt::Result {
        if self.low_latency && sequence >= self.parts_from {
            for (index, part) in segment.parts().iter().enumerate() {
                let independent = if part.independent { ",INDEPENDENT=YES" } else { "" };
                let duration = part.duration;
                writeln!(out, "#EXT-X-PART:DURATION={duration},URI=\"{sequence}.{index}.m4s\"{independent}")?;
            }
        }
        if segment.is_gap() {
            out.write_str("#EXT-X-GAP\n")?;
        }
        if segment.is_whole() {
            writeln!(out, "#EXTINF:{},\n{sequence}.m4s", segment.duration())?;
        }
        Ok(())
    }

    fn tail(&self, out: &mut String) -> fmt::Result {
        if self.window.ended() {
            return out.write_str("#EXT-X-ENDLIST\n");
        }
        if !self.low_latency {
            return Ok(());
        }
        if let Some((sequence, index)) = self.window.next_part(self.rendition) {
            writeln!(out, "#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"{sequence}.{index}.m4s\"")?;
        }
        let others = self.window.renditions().filter(|other| other.id != *self.rendition);
        others.map(|other| &other.id).try_for_each(|other| self.report(out, other))
    }

    /// Where another rendition is, so that a player that switches needn't ask (RFC 8216bis §4.4.5.4).
    fn report(&self, out: &mut String, other: &RenditionId) -> fmt::Result {
        let Some((sequence, segment)) = self.window.last(other) else { return Ok(()) };
        write!(out, "#EXT-X-RENDITION-REPORT:URI=\"../{other}/index.m3u8\",LAST-MSN={sequence}")?;
        match segment.parts().len() {
            0 => writeln!(out),
            parts => writeln!(out, ",LAST-PART={}", parts - 1),
        }
    }
}

/// How many segments end further than `boundary` microseconds before the end of the last whole one.
fn skippable(segments: &[(MediaSequence, &Arc<Segment>)], boundary: u64) -> usize {
    let whole = segments.iter().filter(|(_, segment)| segment.is_whole());
    let mut distance: u64 = whole.clone().map(|(_, segment)| segment.duration().0).sum();
    let beyond = |segment: &Segment| {
        distance -= segment.duration().0;
        distance > boundary
    };
    whole.map(|(_, segment)| segment.as_ref()).map(beyond).take_while(|beyond| *beyond).count()
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

/// On every segment, so that a delta update needs nothing that it skipped.
fn program_date_time(out: &mut String, period: &PeriodStart, start: MediaTime) -> fmt::Result {
    let offset = start.0 as i64 - period.origin.0 as i64;
    let millis = (period.wall_clock.0 as i64).saturating_add(offset / 1_000);
    match Timestamp::from_millisecond(millis) {
        Ok(time) => writeln!(out, "#EXT-X-PROGRAM-DATE-TIME:{time:.3}"),
        // No calendar reaches that far; the tag is optional.
        Err(_) => Ok(()),
    }
}
