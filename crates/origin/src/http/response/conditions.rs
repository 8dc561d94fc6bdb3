//! Conditions and ranges of a request (RFC 9110 §13 and §14).

use http::header::{IF_NONE_MATCH, IF_RANGE, RANGE};
use http::{HeaderMap, HeaderName, HeaderValue};

use super::range::Wanted;
use crate::representation::etag;

/// The client holds these very bytes.
pub(crate) fn is_held(request: &HeaderMap, tag: &HeaderValue) -> bool {
    let tag = tag.to_str().unwrap_or_default();
    text(request, IF_NONE_MATCH).is_some_and(|header| etag::matches(header, tag))
}

/// A range is meant for one state of the object when `If-Range` says so (RFC 9110 §13.1.5); dates never match here.
pub(crate) fn wanted_range(request: &HeaderMap, tag: Option<&HeaderValue>, length: u64) -> Wanted {
    let meant = request.get(IF_RANGE).is_none_or(|condition| Some(condition) == tag);
    text(request, RANGE).filter(|_| meant).map_or(Wanted::Whole, |range| Wanted::parse(range, length))
}

/// A header's text; nothing where it is missing or not ASCII.
pub(crate) fn text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}
