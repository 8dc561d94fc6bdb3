use super::{AmfError, MAX_BYTES, MAX_DEPTH, MAX_VALUES, Object, Value, marker};

/// Reads all values of a message.
///
/// # Errors
/// When a bound is passed or the bytes are no AMF0. References (which can make a small message large) are refused.
pub(crate) fn read_values(input: &[u8]) -> Result<Vec<Value>, AmfError> {
    if input.len() > MAX_BYTES {
        return Err(AmfError::TooLong);
    }
    let mut reader = Reader { input, values: 0 };
    let mut values = Vec::new();
    while !reader.input.is_empty() {
        values.push(reader.read_value(0)?);
    }
    Ok(values)
}

struct Reader<'a> {
    input: &'a [u8],
    /// Read so far.
    values: usize,
}

impl Reader<'_> {
    fn read_value(&mut self, depth: usize) -> Result<Value, AmfError> {
        self.values += 1;
        if self.values > MAX_VALUES {
            return Err(AmfError::TooManyValues);
        }
        if depth > MAX_DEPTH {
            return Err(AmfError::TooDeep);
        }
        Ok(match self.read_byte()? {
            marker::NUMBER => Value::Number(self.read_number()?),
            marker::BOOLEAN => Value::Boolean(self.read_byte()? != 0),
            marker::STRING => Value::String(self.short_string()?),
            marker::LONG_STRING | marker::XML => Value::String(self.long_string()?),
            marker::OBJECT => Value::Object(self.read_properties(depth)?),
            marker::ECMA_ARRAY => self.ecma_array(depth)?,
            marker::TYPED_OBJECT => self.typed_object(depth)?,
            marker::STRICT_ARRAY => Value::Array(self.strict_array(depth)?),
            marker::DATE => self.read_date()?,
            marker::NULL => Value::Null,
            marker::UNDEFINED | marker::UNSUPPORTED => Value::Undefined,
            other => return Err(AmfError::Unsupported(other)),
        })
    }

    /// The count of an associative array is only a hint (AMF0 §2.10), and many encoders get it wrong.
    fn ecma_array(&mut self, depth: usize) -> Result<Value, AmfError> {
        self.take_array::<4>()?;
        self.read_properties(depth).map(Value::Object)
    }

    fn typed_object(&mut self, depth: usize) -> Result<Value, AmfError> {
        self.short_string()?;
        self.read_properties(depth).map(Value::Object)
    }

    /// Properties up to the end marker, or to the end of the message: some encoders leave the last marker out.
    fn read_properties(&mut self, depth: usize) -> Result<Object, AmfError> {
        let mut object = Object::default();
        while !self.input.is_empty() {
            let name = self.short_string()?;
            if name.is_empty() {
                return match self.read_byte()? {
                    marker::OBJECT_END => Ok(object),
                    other => Err(AmfError::ObjectEnd(other)),
                };
            }
            object.0.push((name, self.read_value(depth + 1)?));
        }
        Ok(object)
    }

    fn strict_array(&mut self, depth: usize) -> Result<Vec<Value>, AmfError> {
        let count = u32::from_be_bytes(self.take_array()?);
        let mut values = Vec::new();
        for _ in 0..count {
            values.push(self.read_value(depth + 1)?);
        }
        Ok(values)
    }

    fn read_date(&mut self) -> Result<Value, AmfError> {
        let milliseconds = self.read_number()?;
        let _time_zone: [u8; 2] = self.take_array()?;
        Ok(Value::Number(milliseconds))
    }

    fn read_number(&mut self) -> Result<f64, AmfError> {
        self.take_array().map(f64::from_be_bytes)
    }

    fn short_string(&mut self) -> Result<String, AmfError> {
        let length = u16::from_be_bytes(self.take_array()?);
        self.read_string(usize::from(length))
    }

    fn long_string(&mut self) -> Result<String, AmfError> {
        let length = u32::from_be_bytes(self.take_array()?);
        self.read_string(length as usize)
    }

    /// Bytes that are not UTF-8 are replaced: encoders put names of all code pages into their metadata.
    fn read_string(&mut self, length: usize) -> Result<String, AmfError> {
        let (text, rest) = self.input.split_at_checked(length).ok_or(AmfError::Truncated)?;
        self.input = rest;
        Ok(String::from_utf8_lossy(text).into_owned())
    }

    fn read_byte(&mut self) -> Result<u8, AmfError> {
        self.take_array::<1>().map(|[byte]| byte)
    }

    fn take_array<const N: usize>(&mut self) -> Result<[u8; N], AmfError> {
        let (taken, rest) = self.input.split_first_chunk().ok_or(AmfError::Truncated)?;
        self.input = rest;
        Ok(*taken)
    }
}

