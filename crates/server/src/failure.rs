//! Failure of a publisher's call, for its proxy and through that for the broadcaster.

/// Reason for which a publisher is refused or sent away.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    pub(crate) code: Code,
    /// Text for the broadcaster.
    pub(crate) message: String,
}

/// Kind of a failure, by which a proxy decides how to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Code {
    NoCapacity,
    StreamInUse,
    Fenced,
    UnsupportedMedia,
    WorkerFailed,
    Draining,
    Overloaded,
    Protocol,
    CannotResume,
    PeriodDiffers,
    Disconnected,
    Blocked,
}

impl Failure {
    pub(crate) fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }
}
