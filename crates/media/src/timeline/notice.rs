//! Notices to a publisher about its timestamps.

use std::fmt;

use crate::access_unit::TrackKind;

/// Timestamps that were not believed. The text is meant for the broadcaster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    /// The picture's timestamps don't fit the sound's.
    PictureMoved { by_ms: i64 },
    /// The sound's timestamps don't fit the picture's.
    SoundMoved { by_ms: i64 },
    /// The composition times of all pictures are too large.
    CompositionMoved { by_ms: i64 },
}

impl Notice {
    pub(super) fn track_moved(track: TrackKind, by_ms: i64) -> Self {
        match track {
            TrackKind::Video => Self::PictureMoved { by_ms },
            TrackKind::Audio => Self::SoundMoved { by_ms },
        }
    }

    /// A word for it, as metrics have labels.
    pub fn kind(self) -> &'static str {
        match self {
            Self::PictureMoved { .. } => "picture",
            Self::SoundMoved { .. } => "sound",
            Self::CompositionMoved { .. } => "composition",
        }
    }
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whose, what, by_ms) = match self {
            Self::PictureMoved { by_ms } => {
                ("the picture's timestamps don't fit the sound's", "picture", by_ms)
            }
            Self::SoundMoved { by_ms } => ("the sound's timestamps don't fit the picture's", "sound", by_ms),
            Self::CompositionMoved { by_ms } => {
                ("the picture's composition times are too large", "picture", by_ms)
            }
        };
        write!(
            f,
            "{whose}: the {what} was moved by {by_ms} ms; both should come from one clock of the encoder"
        )
    }
}
