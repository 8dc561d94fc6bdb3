//! Waiting for a condition, with a deadline.

use std::future::Future;
use std::time::Duration;

use anyhow::{Result, bail};
use tokio::time::Instant;

/// How often a condition is looked at that nobody announces.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);

/// Looks until `look` gives something; fails with `what` when `limit` has passed.
pub async fn until<T, F>(what: &str, limit: Duration, mut look: impl FnMut() -> F) -> Result<T>
where
    F: Future<Output = Option<T>>,
{
    let deadline = Instant::now() + limit;
    loop {
        if let Some(found) = look().await {
            return Ok(found);
        }
        if Instant::now() > deadline {
            bail!("waited {limit:?} in vain for {what}");
        }
        tokio::time::sleep(LOOK_INTERVAL).await;
    }
}
