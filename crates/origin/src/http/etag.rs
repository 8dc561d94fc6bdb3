//! Strong entity tags (RFC 9110 §8.8.3): two answers with the same tag have the same bytes, on whichever origin.

use std::hash::{DefaultHasher, Hasher};

use bytes::Bytes;
use http::HeaderValue;

/// So much of a part's beginning is hashed: the `moof` with the size of every frame.
const SAMPLED_HEAD: usize = 512;
/// And so much of its end: the last bytes of coded media.
const SAMPLED_TAIL: usize = 64;

/// The tag of something small, over all of it.
pub(crate) fn of_text(bytes: &[u8]) -> HeaderValue {
    let mut hasher = DefaultHasher::new();
    hasher.write(bytes);
    quoted(hasher.finish())
}

/// The tag of media, over the length, the beginning and the end of every part.
///
/// After a failover two origins may hold different encodings of one segment, so its name is no tag. Two encodings of the
/// same frames differ in some frame's size, all of which stand at the beginning of the part.
pub(crate) fn of_media(parts: &[Bytes]) -> HeaderValue {
    let mut hasher = DefaultHasher::new();
    for part in parts {
        hasher.write_usize(part.len());
        hasher.write(&part[..part.len().min(SAMPLED_HEAD)]);
        hasher.write(&part[part.len().saturating_sub(SAMPLED_TAIL)..]);
    }
    quoted(hasher.finish())
}

/// Whether an `If-None-Match` names this tag; comparison is weak (RFC 9110 §13.1.2).
pub(crate) fn matches(header: &str, tag: &str) -> bool {
    let named = |candidate: &str| candidate.strip_prefix("W/").unwrap_or(candidate) == tag;
    header.trim() == "*" || header.split(',').any(|candidate| named(candidate.trim()))
}

fn quoted(hash: u64) -> HeaderValue {
    HeaderValue::try_from(format!("\"{hash:016x}\""))
        .expect("quotes and hexadecimal digits are visible ASCII")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_named_tag_matches() {
        for header in ["\"a\"", "W/\"a\"", "\"b\", \"a\"", "*", " \"b\" ,W/\"a\" "] {
            assert!(matches(header, "\"a\""), "{header}");
        }
        assert!(!matches("\"b\"", "\"a\""));
        assert!(!matches("", "\"a\""));
    }

    #[test]
    fn a_tag_depends_on_the_bytes() {
        let part = |text: &str| Bytes::copy_from_slice(text.as_bytes());
        assert_eq!(of_media(&[part("ab"), part("c")]), of_media(&[part("ab"), part("c")]));
        assert_ne!(of_media(&[part("ab"), part("c")]), of_media(&[part("ab"), part("d")]));
        assert_ne!(of_media(&[part("ab")]), of_media(&[part("ab"), part("ab")]));
    }
}
