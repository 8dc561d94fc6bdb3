//! Playlists as a player needs them: a scan over the lines for the few tags that say where to go on. Ten thousand viewers
//! read three of them a second each, so nothing else is looked at.

use std::time::Duration;

/// A media playlist (RFC 8216bis §4.4.3).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Playlist {
    pub media_sequence: u64,
    pub part_target: Duration,
    pub part_hold_back: Duration,
    /// The last one may be unfinished.
    pub segments: Vec<Segment>,
    pub ended: bool,
    /// Whether delta updates are to be had (`CAN-SKIP-UNTIL`).
    pub can_skip: bool,
    /// Segments that a delta update leaves out at its beginning.
    pub skipped: usize,
}

/// Segment of a media playlist.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Segment {
    /// None while it is unfinished.
    pub uri: Option<String>,
    pub duration: Duration,
    /// When its first frame was taken, in milliseconds since 1970.
    pub wall_clock: Option<i64>,
    /// None for segments that are too old for parts to be listed.
    pub parts: Vec<Part>,
    /// The initialisation section, where it differs from that of the segment before.
    pub map: Option<String>,
    pub gap: bool,
}

/// Part of a segment.
#[derive(Clone, Debug, PartialEq)]
pub struct Part {
    pub uri: String,
    pub duration: Duration,
    pub independent: bool,
}

impl Playlist {
    /// None where it is no playlist, or one that can't be followed part by part.
    pub fn parse(text: &str) -> Option<Self> {
        let mut playlist = Self::default();
        let mut open = Segment::default();
        for line in text.strip_prefix("#EXTM3U")?.lines().filter(|line| !line.is_empty()) {
            match line.strip_prefix("#EXT") {
                Some(tag) => playlist.read_tag(tag, &mut open)?,
                None if line.starts_with('#') => {}
                None => {
                    open.uri = Some(line.into());
                    playlist.segments.push(std::mem::take(&mut open));
                }
            }
        }
        if !open.parts.is_empty() {
            playlist.segments.push(open);
        }
        (!playlist.part_target.is_zero()).then_some(playlist)
    }

    fn read_tag(&mut self, tag: &str, open: &mut Segment) -> Option<()> {
        let (name, value) = tag.split_once(':').unwrap_or((tag, ""));
        match name {
            "INF" => open.duration = parse_seconds(value.split(',').next()?)?,
            "-X-PART" => open.parts.push(Part {
                uri: find_attribute(value, "URI")?.into(),
                duration: parse_seconds(find_attribute(value, "DURATION")?)?,
                independent: find_attribute(value, "INDEPENDENT") == Some("YES"),
            }),
            "-X-PROGRAM-DATE-TIME" => {
                open.wall_clock = value.parse().ok().map(|time: jiff::Timestamp| time.as_millisecond());
            }
            "-X-MEDIA-SEQUENCE" => self.media_sequence = value.parse().ok()?,
            "-X-PART-INF" => self.part_target = parse_seconds(find_attribute(value, "PART-TARGET")?)?,
            "-X-SERVER-CONTROL" => {
                self.part_hold_back =
                    find_attribute(value, "PART-HOLD-BACK").and_then(parse_seconds).unwrap_or_default();
                self.can_skip = find_attribute(value, "CAN-SKIP-UNTIL").is_some();
            }
            "-X-SKIP" => self.skipped = find_attribute(value, "SKIPPED-SEGMENTS")?.parse().ok()?,
            "-X-MAP" => open.map = Some(find_attribute(value, "URI")?.into()),
            "-X-GAP" => open.gap = true,
            "-X-ENDLIST" => self.ended = true,
            _ => {}
        }
        Some(())
    }

