//! Ids of requests, by which an answer and its lines in the log are found together.

use std::fmt;
use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue};
use ring::rand::{SecureRandom, SystemRandom};

const REQUEST_ID_HEADER: HeaderName = HeaderName::from_static("x-request-id");
/// Characters of an id that a caller gives, at most.
const MAX_LENGTH: usize = 64;
/// Random bytes of an id that the API makes.
const ID_BYTES: usize = 8;

/// Id of a request: the caller's, where it sends an acceptable `X-Request-Id`, or a random one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RequestId(Arc<str>);

impl RequestId {
    /// Id of the request with these headers.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let given = headers.get(REQUEST_ID_HEADER).and_then(|value| value.to_str().ok());
        Self(given.filter(|id| is_acceptable(id)).map_or_else(make_id, Into::into))
    }

    /// Names the request to its caller.
    pub(crate) fn write_to(&self, headers: &mut HeaderMap) {
        let value = HeaderValue::from_str(&self.0).expect("ids have letters, digits and dashes");
        headers.insert(REQUEST_ID_HEADER, value);
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn is_acceptable(id: &str) -> bool {
    let is_known = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    (1..=MAX_LENGTH).contains(&id.len()) && id.bytes().all(is_known)
}

fn make_id() -> Arc<str> {
    let mut bytes = [0; ID_BYTES];
    // An id of zeros names its request less well, and does no harm.
    let _ = SystemRandom::new().fill(&mut bytes);
    format!("{:016x}", u64::from_be_bytes(bytes)).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_callers_id_is_kept_unless_it_could_break_a_log_line() {
        let id_of = |given: &str| {
            RequestId::of(&HeaderMap::from_iter([(REQUEST_ID_HEADER, given.parse().unwrap())])).to_string()
        };
        assert_eq!(id_of("018f-a_b.c"), "018f-a_b.c");
        for bad in ["", "a b", "a=b", &"a".repeat(65)] {
            assert_eq!(id_of(bad).len(), 2 * ID_BYTES, "{bad}");
        }
        assert_ne!(RequestId::of(&HeaderMap::new()), RequestId::of(&HeaderMap::new()));
    }
}
