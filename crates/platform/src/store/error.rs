//! Why a store did not do what it was asked to.

/// Each text says what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    #[error("there is no such object")]
    NotFound,
    /// It will say the same again until somebody changes something: credentials, a policy, a bucket.
    #[error("the store refuses: {0}")]
    Refused(String),
    /// It may work later: connections, timeouts, throttling, faults of the store, a full disk.
    #[error("the store is not available: {0}")]
    Unavailable(String),
}

impl StoreError {
    /// A word for metrics.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::NotFound => "not_found",
            Self::Refused(_) => "refused",
            Self::Unavailable(_) => "unavailable",
        }
    }
}
