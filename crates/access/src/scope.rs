//! Scopes: the rights that an access token of the control API gives.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Right that a token gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Scope {
    #[serde(rename = "inputs:read")]
    InputsRead,
    #[serde(rename = "inputs:write")]
    InputsWrite,
    /// See stream keys and the URLs that go with them.
    #[serde(rename = "inputs:keys")]
    InputsKeys,
    #[serde(rename = "streams:read")]
    StreamsRead,
    #[serde(rename = "streams:control")]
    StreamsControl,
    #[serde(rename = "recordings:read")]
    RecordingsRead,
    #[serde(rename = "recordings:write")]
    RecordingsWrite,
    #[serde(rename = "events:read")]
    EventsRead,
    #[serde(rename = "tokens:write")]
    TokensWrite,
}

impl Scope {
    /// All scopes, in the order of their declaration.
    pub const ALL: [Self; 9] = [
        Self::InputsRead,
        Self::InputsWrite,
        Self::InputsKeys,
        Self::StreamsRead,
        Self::StreamsControl,
        Self::RecordingsRead,
        Self::RecordingsWrite,
        Self::EventsRead,
        Self::TokensWrite,
    ];

    /// The scope as documents and the API write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InputsRead => "inputs:read",
            Self::InputsWrite => "inputs:write",
            Self::InputsKeys => "inputs:keys",
            Self::StreamsRead => "streams:read",
            Self::StreamsControl => "streams:control",
            Self::RecordingsRead => "recordings:read",
            Self::RecordingsWrite => "recordings:write",
            Self::EventsRead => "events:read",
            Self::TokensWrite => "tokens:write",
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Scope {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let known = Self::ALL.map(Self::as_str).join(", ");
        let scope = Self::ALL.into_iter().find(|scope| scope.as_str() == text);
        scope.ok_or_else(|| format!("{text:?} is no scope: one of {known}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_are_written_as_they_are_read() {
        for scope in Scope::ALL {
            assert_eq!(scope.as_str().parse(), Ok(scope));
            assert_eq!(serde_json::to_value(scope).unwrap(), scope.as_str());
        }
        assert!("inputs:all".parse::<Scope>().unwrap_err().contains("inputs:read, "));
    }
}
