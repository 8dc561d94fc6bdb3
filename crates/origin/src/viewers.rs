//! Sessions of viewers, by stream. Nobody is followed around, so they are an estimate: pairs of address and `User-Agent` that
//! asked for a media playlist of a stream lately. Several people behind one address with the same browser count as one,
//! and behind a CDN its nodes are counted.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use headwater_media::StreamId;
use headwater_media::lock::MutexExt;
use headwater_registry::{MAX_REPORTED_STREAMS, OriginId, Registry, VIEWER_REPORT_INTERVAL, ViewerReport};
use tokio::time::{Instant, MissedTickBehavior, interval};
use tracing::debug;

/// Longer than any player waits between two playlists, so that nobody flickers.
const VIEWER_TIMEOUT: Duration = Duration::from_secs(15);
/// Sessions that are counted at most: 32 MB.
const MAX_VIEWERS: usize = 1_000_000;

/// Sessions of viewers at this origin.
#[derive(Default)]
pub(crate) struct Viewers {
    sessions: Mutex<Sessions>,
    hasher: RandomState,
}

#[derive(Default)]
struct Sessions {
    /// Time of each session's last playlist, by a keyed hash of address and agent: neither is kept.
    of_streams: HashMap<StreamId, HashMap<u64, Instant>>,
    /// Sessions of all streams.
    count: usize,
}

impl Viewers {
    /// Notes that somebody has asked for a media playlist of a stream.
    pub(crate) fn saw(&self, stream: &StreamId, address: IpAddr, agent: &str) {
        let session = self.hasher.hash_one((address, agent));
        self.lock_sessions().note(stream, session);
    }

    /// Forgets the sessions that have ended, and counts the others.
    pub(crate) fn count(&self) -> usize {
        let mut sessions = self.lock_sessions();
        sessions.forget_ended();
        sessions.count
    }

    /// Sessions of each stream; of the streams with most where there are too many.
    pub(crate) fn report(&self, origin: OriginId) -> ViewerReport {
        let mut sessions = self.lock_sessions();
        sessions.forget_ended();
        let count = |(stream, seen): (&StreamId, &HashMap<_, _>)| (stream.clone(), seen.len() as u32);
        let mut streams: Vec<_> = sessions.of_streams.iter().map(count).collect();
        let is_cut = streams.len() > MAX_REPORTED_STREAMS || sessions.count >= MAX_VIEWERS;
        streams.sort_by(|(stream, viewers), (other, others)| {
            others.cmp(viewers).then_with(|| stream.as_str().cmp(other.as_str()))
        });
        streams.truncate(MAX_REPORTED_STREAMS);
        ViewerReport { origin, streams, is_cut }
    }

    fn lock_sessions(&self) -> MutexGuard<'_, Sessions> {
        self.sessions.lock_ignoring_poison()
    }
}

impl Sessions {
    fn note(&mut self, stream: &StreamId, session: u64) {
        let is_full = self.count >= MAX_VIEWERS;
        let Some(seen) = self.of_streams.get_mut(stream) else {
            if !is_full {
                self.of_streams.insert(stream.clone(), HashMap::from([(session, Instant::now())]));
                self.count += 1;
            }
            return;
        };
        if let Some(last) = seen.get_mut(&session) {
            *last = Instant::now();
        } else if !is_full {
            seen.insert(session, Instant::now());
            self.count += 1;
        }
    }

    fn forget_ended(&mut self) {
        self.of_streams.retain(|_, seen| {
            seen.retain(|_, last| last.elapsed() < VIEWER_TIMEOUT);
            !seen.is_empty()
        });
        self.count = self.of_streams.values().map(HashMap::len).sum();
    }
}

/// Tells the registry of the sessions at this origin again and again, until it is dropped.
pub(crate) async fn report_viewers(
    origin: OriginId,
    registry: Arc<dyn Registry>,
    report: impl Fn(OriginId) -> ViewerReport,
) {
    let mut due = interval(VIEWER_REPORT_INTERVAL);
    due.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        due.tick().await;
        // That the registry is away is in the log already.
        if let Err(error) = registry.report_viewers(&report(origin)).await {
            debug!(%error, "the registry is not told of viewers");
        }
    }
}

#[cfg(test)]
mod tests {
    use headwater_registry::{MemoryRegistry, Ttls};

    use super::*;

    const ADDRESS: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    fn stream(name: &str) -> StreamId {
        name.parse().unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_viewer_counts_once_until_it_has_gone() {
        let viewers = Viewers::default();
        viewers.saw(&stream("demo"), ADDRESS, "a");
        viewers.saw(&stream("demo"), ADDRESS, "a");
        viewers.saw(&stream("demo"), ADDRESS, "b");
        assert_eq!(viewers.count(), 2);
        tokio::time::advance(VIEWER_TIMEOUT / 2).await;
        viewers.saw(&stream("demo"), ADDRESS, "b");
        tokio::time::advance(VIEWER_TIMEOUT / 2).await;
        assert_eq!(viewers.count(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn sessions_are_reported_by_stream_until_they_have_ended() {
        let registry = Arc::new(MemoryRegistry::new(Ttls::default()));
        let viewers = Arc::new(Viewers::default());
        for (name, agent) in [("a", "one"), ("a", "two"), ("b", "one")] {
            viewers.saw(&stream(name), ADDRESS, agent);
        }
        let reporting = viewers.clone();
        let reported = report_viewers(OriginId(7), registry.clone(), move |origin| reporting.report(origin));
        let _reporting = tokio_util::task::AbortOnDropHandle::new(tokio::spawn(reported));
        tokio::task::yield_now().await;
        let streams = ["a", "b", "c"].map(stream);
        assert_eq!(registry.viewers(&streams).await.unwrap(), [Some(2), Some(1), Some(0)]);
        for _ in 0..2 {
            tokio::time::sleep(VIEWER_REPORT_INTERVAL).await;
            viewers.saw(&stream("b"), ADDRESS, "one");
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
        assert_eq!(registry.viewers(&streams).await.unwrap(), [Some(0), Some(1), Some(0)]);
    }
}
