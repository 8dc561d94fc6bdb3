//! The side that an encoder publishes to.

mod aggregate;
mod commands;
mod request;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::mem;

use bytes::{Bytes, BytesMut};
use headwater_media::StreamKey;

pub(crate) use request::CAPS_EX_RECONNECT;
pub use request::{PublishRequest, PublishType};

use crate::amf;
use crate::chunk::ChunkReader;
use crate::command::Command;
use crate::config::ServerConfig;
use crate::error::RtmpError;
use crate::flow::Flow;
use crate::handshake::{Handshake, Outcome};
use crate::message::{Message, kind};
use crate::metadata::Metadata;
use crate::outbox::Outbox;
use crate::status::{RECONNECT_REQUEST, Rejection, on_status};
use request::Client;

/// Events that may wait to be polled: three times the smallest frames that fit into what is read at once. Only somebody who
/// wants to use up memory sends messages of a byte or two.
pub const MAX_EVENTS: usize = 16 << 10;
/// Bytes that an event costs at most besides what was read: itself, and the queue's room, which grows by doubling.
pub const EVENT_COST: usize = 3 * size_of::<Event>();

/// Action of a publisher.
#[derive(Debug)]
pub enum Event {
    /// It wants to publish: [`accept`](ServerSession::accept) or [`reject`](ServerSession::reject) it. What it sends
    /// before the answer is held back.
    Publish(PublishRequest),
    Metadata(Metadata),
    /// A FLV video tag's body.
    Video {
        /// Milliseconds, modulo 2^32.
        timestamp: u32,
        payload: Bytes,
    },
    /// A FLV audio tag's body.
    Audio {
        /// Milliseconds, modulo 2^32.
        timestamp: u32,
        payload: Bytes,
    },
    /// It ended its stream. It may publish again on the same connection.
    Unpublish,
    /// It wanted to play, and was told that this is not possible.
    PlayRefused,
    /// It connected to an application that does not exist, and was told which one does.
    AppRefused,
    /// It connected, and [`ServerConfig::is_client_allowed`] says that it may not.
    ClientRefused,
    /// It wanted to publish a second stream beside the one on air, and was refused; what it sends there is dropped.
    SecondStreamRefused,
}

/// Server's side of an encoder's connection.
#[derive(Debug)]
pub struct ServerSession {
    config: ServerConfig,
    state: State,
    reader: ChunkReader,
    outbox: Outbox,
    events: VecDeque<Event>,
    flow: Flow,
    /// Message streams that are alive.
    streams: Vec<u32>,
    /// Publications that were refused beside the one on air, until their message streams end.
    refused: Vec<Refused>,
}

/// A publication that was refused because the connection has another one on air.
#[derive(Debug)]
struct Refused {
    stream: u32,
    /// The stream key it asked for; none where that could be no key.
    key: Option<StreamKey>,
}

#[derive(Debug)]
enum State {
    Handshake(Handshake),
    /// Waits for `connect`.
    Greeted,
    Connected(Client),
    /// A publish request waits for the caller's answer; `held` is what arrived since.
    Deciding {
        client: Client,
        stream: u32,
        held: BytesMut,
    },
    Publishing {
        client: Client,
        stream: u32,
    },
    /// The peer broke the protocol. Nothing is read any more, but [`fail`](ServerSession::fail) can still tell it why,
    /// on this message stream.
    Broken {
        stream: u32,
    },
    /// The session reads no more input.
    Closing,
}

impl ServerSession {
    /// A session that waits for the handshake.
    pub fn new(config: ServerConfig) -> Self {
        Self {
            state: State::Handshake(Handshake::as_server()),
            reader: ChunkReader::new(&config.limits),
            outbox: Outbox::new(),
            events: VecDeque::new(),
            flow: Flow::new(config.window),
            streams: Vec::new(),
            refused: Vec::new(),
            config,
        }
    }

