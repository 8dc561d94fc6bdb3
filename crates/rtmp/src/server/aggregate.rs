//! Aggregate messages (RTMP 1.0 §7.1.6): several messages in one, each as a FLV tag.

use bytes::{Buf, Bytes};

use crate::message::Message;

/// Type, length, timestamp, stream id.
const HEADER_BYTES: usize = 11;
/// The length of the tag once more.
const TRAILER_BYTES: usize = 4;

/// The messages inside, as slices. The first has the aggregate's timestamp, the others keep their distance to it.
/// What is cut off at the end is left out.
pub(super) fn split_aggregate(aggregate: &Message) -> impl Iterator<Item = Message> + use<> {
    let mut rest = aggregate.payload.clone();
    let timestamp = aggregate.timestamp;
    let stream = aggregate.stream;
    let mut first = None;
    std::iter::from_fn(move || {
        let (kind, own, payload) = next(&mut rest)?;
        let offset = own.wrapping_sub(*first.get_or_insert(own));
        Some(Message { timestamp: timestamp.wrapping_add(offset), kind, stream, payload })
    })
}

/// Kind, timestamp and payload of the next tag.
fn next(rest: &mut Bytes) -> Option<(u8, u32, Bytes)> {
    let [kind, l0, l1, l2, t0, t1, t2, t3, ..] = *rest.first_chunk::<HEADER_BYTES>()?;
    let length = u32::from_be_bytes([0, l0, l1, l2]) as usize;
    // FLV keeps the highest byte of the timestamp last.
    let timestamp = u32::from_be_bytes([t3, t0, t1, t2]);
    if rest.len() < HEADER_BYTES + length {
        return None;
    }
    rest.advance(HEADER_BYTES);
    let payload = rest.split_to(length);
    rest.advance(TRAILER_BYTES.min(rest.len()));
    Some((kind, timestamp, payload))
}
