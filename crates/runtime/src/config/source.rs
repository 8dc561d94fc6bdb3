//! Sources of values: a TOML file and environment variables, both flattened to one level.

use std::collections::BTreeMap;

use toml_edit::{Document, Item, TableLike, Value};

use super::error::{ConfigError, Origin};

/// Every environment variable of Headwater starts like this.
pub const VARIABLE_PREFIX: &str = "HEADWATER_";

/// The environment variable that sets the setting `name`: `proxy.rtmp_listen` ⇔ `HEADWATER_PROXY_RTMP_LISTEN`.
pub fn variable(name: &str) -> String {
    format!("{VARIABLE_PREFIX}{}", name.replace('.', "_").to_uppercase())
}

/// A value as it was written, before anybody knows what it should be.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Raw {
    /// Text of an environment variable, which may stand for a value of any type.
    Variable(String),
    Text(String),
    Integer(i64),
    Float(f64),
    Bool(bool),
    List(Vec<Raw>),
    /// Member of a list.
    Table(Vec<(String, Raw)>),
    /// A kind of value that no setting takes: dates, tables.
    Other(&'static str),
}

impl Raw {
    pub(super) fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) | Self::Variable(text) => Some(text.trim()),
            _ => None,
        }
    }

    pub(super) fn as_integer(&self) -> Option<i64> {
        match self {
            Self::Integer(number) => Some(*number),
            Self::Variable(text) => text.trim().parse().ok(),
            _ => None,
        }
    }

    pub(super) fn as_float(&self) -> Option<f64> {
        match self {
            Self::Integer(number) => Some(*number as f64),
            Self::Float(number) => Some(*number),
            Self::Variable(text) => text.trim().parse().ok(),
            _ => None,
        }
    }

    pub(super) fn as_bool(&self) -> Option<bool> {
        match self {
            Self::Bool(value) => Some(*value),
            Self::Variable(text) => text.trim().parse().ok(),
            _ => None,
        }
    }

    /// The members of a list; in a variable they are separated by commas.
    pub(super) fn as_list(&self) -> Option<Vec<Raw>> {
        match self {
            Self::List(members) => Some(members.clone()),
            Self::Variable(text) => {
                Some(text.split(',').map(|part| Self::Variable(part.trim().into())).collect())
            }
            _ => None,
        }
    }

    /// The value as its writer would recognise it.
    pub(super) fn quote_value(&self) -> String {
        match self {
            Self::Text(text) | Self::Variable(text) => format!("{text:?}"),
            Self::Integer(number) => number.to_string(),
            Self::Float(number) => number.to_string(),
            Self::Bool(value) => value.to_string(),
            Self::List(members) => {
                format!("[{}]", members.iter().map(Self::quote_value).collect::<Vec<_>>().join(", "))
            }
            Self::Table(fields) => {
                let fields = fields.iter().map(|(key, value)| format!("{key} = {}", value.quote_value()));
                format!("{{ {} }}", fields.collect::<Vec<_>>().join(", "))
            }
            Self::Other(what) => format!("({what})"),
        }
    }
}

impl From<&Value> for Raw {
    fn from(value: &Value) -> Self {
        match value {
            Value::String(text) => Self::Text(text.value().clone()),
            Value::Integer(number) => Self::Integer(*number.value()),
            Value::Float(number) => Self::Float(*number.value()),
            Value::Array(members) => Self::List(members.iter().map(Self::from).collect()),
            Value::Boolean(value) => Self::Bool(*value.value()),
            Value::Datetime(_) => Self::Other("a date"),
            Value::InlineTable(fields) => from_table(fields),
        }
    }
}

/// A value and the place where it was written.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Given {
    pub(super) raw: Raw,
    pub(super) origin: Origin,
}

/// A configuration file, flattened: `[proxy] apps = [..]` becomes `proxy.apps`.
pub(super) fn from_toml(path: &str, text: &str) -> Result<BTreeMap<String, Given>, ConfigError> {
    let place = |offset: usize| Origin::File { path: path.into(), line: line_of(text, offset) };
    let document = Document::parse(text).map_err(|error| ConfigError {
        origin: place(error.span().map_or(0, |span| span.start)),
        text: format!("not valid TOML: {}", error.message().replace('\n', ": ")),
    })?;
    let mut flat = BTreeMap::new();
    flatten_table(document.as_table(), "", &place, &mut flat);
    Ok(flat)
}

fn line_of(text: &str, offset: usize) -> usize {
    1 + text.as_bytes().iter().take(offset).filter(|byte| **byte == b'\n').count()
}

fn flatten_table(
    table: &dyn TableLike,
    prefix: &str,
    place: &dyn Fn(usize) -> Origin,
    flat: &mut BTreeMap<String, Given>,
) {
    for (key, item) in table.iter() {
        let name = format!("{prefix}{key}");
        match item.as_table_like() {
            Some(inner) if !inner.is_empty() => flatten_table(inner, &format!("{name}."), place, flat),
            _ => {
                let span = table.get_key_value(key).and_then(|(key, _)| key.span()).or_else(|| item.span());
                let origin = place(span.map_or(0, |span| span.start));
                flat.insert(name, Given { raw: raw_value(item), origin });
            }
        }
    }
}

fn from_table(table: &dyn TableLike) -> Raw {
    Raw::Table(table.iter().map(|(key, item)| (key.to_owned(), raw_value(item))).collect())
}

fn raw_value(item: &Item) -> Raw {
    match item {
        Item::Value(Value::InlineTable(_)) | Item::Table(_) | Item::None => Raw::Other("an empty table"),
        Item::Value(value) => Raw::from(value),
        Item::ArrayOfTables(tables) => Raw::List(tables.iter().map(|table| from_table(table)).collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_flattened_and_every_value_knows_its_line() {
        let text = "top = 1\n\n[proxy]\napps = [\n  \"live\",\n]\nhls.part = 2.5\n[inputs]\n\"a.b\" = \"c\"\n[empty]\n";
        let flat = from_toml("f", text).unwrap();
        let lines: Vec<_> = flat
            .iter()
            .map(|(name, given)| format!("{name} {} {}", given.origin, given.raw.quote_value()))
            .collect();
        assert_eq!(
            lines,
            [
                "empty f:10 (an empty table)",
                "inputs.a.b f:9 \"c\"",
                "proxy.apps f:4 [\"live\"]",
                "proxy.hls.part f:7 2.5",
                "top f:1 1",
            ]
        );
    }

    #[test]
    fn broken_toml_has_its_line() {
        let mistake = from_toml("f", "a = 1\nb = = 2\n").unwrap_err();
        assert_eq!(mistake.origin.to_string(), "f:2");
        assert!(mistake.text.starts_with("not valid TOML: "), "{}", mistake.text);
    }
}
