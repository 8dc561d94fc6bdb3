//! Live inputs: which key opens which stream.

use headwater_media::{StreamId, StreamKey};

use super::error::Origin;
use super::reader::{Entry, Reader, Redacted, Setting};
use super::source::{Given, Raw};
use super::value::{Value, expected_kind, quote_toml};

/// A stream and the secret that its publisher shows. Its `Debug` is redacted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Input {
    pub stream: StreamId,
    pub key: StreamKey,
}

/// Meaning of a stream key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InputMode {
    /// The key is the stream's name: anybody may publish.
    Open,
    /// A key is a secret that opens one stream; others are refused.
    Keys,
}

impl Value for InputMode {
    const KIND: &'static str = "\"open\" or \"keys\"";
    // A stream of this name may have been given its key here.
    const SECRET: bool = true;
    fn parse(raw: &Raw) -> Result<Self, String> {
        match raw.as_text() {
            Some("open") => Ok(Self::Open),
            Some("keys") => Ok(Self::Keys),
            _ => Err(expected_kind::<Self>()),
        }
    }
    fn show_toml(&self) -> Option<String> {
        quote_toml(if *self == Self::Open { "open" } else { "keys" })
    }
}

pub(super) const SECTION: &str = "inputs";
const DOC: &str = "Live inputs: which stream key opens which stream, `stream = \"key\"`, one line each, beside those of the \
    directory. Each opens one stream, and no key is the name of a stream. They need `inputs.mode = \"keys\"`. As a variable: \
    `HEADWATER_INPUTS=\"stream=key,other=key2\"`, which replaces the table of the file; a key with a comma needs the file.";
const MODE_DOC: &str = "`open`: the key is the stream's name, and anybody may publish. `keys`: a key is a secret that opens \
    one stream, and a key that is not known is refused.";

/// An input as it was written: its stream, what should be its key, and where.
type Line = (String, Given);

/// Reads the table `[inputs]` or the variable `HEADWATER_INPUTS`.
pub(super) fn read_inputs(reader: &mut Reader) -> (Option<InputMode>, Vec<Input>) {
    reader.begin_section(SECTION, DOC);
    let mode = reader.read_setting(Setting { key: "mode", doc: MODE_DOC, default: "open", limits: None });
    let table: Vec<Line> = reader.take_table("inputs.");
    let from_file = parse_all(reader, table);
    let inputs = match reader.take_variable(SECTION) {
        Some(given) => {
            let lines = split_variable(reader, &given);
            parse_all(reader, lines)
        }
        None => from_file,
    };
    for (input, origin) in &inputs {
        reader.remember_entry(make_entry(input, origin));
    }
    (mode, inputs.into_iter().map(|(input, _)| input).collect())
}

fn split_variable(reader: &mut Reader, given: &Given) -> Vec<Line> {
    let text = given.raw.as_text().unwrap_or_default();
    let mut lines = Vec::new();
    for (number, pair) in (1..).zip(text.split(',').map(str::trim)) {
        match pair.split_once('=') {
            Some((stream, key)) => {
                let raw = Raw::Text(key.trim().into());
                lines.push((stream.trim().into(), Given { raw, origin: given.origin.clone() }));
            }
            None => reader.add_error(given.origin.clone(), format!("input {number}: expected stream=key")),
        }
    }
    lines
}

fn parse_all(reader: &mut Reader, lines: Vec<Line>) -> Vec<(Input, Origin)> {
    let names: Vec<_> = lines.iter().map(|(name, _)| name.clone()).collect();
    let mut inputs: Vec<(Input, Origin)> = Vec::new();
    for (name, given) in lines {
        let input = parse(&name, &given.raw).and_then(|input| check_fit(input, &inputs, &names));
        match input {
            Ok(input) => inputs.push((input, given.origin)),
            Err(text) => reader.add_error(given.origin, format!("inputs.{name}: {text}")),
        }
    }
    inputs
}

fn parse(name: &str, raw: &Raw) -> Result<Input, String> {
    let stream = name.parse().map_err(|error| format!("{error}"))?;
    let key = raw
        .as_text()
        .ok_or("expected the stream key as text")?
        .parse()
        .map_err(|error| format!("{error}"))?;
    Ok(Input { stream, key })
}

fn check_fit(input: Input, others: &[(Input, Origin)], names: &[String]) -> Result<Input, String> {
    if others.iter().any(|(other, _)| other.stream == input.stream) {
        return Err("this stream already has a key".into());
    }
    if let Some((other, _)) = others.iter().find(|(other, _)| other.key == input.key) {
        return Err(format!("the same key as that of {}: every stream needs its own", other.stream));
    }
    if names.iter().any(|name| name == input.key.expose()) {
        return Err("the key is the name of a stream, which every viewer knows: choose a secret".into());
    }
    Ok(input)
}

fn make_entry(input: &Input, origin: &Origin) -> Entry {
    let key = input.stream.to_string();
    let quoted = if key.contains('.') { format!("\"{key}\"") } else { key.clone() };
    Entry {
        name: format!("{SECTION}.{key}"),
        key: quoted,
        doc: "",
        kind: "a stream key".into(),
        default: None,
        value: Redacted::Secret("\"(hidden)\"".into()),
        origin: origin.clone(),
    }
}
