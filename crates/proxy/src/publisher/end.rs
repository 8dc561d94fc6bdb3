//! Why a publisher ends, and how it leaves.

use headwater_media::MediaError;

use crate::refusal::Refusal;
use crate::source::SourceError;

/// How a publisher left.
pub enum PublisherEnd {
    /// It ended its stream, and may publish again.
    Unpublished,
    /// It was told why it has to leave. The connection is to be closed.
    Dismissed,
}

/// Why it can't go on.
pub(super) enum Stop {
    Unpublished,
    Source(SourceError),
    /// The publisher has to leave.
    Dismiss {
        reason: &'static str,
        refusal: Refusal,
    },
    /// The publisher has connected again, as it was asked to, and its successor has the stream.
    Succeeded,
    /// The server takes nothing more, and so the publisher has to leave.
    Lost {
        reason: &'static str,
        refusal: Refusal,
    },
}

impl Stop {
    /// The server takes nothing.
    pub(super) fn stalled() -> Self {
        Self::Lost { reason: "stalled", refusal: Refusal::stalled() }
    }

    /// Reason that the server is told.
    pub(super) fn reason(&self) -> &'static str {
        match self {
            Self::Unpublished => "the publisher ended its stream",
            Self::Source(_) => "the publisher's connection ended",
            Self::Succeeded => "the publisher has connected again",
            Self::Dismiss { reason, .. } | Self::Lost { reason, .. } => reason,
        }
    }
}

impl From<SourceError> for Stop {
    fn from(error: SourceError) -> Self {
        Self::Source(error)
    }
}

impl From<MediaError> for Stop {
    fn from(error: MediaError) -> Self {
        Self::Dismiss { reason: "media", refusal: Refusal::media(&error) }
    }
}
