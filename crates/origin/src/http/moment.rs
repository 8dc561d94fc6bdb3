//! What time it is, as `xs:dateTime`: DASH players measure their latency by the clock that the presentation names (`UTCTiming`,
//! ISO/IEC 23009-1 §5.8.5.7), not by their own.

use headwater_hls::playlist::dash;
use headwater_runtime::clock;

use super::answer::{Answer, Cache};

pub(super) fn answer() -> Answer {
    Answer::new("text/plain; charset=utf-8", Cache::No, dash::moment(clock::now()).into())
}
