//! Names of media files. Playlists are written with them and requests are read by them, here and nowhere else, so that
//! each file has exactly one name.
//!
//! A recording's directory holds its broadcast's id, so there an [`Object`] is a file's whole name. Live media of all
//! broadcasts of a stream is in one directory for each rendition: there a name begins with the broadcast's tag
//! ([`LiveObject`]), as two broadcasts may have the same numbers.

use std::fmt::{self, Display};

use headwater_media::{BroadcastId, BroadcastTag, MediaSequence, PartIndex};

/// Piece of a rendition's media, named by its number. Displays as its file name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Object {
    /// The init segment of the period whose first segment has this number: `init-<first>.mp4`.
    Init(MediaSequence),
    /// A segment: `<sequence>.m4s`.
    Segment(MediaSequence),
    /// A part of a segment: `<sequence>.<part>.m4s`.
    Part(MediaSequence, PartIndex),
    /// The segment that begins at this time, in ticks of its rendition, in the period whose first segment has this number:
    /// `<first>-<ticks>.m4s`.
    Timed(MediaSequence, u64),
}

impl Object {
    /// Reads a file name. Numbers are written without signs and leading zeros, so anything else is no object's name.
    pub fn parse(file: &str) -> Option<Self> {
        let object = Self::read_numbers(file)?;
        (object.to_string() == file).then_some(object)
    }

    fn read_numbers(file: &str) -> Option<Self> {
        let sequence = |text: &str| text.parse().ok().map(MediaSequence);
        if let Some(name) = file.strip_suffix(".mp4") {
            return sequence(name.strip_prefix("init-")?).map(Self::Init);
        }
        let name = file.strip_suffix(".m4s")?;
        if let Some((first, ticks)) = name.split_once('-') {
            return Some(Self::Timed(sequence(first)?, ticks.parse().ok()?));
        }
        match name.split_once('.') {
            None => sequence(name).map(Self::Segment),
            Some((number, part)) => Some(Self::Part(sequence(number)?, PartIndex(part.parse().ok()?))),
        }
    }

    /// The segment that the object belongs to, or starts with.
    pub fn sequence(self) -> MediaSequence {
        match self {
            Self::Init(sequence)
            | Self::Segment(sequence)
            | Self::Part(sequence, _)
            | Self::Timed(sequence, _) => sequence,
        }
    }
}

impl Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Init(first) => write!(f, "init-{first}.mp4"),
            Self::Segment(sequence) => write!(f, "{sequence}.m4s"),
            Self::Part(sequence, part) => write!(f, "{sequence}.{part}.m4s"),
            Self::Timed(first, ticks) => write!(f, "{first}-{ticks}.m4s"),
        }
    }
}

/// Object of a live broadcast. Displays as its file name, `<tag>-<object>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LiveObject {
    /// The broadcast that the media is of.
    pub broadcast: BroadcastTag,
    /// The piece of that broadcast's media.
    pub object: Object,
}

impl LiveObject {
    /// Reads a file name in its only form.
    pub fn parse(file: &str) -> Option<Self> {
        let (tag, name) = file.split_once('-')?;
        Some(Self { broadcast: tag.parse().ok()?, object: Object::parse(name)? })
    }
}

impl Display for LiveObject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", NamePrefix::Live(self.broadcast), self.object)
    }
}

/// Beginning of the names of the media files that a playlist lists.
#[derive(Clone, Copy, Debug)]
pub(crate) enum NamePrefix {
    /// Live media, which begins with its broadcast's tag.
    Live(BroadcastTag),
    /// Media of a recording.
    Recorded,
}

impl NamePrefix {
    /// Prefix of a broadcast's live media.
    pub(crate) fn live(broadcast: BroadcastId) -> Self {
        Self::Live(broadcast.tag())
    }
}

impl Display for NamePrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Live(tag) => write!(f, "{tag}-"),
            Self::Recorded => Ok(()),
        }
    }
}

/// File name of a period's segments in a DASH presentation: [`Object::Timed`] with `$Time$` for its ticks (ISO/IEC 23009-1
/// §5.3.9.4.4).
pub(crate) struct TimedTemplate(pub(crate) MediaSequence);

impl Display for TimedTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-$Time$.m4s", self.0)
    }
}

/// File name of segments in a DASH presentation: [`Object::Segment`] with `$Number$` for its number.
pub(crate) const NUMBER_TEMPLATE: &str = "$Number$.m4s";

#[cfg(test)]
mod tests {
    use super::*;

    const SEVENTH: MediaSequence = MediaSequence(7);

    #[test]
    fn names_are_read_as_they_are_written() {
        for (file, object) in [
            ("init-7.mp4", Object::Init(SEVENTH)),
            ("7.m4s", Object::Segment(SEVENTH)),
            ("7.0.m4s", Object::Part(SEVENTH, PartIndex(0))),
            ("7-900.m4s", Object::Timed(SEVENTH, 900)),
        ] {
            assert_eq!((object.to_string().as_str(), Object::parse(file)), (file, Some(object)));
        }
    }

    #[test]
    fn a_live_name_begins_with_its_broadcast() {
        let broadcast: BroadcastTag = "12345678".parse().unwrap();
        for object in [
            Object::Init(SEVENTH),
            Object::Segment(SEVENTH),
            Object::Part(SEVENTH, PartIndex(0)),
            Object::Timed(SEVENTH, 900),
        ] {
            let live = LiveObject { broadcast, object };
            assert_eq!(live.to_string(), format!("12345678-{object}"));
            assert_eq!(LiveObject::parse(&live.to_string()), Some(live));
            assert_eq!(LiveObject::parse(&object.to_string()), None, "{object}");
            assert_eq!(LiveObject::parse(&format!("1234567-{object}")), None);
            assert_eq!(LiveObject::parse(&format!("1234567A-{object}")), None);
        }
    }

    #[test]
    fn templates_are_names_with_a_place_for_a_number() {
        let timed = TimedTemplate(SEVENTH).to_string().replace("$Time$", "900");
        assert_eq!(timed, Object::Timed(SEVENTH, 900).to_string());
        assert_eq!(NUMBER_TEMPLATE.replace("$Number$", "7"), Object::Segment(SEVENTH).to_string());
    }

    #[test]
    fn an_object_has_one_name() {
        for file in [
            "07.m4s",
            "+7.m4s",
            "7.00.m4s",
            "7.0.1.m4s",
            "init-07.mp4",
            "7.mp4",
            ".m4s",
            "-1.m4s",
            "7-01.m4s",
            "7-1-1.m4s",
            "18446744073709551616.m4s",
        ] {
            assert_eq!(Object::parse(file), None, "{file}");
        }
    }
}
