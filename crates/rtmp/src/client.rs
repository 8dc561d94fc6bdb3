//! The side that publishes to another server: restreams, test publishers.
//!
//! `rml_rtmp` has such a session too. It reads the clock, parses what the server sends without bounds, drops the
//! reason of a refusal and answers nothing it does not know, so this one stands on the same parts as the server side.

use std::collections::VecDeque;
use std::fmt;

use bytes::Bytes;

use crate::amf::{self, Object, Value};
use crate::chunk::ChunkReader;
use crate::command::Command;
use crate::config::Limits;
use crate::error::RtmpError;
use crate::flow::Flow;
use crate::handshake::{Handshake, Outcome};
use crate::message::{Message, kind};
use crate::metadata::Metadata;
use crate::outbox::Outbox;
use crate::server::CAPS_EX_RECONNECT;
use crate::status::RECONNECT_REQUEST;

/// Numbers of the calls that are answered by `_result` or `_error`.
mod transaction {
    pub(super) const CONNECT: f64 = 1.0;
    pub(super) const RELEASE: f64 = 2.0;
    pub(super) const FC_PUBLISH: f64 = 3.0;
    pub(super) const CREATE_STREAM: f64 = 4.0;
    pub(super) const PUBLISH: f64 = 5.0;
    pub(super) const FC_UNPUBLISH: f64 = 6.0;
}

/// Destination and credentials of a publication. `Debug` shows nothing secret.
#[derive(Clone)]
pub struct ClientConfig {
    /// The application: the path of the URL but for its last segment.
    pub app: String,
    /// The URL without the stream name.
    pub tc_url: String,
    /// Stream name or key, with its query.
    pub stream: String,
    /// How we call ourselves (`flashVer`). Some servers let only known encoders in: "FMLE/3.0 (compatible; …)".
    pub encoder: String,
    /// Chunk size of what we send.
    pub chunk_size: u32,
    /// Whether the server is told that we follow a request to connect again (Enhanced RTMP v2, `capsEx`).
    pub reconnects: bool,
    pub limits: Limits,
}

impl ClientConfig {
    /// The defaults, for this application, URL and stream key.
    pub fn new(app: impl Into<String>, tc_url: impl Into<String>, stream: impl Into<String>) -> Self {
        Self {
            app: app.into(),
            tc_url: tc_url.into(),
            stream: stream.into(),
            encoder: "FMLE/3.0 (compatible; headwater)".into(),
            // Fewer chunks and the same delay: audio and video leave in the order they come.
            chunk_size: 65_536,
            reconnects: false,
            limits: Limits::default(),
        }
    }
}

impl fmt::Debug for ClientConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientConfig").field("encoder", &self.encoder).finish_non_exhaustive()
    }
}

/// Event of a client session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientEvent {
    /// The server knows the application.
    Connected,
    /// The server waits for media.
    Accepted,
    /// The server refused the connection or the stream.
    Rejected { code: String, description: String },
    /// The server wants us to publish on a new connection, and takes what is sent on this one until then (Enhanced RTMP
    /// v2, § "Reconnect Request").
    ReconnectRequested {
        /// New URL, if not the one of this connection; may be relative to that.
        tc_url: Option<String>,
        description: String,
    },
    /// The server ended the stream that it had accepted.
    Closed { code: String, description: String },
}

/// Client's side of one connection that publishes to a server.
#[derive(Debug)]
pub struct ClientSession {
    config: ClientConfig,
    state: State,
    reader: ChunkReader,
    outbox: Outbox,
    events: VecDeque<ClientEvent>,
    flow: Flow,
}

#[derive(Debug)]
enum State {
    Handshake(Handshake),
    Connecting,
    CreatingStream,
    /// `publish` was sent.
    Requested {
        stream: u32,
    },
    Publishing {
        stream: u32,
    },
    Closed,
}

