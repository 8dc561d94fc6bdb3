//! Chunk headers (RTMP 1.0 §5.3.1).

use super::ChunkStream;
use crate::error::RtmpError;
use crate::message::Message;

/// A timestamp field with this value says that the extended field follows.
const EXTENDED_TIMESTAMP: u32 = 0xff_ffff;

/// Outcome of one step of reading.
pub(super) enum Step {
    /// More input is needed.
    Starved,
    More,
    Message(Message),
}

#[derive(Clone, Copy, Debug)]
pub(super) struct ChunkHeader {
    /// Chunk stream.
    pub(super) id: u32,
    /// Bytes of input it took.
    pub(super) size: usize,
    format: Format,
}

/// The four message headers; each leaves out more than the one before it.
#[derive(Clone, Copy, Debug)]
enum Format {
    Full {
        time: Time,
        length: usize,
        kind: u8,
        stream: u32,
    },
    SameStream {
        time: Time,
        length: usize,
        kind: u8,
    },
    SameLength {
        time: Time,
    },
    /// Continues a message, or begins one like the last.
    Same,
}

#[derive(Clone, Copy, Debug)]
struct Time {
    value: u32,
    extended: bool,
}

impl ChunkHeader {
    /// Reads a header; none while it is not there whole. What the chunk stream remembers decides whether a header of
    /// the shortest format is followed by an extended timestamp.
    pub(super) fn parse<'a>(
        input: &[u8],
        stream: impl Fn(u32) -> Option<&'a ChunkStream>,
    ) -> Result<Option<Self>, RtmpError> {
        let mut cursor = Cursor { input, at: 0 };
        let Some((format, id)) = cursor.read_basic() else { return Ok(None) };
        let known = stream(id);
        // Full headers may come at any time. Some encoders begin chunk streams with the second format: its time counts
        // from zero then, and its message stream is 0.
        if known.is_none() && format > 1 {
            return Err(RtmpError::NoPrecedingChunk);
        }
        let format = match format {
            0 => cursor.read_full(),
            1 => cursor.same_stream(),
            2 => cursor.same_length(),
            _ => cursor.repeated_timestamp(known.and_then(|s| s.extended)).then_some(Format::Same),
        };
        Ok(format.map(|format| Self { id, size: cursor.at, format }))
    }

    /// Brings the chunk stream's state up to this chunk.
    pub(super) fn apply_to(self, stream: &mut ChunkStream) -> Result<(), RtmpError> {
        let unfinished = stream.assembly.is_some();
        match self.format {
            Format::Same if unfinished => return Ok(()),
            _ if unfinished => return Err(RtmpError::UnfinishedMessage),
            Format::Full { time, length, kind, stream: id } => {
                stream.remember_time(&time);
                (stream.length, stream.kind, stream.stream) = (length, kind, id);
                stream.timestamp = time.value;
                return Ok(());
            }
            Format::SameStream { time, length, kind } => {
                stream.remember_time(&time);
                (stream.length, stream.kind) = (length, kind);
            }
            Format::SameLength { time } => stream.remember_time(&time),
            Format::Same => {}
        }
        stream.timestamp = stream.timestamp.wrapping_add(stream.delta);
        Ok(())
    }
}

impl ChunkStream {
    fn remember_time(&mut self, time: &Time) {
        self.delta = time.value;
        self.extended = time.extended.then_some(time.value);
    }
}

struct Cursor<'a> {
    input: &'a [u8],
    at: usize,
}

impl Cursor<'_> {
    /// Format and chunk stream id (§5.3.1.1).
    fn read_basic(&mut self) -> Option<(u8, u32)> {
        let [first] = self.take_array()?;
        let id = match first & 0x3f {
            0 => 64 + u32::from(self.take_array::<1>()?[0]),
            1 => 64 + u32::from(u16::from_le_bytes(self.take_array()?)),
            id => u32::from(id),
        };
        Some((first >> 6, id))
    }

    fn read_full(&mut self) -> Option<Format> {
        let field = self.read_u24()?;
        let length = self.read_u24()? as usize;
        let [kind] = self.take_array()?;
        let stream = u32::from_le_bytes(self.take_array()?);
        Some(Format::Full { time: self.read_time(field)?, length, kind, stream })
    }

    fn same_stream(&mut self) -> Option<Format> {
        let field = self.read_u24()?;
        let length = self.read_u24()? as usize;
        let [kind] = self.take_array()?;
        Some(Format::SameStream { time: self.read_time(field)?, length, kind })
    }

    fn same_length(&mut self) -> Option<Format> {
        let field = self.read_u24()?;
        Some(Format::SameLength { time: self.read_time(field)? })
    }

    /// The timestamp that a header's `field` stands for; the extended one comes last of all (§5.3.1.3).
    fn read_time(&mut self, field: u32) -> Option<Time> {
        match field {
            EXTENDED_TIMESTAMP => {
                Some(Time { value: u32::from_be_bytes(self.take_array()?), extended: true })
            }
            value => Some(Time { value, extended: false }),
        }
    }

    /// The shortest header repeats the extended timestamp of its chunk stream (§5.3.1.3), but some encoders do not
    /// write it: it is taken for one only when it is the same number. False while that cannot be told yet.
    fn repeated_timestamp(&mut self, extended: Option<u32>) -> bool {
        let Some(expected) = extended.map(u32::to_be_bytes) else { return true };
        let rest = &self.input[self.at..];
        let present = rest.len().min(4);
        if rest[..present] != expected[..present] {
            return true;
        }
        self.at += 4;
        present == 4
    }

    fn read_u24(&mut self) -> Option<u32> {
        let [a, b, c] = self.take_array()?;
        Some(u32::from_be_bytes([0, a, b, c]))
    }

    fn take_array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let taken = *self.input.get(self.at..)?.first_chunk()?;
        self.at += N;
        Some(taken)
    }
}
