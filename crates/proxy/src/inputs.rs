//! Live inputs: the stream that each key opens.

use std::collections::HashMap;

use headwater_media::{StreamId, StreamKey};

/// Live inputs by their keys. Without any, the key is the stream's name.
#[derive(Debug, Default)]
pub struct Inputs(HashMap<StreamKey, StreamId>);

/// Fault of a key that opens nothing. It never holds the key, which is a secret.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum KeyError {
    #[error("the stream key is not known: copy it again from where you were given it")]
    Unknown,
    #[error("the stream key is no stream name: {0}")]
    NotAName(#[from] headwater_media::ids::NameError),
}

impl Inputs {
    /// Inputs with these streams and keys.
    pub fn new(inputs: impl IntoIterator<Item = (StreamId, StreamKey)>) -> Self {
        Self(inputs.into_iter().map(|(stream, key)| (key, stream)).collect())
    }

    /// Stream that the key opens.
    ///
    /// # Errors
    /// When the key opens nothing.
    pub fn find_stream(&self, key: &StreamKey) -> Result<StreamId, KeyError> {
        if self.0.is_empty() {
            return Ok(key.expose().parse()?);
        }
        self.0.get(key).cloned().ok_or(KeyError::Unknown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_inputs_the_key_is_the_streams_name() {
        let inputs = Inputs::default();
        assert_eq!(inputs.find_stream(&"demo".parse().unwrap()), Ok("demo".parse().unwrap()));
        assert!(matches!(inputs.find_stream(&"../demo".parse().unwrap()), Err(KeyError::NotAName(_))));
    }

    #[test]
    fn with_inputs_a_key_opens_its_stream_and_nothing_else_does() {
        let inputs = Inputs::new([("demo".parse().unwrap(), "secret".parse().unwrap())]);
        assert_eq!(inputs.find_stream(&"secret".parse().unwrap()), Ok("demo".parse().unwrap()));
        assert_eq!(inputs.find_stream(&"demo".parse().unwrap()), Err(KeyError::Unknown));
    }
}