    /// Takes what arrived. Video and audio that lie whole inside one chunk are slices of it, and those of an aggregate
    /// message are slices of that one: whoever keeps them copies them, or keeps all of it.
    ///
    /// # Errors
    /// The connection is beyond help. The events before the error stay and come first; then [`fail`](Self::fail) tells
    /// the peer what is wrong, and the connection is closed.
    pub fn handle_input(&mut self, input: impl Into<Bytes>) -> Result<(), RtmpError> {
        let result = self.receive_input(input.into());
        self.closing_on_error(result)
    }

    /// Takes the oldest event.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Everything that is to be sent by now.
    pub fn poll_output(&mut self) -> Option<Bytes> {
        self.outbox.take_output()
    }

    /// Whether the connection is to be closed once the output is sent.
    pub fn close_requested(&self) -> bool {
        matches!(self.state, State::Broken { .. } | State::Closing)
    }

    /// Lets the publisher go on air, and goes on with what was held back.
    ///
    /// # Errors
    /// As for [`handle_input`](Self::handle_input); also when the request is not the one that waits here.
    pub fn accept(&mut self, request: PublishRequest) -> Result<(), RtmpError> {
        let result = self.admit_publisher(&request);
        self.closing_on_error(result)
    }

    /// Turns the publisher away: tells it why, and asks for the connection to be closed.
    ///
    /// # Errors
    /// When the answer can't be written.
    pub fn reject(&mut self, request: PublishRequest, rejection: Rejection) -> Result<(), RtmpError> {
        self.send_refusal(request.message_stream(), &rejection)
    }

    /// Ends the connection of a publisher that was accepted: tells it why, and asks for the connection to be closed.
    ///
    /// # Errors
    /// When the message can't be written.
    pub fn fail(&mut self, rejection: &Rejection) -> Result<(), RtmpError> {
        self.send_refusal(self.publishing_stream(), rejection)
    }

    /// Asks the publisher to connect again by the same URL, where it said that it can. It goes on sending until it does
    /// (Enhanced RTMP v2, § "Reconnect Request"). Gives whether it was asked.
    ///
    /// # Errors
    /// When the message can't be written.
    pub fn request_reconnect(&mut self, description: &str) -> Result<bool, RtmpError> {
        let State::Publishing { client, .. } = &self.state else { return Ok(false) };
        if !client.can_reconnect() {
            return Ok(false);
        }
        // It concerns the connection, and so it goes on message stream 0.
        self.outbox.send_command(0, "onStatus", 0.0, on_status("status", RECONNECT_REQUEST, description))?;
        Ok(true)
    }

    /// Always by `onStatus`: OBS waits for ever on an `_error` (it never asks for an answer to `publish`).
    fn send_refusal(&mut self, stream: u32, rejection: &Rejection) -> Result<(), RtmpError> {
        // Before the handshake is over there is nobody to tell, and after closing nothing more to say.
        let told = !matches!(self.state, State::Handshake(_) | State::Closing);
        self.state = State::Closing;
        if !told {
            return Ok(());
        }
        let status = on_status("error", rejection.code.as_str(), &rejection.description);
        self.outbox.send_command(stream, "onStatus", 0.0, status)
    }

    fn closing_on_error(&mut self, result: Result<(), RtmpError>) -> Result<(), RtmpError> {
        if result.is_err() {
            self.state = match self.state {
                // Whoever does not get through the handshake may speak another protocol.
                State::Handshake(_) | State::Closing => State::Closing,
                _ => State::Broken { stream: self.publishing_stream() },
            };
        }
        result
    }

    /// The message stream of the publisher; 0, which concerns the connection, where there is none.
    fn publishing_stream(&self) -> u32 {
        match self.state {
            State::Publishing { stream, .. } | State::Deciding { stream, .. } | State::Broken { stream } => {
                stream
            }
            State::Handshake(_) | State::Greeted | State::Connected(_) | State::Closing => 0,
        }
    }

