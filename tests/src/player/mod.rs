//! A player that follows every rendition of a stream part by part, as the standard says a client should, checks every
//! playlist, and keeps every byte.

mod follow;
mod playlist;
mod rules;

pub use follow::{Player, Shown, ShownRendition, ShownSegment};
pub use playlist::{Line, Media, Multivariant, Part, Segment, Variant, segment_number};
