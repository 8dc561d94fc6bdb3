//! Messages as they leave the chunk reader, and as they go to the chunk writer.

use bytes::Bytes;

/// Message types (RTMP 1.0 §5.4, §7.1; "Enhanced RTMP" adds none).
pub(crate) mod kind {
    pub(crate) const SET_CHUNK_SIZE: u8 = 1;
    pub(crate) const ABORT: u8 = 2;
    pub(crate) const ACKNOWLEDGEMENT: u8 = 3;
    pub(crate) const USER_CONTROL: u8 = 4;
    pub(crate) const WINDOW_SIZE: u8 = 5;
    pub(crate) const PEER_BANDWIDTH: u8 = 6;
    pub(crate) const AUDIO: u8 = 8;
    pub(crate) const VIDEO: u8 = 9;
    pub(crate) const DATA_AMF3: u8 = 15;
    pub(crate) const COMMAND_AMF3: u8 = 17;
    pub(crate) const DATA: u8 = 18;
    pub(crate) const COMMAND: u8 = 20;
    pub(crate) const AGGREGATE: u8 = 22;
}

/// User control events (RTMP 1.0 §7.1.7).
pub(crate) mod user_control {
    pub(crate) const STREAM_BEGIN: u16 = 0;
    pub(crate) const PING_REQUEST: u16 = 6;
    pub(crate) const PING_RESPONSE: u16 = 7;
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Message {
    /// Milliseconds, modulo 2^32.
    pub(crate) timestamp: u32,
    pub(crate) kind: u8,
    /// Message stream id; 0 is the connection itself.
    pub(crate) stream: u32,
    pub(crate) payload: Bytes,
}

impl Message {
    /// The AMF0 values of a command or data message. The AMF3 kinds carry AMF0 after a zero byte (nobody sends AMF3
    /// proper); a value never begins a message with the marker zero, which is a number.
    pub(crate) fn amf_values(&self) -> &[u8] {
        match self.kind {
            kind::COMMAND_AMF3 | kind::DATA_AMF3 => self.payload.strip_prefix(&[0]).unwrap_or(&self.payload),
            _ => &self.payload,
        }
    }
}
