//! How a peer is told that something went right or wrong: `onStatus` and its information object (RTMP 1.0 §7.2.2).

use std::fmt;

use crate::amf::{Object, Value};

/// Codes that encoders know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatusCode {
    /// The stream key is unknown, malformed or in use. OBS shows its dialog about a wrong key, and does not try again.
    BadName,
    /// Publishing is refused for another reason, such as capacity.
    Denied,
    /// The publisher was accepted, and cannot be kept.
    Failed,
}

impl StatusCode {
    /// The code as RTMP writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BadName => "NetStream.Publish.BadName",
            Self::Denied => "NetStream.Publish.Denied",
            Self::Failed => "NetStream.Failed",
        }
    }
}

impl fmt::Display for StatusCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why a publisher is turned away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    pub code: StatusCode,
    /// For the broadcaster: what is wrong and what to do about it. Never with a stream key in it.
    pub description: String,
}

impl Rejection {
    /// A rejection with this code and description.
    pub fn new(code: StatusCode, description: impl Into<String>) -> Self {
        Self { code, description: description.into() }
    }
}

/// Asks a client to connect again (Enhanced RTMP v2, § "Reconnect Request").
pub(crate) const RECONNECT_REQUEST: &str = "NetConnection.Connect.ReconnectRequest";

/// An information object.
pub(crate) fn status_info(level: &str, code: &str, description: &str) -> Object {
    Object::default()
        .with_property("level", level)
        .with_property("code", code)
        .with_property("description", description)
}

/// The values of an `onStatus` command.
pub(crate) fn on_status(level: &str, code: &str, description: &str) -> [Value; 2] {
    [Value::Null, status_info(level, code, description).into()]
}
