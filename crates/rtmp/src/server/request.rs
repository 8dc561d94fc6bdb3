//! Requests to publish: names, key and type.

use std::fmt;

use headwater_media::StreamKey;
use headwater_media::ids::NameError;

use crate::amf::Object;
use crate::command::Command;

/// `CapsExMask.Reconnect`: the client follows a request to connect again (Enhanced RTMP v2, § "Enhancing NetConnection
/// connect Command").
pub(crate) const CAPS_EX_RECONNECT: u32 = 0x01;

/// No URL or encoder name that anybody means to send is longer.
const TEXT_LIMIT: usize = 2_048;
/// Restream targets and their options; one each is usual.
const PARAMETER_LIMIT: usize = 64;

/// A request to publish, to be answered by [`ServerSession::accept`](super::ServerSession::accept) or
/// [`reject`](super::ServerSession::reject). `Debug` shows nothing secret.
#[must_use = "the publisher waits for an answer"]
pub struct PublishRequest {
    /// The configured application, without the instance and the query that the encoder named: somebody may have put the
    /// stream key there.
    pub app: String,
    /// The URL that the encoder says it connected to; empty if it didn't.
    pub tc_url: String,
    /// The stream name as it was sent: the key and its query.
    pub name: String,
    /// The part of the name before `?`.
    pub key: StreamKey,
    /// The query of the name, percent-decoded, in order.
    pub parameters: Vec<(String, String)>,
    pub kind: PublishType,
    /// How the encoder calls itself (`flashVer`).
    pub encoder: Option<String>,
    /// Capabilities of Enhanced RTMP v2 (§ "Enhancing NetConnection connect Command"), where they were sent.
    pub caps_ex: Option<u32>,
    message_stream: u32,
}

/// Type of a publication (RTMP 1.0 §7.2.2.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PublishType {
    Live,
    Record,
    Append,
}

impl PublishRequest {
    pub(super) fn parse(client: &Client, command: &Command) -> Result<Self, NameError> {
        let (key, query) = named_key(command);
        let name = command.string_argument(0).unwrap_or_default().trim_start_matches('/');
        Ok(Self {
            app: client.app.clone(),
            tc_url: client.tc_url.clone(),
            name: name.to_owned(),
            key: key.parse()?,
            parameters: read_parameters(query),
            kind: PublishType::from_name(command.string_argument(1)),
            encoder: client.encoder.clone(),
            caps_ex: client.caps_ex,
            message_stream: command.stream,
        })
    }

    /// Whether the encoder follows [`ServerSession::request_reconnect`](super::ServerSession::request_reconnect).
    pub fn can_reconnect(&self) -> bool {
        can_reconnect(self.caps_ex)
    }

    pub(super) fn message_stream(&self) -> u32 {
        self.message_stream
    }
}

impl fmt::Debug for PublishRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PublishRequest")
            .field("app", &self.app)
            .field("kind", &self.kind)
            .field("encoder", &self.encoder)
            .field("caps_ex", &self.caps_ex)
            .finish_non_exhaustive()
    }
}

impl PublishType {
    fn from_name(name: Option<&str>) -> Self {
        match name {
            Some("record") => Self::Record,
            Some("append") => Self::Append,
            _ => Self::Live,
        }
    }
}

/// The key and the query of the stream name that a command carries.
pub(super) fn named_key(command: &Command) -> (&str, &str) {
    let name = command.string_argument(0).unwrap_or_default().trim_start_matches('/');
    name.split_once('?').unwrap_or((name, ""))
}

/// Client as `connect` described it.
pub(super) struct Client {
    /// The configured application that it has connected to.
    app: String,
    tc_url: String,
    encoder: Option<String>,
    caps_ex: Option<u32>,
    /// It sent `FCPublish`, so it wants `onFCPublish` when it is on air.
    pub(super) expects_fc_publish: bool,
    /// The key that it publishes, or asks to publish.
    pub(super) on_air: Option<StreamKey>,
}

