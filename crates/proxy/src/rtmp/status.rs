//! Codes of RTMP's `onStatus` for each kind of refusal.

use headwater_rtmp::{Rejection, RtmpError, StatusCode};

use crate::refusal::{Refusal, RefusalKind};
use crate::source::SourceError;

/// Rejection that tells an encoder this refusal.
pub fn rejection_of(refusal: &Refusal) -> Rejection {
    Rejection::new(status_code(refusal.kind), refusal.text.clone())
}

/// Code of a kind of refusal. Encoders stop at `BadName`. After the others OBS tries again if it has been on air.
fn status_code(kind: RefusalKind) -> StatusCode {
    match kind {
        RefusalKind::Key | RefusalKind::InUse => StatusCode::BadName,
        RefusalKind::Media | RefusalKind::Unavailable | RefusalKind::Deadline => StatusCode::Denied,
        RefusalKind::Protocol
        | RefusalKind::Server
        | RefusalKind::Disconnected
        | RefusalKind::Idle
        | RefusalKind::Stopping => StatusCode::Failed,
    }
}

impl From<RtmpError> for SourceError {
    fn from(error: RtmpError) -> Self {
        Self::Protocol { refusal: refusal_of(&error), error: error.into() }
    }
}

/// Refusal of an encoder that broke the protocol. A message that is too long comes again with the next keyframe, so
/// trying again is of no use; anything else may have been the network's.
fn refusal_of(error: &RtmpError) -> Refusal {
    match error {
        RtmpError::MessageTooLong { .. } | RtmpError::ReassemblyFull { .. } => Refusal::new(
            RefusalKind::Media,
            format!("{error}: lower the bit rate or the picture size in your encoder's settings"),
        ),
        _ => Refusal::new(RefusalKind::Protocol, format!("the encoder broke the RTMP protocol: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_key_and_its_use_are_a_bad_name() {
        assert_eq!([RefusalKind::Key, RefusalKind::InUse].map(status_code), [StatusCode::BadName; 2]);
        let later = [RefusalKind::Media, RefusalKind::Unavailable, RefusalKind::Deadline];
        assert_eq!(later.map(status_code), [StatusCode::Denied; 3]);
        let ended = [RefusalKind::Protocol, RefusalKind::Server, RefusalKind::Idle, RefusalKind::Stopping];
        assert_eq!(ended.map(status_code), [StatusCode::Failed; 4]);
    }

    #[test]
    fn a_message_that_would_come_again_is_denied_and_other_faults_are_failures() {
        let too_long = RtmpError::MessageTooLong { length: 9 << 20, limit: 8 << 20 };
        assert_eq!(rejection_of(&refusal_of(&too_long)).code, StatusCode::Denied);
        assert_eq!(rejection_of(&refusal_of(&RtmpError::ChunkSize)).code, StatusCode::Failed);
    }
}