    /// A delta update together with what it leaves out, which the playlist before it has (RFC 8216bis §6.3.7). None where
    /// that one is too old.
    pub fn complete_delta(mut self, before: Option<&Self>) -> Option<Self> {
        if self.skipped == 0 {
            return Some(self);
        }
        let before = before?;
        let first = usize::try_from(self.media_sequence.checked_sub(before.media_sequence)?).ok()?;
        let known = before.segments.get(first..first.checked_add(self.skipped)?)?;
        let mut segments = known.to_vec();
        if let Some(segment) = segments.first_mut() {
            segment.map = before.find_map(self.media_sequence).map(str::to_owned);
        }
        segments.append(&mut self.segments);
        Some(Self { segments, skipped: 0, ..self })
    }

    /// The segment with this number.
    pub fn find_segment(&self, sequence: u64) -> Option<&Segment> {
        self.segments.get(usize::try_from(sequence.checked_sub(self.media_sequence)?).ok()?)
    }

    /// The initialisation section of a segment.
    pub fn find_map(&self, sequence: u64) -> Option<&str> {
        let listed = usize::try_from(sequence.checked_sub(self.media_sequence)?).ok()?;
        self.segments.get(..=listed)?.iter().rev().find_map(|segment| segment.map.as_deref())
    }

    /// Position at which a player begins (RFC 8216bis §6.3.3): with the last part that can be decoded by itself and is not nearer to
    /// the end than `PART-HOLD-BACK`; with the first such part where the playlist is shorter.
    pub fn start_position(&self) -> Option<Position> {
        let mut behind = Duration::ZERO;
        let mut first = None;
        for (nth, segment) in self.segments.iter().enumerate().rev() {
            for (index, part) in segment.parts.iter().enumerate().rev() {
                behind += part.duration;
                if part.independent {
                    first = Some(Position { sequence: self.media_sequence + nth as u64, part: index as u64 });
                    if behind >= self.part_hold_back {
                        return first;
                    }
                }
            }
        }
        first
    }

    /// The position itself, or the first one after it where its segment has nothing (more) to give part by part.
    pub fn carry_on(&self, at: Position) -> Position {
        let over = |at: Position| {
            self.find_segment(at.sequence).is_some_and(|segment| {
                let is_over = at.part >= segment.parts.len() as u64 && (at.part > 0 || segment.gap);
                segment.uri.is_some() && is_over
            })
        };
        let mut at = at;
        while over(at) {
            at = Position { sequence: at.sequence + 1, part: 0 };
        }
        at
    }

    /// The segment that begins at this position, where its parts are not listed any more.
    pub fn whole_segment(&self, at: Position) -> Option<(&str, Duration)> {
        let segment = self.find_segment(at.sequence).filter(|segment| segment.parts.is_empty())?;
        Some((segment.uri.as_deref()?, segment.duration))
    }

    /// The part at this position, and the wall clock of its end.
    pub fn find_part(&self, at: Position) -> Option<(&Part, Option<i64>)> {
        let segment = self.find_segment(at.sequence)?;
        let nth = usize::try_from(at.part).ok()?;
        let part = segment.parts.get(nth)?;
        let until: Duration = segment.parts[..=nth].iter().map(|part| part.duration).sum();
        Some((part, segment.wall_clock.map(|start| start + until.as_millis() as i64)))
    }
}

/// A part by the number of its segment and its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    pub sequence: u64,
    pub part: u64,
}

/// A variant of a multivariant playlist.
#[derive(Debug, PartialEq)]
pub struct Variant<'a> {
    /// Bits a second.
    pub bandwidth: u64,
    pub uri: &'a str,
    /// The address of the sound that belongs to it, where that has its own.
    pub audio: Option<&'a str>,
}

/// Variants of a multivariant playlist.
pub fn read_variants(text: &str) -> Vec<Variant<'_>> {
    let mut told = None;
    let mut found = Vec::new();
    for line in text.lines().filter(|line| !line.is_empty()) {
        match line.strip_prefix("#EXT-X-STREAM-INF:") {
            Some(value) => told = Some(value),
            None if line.starts_with('#') => {}
            None => found.extend(told.take().and_then(|value| {
                let bandwidth = find_attribute(value, "BANDWIDTH")?.parse().ok()?;
                let audio = find_attribute(value, "AUDIO").and_then(|group| find_sound(text, group));
                Some(Variant { bandwidth, uri: line, audio })
            })),
        }
    }
    found
}