impl Client {
    /// None where it names none of these applications.
    pub(super) fn from_connect(command: &Command, apps: &[String]) -> Option<Self> {
        let empty = Object::default();
        let object = command.object_argument().unwrap_or(&empty);
        let text =
            |name| object.string_property(name).map(|text| text.chars().take(TEXT_LIMIT).collect::<String>());
        let asked = text("app").unwrap_or_default();
        let app = apps.iter().find(|app| is_for(&asked, app))?.clone();
        Some(Self {
            app,
            tc_url: text("tcUrl").unwrap_or_default(),
            encoder: text("flashVer"),
            caps_ex: object.number_property("capsEx").and_then(read_flags),
            expects_fc_publish: false,
            on_air: None,
        })
    }

    /// Whether it knows Enhanced RTMP v2.
    pub(super) fn is_enhanced(&self) -> bool {
        self.caps_ex.is_some()
    }

    pub(super) fn can_reconnect(&self) -> bool {
        can_reconnect(self.caps_ex)
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("encoder", &self.encoder).finish_non_exhaustive()
    }
}

/// Whether somebody asks for this application, or for an instance of it: ffmpeg makes the application `live/x` of
/// `rtmp://HOST/live/x/KEY`, and some encoders ask for `live/_definst_`. Queries, and the slashes that come with some
/// encoders' URLs, don't count.
fn is_for(asked: &str, app: &str) -> bool {
    let name = asked.split_once('?').map_or(asked, |(name, _)| name).trim_matches('/');
    name.strip_prefix(app).is_some_and(|instance| instance.is_empty() || instance.starts_with('/'))
}

fn can_reconnect(caps_ex: Option<u32>) -> bool {
    caps_ex.is_some_and(|caps| caps & CAPS_EX_RECONNECT != 0)
}

/// A bit mask that came as a number; none where it can't be one. (A cast would make every flag of infinity.)
fn read_flags(number: f64) -> Option<u32> {
    let is_mask = (0.0..=f64::from(u32::MAX)).contains(&number) && number.fract() == 0.0;
    is_mask.then_some(number as u32)
}

fn read_parameters(query: &str) -> Vec<(String, String)> {
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    let split = |pair: &str| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (percent_decoded(name), percent_decoded(value))
    };
    pairs.take(PARAMETER_LIMIT).map(split).collect()
}

/// `%41` is `A`; what is no such escape stays, and so does `+`, which stream keys may hold.
fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let escaped = tail.first_chunk().filter(|_| first == b'%').and_then(hex_value);
        bytes.push(escaped.unwrap_or(first));
        rest = if escaped.is_some() { &tail[2..] } else { tail };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn hex_value(digits: &[u8; 2]) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    Some((digit(digits[0])? * 16 + digit(digits[1])?) as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capabilities_are_whole_numbers() {
        let wrong = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -1.0, 0.5, 1e10];
        assert!(wrong.into_iter().all(|number| read_flags(number).is_none()));
        assert_eq!([read_flags(0.0), read_flags(-0.0), read_flags(15.0)], [Some(0), Some(0), Some(15)]);
        assert_eq!(read_flags(f64::from(u32::MAX)), Some(u32::MAX));
        assert_eq!([None, Some(0), Some(6), Some(7)].map(can_reconnect), [false, false, false, true]);
    }

    #[test]
    fn restream_targets_are_decoded() {
        let decoded = read_parameters("youtube=ab-cd&facebook=FB%2D1&x=%zz%4&flag&&p=a+b=c");
        let expected =
            [("youtube", "ab-cd"), ("facebook", "FB-1"), ("x", "%zz%4"), ("flag", ""), ("p", "a+b=c")];
        assert_eq!(decoded, expected.map(|(n, v)| (n.to_owned(), v.to_owned())));
        assert_eq!(read_parameters(&"a=1&".repeat(1_000)).len(), PARAMETER_LIMIT);
        assert!(read_parameters("").is_empty());
    }
}
