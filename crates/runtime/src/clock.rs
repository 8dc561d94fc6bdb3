//! The wall clock, read where a process meets the world; inside, times are handed on.

use std::time::{SystemTime, UNIX_EPOCH};

use headwater_media::UnixMillis;

/// The time of day; 1970 on a machine whose clock is set before that.
pub fn now() -> UnixMillis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixMillis(since.as_millis() as u64)
}
