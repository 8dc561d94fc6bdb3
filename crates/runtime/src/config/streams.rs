//! Settings of single streams, in `[streams]`.

use std::ops::RangeInclusive;
use std::time::Duration;

use headwater_media::StreamId;
use headwater_media::broadcast::{Policy, RecordedRenditions};

use super::Config;
use super::error::Origin;
use super::reader::{Entry, Reader, Redacted};
use super::source::{Given, Raw};
use super::storage::RecordingMode;
use super::suggest::nearest_name;
use super::table::{DVR_WINDOWS, RECONNECT_WINDOWS, RETENTIONS};
use super::value::{Value, expected_kind, range_limits};

/// Settings of one stream that differ from `[recording]` and `[server]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamOverrides {
    pub stream: StreamId,
    pub mode: Option<RecordingMode>,
    pub renditions: Option<RecordedRenditions>,
    pub dvr_window: Option<Duration>,
    pub retention: Option<Duration>,
    pub reconnect_window: Option<Duration>,
}

impl Config {
    /// Policy of a broadcast of a stream that begins: the stream's own settings, and the general ones where it has none.
    pub fn policy(&self, stream: &StreamId) -> Policy {
        self.policy_with(self.find_overrides(stream))
    }

    /// Policy of a broadcast of any stream without settings of its own.
    pub fn general_policy(&self) -> Policy {
        self.policy_with(None)
    }

    fn policy_with(&self, own: Option<&StreamOverrides>) -> Policy {
        let recording = &self.recording;
        let renditions = self.renditions_with(own);
        Policy {
            ladder: self.ladder.clone(),
            recording: match own.and_then(|own| own.mode).unwrap_or(recording.mode) {
                RecordingMode::Automatic => Some(renditions),
                RecordingMode::Off => None,
            },
            dvr_window: own.and_then(|own| own.dvr_window).unwrap_or(recording.dvr_window),
            reconnect_window: own
                .and_then(|own| own.reconnect_window)
                .unwrap_or(self.server.reconnect_window),
            // The configuration of the day counts, not that of the broadcast's begin.
            retention: None,
        }
    }

    /// Renditions that a recording of a stream keeps, if there is one.
    pub fn renditions(&self, stream: &StreamId) -> RecordedRenditions {
        self.renditions_with(self.find_overrides(stream))
    }

    fn renditions_with(&self, own: Option<&StreamOverrides>) -> RecordedRenditions {
        own.and_then(|own| own.renditions).unwrap_or(self.recording.renditions)
    }

    /// Time that recordings of a stream are kept; none for ever.
    pub fn retention(&self, stream: &StreamId) -> Option<Duration> {
        self.retention_with(self.find_overrides(stream))
    }

    /// Time that recordings of any stream without settings of its own are kept; none for ever.
    pub fn general_retention(&self) -> Option<Duration> {
        self.retention_with(None)
    }

    fn retention_with(&self, own: Option<&StreamOverrides>) -> Option<Duration> {
        let retention = own.and_then(|own| own.retention).unwrap_or(self.recording.retention);
        Some(retention).filter(|retention| !retention.is_zero())
    }

    fn find_overrides(&self, stream: &StreamId) -> Option<&StreamOverrides> {
        self.streams.iter().find(|own| own.stream == *stream)
    }
}

const SECTION: &str = "streams";
const DOC: &str = "Settings of single streams that differ: `[streams.NAME]` with any of `mode`, `renditions`, `dvr_window` and \
    `retention`, which are those of `[recording]`, and `reconnect_window`, which is that of `[server]`. As a variable: \
    `HEADWATER_STREAMS=\"NAME.mode=off,NAME.retention=30d,OTHER.renditions=top\"`, which replaces the tables of the file.";
const SETTINGS: [&str; 5] = ["mode", "renditions", "dvr_window", "retention", "reconnect_window"];

/// `NAME.SETTING` as it was written, its value, and where.
type Line = (String, Given);

/// Reads the tables `[streams.NAME]` or the variable `HEADWATER_STREAMS`.
pub(super) fn read_streams(reader: &mut Reader) -> Vec<StreamOverrides> {
    reader.begin_section(SECTION, DOC);
    let table: Vec<Line> = reader.take_table("streams.");
    let from_file = parse_all(reader, table);
    let (streams, entries) = match reader.take_variable(SECTION) {
        Some(given) => {
            let lines = split_variable(reader, &given);
            parse_all(reader, lines)
        }
        None => from_file,
    };
    for entry in entries {
        reader.remember_entry(entry);
    }
    streams
}

