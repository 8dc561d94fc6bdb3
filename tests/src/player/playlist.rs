//! Playlists as a client reads them. Written apart from the code that renders them.

use std::collections::HashMap;

use anyhow::{Context, Result, bail, ensure};

/// `NAME=VALUE,NAME="VALUE"` behind a tag.
pub type Attributes = HashMap<String, String>;

/// Line of a playlist that is not empty.
#[derive(Debug, PartialEq)]
pub enum Line<'a> {
    Tag { name: &'a str, value: &'a str },
    Uri(&'a str),
}

pub fn lines(text: &str) -> Result<Vec<Line<'_>>> {
    let mut lines = text.lines();
    ensure!(lines.next() == Some("#EXTM3U"), "a playlist starts with #EXTM3U");
    Ok(lines.filter(|line| !line.is_empty()).map(line).collect())
}

fn line(line: &str) -> Line<'_> {
    match line.strip_prefix('#') {
        Some(tag) => {
            let (name, value) = tag.split_once(':').unwrap_or((tag, ""));
            Line::Tag { name, value }
        }
        None => Line::Uri(line),
    }
}

pub fn attributes(text: &str) -> Result<Attributes> {
    let mut attributes = HashMap::new();
    let mut rest = text;
    while !rest.is_empty() {
        let (name, after) = rest.split_once('=').with_context(|| format!("no `=` in {rest}"))?;
        let (value, after) = match after.strip_prefix('"') {
            Some(quoted) => {
                let (value, after) = quoted.split_once('"').context("a quote is not closed")?;
                (value, after.strip_prefix(',').unwrap_or(after))
            }
            None => after.split_once(',').unwrap_or((after, "")),
        };
        ensure!(
            attributes.insert(name.to_owned(), value.to_owned()).is_none(),
            "{name} stands twice in {text}"
        );
        rest = after;
    }
    Ok(attributes)
}

#[derive(Clone, Debug, PartialEq)]
pub struct Variant {
    pub uri: String,
    pub attributes: Attributes,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Multivariant {
    pub variants: Vec<Variant>,
    /// `EXT-X-MEDIA` with a URI.
    pub media: Vec<Attributes>,
}

impl Multivariant {
    pub fn parse(text: &str) -> Result<Self> {
        let mut found = Self::default();
        let mut pending = None;
        for line in lines(text)? {
            match line {
                Line::Tag { name: "EXT-X-STREAM-INF", value } => pending = Some(attributes(value)?),
                Line::Tag { name: "EXT-X-MEDIA", value } => found.media.push(attributes(value)?),
                Line::Tag { .. } => {}
                Line::Uri(uri) => {
                    let attributes =
                        pending.take().with_context(|| format!("{uri} without EXT-X-STREAM-INF"))?;
                    found.variants.push(Variant { uri: uri.into(), attributes });
                }
            }
        }
        ensure!(!found.variants.is_empty(), "no variant in {text}");
        Ok(found)
    }

