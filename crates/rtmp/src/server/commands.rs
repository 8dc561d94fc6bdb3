//! Commands of a publisher, in the order that encoders send them.

use std::mem;

use headwater_media::StreamKey;

use super::{Event, Refused, ServerSession, State};
use crate::amf::{Object, Value};
use crate::command::Command;
use crate::error::RtmpError;
use crate::server::request::{CAPS_EX_RECONNECT, Client, PublishRequest, named_key};
use crate::status::{Rejection, StatusCode, on_status, status_info};

/// Some encoders ask for the version before they use anything newer than AMF0.
const SERVER_VERSION: &str = "FMS/3,0,1,123";
/// The capabilities of that version.
const CAPABILITY_FLAGS: f64 = 31.0;

impl ServerSession {
    pub(super) fn handle_command(&mut self, command: Command) -> Result<(), RtmpError> {
        match command.name.as_str() {
            "connect" => self.handle_connect(&command),
            "releaseStream" => self.send_answer(&command, Value::Undefined),
            "FCPublish" => self.fc_publish(&command),
            "createStream" => self.create_stream(&command),
            "publish" => self.handle_publish(&command),
            "FCUnpublish" => self.fc_unpublish(&command),
            "closeStream" => self.end_publisher(command.stream),
            "deleteStream" => self.delete_stream(&command),
            "play" | "play2" => self.refuse_play(&command),
            "_checkbw" => self.send_answer(&command, Value::Undefined),
            "getStreamLength" => self.send_answer(&command, Value::Number(0.0)),
            _ => Ok(()),
        }
    }

    fn handle_connect(&mut self, command: &Command) -> Result<(), RtmpError> {
        if !matches!(self.state, State::Greeted) {
            return Err(RtmpError::OutOfOrder { command: "connect" });
        }
        if !self.config.is_client_allowed {
            let description = "publishing from your address is not allowed";
            return self.refuse_connection(command, Event::ClientRefused, description);
        }
        let Some(client) = Client::from_connect(command, &self.config.apps) else {
            // The refused name is not repeated: somebody may have put a stream key there.
            let app = self.config.apps.first().map_or("live", String::as_str);
            let description = format!("unknown application: publish to rtmp://HOST/{app}/STREAM_KEY");
            return self.refuse_connection(command, Event::AppRefused, &description);
        };
        let mut server = Object::default()
            .with_property("fmsVer", SERVER_VERSION)
            .with_property("capabilities", CAPABILITY_FLAGS);
        if client.is_enhanced() {
            // Clients that know it follow a request to connect again only where the server has announced that.
            server = server.with_property("capsEx", f64::from(CAPS_EX_RECONNECT));
        }
        self.state = State::Connected(client);
        self.outbox.send_window(self.config.window)?;
        self.outbox.peer_bandwidth(self.config.window)?;
        self.outbox.set_chunk_size(self.config.chunk_size)?;
        let status = status_info("status", "NetConnection.Connect.Success", "connected")
            .with_property("objectEncoding", 0.0);
        self.outbox.send_command(0, "_result", command.transaction, [server.into(), status.into()])
    }

    fn refuse_connection(
        &mut self,
        command: &Command,
        event: Event,
        description: &str,
    ) -> Result<(), RtmpError> {
        self.state = State::Closing;
        let status = status_info("error", "NetConnection.Connect.Rejected", description);
        self.events.push_back(event);
        self.outbox.send_command(0, "_error", command.transaction, [Value::Null, status.into()])
    }

    fn fc_publish(&mut self, command: &Command) -> Result<(), RtmpError> {
        if let State::Connected(client) = &mut self.state {
            client.expects_fc_publish = true;
        }
        self.send_answer(command, Value::Undefined)
    }

    fn create_stream(&mut self, command: &Command) -> Result<(), RtmpError> {
        self.expect_connected("createStream")?;
        let limit = self.config.limits.message_streams;
        let free = (1..=limit as u32).find(|id| !self.streams.contains(id));
        let id = free.ok_or(RtmpError::TooManyStreams { limit })?;
        self.streams.push(id);
        self.outbox.send_command(0, "_result", command.transaction, [Value::Null, f64::from(id).into()])
    }

