//! How many there are who watch. Nobody is followed around, so it is an estimate: pairs of address and `User-Agent` that
//! asked for a media playlist of a stream lately. Several people behind one address with the same browser count as one,
//! and behind a CDN its nodes are counted.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::net::IpAddr;
use std::sync::Mutex;
use std::time::Duration;

use headwater_media::StreamId;
use headwater_media::lock::MutexExt;
use tokio::time::Instant;

/// Longer than any player waits between two playlists, so that nobody flickers.
const VIEWER_TIMEOUT: Duration = Duration::from_secs(15);
/// Beyond it nobody new is counted: 32 MB.
const MAX_VIEWERS: usize = 1_000_000;

#[derive(Default)]
pub(crate) struct Viewers {
    /// By a keyed hash of who it was: neither addresses nor names are kept.
    seen: Mutex<HashMap<u64, Instant>>,
    hasher: RandomState,
}

impl Viewers {
    pub(crate) fn saw(&self, stream: &StreamId, address: IpAddr, agent: &str) {
        let who = self.hasher.hash_one((stream, address, agent));
        let mut seen = self.seen.lock_ignoring_poison();
        if seen.len() < MAX_VIEWERS || seen.contains_key(&who) {
            seen.insert(who, Instant::now());
        }
    }

    /// Forgets who has gone, and counts the others.
    pub(crate) fn count(&self) -> usize {
        let mut seen = self.seen.lock_ignoring_poison();
        seen.retain(|_, last| last.elapsed() < VIEWER_TIMEOUT);
        seen.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_viewer_counts_once_until_it_has_gone() {
        let viewers = Viewers::default();
        let stream = "demo".parse().unwrap();
        let address = IpAddr::from([127, 0, 0, 1]);
        viewers.saw(&stream, address, "a");
        viewers.saw(&stream, address, "a");
        viewers.saw(&stream, address, "b");
        assert_eq!(viewers.count(), 2);
        tokio::time::advance(VIEWER_TIMEOUT / 2).await;
        viewers.saw(&stream, address, "b");
        tokio::time::advance(VIEWER_TIMEOUT / 2).await;
        assert_eq!(viewers.count(), 1);
    }
}
