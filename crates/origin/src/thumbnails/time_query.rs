//! Which moment of a broadcast is meant.

use headwater_media::UnixMillis;

/// Moment that the query's `time` names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TimeQuery {
    /// The newest picture there is.
    Newest,
    /// On air at this moment.
    At(UnixMillis),
    /// So many milliseconds before the newest one.
    Ago(u64),
    /// So many milliseconds after the first one, as a player of the recording counts. Of a live broadcast, the first one that
    /// can be gone back to.
    After(u64),
}

impl TimeQuery {
    /// `2026-11-21T09:20:00.5Z` (RFC 3339), `1795252800.5` (seconds from the Unix epoch), `-30` (seconds ago), or `5m2s` (from
    /// the beginning).
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let at = || seconds(text).map(UnixMillis).or_else(|| date(text)).map(Self::At);
        Self::ago(text).or_else(|| elapsed(text).map(Self::After)).or_else(at)
    }

    /// The same of a recording: `75.5` are seconds from its beginning, `-30` from its end.
    pub(crate) fn parse_recorded(text: &str) -> Option<Self> {
        let after = seconds(text).or_else(|| elapsed(text)).map(Self::After);
        Self::ago(text).or(after).or_else(|| date(text).map(Self::At))
    }

    fn ago(text: &str) -> Option<Self> {
        seconds(text.strip_prefix('-')?).map(Self::Ago)
    }
}

/// Milliseconds of a plain decimal number of seconds.
pub(crate) fn seconds(text: &str) -> Option<u64> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let seconds = text.parse::<f64>().ok().filter(|_| is_plain && text.len() <= 20)?;
    Some((seconds * 1_000.0).round() as u64)
}

/// Milliseconds of a duration with units of an hour, a minute and a second, as Cloudflare Stream writes it: `1h5m2s`.
fn elapsed(text: &str) -> Option<u64> {
    let is_compact = text.bytes().all(|byte| byte.is_ascii_digit() || b".hms".contains(&byte));
    let duration: jiff::SignedDuration = text.parse().ok().filter(|_| is_compact)?;
    duration.as_millis().try_into().ok()
}

fn date(text: &str) -> Option<UnixMillis> {
    // In a query, an unescaped plus sign stands for a space.
    let moment: jiff::Timestamp = text.replace(' ', "+").parse().ok()?;
    moment.as_millisecond().try_into().ok().map(UnixMillis)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn four_ways_to_name_a_moment() {
        let at = |millis| Some(TimeQuery::At(UnixMillis(millis)));
        assert_eq!(TimeQuery::parse("2026-11-21T09:20:00.5Z"), at(1_795_252_800_500));
        assert_eq!(TimeQuery::parse("2026-11-21T10:20:00+01:00"), at(1_795_252_800_000));
        assert_eq!(TimeQuery::parse("2026-11-21T10:20:00 01:00"), at(1_795_252_800_000));
        assert_eq!(TimeQuery::parse("1795252800.25"), at(1_795_252_800_250));
        assert_eq!(TimeQuery::parse("-12.5"), Some(TimeQuery::Ago(12_500)));
        assert_eq!(TimeQuery::parse("-0"), Some(TimeQuery::Ago(0)));
        for (text, millis) in [("0s", 0), ("2.5s", 2_500), ("5m2s", 302_000), ("1h", 3_600_000)] {
            assert_eq!(TimeQuery::parse(text), Some(TimeQuery::After(millis)), "{text}");
            assert_eq!(TimeQuery::parse_recorded(text), Some(TimeQuery::After(millis)), "{text}");
        }
    }

    #[test]
    fn a_recording_begins_at_zero() {
        assert_eq!(TimeQuery::parse_recorded("75.5"), Some(TimeQuery::After(75_500)));
        assert_eq!(TimeQuery::parse_recorded("-30"), Some(TimeQuery::Ago(30_000)));
        assert_eq!(
            TimeQuery::parse_recorded("2026-11-21T09:20:00Z"),
            Some(TimeQuery::At(UnixMillis(1_795_252_800_000)))
        );
        assert_eq!(TimeQuery::parse_recorded("1:15"), None);
    }

    #[test]
    fn nothing_else_does() {
        for text in [
            "",
            "now",
            "-",
            "-5s",
            "s",
            "--1",
            "1e9",
            "+5",
            "inf",
            "NaN",
            "2026-11-21",
            "12:30",
            "9".repeat(30).as_str(),
        ] {
            assert_eq!(TimeQuery::parse(text), None, "{text}");
        }
    }
}
