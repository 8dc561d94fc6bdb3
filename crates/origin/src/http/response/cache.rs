//! How long caches may keep an answer (RFC 9111 §5.2.2).

use std::sync::LazyLock;

use http::HeaderValue;

/// How long caches may keep an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cache {
    /// The URL will never have other bytes.
    Immutable,
    Seconds(u32),
    No,
}

impl From<Cache> for HeaderValue {
    fn from(cache: Cache) -> Self {
        match cache {
            Cache::Immutable => Self::from_static("public, max-age=31536000, immutable"),
            Cache::Seconds(seconds) => {
                SHORT.get(seconds as usize).cloned().unwrap_or_else(|| max_age(seconds))
            }
            Cache::No => Self::from_static("no-store"),
        }
    }
}

/// Precomputed values of `Cache-Control` for playlists, 0 to 60 s: six target durations of 10 s are the longest.
static SHORT: LazyLock<Vec<HeaderValue>> = LazyLock::new(|| (0..=60).map(max_age).collect());

fn max_age(seconds: u32) -> HeaderValue {
    HeaderValue::try_from(format!("public, max-age={seconds}")).expect("digits are visible ASCII")
}
