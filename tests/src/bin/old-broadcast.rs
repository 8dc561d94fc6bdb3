//! Publishes a broadcast that is some minutes old, for the tests in a browser:
//! `old-broadcast REDIS STREAM FILE SECONDS`.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use headwater_registry::LEASE_TTL;
use headwater_tests::old;

#[tokio::main]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [redis, stream, file, seconds] = arguments.as_slice() else {
        anyhow::bail!("old-broadcast REDIS STREAM FILE SECONDS");
    };
    let registry = headwater_registry::open(Some(redis), "headwater", LEASE_TTL)?;
    let age = Duration::from_secs(seconds.parse().context("how many seconds old it is")?);
    old::publish(registry.as_ref(), stream, Path::new(file), age).await
}
