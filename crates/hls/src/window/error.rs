use headwater_media::{Epoch, MediaSequence, PartIndex, RenditionId};

/// Why an event or an opening does not fit the window. The window is as it was before.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum WindowError {
    #[error("this is another broadcast, or one with other segment settings")]
    OtherBroadcast,
    #[error("epoch {offered} is older than epoch {held}")]
    Fenced { held: Epoch, offered: Epoch },
    #[error("segment {expected} comes next, not {got}")]
    SequenceSkipped { expected: MediaSequence, got: MediaSequence },
    #[error("part {expected} of segment {sequence} comes next, not {got}")]
    PartSkipped { sequence: MediaSequence, expected: PartIndex, got: PartIndex },
    #[error("segment {0} is whole, and no part can be added to it")]
    AfterSegmentEnd(MediaSequence),
    #[error("segment {0} can't end: it has no parts")]
    NotOpen(MediaSequence),
    #[error("the broadcast has ended")]
    AfterBroadcastEnd,
    #[error("the newest period has no rendition {0}")]
    UnknownRendition(RenditionId),
    #[error("a period needs at least one rendition, and each with a name of its own")]
    Renditions,
    #[error("rendition {0} is too far ahead of the others")]
    TooFarAhead(RenditionId),
    #[error("{what} exceeds its limit of {limit}")]
    TooLarge { what: &'static str, limit: usize },
}
