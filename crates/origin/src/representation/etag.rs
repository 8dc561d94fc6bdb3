//! Strong entity tags (RFC 9110 §8.8.3): two answers with the same tag have the same bytes, on whichever origin.

use std::hash::{DefaultHasher, Hasher};

use bytes::Bytes;
use http::HeaderValue;

/// So much of the end of coded media (`mdat`) is hashed.
const SAMPLED_TAIL: usize = 64;

/// The tag of something small, over all of it.
pub(crate) fn of_text(bytes: &[u8]) -> HeaderValue {
    let mut hasher = DefaultHasher::new();
    hasher.write(bytes);
    quoted(hasher.finish())
}

/// The tag of media, over all of its boxes but the coded media, and over the length and the end of that. It is the same
/// whether the media comes in parts, as in the live window, or in one piece, as from the store.
///
/// After a failover two origins may hold different encodings of one segment, so its name is no tag. Two encodings of the
/// same frames differ in some frame's size, all of which stand in `moof`.
pub(crate) fn of_media(pieces: &[Bytes]) -> HeaderValue {
    let mut hasher = DefaultHasher::new();
    pieces.iter().for_each(|piece| hash_boxes(&mut hasher, piece));
    quoted(hasher.finish())
}

/// Hashes the boxes of a piece; bytes behind the last whole box are hashed as they are.
fn hash_boxes(hasher: &mut DefaultHasher, mut bytes: &[u8]) {
    while let Some((head, size)) = first_box(bytes) {
        let (found, rest) = bytes.split_at(size);
        match &head[4..] {
            b"mdat" => {
                hasher.write(head);
                hasher.write(&found[size.saturating_sub(SAMPLED_TAIL).max(8)..]);
            }
            _ => hasher.write(found),
        }
        bytes = rest;
    }
    hasher.write(bytes);
}

/// The header of a whole box, and its size with it (ISO/IEC 14496-12 §4.2).
fn first_box(bytes: &[u8]) -> Option<(&[u8; 8], usize)> {
    let head = bytes.first_chunk::<8>()?;
    let size = u32::from_be_bytes([head[0], head[1], head[2], head[3]]) as usize;
    (8..=bytes.len()).contains(&size).then_some((head, size))
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
    use headwater_hls::cmaf::{Sample, chunk};

    use super::*;

    #[test]
    fn any_named_tag_matches() {
        for header in ["\"a\"", "W/\"a\"", "\"b\", \"a\"", "*", " \"b\" ,W/\"a\" "] {
            assert!(matches(header, "\"a\""), "{header}");
        }
        assert!(!matches("\"b\"", "\"a\""));
        assert!(!matches("", "\"a\""));
    }

    /// A segment has one tag in the live window and behind it.
    #[test]
    fn a_tag_does_not_depend_on_the_pieces() {
        let frame = |decode_time: u64, data: &'static [u8]| Sample {
            decode_time,
            duration: 3_000,
            composition_offset: 0,
            keyframe: decode_time == 0,
            data: Bytes::from_static(data),
        };
        let one = chunk(0, &[frame(0, &[7; 900])]);
        let two = chunk(0, &[frame(3_000, b"small")]);
        let whole = Bytes::from([&one[..], &two[..]].concat());
        assert_eq!(of_media(&[one.clone(), two.clone()]), of_media(&[whole]));
        assert_ne!(of_media(&[one.clone(), two]), of_media(&[one, chunk(0, &[frame(3_000, b"other")])]));
        let text = |text: &'static str| Bytes::from_static(text.as_bytes());
        assert_eq!(of_media(&[text("<part 1>"), text("<part 2>")]), of_media(&[text("<part 1><part 2>")]));
    }

    #[test]
    fn a_tag_depends_on_the_bytes() {
        let part = |text: &str| Bytes::copy_from_slice(text.as_bytes());
        assert_eq!(of_media(&[part("ab"), part("c")]), of_media(&[part("ab"), part("c")]));
        assert_ne!(of_media(&[part("ab"), part("c")]), of_media(&[part("ab"), part("d")]));
        assert_ne!(of_media(&[part("ab")]), of_media(&[part("ab"), part("ab")]));
    }
}