    /// The URIs of all media playlists.
    pub fn playlists(&self) -> Vec<String> {
        let media = self.media.iter().filter_map(|media| media.get("URI").cloned());
        let mut all: Vec<_> = self.variants.iter().map(|variant| variant.uri.clone()).chain(media).collect();
        all.sort();
        all.dedup();
        all
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct Part {
    pub uri: String,
    pub duration: f64,
    pub independent: bool,
}

/// A segment of a media playlist; the last one may be unfinished (no URI yet).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Segment {
    pub sequence: u64,
    pub uri: Option<String>,
    pub duration: f64,
    pub discontinuity: bool,
    pub date_time: Option<String>,
    pub map: String,
    pub parts: Vec<Part>,
    pub gap: bool,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Media {
    pub version: u64,
    pub target_duration: u64,
    pub part_target: f64,
    pub part_hold_back: f64,
    pub media_sequence: u64,
    pub discontinuity_sequence: u64,
    pub segments: Vec<Segment>,
    pub preload_hint: Option<String>,
    pub reports: Vec<Attributes>,
    pub skipped: u64,
    pub ended: bool,
}

impl Media {
    pub fn parse(text: &str) -> Result<Self> {
        let mut media = Self::default();
        let mut open = Segment::default();
        let mut map = String::new();
        for line in lines(text)? {
            match line {
                Line::Uri(uri) => {
                    open.uri = Some(uri.into());
                    media.close(&mut open, &map);
                }
                Line::Tag { name, value } => media.tag(name, value, &mut open, &mut map)?,
            }
        }
        if !open.parts.is_empty() {
            media.close(&mut open, &map);
        }
        Ok(media)
    }

    fn close(&mut self, open: &mut Segment, map: &str) {
        let mut segment = std::mem::take(open);
        segment.sequence = self.media_sequence + self.skipped + self.segments.len() as u64;
        segment.map = map.into();
        self.segments.push(segment);
    }

    fn tag(&mut self, name: &str, value: &str, open: &mut Segment, map: &mut String) -> Result<()> {
        let get = |key: &str| -> Result<String> {
            attributes(value)?.remove(key).with_context(|| format!("{name} without {key}"))
        };
        match name {
            "EXT-X-VERSION" => self.version = value.parse()?,
            "EXT-X-TARGETDURATION" => self.target_duration = value.parse()?,
            "EXT-X-PART-INF" => self.part_target = get("PART-TARGET")?.parse()?,
            "EXT-X-SERVER-CONTROL" => {
                self.part_hold_back = get("PART-HOLD-BACK").unwrap_or_default().parse().unwrap_or(0.0);
            }
            "EXT-X-MEDIA-SEQUENCE" => self.media_sequence = value.parse()?,
            "EXT-X-DISCONTINUITY-SEQUENCE" => self.discontinuity_sequence = value.parse()?,
            "EXT-X-INDEPENDENT-SEGMENTS" => {}
            "EXT-X-MAP" => *map = get("URI")?,
            "EXT-X-DISCONTINUITY" => open.discontinuity = true,
            "EXT-X-GAP" => open.gap = true,
            "EXT-X-PROGRAM-DATE-TIME" => open.date_time = Some(value.into()),
            "EXTINF" => open.duration = value.split(',').next().unwrap_or_default().parse()?,
            "EXT-X-PART" => open.parts.push(Part {
                uri: get("URI")?,
                duration: get("DURATION")?.parse()?,
                independent: get("INDEPENDENT").is_ok_and(|value| value == "YES"),
            }),
            "EXT-X-PRELOAD-HINT" => self.preload_hint = Some(get("URI")?),
            "EXT-X-RENDITION-REPORT" => self.reports.push(attributes(value)?),
            "EXT-X-SKIP" => self.skipped = get("SKIPPED-SEGMENTS")?.parse()?,
            "EXT-X-ENDLIST" => self.ended = true,
            _ if name.starts_with("EXT-") => bail!("unknown tag {name}"),
            _ => {}
        }
        Ok(())
    }

    /// Media sequence and part that a client asks for next (RFC 8216bis §6.2.5.2).
    pub fn next(&self) -> (u64, usize) {
        match self.segments.last() {
            Some(last) if last.uri.is_none() => (last.sequence, last.parts.len()),
            Some(last) => (last.sequence + 1, 0),
            None => (self.media_sequence, 0),
        }
    }
}

/// The number of a whole segment of a live broadcast by its file name, `<tag>-<number>.m4s`.
pub fn segment_number(file: &str) -> Option<u64> {
    let (tag, number) = file.strip_suffix(".m4s")?.split_once('-')?;
    number.parse().ok().filter(|_| tag.len() == 8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unfinished_segment_is_the_last_one() {
        let text = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:7\n#EXT-X-MAP:URI=\"0a1b2c3d-init-7.mp4\"\n\
                    #EXTINF:2.0,\n0a1b2c3d-7.m4s\n#EXT-X-PART:DURATION=0.333,URI=\"0a1b2c3d-8.0.m4s\",INDEPENDENT=YES\n";
        let media = Media::parse(text).unwrap();
        assert_eq!(media.segments.len(), 2);
        assert_eq!((media.segments[1].sequence, media.segments[1].map.as_str()), (8, "0a1b2c3d-init-7.mp4"));
        assert_eq!(media.next(), (8, 1));
    }
}
