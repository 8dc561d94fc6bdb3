//! A server on a free port, publishers, watchers, and the worker.

mod publisher;
mod server;
pub mod stub;
mod watcher;

use std::time::Duration;

pub use publisher::{Call, Source, name};
pub use server::TestServer;
pub use watcher::{Watcher, payload};

/// A test that waits longer hangs.
pub const DEADLINE: Duration = Duration::from_secs(20);

/// Asks again until `found` finds something.
pub async fn eventually<T>(what: &str, mut found: impl AsyncFnMut() -> Option<T>) -> T {
    within(what, async {
        loop {
            if let Some(found) = found().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await
}

pub async fn within<F: Future>(what: &str, future: F) -> F::Output {
    tokio::time::timeout(DEADLINE, future).await.unwrap_or_else(|_| panic!("never: {what}"))
}
