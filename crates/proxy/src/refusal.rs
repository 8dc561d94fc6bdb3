//! Refusals: each failure becomes a kind and a text for the broadcaster here, and each protocol maps the kind to its own
//! codes, once.

use headwater_media::MediaError;
use headwater_wire::publish::PublishError;
use headwater_wire::v2::{Failure, failure::Code};

use crate::authority::KeyError;
use crate::routing::RoutingError;

/// Answer to a publisher that is turned away, or can't stay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub kind: RefusalKind,
    /// For the broadcaster: what is wrong and what to do about it. Never with a stream key in it.
    pub text: String,
}

/// Kind of fault, as far as a protocol has codes for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusalKind {
    /// The key opens nothing.
    Key,
    /// Another publisher has the stream.
    InUse,
    /// The media can't be used as it is: the encoder's settings have to change.
    Media,
    /// No server takes the publisher just now.
    Unavailable,
    /// It took too long to start.
    Deadline,
    /// It broke its protocol.
    Protocol,
    /// The server is gone, has failed, or can't keep up.
    Server,
    /// An operator has ended the publication.
    Disconnected,
    /// The publisher has sent nothing for too long.
    Idle,
    /// The proxy stops.
    Stopping,
}

impl Refusal {
    /// Refusal of this kind.
    pub fn new(kind: RefusalKind, text: impl Into<String>) -> Self {
        Self { kind, text: text.into() }
    }

    /// Refusal of a key that opens nothing, or not now.
    pub fn key(error: &KeyError) -> Self {
        let kind = match error {
            KeyError::Unavailable(_) => RefusalKind::Unavailable,
            _ => RefusalKind::Key,
        };
        Self::new(kind, error.to_string())
    }

    /// Refusal of an encoder that did not ask to publish in time.
    pub fn deadline() -> Self {
        Self::new(RefusalKind::Deadline, "the encoder took too long to start publishing")
    }

    /// Refusal of a publisher for which no server was found.
    pub fn no_server(error: &RoutingError) -> Self {
        match error {
            RoutingError::Failure(failure) => Self::from_failure(failure),
            RoutingError::NoCapacity | RoutingError::NoServer | RoutingError::OwnerUnreachable => {
                Self::new(RefusalKind::Unavailable, error.to_string())
            }
            // The cause concerns the operator, and is in the log.
            RoutingError::Registry(_) => Self::new(
                RefusalKind::Unavailable,
                "no server can be looked up just now: try again in a moment",
            ),
            RoutingError::Stopping => Self::stopping(),
        }
    }

    /// Refusal of media that can't be used.
    pub fn media(error: &MediaError) -> Self {
        Self::new(RefusalKind::Media, error.to_string())
    }

    /// Refusal of a publisher whose server has ended the call.
    pub fn lost_server(error: &PublishError) -> Self {
        match error {
            PublishError::Rejected(failure) => Self::from_failure(failure),
            _ => Self::new(RefusalKind::Server, "the transcode server is gone: reconnect"),
        }
    }

    /// Refusal of a publisher whose server takes nothing more.
    pub fn stalled() -> Self {
        Self::new(
            RefusalKind::Server,
            "the transcode server can't keep up: lower the bit rate or the picture size",
        )
    }

    /// Refusal of a publisher that has sent nothing for too long.
    pub fn idle() -> Self {
        Self::new(RefusalKind::Idle, "nothing was received for too long")
    }

    /// Refusal by a proxy that stops.
    pub fn stopping() -> Self {
        Self::new(RefusalKind::Stopping, "this server is being restarted: reconnect")
    }

    /// Refusal by a server, in its own words.
    fn from_failure(failure: &Failure) -> Self {
        let kind = match failure.code() {
            Code::Blocked => RefusalKind::Key,
            Code::Disconnected => RefusalKind::Disconnected,
            Code::StreamInUse => RefusalKind::InUse,
            Code::UnsupportedMedia => RefusalKind::Media,
            Code::NoCapacity => RefusalKind::Unavailable,
            _ => RefusalKind::Server,
        };
        Self::new(kind, failure.message.clone())
    }
}

/// Value of the metrics' label `reason` for a publisher that its server has sent away.
pub fn dismissal_label(error: &PublishError) -> &'static str {
    match error {
        PublishError::Rejected(failure) if failure.code() == Code::Blocked => "blocked",
        PublishError::Rejected(failure) if failure.code() == Code::Disconnected => "disconnected",
        _ => "server",
    }
}

/// Value of the metrics' label `reason`.
pub fn metric_label(error: &RoutingError) -> &'static str {
    match error {
        RoutingError::NoCapacity => "capacity",
        RoutingError::NoServer => "no_server",
        RoutingError::OwnerUnreachable => "owner_unreachable",
        RoutingError::Registry(_) => "registry",
        RoutingError::Stopping => "stopping",
        RoutingError::Failure(failure) if failure.code() == Code::StreamInUse => "in_use",
        RoutingError::Failure(_) => "server",
    }
}
