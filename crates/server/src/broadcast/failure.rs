//! Failures that a publisher is told by its broadcast.

use std::io;
use std::time::Duration;

use headwater_media::Epoch;

use crate::failure::{Code, Failure};

pub(super) fn server_draining() -> Failure {
    Failure::new(Code::Draining, "this server is stopping")
}

/// Under the epoch of a broadcast that is over nobody can publish any more.
pub(super) fn just_ended() -> Failure {
    Failure::new(Code::Fenced, "the broadcast has just ended: claim the stream anew")
}

pub(super) fn stream_in_use(message: &str) -> Failure {
    Failure::new(Code::StreamInUse, message)
}

pub(super) fn too_often(wait: Duration) -> Failure {
    metrics::counter!("headwater_server_publishers_too_often_total").increment(1);
    let seconds = wait.as_secs() + 1;
    Failure::new(
        Code::Overloaded,
        format!(
            "this stream was begun anew too often in a row: wait {seconds} s, and see why your encoder reconnects"
        ),
    )
}

pub(super) fn unknown_epoch(epoch: Epoch) -> Failure {
    Failure::new(
        Code::Fenced,
        format!("the registry does not have epoch {epoch} for this server: claim the stream anew"),
    )
}

pub(super) fn failed_too_often(failures: u32, cause: &Failure) -> Failure {
    let times = if failures == 1 { "once".into() } else { format!("{failures} times") };
    let message = format!("refused for a moment, as its transcoder failed {times}: {}", cause.message);
    Failure::new(Code::WorkerFailed, message)
}

/// Failure of a publisher that an operator dismisses; with a reason in the operator's words, which may be empty.
pub(crate) fn dismissed(reason: &str, is_blocked: bool) -> Failure {
    let (code, message) = if is_blocked {
        (Code::Blocked, "this live input is blocked")
    } else {
        (Code::Disconnected, "an operator has ended this publication")
    };
    let message = if reason.is_empty() { message.into() } else { format!("{message}: {reason}") };
    Failure::new(code, message)
}

pub(super) fn publisher_replaced() -> Failure {
    Failure::new(Code::StreamInUse, "another encoder has taken this stream over")
}

pub(super) fn unfinished_media(unmade: Duration) -> Failure {
    tracing::warn!(
        seconds = unmade.as_secs_f64(),
        "the worker makes nothing more of what the publisher has sent last: that is lost, unless its proxy sends it again"
    );
    metrics::counter!("headwater_server_cut_short_total").increment(1);
    worker_failed("it did not finish in time")
}

pub(super) fn stopped_by_itself() -> Failure {
    worker_failed("it stopped by itself")
}

/// Failure of a worker that could not be written to: the system's words are for the operator, not for a broadcaster.
pub(super) fn pipe_broke(error: &io::Error) -> Failure {
    tracing::error!(%error, "a worker's pipe broke");
    worker_failed("its pipe broke")
}

pub(super) fn worker_failed(how: &str) -> Failure {
    Failure::new(Code::WorkerFailed, format!("the transcoder failed: {how}"))
}

pub(super) fn ends_here() -> Failure {
    Failure::new(Code::CannotResume, "this server is stopping, and there is no other one: publish again")
}

pub(super) fn worker_overloaded() -> Failure {
    Failure::new(
        Code::Overloaded,
        "the transcoder can't keep up with this source: lower its frame rate or picture size",
    )
}
