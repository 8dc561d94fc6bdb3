//! Settings that nobody may see.

use std::fmt;

use super::source::Raw;
use super::value::{Value, expected_kind, quote_toml};

/// Shorter ones are guessed.
const MIN_CHARACTERS: usize = 16;

/// A secret that others show. It is compared, and printed nowhere.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Secret of this text; none where it is too short, or holds something else than visible ASCII characters.
    pub fn new(text: &str) -> Option<Self> {
        let is_long = text.len() >= MIN_CHARACTERS;
        (is_long && text.bytes().all(|byte| byte.is_ascii_graphic())).then(|| Self(text.into()))
    }

    /// Whether this is the secret. Takes the same time wherever the first difference is.
    pub fn is(&self, given: &str) -> bool {
        let pairs = self.0.bytes().zip(given.bytes());
        self.0.len() == given.len() && pairs.fold(0, |differ, (ours, theirs)| differ | (ours ^ theirs)) == 0
    }

    /// For whoever has to show it to somebody else.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(hidden)")
    }
}

impl Value for Secret {
    const KIND: &'static str = "a secret of at least 16 characters without spaces";
    const SECRET: bool = true;
    fn parse(raw: &Raw) -> Result<Self, String> {
        raw.as_text().and_then(Self::new).ok_or_else(expected_kind::<Self>)
    }
    fn show_toml(&self) -> Option<String> {
        quote_toml("(hidden)")
    }
    fn is_secret(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(text: &str) -> Result<Secret, String> {
        Secret::parse(&Raw::Text(text.into()))
    }

    #[test]
    fn only_the_whole_secret_is_it() {
        let ours = secret("0123456789abcdef").unwrap();
        assert!(ours.is("0123456789abcdef"));
        for wrong in ["", "0123456789abcdeF", "0123456789abcde", "0123456789abcdef0"] {
            assert!(!ours.is(wrong), "{wrong}");
        }
        assert_eq!(format!("{ours:?}"), "(hidden)");
    }

    #[test]
    fn a_short_secret_is_none() {
        for bad in ["", "short", "0123456789 abcdef", "0123456789abcd\u{e9}"] {
            assert!(secret(bad).is_err(), "{bad}");
        }
    }
}