impl ClientSession {
    /// Begins: the handshake's first packets are there to be sent.
    ///
    /// # Errors
    /// When they can't be made.
    pub fn new(config: ClientConfig) -> Result<Self, RtmpError> {
        let mut outbox = Outbox::new();
        let state = State::Handshake(Handshake::as_client(&mut outbox)?);
        let reader = ChunkReader::new(&config.limits);
        // What servers announce; one that announces nothing wants no acknowledgements sooner.
        let flow = Flow::new(2_500_000);
        Ok(Self { config, state, reader, outbox, events: VecDeque::new(), flow })
    }

    /// Takes what arrived.
    ///
    /// # Errors
    /// The connection is beyond help: close it.
    pub fn handle_input(&mut self, input: impl Into<Bytes>) -> Result<(), RtmpError> {
        let result = self.receive_input(input.into());
        if result.is_err() {
            self.state = State::Closed;
        }
        result
    }

    /// Takes the oldest event.
    pub fn poll_event(&mut self) -> Option<ClientEvent> {
        self.events.pop_front()
    }

    /// Everything that is to be sent by now.
    pub fn poll_output(&mut self) -> Option<Bytes> {
        self.outbox.take_output()
    }

    /// Whether media can be sent.
    pub fn is_publishing(&self) -> bool {
        matches!(self.state, State::Publishing { .. })
    }

    /// Whether the connection is to be closed once the output is sent.
    pub fn close_requested(&self) -> bool {
        matches!(self.state, State::Closed)
    }

    /// Sends the body of a FLV video tag; an empty one is left out. `timestamp` in milliseconds, modulo 2^32.
    ///
    /// # Errors
    /// When the server has not accepted, or no longer; when the payload has 16 MiB or more.
    pub fn video(&mut self, timestamp: u32, payload: Bytes) -> Result<(), RtmpError> {
        self.send_media(kind::VIDEO, timestamp, payload)
    }

    /// Sends the body of a FLV audio tag; as [`video`](Self::video).
    ///
    /// # Errors
    /// As for video.
    pub fn audio(&mut self, timestamp: u32, payload: Bytes) -> Result<(), RtmpError> {
        self.send_media(kind::AUDIO, timestamp, payload)
    }

    /// Announces the stream.
    ///
    /// # Errors
    /// As for video.
    pub fn metadata(&mut self, metadata: &Metadata) -> Result<(), RtmpError> {
        self.send_media(kind::DATA, 0, amf::write_values(&metadata.to_values()))
    }

    /// Ends the stream; the connection is to be closed once the output is sent.
    ///
    /// # Errors
    /// When the words of farewell can't be written.
    pub fn finish(&mut self) -> Result<(), RtmpError> {
        let stream = match self.state {
            State::Requested { stream } | State::Publishing { stream } => stream,
            _ => {
                self.state = State::Closed;
                return Ok(());
            }
        };
        self.state = State::Closed;
        self.send_call("FCUnpublish", transaction::FC_UNPUBLISH, [self.stream_name()])?;
        self.outbox.send_command(0, "deleteStream", 0.0, [Value::Null, f64::from(stream).into()])
    }

    fn send_media(&mut self, kind: u8, timestamp: u32, payload: Bytes) -> Result<(), RtmpError> {
        let State::Publishing { stream } = self.state else { return Err(RtmpError::NotPublishing) };
        self.outbox.send_message(Message { timestamp, kind, stream, payload })
    }

    fn receive_input(&mut self, mut input: Bytes) -> Result<(), RtmpError> {
        if let State::Handshake(handshake) = &mut self.state {
            match handshake.take_input(&mut input, &mut self.outbox)? {
                Outcome::Going => return Ok(()),
                Outcome::Done => self.send_connect()?,
            }
        }
        self.flow.count_received(input.len(), &mut self.outbox)?;
        self.reader.push_input(input);
        while !self.close_requested() {
            let Some(message) = self.reader.next()? else { break };
            self.handle_message(&message)?;
        }
        Ok(())
    }

    fn send_connect(&mut self) -> Result<(), RtmpError> {
        self.state = State::Connecting;
        let object = Object::default()
            .with_property("app", self.config.app.as_str())
            .with_property("type", "nonprivate")
            .with_property("flashVer", self.config.encoder.as_str())
            .with_property("tcUrl", self.config.tc_url.as_str());
        let object = if self.config.reconnects {
            object.with_property("capsEx", f64::from(CAPS_EX_RECONNECT))
        } else {
            object
        };
        self.outbox.send_command(0, "connect", transaction::CONNECT, [object.into()])
    }

