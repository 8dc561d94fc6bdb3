//! The wall clock, read where a process meets the world; inside, times are handed on.

use std::time::{SystemTime, UNIX_EPOCH};

use headwater_media::UnixMillis;
use jiff::Timestamp;

/// The time of day; 1970 on a machine whose clock is set before that.
pub fn now() -> UnixMillis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixMillis(since.as_millis() as u64)
}

/// A moment with its milliseconds, as in `2026-11-21T09:20:00.500Z` (RFC 3339 §5.6); none beyond the year 9999.
pub fn rfc3339(time: UnixMillis) -> Option<String> {
    let time = Timestamp::from_millisecond(i64::try_from(time.0).ok()?).ok()?;
    Some(format!("{time:.3}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_written_with_milliseconds() {
        assert_eq!(rfc3339(UnixMillis(1_795_252_800_500)).as_deref(), Some("2026-11-21T09:20:00.500Z"));
        assert_eq!(rfc3339(UnixMillis(0)).as_deref(), Some("1970-01-01T00:00:00.000Z"));
        assert_eq!(rfc3339(UnixMillis(u64::MAX)), None);
    }
}
