//! Playlists read back by a parser that is not ours.

use quick_m3u8::config::ParsingOptionsBuilder;
use quick_m3u8::tag::KnownTag;
use quick_m3u8::tag::hls::Tag;
use quick_m3u8::{HlsLine, Reader};

/// Durations in microseconds.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Playlist {
    pub version: u64,
    pub target_duration: u64,
    pub part_target: Option<u64>,
    pub part_hold_back: Option<u64>,
    pub hold_back: u64,
    pub skip_until: u64,
    pub media_sequence: u64,
    pub discontinuity_sequence: u64,
    pub skipped: u64,
    pub segments: Vec<Segment>,
    pub hint: Option<String>,
    pub reports: Vec<(String, u64, Option<u64>)>,
    pub ended: bool,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Segment {
    pub sequence: u64,
    /// Discontinuity sequence number.
    pub discontinuity: u64,
    /// The map that applies.
    pub map: String,
    pub date: String,
    pub gap: bool,
    pub parts: Vec<Part>,
    /// None while the segment is open.
    pub whole: Option<(u64, String)>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Part {
    pub duration: u64,
    pub uri: String,
    pub independent: bool,
}

impl Segment {
    pub(crate) fn duration(&self) -> u64 {
        self.whole
            .as_ref()
            .map_or(self.parts.iter().map(|part| part.duration).sum(), |(duration, _)| *duration)
    }

    fn is_empty(&self) -> bool {
        self.parts.is_empty() && self.date.is_empty()
    }
}

pub(crate) fn tags(text: &str) -> Vec<HlsLine<'_>> {
    let options = ParsingOptionsBuilder::new().with_parsing_for_all_tags().build();
    let mut reader = Reader::from_str(text, options);
    std::iter::from_fn(|| reader.read_line().unwrap()).collect()
}

pub(crate) fn read(text: &str) -> Playlist {
    read_after(text, None)
}

/// Reads a delta update; what was skipped is taken from an earlier playlist.
pub(crate) fn read_after(text: &str, before: Option<&Playlist>) -> Playlist {
    let mut list = Playlist::default();
    let mut open = Segment::default();
    for line in tags(text) {
        match line {
            HlsLine::KnownTag(KnownTag::Hls(tag)) => take(&mut list, &mut open, tag, before),
            HlsLine::Uri(uri) => {
                let duration = open.whole.take().expect("EXTINF before a URI").0;
                open.whole = Some((duration, uri.into_owned()));
                finish(&mut list, &mut open);
            }
            other => panic!("{other:?}"),
        }
    }
    if !open.is_empty() {
        finish(&mut list, &mut open);
    }
    list
}

fn finish(list: &mut Playlist, open: &mut Segment) {
    let next = list.segments.last().map_or(list.media_sequence, |last| last.sequence + 1);
    let following =
        Segment { discontinuity: open.discontinuity, map: open.map.clone(), ..Segment::default() };
    let done = std::mem::replace(open, following);
    list.segments.push(Segment { sequence: next, ..done });
}

fn micros(seconds: f64) -> u64 {
    (seconds * 1e6).round() as u64
}

fn take(list: &mut Playlist, open: &mut Segment, tag: Tag<'_>, before: Option<&Playlist>) {
    match tag {
        Tag::M3u(_) => {}
        Tag::Version(tag) => list.version = tag.version(),
        Tag::Targetduration(tag) => list.target_duration = tag.target_duration() * 1_000_000,
        Tag::PartInf(tag) => list.part_target = Some(micros(tag.part_target())),
        Tag::ServerControl(tag) => {
            assert!(tag.can_block_reload());
            list.part_hold_back = tag.part_hold_back().map(micros);
            list.hold_back = micros(tag.hold_back().unwrap());
            list.skip_until = micros(tag.can_skip_until().unwrap());
        }
        Tag::MediaSequence(tag) => list.media_sequence = tag.media_sequence(),
        Tag::DiscontinuitySequence(tag) => {
            list.discontinuity_sequence = tag.discontinuity_sequence();
            open.discontinuity = list.discontinuity_sequence;
        }
        Tag::Skip(tag) => {
            list.skipped = tag.skipped_segments();
            let before = before.expect("a playlist to take what was skipped from");
            let skipped = list.media_sequence..list.media_sequence + list.skipped;
            list.segments.extend(before.segments.iter().filter(|s| skipped.contains(&s.sequence)).cloned());
            assert_eq!(list.segments.len() as u64, list.skipped);
            let last = list.segments.last().unwrap();
            (open.map, open.discontinuity) = (last.map.clone(), last.discontinuity);
        }
        Tag::Discontinuity(_) => open.discontinuity += 1,
        Tag::Map(tag) => open.map = tag.uri().to_owned(),
        Tag::ProgramDateTime(tag) => open.date = tag.program_date_time().to_string(),
        Tag::Gap(_) => open.gap = true,
        Tag::Part(tag) => {
            let duration = micros(tag.duration());
            let independent = tag.independent();
            open.parts.push(Part { duration, uri: tag.uri().to_owned(), independent });
        }
        Tag::Inf(tag) => open.whole = Some((micros(tag.duration()), String::new())),
        Tag::PreloadHint(tag) => assert_eq!(list.hint.replace(tag.uri().to_owned()), None),
        Tag::RenditionReport(tag) => {
            list.reports.push((tag.uri().to_owned(), tag.last_msn(), tag.last_part()));
        }
        Tag::Endlist(_) => list.ended = true,
        other => panic!("{other:?}"),
    }
}
