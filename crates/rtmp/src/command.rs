//! Commands (RTMP 1.0 §7.2): a name, a transaction, a command object, arguments. Any of the last three may be missing.

use crate::amf::{self, Object, Value};
use crate::error::RtmpError;
use crate::message::Message;

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Command {
    pub(crate) name: String,
    /// Zero: no answer is expected.
    pub(crate) transaction: f64,
    /// The message stream it came on.
    pub(crate) stream: u32,
    object: Value,
    arguments: Vec<Value>,
}

impl Command {
    pub(crate) fn parse(message: &Message) -> Result<Self, RtmpError> {
        let mut values = amf::read_values(message.amf_values())?.into_iter();
        let Some(Value::String(name)) = values.next() else { return Err(RtmpError::NamelessCommand) };
        let transaction = values.next().and_then(|v| v.as_number()).unwrap_or_default();
        let object = values.next().unwrap_or(Value::Null);
        Ok(Self { name, transaction, stream: message.stream, object, arguments: values.collect() })
    }

    pub(crate) fn object_argument(&self) -> Option<&Object> {
        self.object.as_object()
    }

    pub(crate) fn string_argument(&self, argument: usize) -> Option<&str> {
        self.arguments.get(argument)?.as_str()
    }

    pub(crate) fn number_argument(&self, argument: usize) -> Option<f64> {
        self.arguments.get(argument)?.as_number()
    }

    /// The information object of `_result`, `_error` and `onStatus`; some servers leave the null before it out.
    pub(crate) fn information_object(&self) -> Option<&Object> {
        self.arguments.iter().find_map(Value::as_object).or_else(|| self.object_argument())
    }
}
