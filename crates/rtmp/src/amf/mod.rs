//! AMF0, the value format of RTMP commands and metadata (Adobe, "Action Message Format -- AMF 0", 2007).
//!
//! `rml_amf0` recurses without a bound, allocates what a length field says and refuses dates, long strings and typed
//! objects; this reader holds to [`MAX_BYTES`], [`MAX_VALUES`] and [`MAX_DEPTH`] and knows every type but references.

mod reader;
mod writer;

pub(crate) use reader::read_values;
pub(crate) use writer::write_values;

/// The longest message that is read.
pub(crate) const MAX_BYTES: usize = 64 << 10;
/// The most values in one message, counting those inside objects and arrays. Metadata has about twenty.
pub(crate) const MAX_VALUES: usize = 1_024;
/// How deep values may lie within each other. Metadata has a depth of two, `connect` with Enhanced RTMP three.
pub(crate) const MAX_DEPTH: usize = 16;

/// A value. What AMF0 tells apart and RTMP does not is one here: long and short strings and XML, dates and numbers
/// (milliseconds since 1970), typed and anonymous objects and associative arrays.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    Number(f64),
    Boolean(bool),
    String(String),
    Object(Object),
    Array(Vec<Value>),
    Null,
    Undefined,
}

/// Properties in the order they were written.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Object(pub(crate) Vec<(String, Value)>);

impl Object {
    pub(crate) fn get(&self, name: &str) -> Option<&Value> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value)
    }

    pub(crate) fn string_property(&self, name: &str) -> Option<&str> {
        self.get(name)?.as_str()
    }

    pub(crate) fn number_property(&self, name: &str) -> Option<f64> {
        self.get(name)?.as_number()
    }

    /// The same object with one property more.
    #[must_use]
    pub(crate) fn with_property(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.0.push((name.to_owned(), value.into()));
        self
    }
}

impl Value {
    pub(crate) fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    pub(crate) fn as_number(&self) -> Option<f64> {
        match self {
            Self::Number(number) => Some(*number),
            _ => None,
        }
    }

    pub(crate) fn as_object(&self) -> Option<&Object> {
        match self {
            Self::Object(object) => Some(object),
            _ => None,
        }
    }
}

impl From<f64> for Value {
    fn from(number: f64) -> Self {
        Self::Number(number)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::String(text.to_owned())
    }
}

impl From<bool> for Value {
    fn from(truth: bool) -> Self {
        Self::Boolean(truth)
    }
}

impl From<Object> for Value {
    fn from(object: Object) -> Self {
        Self::Object(object)
    }
}

/// Error of an AMF0 value.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum AmfError {
    #[error("it ends in the middle of a value")]
    Truncated,
    #[error("it has more than {MAX_BYTES} bytes")]
    TooLong,
    #[error("it has more than {MAX_VALUES} values")]
    TooManyValues,
    #[error("its values lie deeper than {MAX_DEPTH} levels within each other")]
    TooDeep,
    #[error("it has a value of the unsupported type {0:#04x}")]
    Unsupported(u8),
    #[error("an object ends with {0:#04x}")]
    ObjectEnd(u8),
}

/// Type markers (AMF0 §2.1).
mod marker {
    pub(super) const NUMBER: u8 = 0x00;
    pub(super) const BOOLEAN: u8 = 0x01;
    pub(super) const STRING: u8 = 0x02;
    pub(super) const OBJECT: u8 = 0x03;
    pub(super) const NULL: u8 = 0x05;
    pub(super) const UNDEFINED: u8 = 0x06;
    pub(super) const ECMA_ARRAY: u8 = 0x08;
    pub(super) const OBJECT_END: u8 = 0x09;
    pub(super) const STRICT_ARRAY: u8 = 0x0a;
    pub(super) const DATE: u8 = 0x0b;
    pub(super) const LONG_STRING: u8 = 0x0c;
    pub(super) const UNSUPPORTED: u8 = 0x0d;
    pub(super) const XML: u8 = 0x0f;
    pub(super) const TYPED_OBJECT: u8 = 0x10;
}
