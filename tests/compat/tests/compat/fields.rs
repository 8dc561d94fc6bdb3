//! Fields of an encoded message, by the contract: as text, and by their names.

use std::collections::BTreeSet;
use std::fmt::Write;

use protox::prost_reflect::{DescriptorPool, DynamicMessage, ReflectMessage, Value};

/// Message of this name in the contract.
pub fn read(pool: &DescriptorPool, message: &str, bytes: &[u8]) -> DynamicMessage {
    let descriptor = pool.get_message_by_name(&format!("headwater.v2.{message}")).unwrap();
    DynamicMessage::decode(descriptor, bytes).unwrap()
}

/// A line for each field that is set, with its path and value: a field that is added later changes none of them.
pub fn describe(message: &DynamicMessage) -> String {
    let mut text = String::new();
    write_message(&mut text, "", message);
    text
}

fn write_message(text: &mut String, path: &str, message: &DynamicMessage) {
    for (field, value) in message.fields() {
        let path = if path.is_empty() { field.name().to_owned() } else { format!("{path}.{}", field.name()) };
        write_value(text, &path, value);
    }
}

fn write_value(text: &mut String, path: &str, value: &Value) {
    match value {
        Value::Message(message) if message.fields().next().is_some() => write_message(text, path, message),
        Value::Message(_) => writeln!(text, "{path}: empty").unwrap(),
        Value::List(values) => {
            for (at, value) in values.iter().enumerate() {
                write_value(text, &format!("{path}[{at}]"), value);
            }
        }
        Value::Bytes(bytes) => writeln!(text, "{path}: {}", bytes.escape_ascii()).unwrap(),
        Value::String(string) => writeln!(text, "{path}: {string}").unwrap(),
        Value::Bool(value) => writeln!(text, "{path}: {value}").unwrap(),
        Value::F64(value) => writeln!(text, "{path}: {value}").unwrap(),
        Value::U64(value) => writeln!(text, "{path}: {value}").unwrap(),
        Value::U32(value) => writeln!(text, "{path}: {value}").unwrap(),
        Value::I32(value) | Value::EnumNumber(value) => writeln!(text, "{path}: {value}").unwrap(),
        other => panic!("the contract has no {other:?} yet"),
    }
}

/// Adds the full names of the fields that are set.
pub fn collect_names(message: &DynamicMessage, names: &mut BTreeSet<String>) {
    for (field, value) in message.fields() {
        names.insert(field.full_name().to_owned());
        let values = match value {
            Value::List(values) => values.as_slice(),
            value => std::slice::from_ref(value),
        };
        values.iter().filter_map(Value::as_message).for_each(|message| collect_names(message, names));
    }
}

/// Full names of all fields of the messages that calls carry.
pub fn all_names(pool: &DescriptorPool) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let mut seen = BTreeSet::new();
    let mut left: Vec<_> = pool
        .services()
        .flat_map(|of| of.methods().collect::<Vec<_>>())
        .flat_map(|of| [of.input(), of.output()])
        .collect();
    while let Some(message) = left.pop() {
        if seen.insert(message.full_name().to_owned()) {
            for field in message.fields() {
                names.insert(field.full_name().to_owned());
                left.extend(field.kind().as_message().cloned());
            }
        }
    }
    names
}

#[test]
fn fields_are_told_by_path() {
    let pool = crate::contract::today();
    let message = read(&pool, "SegmentSettings", &[8, 208, 15]);
    assert_eq!(message.descriptor().name(), "SegmentSettings");
    assert_eq!(describe(&message), "segment_ms: 2000\n");
}
