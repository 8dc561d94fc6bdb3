//! Memory that one publisher may cost a proxy at most. `tests/memory.rs` measures it under the worst that an encoder can
//! send.

use headwater_media::{ReplayLimits, timeline};
use headwater_rtmp::{EVENT_COST, Limits, MAX_EVENTS};
use headwater_wire::publish::{MAX_QUEUED_BYTES, MAX_QUEUED_MESSAGES};

/// Bytes that do not depend on the media: the task, two read blocks, answers, the codecs of RTMP and HTTP/2.
const CONNECTION_BYTES: usize = 1 << 20;
/// Bytes of a queued message besides its payload.
const MESSAGE_OVERHEAD_BYTES: usize = 512;
/// Bytes that the HTTP/2 connection takes before it says that it is full (hyper's default).
const HTTP2_SEND_BUFFER_BYTES: usize = 1 << 20;

/// Place where bytes of a publisher are kept, with their limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    pub place: &'static str,
    pub bytes: usize,
}

/// Shares of all places.
///
/// A message of RTMP and the payloads of the tags that are made of it are memory of their own, so each is counted where
/// it is kept.
pub fn memory_shares(session: &Limits, timeline: &timeline::Limits, replay: &ReplayLimits) -> [Share; 9] {
    let message = session.publisher.message;
    [
        ("connection", CONNECTION_BYTES),
        ("session: unfinished messages", session.publisher.reassembly),
        // It grows by doubling, and is then joined with what was read before.
        ("session: held back until a server is found", 3 * session.held_back),
        ("session: events that wait", MAX_EVENTS * EVENT_COST),
        ("session: a message that is taken apart, and its part", 2 * message),
        // Frames that wait, a track that is set aside, a group of pictures, and the events that they become. The last
        // message may be more than there is room for.
        ("timeline", 4 * timeline.hold_bytes + message),
        // The newest tag comes before the oldest ones go. While they are sent again, their list exists twice.
        ("replay", 2 * replay.bytes + message),
        ("in flight", MAX_QUEUED_BYTES.max(message) + MAX_QUEUED_MESSAGES * MESSAGE_OVERHEAD_BYTES),
        // One message is being encoded while another one is sent.
        ("HTTP/2", HTTP2_SEND_BUFFER_BYTES + 2 * message),
    ]
    .map(|(place, bytes)| Share { place, bytes })
}

/// Sum of the shares, in bytes.
pub fn total_bytes(shares: &[Share]) -> usize {
    shares.iter().map(|share| share.bytes).sum()
}
