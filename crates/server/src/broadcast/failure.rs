//! Failures that a publisher is told by its broadcast.

use headwater_wire::v2::{Failure, failure::Code};

use crate::failure;

pub(super) fn draining() -> Failure {
    failure(Code::Draining, "this server is stopping")
}

/// Under the epoch of a broadcast that is over nobody can publish any more.
pub(super) fn just_ended() -> Failure {
    failure(Code::Fenced, "the broadcast has just ended: claim the stream anew")
}
