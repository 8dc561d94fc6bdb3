//! From bytes to messages (RTMP 1.0 §5.3), for input that cannot be trusted.
//!
//! Each chunk stream has its own unfinished message, so that streams may be interleaved. What unfinished messages
//! hold together is bounded. A message that lies whole inside one chunk and one piece of input is a slice of that
//! input; any other is copied once.

mod assembly;
mod header;

use std::collections::HashMap;

use bytes::{Buf, Bytes, BytesMut};

use crate::config::{Limits, Phase};
use crate::error::RtmpError;
use crate::message::{Message, kind};
use assembly::Assembly;
use header::{ChunkHeader, Step};

/// Chunk size that both sides start with, in bytes (RTMP 1.0 §5.4.1).
const INITIAL_CHUNK_SIZE: usize = 128;
/// No message is longer, since its length has three bytes; larger chunk sizes mean the same as this one.
const LARGEST_CHUNK_SIZE: usize = 0xff_ffff;

#[derive(Debug)]
pub(crate) struct ChunkReader {
    phase: Phase,
    chunk_streams: usize,
    chunk_size: usize,
    input: Bytes,
    streams: HashMap<u32, ChunkStream>,
    state: State,
    /// Memory reserved by unfinished messages.
    held: usize,
}

#[derive(Debug)]
enum State {
    Header,
    /// Inside the payload of a chunk, of which `left` bytes are still to come.
    Payload {
        id: u32,
        left: usize,
    },
}

/// State that later chunks of a chunk stream refer back to.
#[derive(Clone, Debug, Default)]
pub(crate) struct ChunkStream {
    timestamp: u32,
    /// Milliseconds that a message without a timestamp of its own adds. After an absolute timestamp, that one (§5.3.1.2.4).
    delta: u32,
    /// The extended timestamp field of the last header that had one.
    extended: Option<u32>,
    length: usize,
    kind: u8,
    stream: u32,
    assembly: Option<Assembly>,
}

impl ChunkReader {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            phase: limits.stranger,
            chunk_streams: limits.chunk_streams,
            chunk_size: INITIAL_CHUNK_SIZE,
            input: Bytes::new(),
            streams: HashMap::new(),
            state: State::Header,
            held: 0,
        }
    }

    /// From now on other bounds hold.
    pub(crate) fn enter_phase(&mut self, phase: Phase) {
        self.phase = phase;
    }

    /// Takes more input. It is copied only where the last piece ended inside a chunk header, or was not read to its end.
    pub(crate) fn push_input(&mut self, more: Bytes) {
        if self.input.is_empty() {
            self.input = more;
        } else {
            let mut joined = BytesMut::with_capacity(self.input.len() + more.len());
            joined.extend_from_slice(&self.input);
            joined.extend_from_slice(&more);
            self.input = joined.freeze();
        }
    }

    /// Bytes that were pushed and not read yet.
    pub(crate) fn buffered_bytes(&self) -> usize {
        self.input.len()
    }

    /// The next whole message; none until more input arrives. The two messages that steer the chunk layer itself
    /// (Set Chunk Size, Abort) are carried out here.
    pub(crate) fn next(&mut self) -> Result<Option<Message>, RtmpError> {
        loop {
            let step = match self.state {
                State::Header => self.read_header()?,
                State::Payload { id, left } => self.read_payload(id, left)?,
            };
            match step {
                Step::Starved => return Ok(None),
                Step::More => {}
                Step::Message(message) => match message.kind {
                    kind::SET_CHUNK_SIZE => self.set_chunk_size(&message.payload)?,
                    kind::ABORT => self.abort_message(&message.payload)?,
                    _ => return Ok(Some(message)),
                },
            }
        }
    }

    fn read_header(&mut self) -> Result<Step, RtmpError> {
        let Some(header) = ChunkHeader::parse(&self.input, |id| self.streams.get(&id))? else {
            return Ok(Step::Starved);
        };
        self.input.advance(header.size);
        self.admit_stream(header.id)?;
        let stream = self.streams.entry(header.id).or_default();
        header.apply_to(stream)?;
        if stream.length > self.phase.message {
            return Err(RtmpError::MessageTooLong { length: stream.length, limit: self.phase.message });
        }
        let done = stream.assembly.as_ref().map_or(0, Assembly::len);
        let left = (stream.length - done).min(self.chunk_size);
        self.state = State::Payload { id: header.id, left };
        Ok(Step::More)
    }

    fn admit_stream(&self, id: u32) -> Result<(), RtmpError> {
        if self.streams.len() < self.chunk_streams || self.streams.contains_key(&id) {
            return Ok(());
        }
        Err(RtmpError::TooManyChunkStreams { limit: self.chunk_streams })
    }

    fn read_payload(&mut self, id: u32, left: usize) -> Result<Step, RtmpError> {
        let stream = self.streams.entry(id).or_default();
        if stream.assembly.is_none() && left == stream.length && self.input.len() >= left {
            self.state = State::Header;
            return Ok(Step::Message(stream.make_message(self.input.split_to(left))));
        }
        if self.input.is_empty() {
            return Ok(Step::Starved);
        }
        let piece = self.input.split_to(left.min(self.input.len()));
        let assembly = stream.assembly.get_or_insert_default();
        assembly.append_piece(&piece, stream.length, &self.phase, &mut self.held)?;
        if assembly.len() == stream.length {
            self.state = State::Header;
            return Ok(stream.finish_message(&mut self.held));
        }
        self.state = match left - piece.len() {
            0 => State::Header,
            left => State::Payload { id, left },
        };
        Ok(Step::More)
    }

    fn set_chunk_size(&mut self, payload: &[u8]) -> Result<(), RtmpError> {
        match read_u32(payload, "Set Chunk Size")? {
            0 | 0x8000_0000.. => Err(RtmpError::ChunkSize),
            size => {
                self.chunk_size = (size as usize).min(LARGEST_CHUNK_SIZE);
                Ok(())
            }
        }
    }

    /// Drops the unfinished message of a chunk stream (RTMP 1.0 §5.4.2).
    fn abort_message(&mut self, payload: &[u8]) -> Result<(), RtmpError> {
        let id = read_u32(payload, "Abort")?;
        if let Some(assembly) = self.streams.get_mut(&id).and_then(|stream| stream.assembly.take()) {
            self.held -= assembly.reserved_bytes();
        }
        Ok(())
    }
}

impl ChunkStream {
    fn make_message(&self, payload: Bytes) -> Message {
        Message { timestamp: self.timestamp, kind: self.kind, stream: self.stream, payload }
    }

    fn finish_message(&mut self, held: &mut usize) -> Step {
        let assembly = self.assembly.take().unwrap_or_default();
        *held -= assembly.reserved_bytes();
        Step::Message(self.make_message(assembly.into_payload()))
    }
}

/// The number that a protocol control message begins with.
pub(crate) fn read_u32(payload: &[u8], what: &'static str) -> Result<u32, RtmpError> {
    payload.first_chunk().map(|bytes| u32::from_be_bytes(*bytes)).ok_or(RtmpError::Truncated { what })
}

#[cfg(test)]
mod tests;
