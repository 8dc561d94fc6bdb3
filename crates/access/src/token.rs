//! Access tokens of the control API: what each may do, and how it is shown once and recognised later.

use std::fmt;
use std::str::FromStr;

use headwater_media::UnixMillis;
use ring::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};

use crate::hex::{is_hex, to_hex};
use crate::scope::Scope;

/// Beginning of every token, by which tools that look for leaked secrets know it.
const TOKEN_PREFIX: &str = "hwt";
/// Random bytes of a token's public name and of its secret.
const ID_BYTES: usize = 8;
const SECRET_BYTES: usize = 32;

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
    hash: String,
}

impl AccessToken {
    /// Token with this text, as it is kept.
    pub fn with_text(new: NewToken, text: &TokenText, created: UnixMillis) -> Self {
        Self {
            id: text.id.clone(),
            name: new.name,
            scopes: new.scopes,
            created: created.0,
            expires: new.expires.map(|expires| expires.0),
            hash: hash(&text.secret),
        }
    }

    /// Whether the token gives this right.
    pub fn allows(&self, scope: Scope) -> bool {
        self.scopes.contains(&scope)
    }

    /// Whether the token is one of the past.
    pub fn is_expired(&self, now: UnixMillis) -> bool {
        self.expires.is_some_and(|expires| now.0 >= expires)
    }

    /// Whether this is the token's text. Hashes are compared, of which a difference tells nothing.
    pub fn has_text(&self, text: &TokenText) -> bool {
        self.id == text.id && self.hash == hash(&text.secret)
    }
}

fn hash(secret: &str) -> String {
    to_hex(digest(&SHA256, secret.as_bytes()).as_ref())
}

/// Token as its owner has it: `hwt_<id>_<secret>`. It is shown once, when it is made.
#[derive(Clone, PartialEq, Eq)]
pub struct TokenText {
    id: String,
    secret: String,
}

impl TokenText {
    /// Random bytes that a token is made of.
    pub const RANDOM_BYTES: usize = ID_BYTES + SECRET_BYTES;

    /// Token made of these random bytes.
    pub fn from_random(random: &[u8; Self::RANDOM_BYTES]) -> Self {
        let (id, secret) = random.split_at(ID_BYTES);
        Self { id: to_hex(id), secret: to_hex(secret) }
    }

    /// Public name of the token.
    pub fn public_id(&self) -> &str {
        &self.id
    }

    /// The token itself: for its owner, never for a log.
    pub fn expose(&self) -> String {
        format!("{TOKEN_PREFIX}_{}_{}", self.id, self.secret)
    }
}

/// Whether a text has the form of a token's public name.
pub fn is_token_id(text: &str) -> bool {
    is_hex(text, ID_BYTES)
}

impl FromStr for TokenText {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        let fields: Vec<_> = text.split('_').collect();
        let [TOKEN_PREFIX, id, secret] = fields[..] else { return Err(()) };
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
    fn a_token_is_known_by_its_whole_text_and_kept_without_it() {
        let text = TokenText::from_random(&std::array::from_fn(|at| at as u8));
        let new =
            NewToken { name: "shop".into(), scopes: vec![Scope::InputsRead], expires: Some(UnixMillis(9)) };
        let token = AccessToken::with_text(new, &text, UnixMillis(5));
        assert!(token.has_text(&text) && is_token_id(&token.id));
        let kept = serde_json::to_string(&token).unwrap();
        assert!(!kept.contains(&text.expose()[4 + 2 * ID_BYTES..]), "{kept}");
        let other_secret = text.expose().replace("1f", "2f").parse().unwrap();
        let other_id = text.expose().replace("0001", "0002").parse().unwrap();
        assert!(!token.has_text(&other_secret) && !token.has_text(&other_id));
        assert!(!token.is_expired(UnixMillis(8)) && token.is_expired(UnixMillis(9)));
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