/// The first sound of this group.
fn find_sound<'a>(text: &'a str, group: &str) -> Option<&'a str> {
    let media = text.lines().filter_map(|line| line.strip_prefix("#EXT-X-MEDIA:"));
    let is_meant = |value: &&str| {
        find_attribute(value, "TYPE") == Some("AUDIO") && find_attribute(value, "GROUP-ID") == Some(group)
    };
    media.filter(is_meant).find_map(|value| find_attribute(value, "URI"))
}

/// The value of `NAME=value` or `NAME="value"` in an attribute list (RFC 8216bis §4.2).
fn find_attribute<'a>(list: &'a str, name: &str) -> Option<&'a str> {
    let mut rest = list;
    loop {
        let (found, after) = rest.split_once('=')?;
        let (value, after) = match after.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"')?,
            None => after.split_at(after.find(',').unwrap_or(after.len())),
        };
        if found == name {
            return Some(value);
        }
        rest = after.strip_prefix(',')?;
    }
}

fn parse_seconds(text: &str) -> Option<Duration> {
    Duration::try_from_secs_f64(text.parse().ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "#EXTM3U\n#EXT-X-VERSION:9\n#EXT-X-TARGETDURATION:2\n\
        #EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK=1.002,HOLD-BACK=6\n\
        #EXT-X-PART-INF:PART-TARGET=0.334\n#EXT-X-MEDIA-SEQUENCE:7\n#EXT-X-MAP:URI=\"0a1b2c3d-init-7.mp4\"\n\
        #EXT-X-PROGRAM-DATE-TIME:2026-11-21T06:00:00.000Z\n#EXTINF:2.000,\n0a1b2c3d-7.m4s\n\
        #EXT-X-PROGRAM-DATE-TIME:2026-11-21T06:00:02.000Z\n\
        #EXT-X-PART:DURATION=0.334,URI=\"0a1b2c3d-8.0.m4s\",INDEPENDENT=YES\n#EXT-X-PART:DURATION=0.333,URI=\"0a1b2c3d-8.1.m4s\"\n\
        #EXT-X-PART:DURATION=0.333,URI=\"0a1b2c3d-8.2.m4s\"\n#EXTINF:1.000,\n0a1b2c3d-8.m4s\n\
        #EXT-X-PART:DURATION=0.334,URI=\"0a1b2c3d-9.0.m4s\",INDEPENDENT=YES\n\
        #EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"0a1b2c3d-9.1.m4s\"\n";

    fn at(sequence: u64, part: u64) -> Position {
        Position { sequence, part }
    }

    #[test]
    fn a_playlist_is_read_part_by_part() {
        let playlist = Playlist::parse(TEXT).unwrap();
        assert_eq!((playlist.media_sequence, playlist.segments.len(), playlist.ended), (7, 3, false));
        assert_eq!(playlist.find_map(9), Some("0a1b2c3d-init-7.mp4"));
        let (part, end) = playlist.find_part(at(8, 1)).unwrap();
        assert_eq!((part.uri.as_str(), part.independent), ("0a1b2c3d-8.1.m4s", false));
        let start: jiff::Timestamp = "2026-11-21T06:00:02Z".parse().unwrap();
        assert_eq!(end, Some(start.as_millisecond() + 667));
        assert_eq!(playlist.find_part(at(9, 1)), None, "it is only hinted at");
    }

    #[test]
    fn a_player_begins_far_enough_from_the_end_and_goes_on_over_segments() {
        let playlist = Playlist::parse(TEXT).unwrap();
        assert_eq!(playlist.start_position(), Some(at(8, 0)));
        let far = TEXT.replace("PART-HOLD-BACK=1.002", "PART-HOLD-BACK=60");
        assert_eq!(
            Playlist::parse(&far).unwrap().start_position(),
            Some(at(8, 0)),
            "the first that there is"
        );
        let near = TEXT.replace("PART-HOLD-BACK=1.002", "PART-HOLD-BACK=0.3");
        assert_eq!(Playlist::parse(&near).unwrap().start_position(), Some(at(9, 0)));
        assert_eq!(playlist.carry_on(at(8, 2)), at(8, 2));
        assert_eq!(playlist.carry_on(at(8, 3)), at(9, 0));
        assert_eq!(playlist.carry_on(at(9, 1)), at(9, 1), "it is not over");
        assert_eq!(playlist.carry_on(at(10, 0)), at(10, 0));
        assert_eq!(playlist.whole_segment(at(7, 0)), Some(("0a1b2c3d-7.m4s", Duration::from_secs(2))));
        assert_eq!(playlist.whole_segment(at(8, 0)), None);
    }

    #[test]
    fn gaps_are_stepped_over() {
        let playlist = Playlist::parse(&TEXT.replace("#EXTINF:2.000", "#EXT-X-GAP\n#EXTINF:2.000")).unwrap();
        assert_eq!(playlist.carry_on(at(7, 0)), at(8, 0));
    }

    #[test]
    fn what_is_no_low_latency_playlist_is_none() {
        for text in ["", "<html>", "#EXTM3U\n#EXTINF:2,\n1.ts\n", "#EXTM3U\n#EXT-X-MEDIA-SEQUENCE:x\n"] {
            assert_eq!(Playlist::parse(text), None, "{text}");
        }
    }

    #[test]
    fn variants_have_their_bandwidth_and_sound() {
        let text = "#EXTM3U\n#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"x\",URI=\"x/index.m3u8\"\n\
                    #EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",NAME=\"a, b\",URI=\"a/index.m3u8\"\n\
                    #EXT-X-STREAM-INF:AVERAGE-BANDWIDTH=1,CODECS=\"avc1,mp4a\",BANDWIDTH=300,AUDIO=\"a\"\nv/index.m3u8\n\
                    #EXT-X-STREAM-INF:BANDWIDTH=200\nw/index.m3u8\n";
        let with = Variant { bandwidth: 300, uri: "v/index.m3u8", audio: Some("a/index.m3u8") };
        let without = Variant { bandwidth: 200, uri: "w/index.m3u8", audio: None };
        assert_eq!(read_variants(text), [with, without]);
    }

    #[test]
    fn a_delta_update_is_completed_by_what_was_before_it() {
        let whole = Playlist::parse(TEXT).unwrap();
        let delta = "#EXTM3U\n#EXT-X-PART-INF:PART-TARGET=0.334\n#EXT-X-MEDIA-SEQUENCE:8\n\
                     #EXT-X-SKIP:SKIPPED-SEGMENTS=1\n#EXT-X-PART:DURATION=0.334,URI=\"0a1b2c3d-9.0.m4s\",INDEPENDENT=YES\n\
                     #EXT-X-PART:DURATION=0.333,URI=\"0a1b2c3d-9.1.m4s\"\n";
        let delta = Playlist::parse(delta).unwrap();
        let now = delta.clone().complete_delta(Some(&whole)).unwrap();
        assert_eq!(
            (now.media_sequence, now.segments.len(), now.find_map(9)),
            (8, 2, Some("0a1b2c3d-init-7.mp4"))
        );
        assert_eq!(
            now.find_segment(8),
            Some(&Segment { map: now.find_map(8).map(str::to_owned), ..whole.segments[1].clone() })
        );
        assert_eq!(now.find_part(at(9, 1)).unwrap().0.uri, "0a1b2c3d-9.1.m4s");
        assert_eq!(delta.clone().complete_delta(None), None);
        let old = Playlist { media_sequence: 3, ..whole };
        assert_eq!(delta.complete_delta(Some(&old)), None, "it does not reach so far");
    }
}