    fn handle_publish(&mut self, command: &Command) -> Result<(), RtmpError> {
        self.expect_connected("publish")?;
        let stream = command.stream;
        let mut client = match mem::replace(&mut self.state, State::Closing) {
            State::Connected(client) => client,
            publishing => {
                self.state = publishing;
                return self.refuse_second(command);
            }
        };
        let parsed = PublishRequest::parse(&client, command);
        client.on_air = key_of(command);
        self.state = State::Deciding { client, stream, held: Default::default() };
        match parsed {
            Ok(request) => {
                self.refused.clear();
                self.events.push_back(Event::Publish(request));
                Ok(())
            }
            Err(error) => {
                let description = format!("{error}: set the stream key in your encoder's settings");
                self.send_refusal(stream, &Rejection::new(StatusCode::BadName, description))
            }
        }
    }

    /// Refuses to publish beside the stream on air. What is sent there is dropped until its message stream ends. A
    /// second request for the message stream on air changes nothing there.
    fn refuse_second(&mut self, command: &Command) -> Result<(), RtmpError> {
        let limit = self.config.limits.message_streams;
        let stream = command.stream;
        if self.publishing_stream() != stream {
            self.refused.retain(|refused| refused.stream != stream);
            if self.refused.len() == limit {
                return Err(RtmpError::TooManyStreams { limit });
            }
            self.refused.push(Refused { stream, key: key_of(command) });
        }
        self.events.push_back(Event::SecondStreamRefused);
        let description =
            "this connection publishes another stream already: open one connection for each stream";
        let status = on_status("error", StatusCode::Denied.as_str(), description);
        self.outbox.send_command(stream, "onStatus", 0.0, status)
    }

    /// Ends the stream on air, unless the name is the one of a refused publication only.
    fn fc_unpublish(&mut self, command: &Command) -> Result<(), RtmpError> {
        if let State::Publishing { client, stream } = &self.state {
            let stream = *stream;
            let key = key_of(command);
            let is_refused = self.refused.iter().any(|refused| refused.key.is_some() && refused.key == key);
            if is_refused && client.on_air != key {
                return self.send_answer(command, Value::Undefined);
            }
            self.outbox.send_command(0, "onFCUnpublish", 0.0, unpublished_status())?;
            self.end_publisher(stream)?;
        }
        self.send_answer(command, Value::Undefined)
    }

    fn delete_stream(&mut self, command: &Command) -> Result<(), RtmpError> {
        let id = command.number_argument(0).map_or(command.stream, |id| id as u32);
        self.streams.retain(|alive| *alive != id);
        self.end_publisher(id)
    }

    /// The publisher goes off air, if `ended` is its stream.
    fn end_publisher(&mut self, ended: u32) -> Result<(), RtmpError> {
        self.refused.retain(|refused| refused.stream != ended);
        match mem::replace(&mut self.state, State::Closing) {
            State::Publishing { client, stream } if stream == ended => {
                self.state = State::Connected(client);
                self.reader.enter_phase(self.config.limits.stranger);
                self.events.push_back(Event::Unpublish);
                self.outbox.send_command(stream, "onStatus", 0.0, unpublished_status())
            }
            other => {
                self.state = other;
                Ok(())
            }
        }
    }

    fn refuse_play(&mut self, command: &Command) -> Result<(), RtmpError> {
        self.expect_connected("play")?;
        let description = "this server does not play over RTMP: watch the stream over HLS";
        let status = on_status("error", "NetStream.Play.StreamNotFound", description);
        self.outbox.send_command(command.stream, "onStatus", 0.0, status)?;
        if matches!(self.state, State::Connected(_)) {
            self.state = State::Closing;
        }
        self.events.push_back(Event::PlayRefused);
        Ok(())
    }

    fn expect_connected(&self, command: &'static str) -> Result<(), RtmpError> {
        match self.state {
            State::Connected(_) | State::Publishing { .. } => Ok(()),
            _ => Err(RtmpError::OutOfOrder { command }),
        }
    }

    /// Transaction zero asks for no answer.
    fn send_answer(&mut self, command: &Command, value: Value) -> Result<(), RtmpError> {
        if command.transaction == 0.0 {
            return Ok(());
        }
        self.outbox.send_command(0, "_result", command.transaction, [Value::Null, value])
    }
}

/// The stream key that a command names, without its query.
fn key_of(command: &Command) -> Option<StreamKey> {
    named_key(command).0.parse().ok()
}

fn unpublished_status() -> [Value; 2] {
    on_status("status", "NetStream.Unpublish.Success", "off air")
}
