//! Names and numbers. Every one is a type of its own; the ones that come from outside are checked when made.

use std::fmt;
use std::str::FromStr;

use uuid::Uuid;

use crate::time::UnixMillis;

/// Why a name was refused.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum NameError {
    #[error("a {what} must not be empty")]
    Empty { what: &'static str },
    #[error("a {what} has at most {limit} characters")]
    TooLong { what: &'static str, limit: usize },
    #[error("a {what} may hold letters, digits, '-', '_' and '.', and starts with a letter, a digit or '_'")]
    Character { what: &'static str },
}

/// The longest stream name; object stores, URLs and Redis keys take far more.
const STREAM_ID_LIMIT: usize = 64;
/// The longest stream key; some platforms hand out signed tokens of several hundred characters.
const STREAM_KEY_LIMIT: usize = 512;
/// How far from now a broadcast may seem to start: what runs further ahead of the clock is no number of ours.
const FURTHEST_START_MS: u64 = 24 * 3_600 * 1_000;
/// The longest rendition name.
const RENDITION_ID_LIMIT: usize = 32;
/// Characters of the longest uid of an output: twice those of a UUID without hyphens.
const OUTPUT_UID_LIMIT: usize = 64;

fn checked(what: &'static str, limit: usize, text: &str) -> Result<Box<str>, NameError> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    match text.chars().next() {
        None => Err(NameError::Empty { what }),
        Some(_) if text.len() > limit => Err(NameError::TooLong { what, limit }),
        Some('-' | '.') => Err(NameError::Character { what }),
        Some(_) if !text.chars().all(allowed) => Err(NameError::Character { what }),
        Some(_) => Ok(text.into()),
    }
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $what:literal, $limit:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Box<str>);

        impl $name {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = NameError;
            fn from_str(text: &str) -> Result<Self, NameError> {
                checked($what, $limit, text).map(Self)
            }
        }
    };
}

macro_rules! shown {
    ($name:ident) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name! {
    /// The name that viewers know: the playback id, first path segment of every URL. 1 to 64 characters.
    StreamId, "stream name", STREAM_ID_LIMIT
}
shown!(StreamId);

name! {
    /// Name of a rung of the ladder, or of the audio: `720p`, `audio`.
    RenditionId, "rendition name", RENDITION_ID_LIMIT
}
shown!(RenditionId);

name! {
    /// Name of an output, a destination that a broadcast is pushed to. 1 to 64 characters; it says nothing of the
    /// destination's address or key.
    OutputUid, "uid of an output", OUTPUT_UID_LIMIT
}
shown!(OutputUid);

/// The publisher's secret. It can be compared and hashed, and it is never printed.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct StreamKey(Box<str>);

impl StreamKey {
    /// The secret itself: for looking up an input, never for a log.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl FromStr for StreamKey {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        match text.len() {
            0 => Err(NameError::Empty { what: "stream key" }),
            1..=STREAM_KEY_LIMIT => Ok(Self(text.into())),
            _ => Err(NameError::TooLong { what: "stream key", limit: STREAM_KEY_LIMIT }),
        }
    }
}

impl fmt::Debug for StreamKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StreamKey(redacted)")
    }
}

/// Identity of one time on air. A version 7 UUID, so that ids sort by the time they were made.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BroadcastId(Uuid);

impl BroadcastId {
    /// Makes an id from the wall clock and 74 random bits, both given by the caller.
    pub fn new(now: UnixMillis, random: &[u8; 10]) -> Self {
        Self(uuid::Builder::from_unix_timestamp_millis(now.0, random).into_uuid())
    }

    /// Makes an id whose broadcast starts above this number, which may be a moment from now.
    pub fn above(now: UnixMillis, last: MediaSequence, random: &[u8; 10]) -> Self {
        let free = last.0.saturating_add(1).saturating_mul(1_000).min(now.0 + FURTHEST_START_MS);
        Self::new(now.max(UnixMillis(free)), random)
    }

    /// The mark of this broadcast in the file names of its live media.
    pub fn tag(&self) -> BroadcastTag {
        let [.., a, b, c, d] = *self.0.as_bytes();
        BroadcastTag(u32::from_be_bytes([a, b, c, d]))
    }

    /// The UUID's bytes, in network order.
    pub fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }

    /// The id with these bytes.
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(Uuid::from_bytes(bytes))
    }

    /// When the id was made.
    pub fn made_at(&self) -> UnixMillis {
        let (seconds, nanos) = self.0.get_timestamp().map_or((0, 0), |t| t.to_unix());
        UnixMillis(seconds * 1_000 + u64::from(nanos) / 1_000_000)
    }

    /// The first media sequence number of this broadcast: the seconds from the Unix epoch to its start.
    ///
    /// It is chosen once, when the broadcast is made. With segments of two seconds a broadcast takes less than one number
    /// a second, as new periods are bounded too
    /// ([`PERIOD_INTERVAL`](crate::timeline::PERIOD_INTERVAL)), so every broadcast of a stream starts above all
    /// numbers of the ones before it, even when nothing else remembers them. What a server does remember it goes by
    /// ([`Self::above`]). Media that runs ahead of the clock may reach the next broadcast's numbers all the same, so URLs
    /// hold the broadcast's tag as well ([`Self::tag`]).
    pub fn first_sequence(&self) -> MediaSequence {
        MediaSequence(self.made_at().0 / 1_000)
    }
}

