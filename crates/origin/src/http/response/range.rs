//! Byte ranges (RFC 9110 §14). One range at a time: whoever asks for several gets the whole, which is allowed.

use std::ops::Range;

/// Bytes that a `Range` header selects from a body of a given length.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    Whole,
    Part(Range<u64>),
    /// Begins behind the end: 416.
    Unsatisfiable,
}

impl Wanted {
    /// A header that is not understood is ignored (RFC 9110 §14.2).
    pub(crate) fn parse(header: &str, length: u64) -> Self {
        let Some((unit, set)) = header.split_once('=') else { return Self::Whole };
        let set = set.trim();
        if !unit.trim().eq_ignore_ascii_case("bytes") || set.contains(',') {
            return Self::Whole;
        }
        match set.split_once('-') {
            Some(("", suffix)) => digits(suffix).map_or(Self::Whole, |suffix| Self::suffix(suffix, length)),
            Some((first, "")) => {
                digits(first).map_or(Self::Whole, |first| Self::from(first, u64::MAX, length))
            }
            Some((first, last)) => match (digits(first), digits(last)) {
                (Some(first), Some(last)) if first <= last => Self::from(first, last, length),
                _ => Self::Whole,
            },
            None => Self::Whole,
        }
    }

    fn suffix(suffix: u64, length: u64) -> Self {
        match suffix.min(length) {
            0 => Self::Unsatisfiable,
            suffix => Self::Part(length - suffix..length),
        }
    }

    fn from(first: u64, last: u64, length: u64) -> Self {
        if first < length {
            Self::Part(first..last.saturating_add(1).min(length))
        } else {
            Self::Unsatisfiable
        }
    }
}

fn digits(text: &str) -> Option<u64> {
    let only_digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    only_digits.then(|| text.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn single_ranges() {
        for (header, wanted) in [
            ("bytes=0-0", Wanted::Part(0..1)),
            ("bytes=2-", Wanted::Part(2..10)),
            ("bytes=2-99", Wanted::Part(2..10)),
            ("bytes=-3", Wanted::Part(7..10)),
            ("bytes=-99", Wanted::Part(0..10)),
            ("Bytes = 1-2", Wanted::Part(1..3)),
            ("bytes=10-", Wanted::Unsatisfiable),
            ("bytes=-0", Wanted::Unsatisfiable),
            ("bytes=99999999999999999999-", Wanted::Unsatisfiable),
            ("bytes=0-18446744073709551615", Wanted::Part(0..10)),
        ] {
            assert_eq!(Wanted::parse(header, 10), wanted, "{header}");
        }
    }

    #[test]
    fn what_is_not_understood_is_ignored() {
        for header in [
            "",
            "bytes",
            "bytes=",
            "bytes=-",
            "bytes=a-b",
            "bytes=3-2",
            "bytes=0-1,3-4",
            "items=0-1",
            "bytes=+1-2",
        ] {
            assert_eq!(Wanted::parse(header, 10), Wanted::Whole, "{header}");
        }
        assert_eq!(Wanted::parse("bytes=0-", 0), Wanted::Unsatisfiable);
    }
}
