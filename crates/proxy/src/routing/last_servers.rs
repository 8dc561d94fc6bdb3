//! Last server of each stream, for the time when the registry does not answer.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use headwater_media::lock::MutexExt;
use headwater_media::{Epoch, StreamId};
use headwater_registry::ServerId;
use tokio::time::Instant;

/// Streams that are remembered. A proxy has some hundreds of publishers; the rest are names that came and went.
const MAX_STREAMS: usize = 10_000;

/// Time after its publisher has left in which a broadcast may still be on air at a server that the registry does not
/// know. By default a broadcast ends after a minute (`server.reconnect_window`).
const RECENT_WINDOW: Duration = Duration::from_secs(300);

/// Last server of each stream that was published through this proxy, and when the publisher was there last.
#[derive(Default)]
pub struct LastServers(Mutex<HashMap<StreamId, (LastServer, Instant)>>);

/// Server that took a stream's publisher last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastServer {
    pub server: ServerId,
    pub address: String,
    /// Epoch of the publisher's turn.
    pub epoch: Epoch,
}

impl LastServers {
    /// Notes the server that took the stream's publisher.
    pub fn insert(&self, stream: &StreamId, last: LastServer) {
        let mut streams = self.streams();
        if streams.len() >= MAX_STREAMS && !streams.contains_key(stream) {
            // Any will do: a forgotten stream costs its publisher a retry, and only during an outage.
            let forgotten = streams.keys().next().cloned();
            forgotten.and_then(|stream| streams.remove(&stream));
        }
        streams.insert(stream.clone(), (last, Instant::now()));
    }

    /// Notes the epoch that the turn of the stream's publisher has by now.
    pub fn raise_epoch(&self, stream: &StreamId, epoch: Epoch) {
        if let Some((last, _)) = self.streams().get_mut(stream) {
            last.epoch = epoch;
        }
    }

    /// Notes that the publisher was there until now.
    pub fn record_departure(&self, stream: &StreamId) {
        if let Some((_, since)) = self.streams().get_mut(stream) {
            *since = Instant::now();
        }
    }

    /// Server that had the stream last.
    pub fn last_server(&self, stream: &StreamId) -> Option<LastServer> {
        self.streams().get(stream).map(|(last, _)| last.clone())
    }

    /// Server that had the stream last, if a broadcast may still be on air there.
    pub fn recent_server(&self, stream: &StreamId) -> Option<LastServer> {
        self.streams()
            .get(stream)
            .filter(|(_, since)| since.elapsed() < RECENT_WINDOW)
            .map(|(last, _)| last.clone())
    }

    fn streams(&self) -> MutexGuard<'_, HashMap<StreamId, (LastServer, Instant)>> {
        self.0.lock_ignoring_poison()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn last(epoch: u64) -> LastServer {
        LastServer { server: "s".parse().unwrap(), address: "s:7000".into(), epoch: Epoch(epoch) }
    }

    #[test]
    fn a_turn_may_get_its_epoch_late() {
        let last_servers = LastServers::default();
        let stream = "stream".parse().unwrap();
        last_servers.raise_epoch(&stream, Epoch(5));
        assert_eq!(last_servers.last_server(&stream), None);
        last_servers.insert(&stream, last(4));
        last_servers.raise_epoch(&stream, Epoch(5));
        assert_eq!(last_servers.last_server(&stream), Some(last(5)));
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_long_ago_is_not_lately() {
        let last_servers = LastServers::default();
        let stream = "stream".parse().unwrap();
        last_servers.record_departure(&stream);
        assert_eq!(last_servers.last_server(&stream), None);
        last_servers.insert(&stream, last(1));
        tokio::time::advance(2 * RECENT_WINDOW).await;
        assert_eq!(
            (last_servers.last_server(&stream), last_servers.recent_server(&stream)),
            (Some(last(1)), None)
        );
        last_servers.record_departure(&stream);
        assert_eq!(last_servers.recent_server(&stream), Some(last(1)));
        tokio::time::advance(RECENT_WINDOW).await;
        assert_eq!(last_servers.recent_server(&stream), None);
    }

    #[test]
    fn the_newest_is_recalled_and_the_number_is_bounded() {
        let last_servers = LastServers::default();
        let name = |n: usize| format!("stream-{n}").parse::<StreamId>().unwrap();
        for n in 0..MAX_STREAMS + 10 {
            last_servers.insert(&name(n), last(1));
        }
        last_servers.insert(&name(MAX_STREAMS + 9), last(2));
        assert_eq!(last_servers.last_server(&name(MAX_STREAMS + 9)), Some(last(2)));
        assert_eq!(last_servers.streams().len(), MAX_STREAMS);
    }
}