fn split_variable(reader: &mut Reader, given: &Given) -> Vec<Line> {
    let text = given.raw.as_text().unwrap_or_default();
    let mut lines = Vec::new();
    for (number, pair) in (1..).zip(text.split(',').map(str::trim)) {
        match pair.split_once('=') {
            Some((name, value)) => {
                let raw = Raw::Variable(value.trim().into());
                lines.push((name.trim().into(), Given { raw, origin: given.origin.clone() }));
            }
            None => reader
                .add_error(given.origin.clone(), format!("stream {number}: expected stream.setting=value")),
        }
    }
    lines
}

fn parse_all(reader: &mut Reader, lines: Vec<Line>) -> (Vec<StreamOverrides>, Vec<Entry>) {
    let mut streams = Vec::new();
    let mut entries = Vec::new();
    for (name, given) in lines {
        match parse(&mut streams, &name, &given.raw) {
            Ok(value) => entries.push(make_entry(&name, value, given.origin)),
            Err(text) => reader.add_error(given.origin, format!("streams.{name}{text}")),
        }
    }
    (streams, entries)
}

/// Takes one setting in and gives it back as TOML. A mistake says what follows its name.
fn parse(streams: &mut Vec<StreamOverrides>, name: &str, raw: &Raw) -> Result<String, String> {
    let tables = "a stream's settings are in a table of its own: write [streams.NAME] and its settings below";
    let (stream, setting) = name.rsplit_once('.').ok_or_else(|| format!(": {tables}"))?;
    if !SETTINGS.contains(&setting) {
        let near = nearest_name(setting, &SETTINGS)
            .map_or_else(String::new, |near| format!(": did you mean {near}?"));
        return Err(format!(": no setting of a stream is called {setting}{near}"));
    }
    let stream: StreamId = stream.parse().map_err(|error| format!(": {error}"))?;
    let own = own_overrides(streams, stream);
    let value = match setting {
        "mode" => set_value(&mut own.mode, raw),
        "renditions" => set_value(&mut own.renditions, raw),
        "dvr_window" => set_within(&mut own.dvr_window, raw, DVR_WINDOWS),
        "retention" => set_within(&mut own.retention, raw, RETENTIONS),
        _ => set_within(&mut own.reconnect_window, raw, RECONNECT_WINDOWS),
    };
    value.map_err(|text| format!(" = {}: {text}", raw.quote_value()))
}

/// The settings of this stream, which are new if they have to be.
fn own_overrides(streams: &mut Vec<StreamOverrides>, stream: StreamId) -> &mut StreamOverrides {
    let at = streams.iter().position(|own| own.stream == stream).unwrap_or_else(|| {
        let mode = None;
        let renditions = None;
        let dvr_window = None;
        let retention = None;
        let reconnect_window = None;
        streams.push(StreamOverrides { stream, mode, renditions, dvr_window, retention, reconnect_window });
        streams.len() - 1
    });
    &mut streams[at]
}

fn set_within(
    to: &mut Option<Duration>,
    raw: &Raw,
    range: RangeInclusive<Duration>,
) -> Result<String, String> {
    let limits = range_limits(range);
    let mut value = None;
    let shown = set_value(&mut value, raw).map_err(|text| format!("{text}{}", limits.text))?;
    if !value.as_ref().is_some_and(&limits.allows) {
        return Err(format!("{}{}", expected_kind::<Duration>(), limits.text));
    }
    *to = value;
    Ok(shown)
}

fn set_value<T: Value>(to: &mut Option<T>, raw: &Raw) -> Result<String, String> {
    let value = T::parse(raw)?;
    let shown = value.show_toml().unwrap_or_default();
    *to = Some(value);
    Ok(shown)
}

fn make_entry(name: &str, value: String, origin: Origin) -> Entry {
    let (stream, setting) = name.rsplit_once('.').unwrap_or((name, ""));
    let stream = if stream.contains('.') { format!("\"{stream}\"") } else { stream.to_owned() };
    Entry {
        name: format!("{SECTION}.{name}"),
        key: format!("{stream}.{setting}"),
        doc: "",
        kind: "as in its section".into(),
        default: None,
        value: Redacted::Value(value),
        origin,
    }
}
