//! The time by the clock of a broadcast, as `xs:dateTime`: DASH players ask for segments, and measure their latency, by the
//! clock that the presentation names (`UTCTiming`, ISO/IEC 23009-1 §5.8.5.7), not by their own.
//!
//! A presentation can't say anew when something that it has listed is available. An encoder that is slow is later each
//! minute than it said at first; this clock is as slow as the encoder, so its players stay right behind it.

use std::sync::Arc;

use headwater_hls::playlist::dash;
use headwater_media::UnixMillis;
use headwater_runtime::clock;

use crate::http::response::answer::Answer;
use crate::http::response::cache::Cache;
use crate::mirror::{Mirror, START_LIMIT, Scope, View};

/// Without a mirror, nobody drifts.
pub(crate) async fn answer(mirror: Option<Arc<Mirror>>) -> Answer {
    let drift = |view: &View| match view {
        View::Seeking => None,
        View::NotLive => Some(0),
        View::Showing(window) => Some(window.drift()),
    };
    let drift = match mirror {
        Some(mirror) => mirror.wait_for_view(Scope::Anything, START_LIMIT, drift).await.unwrap_or_default(),
        None => 0,
    };
    let time = UnixMillis(clock::now().0.saturating_add_signed(-i64::from(drift)));
    Answer::new("text/plain; charset=utf-8", Cache::No, dash::moment(time).into())
}
