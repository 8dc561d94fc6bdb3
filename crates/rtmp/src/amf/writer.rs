use bytes::{BufMut, Bytes, BytesMut};

use super::{Object, Value, marker};

/// Writes values one after the other. Properties keep their order: some servers want `app` first in `connect`.
pub(crate) fn write_values(values: &[Value]) -> Bytes {
    let mut output = BytesMut::new();
    values.iter().for_each(|value| put_value(&mut output, value));
    output.freeze()
}

fn put_value(output: &mut BytesMut, value: &Value) {
    match value {
        Value::Number(number) => {
            output.put_u8(marker::NUMBER);
            output.put_f64(*number);
        }
        Value::Boolean(truth) => output.put_slice(&[marker::BOOLEAN, u8::from(*truth)]),
        Value::String(text) => put_string(output, text),
        Value::Object(object) => put_object(output, object),
        Value::Array(values) => {
            output.put_u8(marker::STRICT_ARRAY);
            output.put_u32(values.len() as u32);
            values.iter().for_each(|value| put_value(output, value));
        }
        Value::Null => output.put_u8(marker::NULL),
        Value::Undefined => output.put_u8(marker::UNDEFINED),
    }
}

fn put_string(output: &mut BytesMut, text: &str) {
    if text.len() > usize::from(u16::MAX) {
        output.put_u8(marker::LONG_STRING);
        output.put_u32(text.len() as u32);
        output.put_slice(text.as_bytes());
    } else {
        output.put_u8(marker::STRING);
        put_short(output, text);
    }
}

fn put_object(output: &mut BytesMut, object: &Object) {
    output.put_u8(marker::OBJECT);
    for (name, value) in &object.0 {
        put_short(output, name);
        put_value(output, value);
    }
    output.put_slice(&[0, 0, marker::OBJECT_END]);
}

/// At most 65,535 bytes; names are our own and short.
fn put_short(output: &mut BytesMut, text: &str) {
    let length = text.len().min(usize::from(u16::MAX));
    output.put_u16(length as u16);
    output.put_slice(&text.as_bytes()[..length]);
}
