//! What a broadcaster is told when something does not work: failures become RTMP status codes here, and nowhere else.

use headwater_media::MediaError;
use headwater_rtmp::{Rejection, RtmpError, StatusCode};
use headwater_wire::v1::{Failure, failure::Code};

use crate::inputs::KeyError;
use crate::routing::Refusal;
use crate::uplink::UplinkError;

pub fn key(error: &KeyError) -> Rejection {
    Rejection::new(StatusCode::BadName, error.to_string())
}

pub fn deadline() -> Rejection {
    Rejection::new(StatusCode::Denied, "the encoder took too long to start publishing")
}

/// No server takes the publisher.
pub fn refused(refusal: &Refusal) -> Rejection {
    match refusal {
        Refusal::Failure(failure) => Rejection::new(code(failure), failure.message.clone()),
        Refusal::NoCapacity | Refusal::NoServer | Refusal::OwnerUnreachable => {
            Rejection::new(StatusCode::Denied, refusal.to_string())
        }
        // What is behind it concerns the operator.
        Refusal::Registry(_) => {
            Rejection::new(StatusCode::Denied, "no server can be looked up just now: try again in a moment")
        }
        Refusal::Stopping => stopping(),
    }
}

/// The reason's name in metrics.
pub fn label(refusal: &Refusal) -> &'static str {
    match refusal {
        Refusal::NoCapacity => "capacity",
        Refusal::NoServer => "no_server",
        Refusal::OwnerUnreachable => "owner_unreachable",
        Refusal::Registry(_) => "registry",
        Refusal::Stopping => "stopping",
        Refusal::Failure(failure) if failure.code() == Code::StreamInUse => "in_use",
        Refusal::Failure(_) => "server",
    }
}

/// What the publisher sends can't be used.
pub fn media(error: &MediaError) -> Rejection {
    Rejection::new(StatusCode::Denied, error.to_string())
}

/// The encoder broke the protocol. A message that is too long comes again with the next keyframe, so trying again is of no
/// use; anything else may have been the network's.
pub fn protocol(error: &RtmpError) -> Rejection {
    match error {
        RtmpError::MessageTooLong { .. } | RtmpError::ReassemblyFull { .. } => Rejection::new(
            StatusCode::Denied,
            format!("{error}: lower the bit rate or the picture size in your encoder's settings"),
        ),
        _ => Rejection::new(StatusCode::Failed, format!("the encoder broke the RTMP protocol: {error}")),
    }
}

/// The server has ended the call.
pub fn call_over(error: &UplinkError) -> Rejection {
    match error {
        UplinkError::Rejected(failure) => Rejection::new(code(failure), failure.message.clone()),
        _ => Rejection::new(StatusCode::Failed, "the transcode server is gone: reconnect"),
    }
}

pub fn stalled() -> Rejection {
    Rejection::new(
        StatusCode::Failed,
        "the transcode server can't keep up: lower the bit rate or the picture size",
    )
}

pub fn idle() -> Rejection {
    Rejection::new(StatusCode::Failed, "nothing was received for too long")
}

pub fn stopping() -> Rejection {
    Rejection::new(StatusCode::Failed, "this server is being restarted: reconnect")
}

fn code(failure: &Failure) -> StatusCode {
    match failure.code() {
        Code::StreamInUse => StatusCode::BadName,
        Code::UnsupportedMedia | Code::NoCapacity => StatusCode::Denied,
        _ => StatusCode::Failed,
    }
}
