//! Representations of what is answered (RFC 9110 §8): their entity tags and their compression.

pub(crate) mod encoding;
pub(crate) mod etag;
