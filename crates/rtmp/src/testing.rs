//! Byte scripts for tests, written by hand: they share nothing with the code that reads them.

use bytes::Bytes;

use crate::amf::{self, Value};
use crate::message::{Message, kind};

pub(crate) fn message(kind: u8, stream: u32, timestamp: u32, payload: impl Into<Bytes>) -> Message {
    Message { timestamp, kind, stream, payload: payload.into() }
}

pub(crate) fn command(stream: u32, name: &str, transaction: f64, values: &[Value]) -> Message {
    let all = [&[name.into(), transaction.into()], values].concat();
    message(kind::COMMAND, stream, 0, amf::write_values(&all))
}

pub(crate) fn basic(format: u8, id: u32) -> Vec<u8> {
    match id {
        0..64 => vec![format << 6 | id as u8],
        64..320 => vec![format << 6, (id - 64) as u8],
        _ => [&[format << 6 | 1][..], &((id - 64) as u16).to_le_bytes()].concat(),
    }
}

/// Format 0, with an extended timestamp where it is needed.
pub(crate) fn full_header(id: u32, message: &Message) -> Vec<u8> {
    let mut bytes = basic(0, id);
    bytes.extend(u24(message.timestamp.min(0xff_ffff)));
    bytes.extend(u24(message.payload.len() as u32));
    bytes.push(message.kind);
    bytes.extend(message.stream.to_le_bytes());
    bytes.extend(extended(message.timestamp));
    bytes
}

pub(crate) fn extended(timestamp: u32) -> Vec<u8> {
    if timestamp < 0xff_ffff { vec![] } else { timestamp.to_be_bytes().to_vec() }
}

/// A message as chunks: a full header, then headers of format 3 with the extended timestamp repeated.
pub(crate) fn chunks(id: u32, message: &Message, chunk_size: usize) -> Vec<Vec<u8>> {
    let payload = &message.payload;
    let mut pieces = vec![[&full_header(id, message), &payload[..chunk_size.min(payload.len())]].concat()];
    for piece in payload.chunks(chunk_size).skip(1) {
        pieces.push([&basic(3, id), &extended(message.timestamp), piece].concat());
    }
    pieces
}

/// Bytes of a message in chunks of 128 bytes.
pub(crate) fn wire(id: u32, message: &Message) -> Vec<u8> {
    chunks(id, message, 128).concat()
}

pub(crate) fn u24(value: u32) -> [u8; 3] {
    let [_, a, b, c] = value.to_be_bytes();
    [a, b, c]
}
