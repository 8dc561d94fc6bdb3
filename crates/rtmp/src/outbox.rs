//! Queue of outgoing messages, cut into chunks by `rml_rtmp`.

use std::fmt;

use bytes::{BufMut, Bytes, BytesMut};
use rml_rtmp::chunk_io::ChunkSerializer;
use rml_rtmp::messages::MessagePayload;
use rml_rtmp::time::RtmpTimestamp;

use crate::amf::{self, Value};
use crate::error::RtmpError;
use crate::message::{Message, kind, user_control};

/// Set Peer Bandwidth's "dynamic" (RTMP 1.0 §5.4.5): not binding, and what every server sends.
const DYNAMIC_LIMIT_TYPE: u8 = 2;

pub(crate) struct Outbox {
    chunks: ChunkSerializer,
    bytes: BytesMut,
}

impl Outbox {
    pub(crate) fn new() -> Self {
        Self { chunks: ChunkSerializer::new(), bytes: BytesMut::new() }
    }

    /// Everything since the last call.
    pub(crate) fn take_output(&mut self) -> Option<Bytes> {
        (!self.bytes.is_empty()).then(|| self.bytes.split().freeze())
    }

    pub(crate) fn put_raw(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Sends a message; an empty one can't be sent and is left out (the serialiser writes no header for it).
    ///
    /// Each message is declared droppable, since then every one has a full header with an absolute timestamp. The
    /// shorter headers save eight bytes, and servers disagree on what the shortest means after a full one:
    /// nginx-rtmp takes the difference for zero, the specification for the timestamp.
    pub(crate) fn send_message(&mut self, message: Message) -> Result<(), RtmpError> {
        let payload = MessagePayload {
            timestamp: RtmpTimestamp::new(message.timestamp),
            type_id: message.kind,
            message_stream_id: message.stream,
            data: message.payload,
        };
        let packet = self.chunks.serialize(&payload, false, true)?;
        self.put_raw(&packet.bytes);
        Ok(())
    }

    pub(crate) fn set_chunk_size(&mut self, size: u32) -> Result<(), RtmpError> {
        let packet = self.chunks.set_max_chunk_size(size, RtmpTimestamp::new(0))?;
        self.put_raw(&packet.bytes);
        Ok(())
    }

    pub(crate) fn send_acknowledgement(&mut self, received: u32) -> Result<(), RtmpError> {
        self.send_control(kind::ACKNOWLEDGEMENT, &received.to_be_bytes())
    }

    pub(crate) fn send_window(&mut self, size: u32) -> Result<(), RtmpError> {
        self.send_control(kind::WINDOW_SIZE, &size.to_be_bytes())
    }

    pub(crate) fn peer_bandwidth(&mut self, size: u32) -> Result<(), RtmpError> {
        let [a, b, c, d] = size.to_be_bytes();
        self.send_control(kind::PEER_BANDWIDTH, &[a, b, c, d, DYNAMIC_LIMIT_TYPE])
    }

    pub(crate) fn stream_begin(&mut self, stream: u32) -> Result<(), RtmpError> {
        self.user_control(user_control::STREAM_BEGIN, &stream.to_be_bytes())
    }

    /// Answers a user control message if it asks for that; the others need nothing from us.
    pub(crate) fn answer_ping(&mut self, message: &[u8]) -> Result<(), RtmpError> {
        match message.split_first_chunk() {
            Some((event, time)) if u16::from_be_bytes(*event) == user_control::PING_REQUEST => {
                self.user_control(user_control::PING_RESPONSE, time.first_chunk::<4>().unwrap_or(&[0; 4]))
            }
            _ => Ok(()),
        }
    }

    /// A command on a message stream. `values` follow its name and transaction.
    pub(crate) fn send_command(
        &mut self,
        stream: u32,
        name: &str,
        transaction: f64,
        values: impl IntoIterator<Item = Value>,
    ) -> Result<(), RtmpError> {
        let values: Vec<_> = [name.into(), transaction.into()].into_iter().chain(values).collect();
        self.send_message(Message {
            timestamp: 0,
            kind: kind::COMMAND,
            stream,
            payload: amf::write_values(&values),
        })
    }

    fn user_control(&mut self, event: u16, data: &[u8]) -> Result<(), RtmpError> {
        let mut payload = BytesMut::with_capacity(2 + data.len());
        payload.put_u16(event);
        payload.put_slice(data);
        self.send_control(kind::USER_CONTROL, &payload)
    }

    fn send_control(&mut self, kind: u8, payload: &[u8]) -> Result<(), RtmpError> {
        self.send_message(Message { timestamp: 0, kind, stream: 0, payload: Bytes::copy_from_slice(payload) })
    }
}

impl fmt::Debug for Outbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outbox").field("bytes", &self.bytes.len()).finish_non_exhaustive()
    }
}