#[cfg(test)]
mod tests {
    use super::super::write_values;
    use super::*;
    use proptest::prelude::*;

    fn nested(depth: usize) -> Vec<u8> {
        let mut bytes = [marker::STRICT_ARRAY, 0, 0, 0, 1].repeat(depth);
        bytes.push(marker::NULL);
        bytes
    }

    #[test]
    fn nesting_is_bounded() {
        assert!(read_values(&nested(MAX_DEPTH)).is_ok());
        assert_eq!(read_values(&nested(MAX_DEPTH + 1)), Err(AmfError::TooDeep));
        assert_eq!(read_values(&nested(10_000)), Err(AmfError::TooDeep));
    }

    #[test]
    fn the_number_of_values_is_bounded() {
        assert_eq!(read_values(&[marker::NULL; MAX_VALUES]).unwrap().len(), MAX_VALUES);
        assert_eq!(read_values(&[marker::NULL; MAX_VALUES + 1]), Err(AmfError::TooManyValues));
        assert_eq!(read_values(&vec![marker::NULL; MAX_BYTES + 1]), Err(AmfError::TooLong));
    }

    #[test]
    fn a_declared_length_reserves_nothing() {
        assert_eq!(read_values(&[marker::STRICT_ARRAY, 0xff, 0xff, 0xff, 0xff]), Err(AmfError::Truncated));
        assert_eq!(read_values(&[marker::LONG_STRING, 0xff, 0xff, 0xff, 0xff]), Err(AmfError::Truncated));
    }

    #[test]
    fn rare_types_are_understood() {
        let date = [&[marker::DATE][..], &1.5f64.to_be_bytes(), &[0, 0]].concat();
        assert_eq!(read_values(&date), Ok(vec![Value::Number(1.5)]));
        assert_eq!(read_values(b"\x0c\0\0\0\x02ab\x0f\0\0\0\x01c"), Ok(vec!["ab".into(), "c".into()]));
        let typed = b"\x10\0\x01T\0\x01k\x01\x01\0\0\x09\x06";
        assert_eq!(
            read_values(typed),
            Ok(vec![Object::default().with_property("k", true).into(), Value::Undefined])
        );
    }

    #[test]
    fn references_and_amf3_are_refused() {
        assert_eq!(read_values(&[0x07, 0, 0]), Err(AmfError::Unsupported(0x07)));
        assert_eq!(read_values(&[0x11]), Err(AmfError::Unsupported(0x11)));
    }

    #[test]
    fn a_missing_end_marker_at_the_end_of_a_message_is_forgiven() {
        let metadata = b"\x08\0\0\0\x09\0\x01w\x05";
        assert_eq!(read_values(metadata), Ok(vec![Object::default().with_property("w", Value::Null).into()]));
    }

    fn values() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            any::<i32>().prop_map(|n| Value::Number(n.into())),
            any::<bool>().prop_map(Value::Boolean),
            ".{0,40}".prop_map(Value::String),
            Just(Value::Null),
            Just(Value::Undefined),
        ];
        leaf.prop_recursive(4, 32, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
                prop::collection::vec(("[a-z]{1,8}", inner), 0..4).prop_map(|p| Value::Object(Object(p))),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(values in prop::collection::vec(values(), 0..4)) {
            prop_assert_eq!(read_values(&write_values(&values)), Ok(values));
        }

        #[test]
        fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..2_000)) {
            let _ = read_values(&bytes);
        }
    }
}
