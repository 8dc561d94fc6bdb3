//! Handlers: each makes the answers to some routes.

pub(crate) mod archived;
pub(crate) mod media;
pub(crate) mod mp4;
pub(crate) mod page;
pub(crate) mod partial_segment;
pub(crate) mod playlist;
pub(crate) mod preflight;
pub(crate) mod recorded;
pub(crate) mod storyboard;
pub(crate) mod thumbnail;
pub(crate) mod utc_timing;