    fn receive_input(&mut self, mut input: Bytes) -> Result<(), RtmpError> {
        match &mut self.state {
            State::Broken { .. } | State::Closing => return Ok(()),
            State::Handshake(handshake) => match handshake.take_input(&mut input, &mut self.outbox)? {
                Outcome::Going => return Ok(()),
                Outcome::Done => self.state = State::Greeted,
            },
            State::Deciding { held, .. } => {
                let limit = self.config.limits.held_back;
                if self.reader.buffered_bytes() + held.len() + input.len() > limit {
                    return Err(RtmpError::HeldBackFull { limit });
                }
                held.extend_from_slice(&input);
                return self.flow.count_received(input.len(), &mut self.outbox);
            }
            State::Greeted | State::Connected(_) | State::Publishing { .. } => {}
        }
        self.flow.count_received(input.len(), &mut self.outbox)?;
        self.reader.push_input(input);
        self.read_messages()
    }

    fn read_messages(&mut self) -> Result<(), RtmpError> {
        while !matches!(self.state, State::Deciding { .. } | State::Broken { .. } | State::Closing) {
            let Some(message) = self.reader.next()? else { break };
            self.handle_message(message)?;
        }
        Ok(())
    }

    fn admit_publisher(&mut self, request: &PublishRequest) -> Result<(), RtmpError> {
        let (client, stream, held) = match mem::replace(&mut self.state, State::Closing) {
            State::Deciding { client, stream, held } if stream == request.message_stream() => {
                (client, stream, held)
            }
            _ => return Err(RtmpError::NotPublishing),
        };
        self.outbox.stream_begin(stream)?;
        if client.expects_fc_publish {
            let status = on_status("status", "NetStream.Publish.Start", "on air");
            self.outbox.send_command(0, "onFCPublish", 0.0, status)?;
        }
        let status = on_status("status", "NetStream.Publish.Start", "on air");
        self.outbox.send_command(stream, "onStatus", 0.0, status)?;
        self.state = State::Publishing { client, stream };
        self.reader.enter_phase(self.config.limits.publisher);
        self.reader.push_input(held.freeze());
        self.read_messages()
    }

    fn handle_message(&mut self, message: Message) -> Result<(), RtmpError> {
        match message.kind {
            kind::COMMAND | kind::COMMAND_AMF3 => self.handle_command(Command::parse(&message)?),
            kind::WINDOW_SIZE => self.flow.set_window(&message.payload),
            kind::USER_CONTROL => self.outbox.answer_ping(&message.payload),
            _ if !matches!(self.state, State::Publishing { .. }) => Ok(()),
            kind::AGGREGATE => {
                aggregate::split_aggregate(&message).try_for_each(|part| self.handle_media(part))
            }
            _ => self.handle_media(message),
        }
    }

    /// Messages of the publisher. Some encoders send on another message stream than the one they were given, so any
    /// will do but one whose publication was refused.
    fn handle_media(
        &mut self,
        Message { timestamp, kind, payload, stream }: Message,
    ) -> Result<(), RtmpError> {
        let event = match kind {
            _ if self.refused.iter().any(|refused| refused.stream == stream) => None,
            // Nothing is in them; some encoders send them to keep the connection alive.
            _ if payload.is_empty() => None,
            kind::VIDEO => Some(Event::Video { timestamp, payload }),
            kind::AUDIO => Some(Event::Audio { timestamp, payload }),
            kind::DATA | kind::DATA_AMF3 => read_metadata(&Message { timestamp, kind, payload, stream }),
            _ => None,
        };
        if self.events.len() + usize::from(event.is_some()) > MAX_EVENTS {
            return Err(RtmpError::TooManyMessages { limit: MAX_EVENTS });
        }
        self.events.extend(event);
        Ok(())
    }
}

/// A data message that can't be read costs itself only: subtitles and cue points come in many shapes.
fn read_metadata(message: &Message) -> Option<Event> {
    let values = amf::read_values(message.amf_values()).ok()?;
    Metadata::from_values(&values).map(Event::Metadata)
}
