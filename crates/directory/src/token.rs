//! Access tokens of the control API: what each may do, and how it is shown once and recognised later.

use std::fmt;
use std::str::FromStr;

use headwater_media::UnixMillis;
use ring::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};

use crate::seal::to_hex;

/// Beginning of every token, by which tools that look for leaked secrets know it.
const PREFIX: &str = "hwt";
/// Random bytes of a token's public name and of its secret.
pub(crate) const ID_BYTES: usize = 8;
pub(crate) const SECRET_BYTES: usize = 32;

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

/// Access token to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewToken {
    /// Name by which people tell tokens apart.
    pub name: String,
    pub scopes: Vec<Scope>,
    pub expires: Option<UnixMillis>,
}

/// Access token as its document holds it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AccessToken {
    /// Public name of the token: audit events and lists show it.
    pub id: String,
    pub name: String,
    pub scopes: Vec<Scope>,
    /// Milliseconds since 1970.
    pub created: u64,
    /// Milliseconds since 1970 from which the token is not accepted any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<u64>,
    /// SHA-256 of the token's secret part, in hexadecimal digits.
    pub(crate) hash: String,
}

impl AccessToken {
    /// Whether the token gives this right.
    pub fn allows(&self, scope: Scope) -> bool {
        self.scopes.contains(&scope)
    }

    /// Whether the token is one of the past.
    pub fn is_expired(&self, now: UnixMillis) -> bool {
        self.expires.is_some_and(|expires| now.0 >= expires)
    }

    /// Whether this secret part is the token's. Hashes are compared, of which a difference tells nothing.
    pub(crate) fn is_secret(&self, secret: &str) -> bool {
        self.hash == hash(secret)
    }
}

pub(crate) fn hash(secret: &str) -> String {
    to_hex(digest(&SHA256, secret.as_bytes()).as_ref())
}

/// Whether a text is so many bytes in lower-case hexadecimal digits.
pub(crate) fn is_hex(text: &str, bytes: usize) -> bool {
    text.len() == 2 * bytes && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// Token as its owner has it: `hwt_<id>_<secret>`. It is shown once, when it is made.
#[derive(Clone, PartialEq, Eq)]
pub struct TokenText {
    pub(crate) id: String,
    pub(crate) secret: String,
}

impl TokenText {
    /// The token itself: for its owner, never for a log.
    pub fn expose(&self) -> String {
        format!("{PREFIX}_{}_{}", self.id, self.secret)
    }
}

impl FromStr for TokenText {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        let fields: Vec<_> = text.split('_').collect();
        let [PREFIX, id, secret] = fields[..] else { return Err(()) };
        let is_token = is_hex(id, ID_BYTES) && is_hex(secret, SECRET_BYTES);
        is_token.then(|| Self { id: id.into(), secret: secret.into() }).ok_or(())
    }
}

impl fmt::Debug for TokenText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TokenText({}, redacted)", self.id)
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

    #[test]
    fn only_a_whole_token_is_one() {
        let text = format!("hwt_{}_{}", "a1".repeat(ID_BYTES), "0f".repeat(SECRET_BYTES));
        let token: TokenText = text.parse().unwrap();
        assert_eq!(token.expose(), text);
        assert!(!format!("{token:?}").contains("0f0f"));
        for cut in 0..text.len() {
            assert!(text[..cut].parse::<TokenText>().is_err());
        }
        for wrong in
            [format!("{text}0"), text.replace('_', "-"), text.replace("a1", "../"), text.replace("0f", "é")]
        {
            assert!(wrong.parse::<TokenText>().is_err(), "{wrong}");
        }
    }
}
