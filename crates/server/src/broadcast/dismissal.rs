//! Dismissal of a publisher by an operator: told to its proxy, and confirmed when that has ended the call.

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::failure::Failure;

/// Dismissal that may come to one publisher.
#[derive(Debug, Default)]
pub struct Dismissal {
    failure: watch::Sender<Option<Failure>>,
    confirmed: CancellationToken,
}

impl Dismissal {
    /// Dismisses the publisher for this reason; the first reason stays. The token is cancelled when its proxy has ended the
    /// call.
    pub(super) fn dismiss(&self, failure: Failure) -> CancellationToken {
        self.failure.send_if_modified(|told| {
            let is_first = told.is_none();
            told.get_or_insert(failure);
            is_first
        });
        self.confirmed.clone()
    }

    /// Reason of the dismissal, if there is one by now.
    pub(super) fn reason(&self) -> Option<Failure> {
        self.failure.borrow().clone()
    }

    /// Waits until the publisher is dismissed.
    pub(super) async fn wait_for_reason(&self) -> Failure {
        let mut told = self.failure.subscribe();
        let told = told.wait_for(Option::is_some).await.ok().and_then(|told| told.clone());
        match told {
            Some(failure) => failure,
            None => std::future::pending().await,
        }
    }

    /// Notes that the proxy has ended the call.
    pub(super) fn confirm(&self) {
        self.confirmed.cancel();
    }
}