impl FromStr for BroadcastId {
    type Err = uuid::Error;
    fn from_str(text: &str) -> Result<Self, uuid::Error> {
        text.parse().map(Self)
    }
}

impl fmt::Display for BroadcastId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for BroadcastId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Short mark of a broadcast's identity in the file names of its live media: 8 lower-case hexadecimal digits.
///
/// It is made of 32 of the id's random bits and of none of its time, so a broadcast whose media sequence numbers run ahead
/// of the clock shares no URL with the next broadcast of its stream, which may have the same numbers.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BroadcastTag(u32);

/// Refusal of a text as a broadcast tag.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
#[error("a broadcast tag has {TAG_DIGITS} digits of 0-9 and a-f")]
pub struct TagError;

/// Hexadecimal digits of a broadcast tag.
const TAG_DIGITS: usize = 8;

impl FromStr for BroadcastTag {
    type Err = TagError;
    fn from_str(text: &str) -> Result<Self, TagError> {
        let is_digit = |byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        if text.len() != TAG_DIGITS || !text.bytes().all(is_digit) {
            return Err(TagError);
        }
        u32::from_str_radix(text, 16).map(Self).map_err(|_| TagError)
    }
}

impl fmt::Display for BroadcastTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:0TAG_DIGITS$x}", self.0)
    }
}

impl fmt::Debug for BroadcastTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

macro_rules! number {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub $inner);

        impl $name {
            /// The number after this one.
            #[must_use]
            pub const fn next(self) -> Self {
                Self(self.0 + 1)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

number! {
    /// Fencing number of a stream's ownership. It only grows.
    Epoch(u64)
}
number! {
    /// Media sequence number of a segment (RFC 8216bis §3). The same in every rendition, never back, never skipped.
    MediaSequence(u64)
}
number! {
    /// Number of a part within its segment, from 0.
    PartIndex(u32)
}
number! {
    /// Number of a period within its broadcast, from 0.
    PeriodNumber(u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked() {
        assert_eq!("demo-1_a.b".parse::<StreamId>().unwrap().as_str(), "demo-1_a.b");
        assert_eq!("".parse::<StreamId>(), Err(NameError::Empty { what: "stream name" }));
        for bad in ["../x", "a/b", "-a", "ä", "a b", ".hidden"] {
            assert_eq!(bad.parse::<StreamId>(), Err(NameError::Character { what: "stream name" }), "{bad}");
        }
        assert!("a".repeat(65).parse::<StreamId>().is_err());
    }

    #[test]
    fn a_key_is_never_printed() {
        let key: StreamKey = "hunter2".parse().unwrap();
        assert!(!format!("{key:?}").contains("hunter2"));
    }

    #[test]
    fn a_tag_is_eight_digits_of_the_random_bits() {
        let id = |second: u64, last: u8| {
            BroadcastId::new(UnixMillis(second * 1_000), &[1, 2, 3, 4, 5, 6, 0, 0xab, 0xcd, last])
        };
        assert_eq!(id(1_800_000_000, 0xef).tag().to_string(), "00abcdef");
        assert_eq!("00abcdef".parse(), Ok(id(1_800_000_060, 0xef).tag()), "the time is no part of it");
        assert_ne!(id(1_800_000_000, 0xee).tag(), id(1_800_000_000, 0xef).tag());
    }

    #[test]
    fn a_tag_has_one_form() {
        for bad in ["", "abcdef", "0abcdef", "000abcdef", "00ABCDEF", "+0abcdef", "00abcdeg", "00abcdé"] {
            assert_eq!(bad.parse::<BroadcastTag>(), Err(TagError), "{bad}");
        }
        for digits in ["00000000", "ffffffff", "12345678"] {
            assert_eq!(digits.parse::<BroadcastTag>().unwrap().to_string(), digits);
        }
    }

    #[test]
    fn a_later_broadcast_starts_above_everything_an_earlier_one_can_reach() {
        let first = BroadcastId::new(UnixMillis(1_800_000_000_000), &[7; 10]);
        let second = BroadcastId::new(UnixMillis(1_800_000_060_000), &[9; 10]);
        assert_eq!(first.made_at(), UnixMillis(1_800_000_000_000));
        assert_eq!(second.first_sequence().0, first.first_sequence().0 + 60);
    }

    #[test]
    fn a_broadcast_may_start_above_a_number_that_is_known() {
        let now = UnixMillis(1_800_000_000_500);
        let above = |last: u64| BroadcastId::above(now, MediaSequence(last), &[0; 10]).first_sequence().0;
        assert_eq!(above(1_700_000_000), 1_800_000_000);
        assert_eq!(above(1_800_000_000), 1_800_000_001);
        assert_eq!(above(1_800_000_007), 1_800_000_008);
    }
}
