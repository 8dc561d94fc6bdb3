//! End of a publisher: the reason, and the state in which it leaves its connection.

use headwater_media::MediaError;

use crate::refusal::Refusal;
use crate::source::SourceError;

/// State in which a publisher leaves its connection.
pub enum PublisherEnd {
    /// It ended its stream, and may publish again.
    Unpublished,
    /// It was told why it has to leave. The connection is to be closed.
    Dismissed,
}

/// Reason why a publisher can't go on.
pub(super) enum EndReason {
    Unpublished,
    SourceEnded(SourceError),
    /// The publisher has to leave.
    Dismissed {
        reason: &'static str,
        refusal: Refusal,
    },
    /// The publisher has connected again, as it was asked to, and its new connection has the stream.
    Reconnected,
    /// No server takes its media any more, and so the publisher has to leave.
    Unserved {
        reason: &'static str,
        refusal: Refusal,
    },
}

impl EndReason {
    /// End of a publisher whose server takes nothing more.
    pub(super) fn stalled() -> Self {
        Self::Unserved { reason: "stalled", refusal: Refusal::stalled() }
    }

    /// Reason that the server is told.
    pub(super) fn reason(&self) -> &'static str {
        match self {
            Self::Unpublished => "the publisher ended its stream",
            Self::SourceEnded(_) => "the publisher's connection ended",
            Self::Reconnected => "the publisher has connected again",
            Self::Dismissed { reason, .. } | Self::Unserved { reason, .. } => reason,
        }
    }
}

impl From<SourceError> for EndReason {
    fn from(error: SourceError) -> Self {
        Self::SourceEnded(error)
    }
}

impl From<MediaError> for EndReason {
    fn from(error: MediaError) -> Self {
        Self::Dismissed { reason: "media", refusal: Refusal::media(&error) }
    }
}
