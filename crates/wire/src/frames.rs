//! Length-prefixed messages between a server and its worker: four bytes of length, big endian, then the message.

use std::io::{self, Read, Write};

use bytes::{BufMut, Bytes, BytesMut};
use prost::Message;

/// Bytes of the longest message. A keyframe of a 4K source at a very high bit rate stays far below it.
pub const MESSAGE_LIMIT: usize = 32 << 20;

/// Bytes of the message, with its length in front.
pub fn encode(message: &impl Message) -> Bytes {
    let length = message.encoded_len();
    let mut buffer = BytesMut::with_capacity(4 + length);
    buffer.put_u32(u32::try_from(length).expect("messages are bounded by what RTMP can carry, 16 MiB"));
    message.encode(&mut buffer).expect("the buffer grows as needed");
    buffer.freeze()
}

/// Reads one message; `None` at the end of the stream between two messages.
pub fn read<M: Message + Default>(input: &mut impl Read) -> io::Result<Option<M>> {
    let mut length = [0; 4];
    match input.read(&mut length)? {
        0 => return Ok(None),
        n => input.read_exact(&mut length[n..])?,
    }
    let mut body = BytesMut::zeroed(checked_length(u32::from_be_bytes(length))?);
    input.read_exact(&mut body)?;
    decode(body.freeze()).map(Some)
}

/// Writes one message; does not flush.
pub fn write(output: &mut impl Write, message: &impl Message) -> io::Result<()> {
    output.write_all(&encode(message))
}

/// Message from its body. `bytes` fields are slices of it.
pub fn decode<M: Message + Default>(body: Bytes) -> io::Result<M> {
    M::decode(body).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

fn checked_length(length: u32) -> io::Result<usize> {
    match length as usize {
        length if length <= MESSAGE_LIMIT => Ok(length),
        length => Err(io::Error::new(io::ErrorKind::InvalidData, format!("a message of {length} bytes"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::v2;

    #[test]
    fn messages_follow_each_other() {
        let tag = v2::Tag {
            track: 2,
            keyframe: true,
            time_us: 7_000,
            composition_offset_us: -3_000,
            drift_ms: 40,
            payload: Bytes::from_static(b"nal"),
        };
        let mut bytes = Vec::new();
        write(&mut bytes, &tag).unwrap();
        write(&mut bytes, &tag).unwrap();
        let mut input = &bytes[..];
        assert_eq!(read(&mut input).unwrap(), Some(tag.clone()));
        assert_eq!(read(&mut input).unwrap(), Some(tag));
        assert_eq!(read::<v2::Tag>(&mut input).unwrap(), None);
    }

    #[test]
    fn a_cut_off_or_oversized_message_is_an_error() {
        assert!(read::<v2::Tag>(&mut &[0, 0, 0, 9, 1][..]).is_err());
        assert!(read::<v2::Tag>(&mut &[0, 0][..]).is_err());
        assert!(read::<v2::Tag>(&mut &u32::MAX.to_be_bytes()[..]).is_err());
    }
}