    fn handle_message(&mut self, message: &Message) -> Result<(), RtmpError> {
        match message.kind {
            kind::COMMAND | kind::COMMAND_AMF3 => self.handle_command(&Command::parse(message)?),
            kind::WINDOW_SIZE => self.flow.set_window(&message.payload),
            kind::USER_CONTROL => self.outbox.answer_ping(&message.payload),
            _ => Ok(()),
        }
    }

    fn handle_command(&mut self, command: &Command) -> Result<(), RtmpError> {
        match (command.name.as_str(), &self.state) {
            ("_result", State::Connecting) if command.transaction == transaction::CONNECT => {
                self.create_stream()
            }
            ("_result", State::CreatingStream) if command.transaction == transaction::CREATE_STREAM => {
                self.handle_published(command)
            }
            ("_error", _) => {
                // Many servers don't know releaseStream and FCPublish, and say so.
                if !matches!(command.transaction, transaction::RELEASE | transaction::FC_PUBLISH) {
                    self.handle_end(command);
                }
                Ok(())
            }
            ("onStatus", _) => {
                self.handle_status(command);
                Ok(())
            }
            ("close", _) => {
                self.handle_end(command);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn create_stream(&mut self) -> Result<(), RtmpError> {
        self.state = State::CreatingStream;
        self.events.push_back(ClientEvent::Connected);
        self.outbox.set_chunk_size(self.config.chunk_size)?;
        self.send_call("releaseStream", transaction::RELEASE, [self.stream_name()])?;
        self.send_call("FCPublish", transaction::FC_PUBLISH, [self.stream_name()])?;
        self.send_call("createStream", transaction::CREATE_STREAM, [])
    }

    fn handle_published(&mut self, command: &Command) -> Result<(), RtmpError> {
        let stream =
            command.number_argument(0).ok_or(RtmpError::Truncated { what: "createStream result" })? as u32;
        self.state = State::Requested { stream };
        let values = [Value::Null, self.stream_name(), "live".into()];
        self.outbox.send_command(stream, "publish", transaction::PUBLISH, values)
    }

    fn handle_status(&mut self, command: &Command) {
        let text = |name| {
            command.information_object().and_then(|info| info.string_property(name)).unwrap_or_default()
        };
        match (text("level"), text("code"), &self.state) {
            (_, "NetStream.Publish.Start", State::Requested { stream }) => {
                self.state = State::Publishing { stream: *stream };
                self.events.push_back(ClientEvent::Accepted);
            }
            ("status", RECONNECT_REQUEST, _) => {
                let tc_url = command
                    .information_object()
                    .and_then(|info| info.string_property("tcUrl"))
                    .map(str::to_owned);
                let description = text("description").to_owned();
                self.events.push_back(ClientEvent::ReconnectRequested { tc_url, description });
            }
            ("error", ..) | (_, "NetStream.Unpublish.Success" | "NetConnection.Connect.Closed", _) => {
                self.handle_end(command);
            }
            _ => {}
        }
    }

    /// The server won't go on; before it accepted, that is a refusal.
    fn handle_end(&mut self, command: &Command) {
        let text = |name| {
            command
                .information_object()
                .and_then(|info| info.string_property(name))
                .unwrap_or_default()
                .to_owned()
        };
        let code = text("code");
        let description = text("description");
        self.events.push_back(match self.state {
            State::Publishing { .. } => ClientEvent::Closed { code, description },
            _ => ClientEvent::Rejected { code, description },
        });
        self.state = State::Closed;
    }

    fn send_call<const N: usize>(
        &mut self,
        name: &str,
        transaction: f64,
        arguments: [Value; N],
    ) -> Result<(), RtmpError> {
        let values = [Value::Null].into_iter().chain(arguments);
        self.outbox.send_command(0, name, transaction, values)
    }

    fn stream_name(&self) -> Value {
        self.config.stream.as_str().into()
    }
}
