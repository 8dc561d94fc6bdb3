//! Last server of each stream, for the time when the registry does not answer.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use headwater_media::broadcast::Policy;
use headwater_media::lock::MutexExt;
use headwater_media::{Epoch, StreamId};
use headwater_registry::ServerId;
use tokio::time::Instant;

/// Streams that are remembered. A proxy has some hundreds of publishers; the rest are names that came and went.
const MAX_STREAMS: usize = 10_000;

/// Least time after its publisher has left in which a broadcast may still be on air at a server that the registry does not
/// know; longer where the broadcast's policy lets its publisher be away for longer.
const MIN_RECENT_TIME: Duration = Duration::from_secs(300);

/// Last server of each stream that was published through this proxy, and when the publisher was there last.
#[derive(Default)]
pub struct LastServers(Mutex<HashMap<StreamId, Entry>>);

/// Server that took a stream's publisher last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastServer {
    pub server: ServerId,
    pub address: String,
    /// Epoch of the publisher's turn.
    pub epoch: Epoch,
}

/// Publisher that a server has taken.
#[derive(Clone, Copy, Debug)]
pub struct TakenPublisher<'a> {
    /// Id of its connection.
    pub id: &'a str,
    /// Policy of its broadcast; none where its server does not tell.
    pub policy: Option<&'a Policy>,
}

struct Entry {
    last: LastServer,
    /// Id of the publisher's connection.
    publisher: String,
    /// Time after the publisher's departure in which the broadcast may still be on air.
    recent_time: Duration,
    /// Time of the publisher's departure; none while it is there.
    departed: Option<Instant>,
}

impl Entry {
    fn time_away(&self) -> Duration {
        self.departed.map_or(Duration::ZERO, |departed| departed.elapsed())
    }
}

impl LastServers {
    /// Notes the server that took the stream's publisher.
    pub fn insert(&self, stream: &StreamId, last: LastServer, publisher: TakenPublisher<'_>) {
        let mut streams = self.streams();
        if streams.len() >= MAX_STREAMS && !streams.contains_key(stream) {
            let longest_away = streams.iter().max_by_key(|(_, entry)| entry.time_away());
            let forgotten = longest_away.map(|(stream, _)| stream.clone());
            forgotten.and_then(|stream| streams.remove(&stream));
        }
        let reconnect_window = publisher.policy.map_or(Duration::ZERO, |policy| policy.reconnect_window);
        let recent_time = reconnect_window.max(MIN_RECENT_TIME);
        let publisher = publisher.id.to_owned();
        streams.insert(stream.clone(), Entry { last, publisher, recent_time, departed: None });
    }

    /// Notes the epoch that the turn of the stream's publisher has by now.
    pub fn raise_epoch(&self, stream: &StreamId, epoch: Epoch) {
        if let Some(entry) = self.streams().get_mut(stream) {
            entry.last.epoch = epoch;
        }
    }

    /// Notes that this publisher has left. One that another publisher has replaced says nothing about that one.
    pub fn record_departure(&self, stream: &StreamId, publisher: &str) {
        if let Some(entry) = self.streams().get_mut(stream)
            && entry.publisher == publisher
        {
            entry.departed = Some(Instant::now());
        }
    }

    /// Server that had the stream last.
    pub fn last_server(&self, stream: &StreamId) -> Option<LastServer> {
        self.streams().get(stream).map(|entry| entry.last.clone())
    }

    /// Server that had the stream last, if a broadcast may still be on air there.
    pub fn recent_server(&self, stream: &StreamId) -> Option<LastServer> {
        let streams = self.streams();
        let entry = streams.get(stream).filter(|entry| entry.time_away() < entry.recent_time)?;
        Some(entry.last.clone())
    }

    fn streams(&self) -> MutexGuard<'_, HashMap<StreamId, Entry>> {
        self.0.lock_ignoring_poison()
    }
}

#[cfg(test)]
mod tests {
    use headwater_media::Ladder;

    use super::*;

    const ENCODER: TakenPublisher<'_> = TakenPublisher { id: "encoder", policy: None };

    fn last(epoch: u64) -> LastServer {
        LastServer { server: "s".parse().unwrap(), address: "s:7000".into(), epoch: Epoch(epoch) }
    }

    #[test]
    fn a_turn_may_get_its_epoch_late() {
        let last_servers = LastServers::default();
        let stream = "stream".parse().unwrap();
        last_servers.raise_epoch(&stream, Epoch(5));
        assert_eq!(last_servers.last_server(&stream), None);
        last_servers.insert(&stream, last(4), ENCODER);
        last_servers.raise_epoch(&stream, Epoch(5));
        assert_eq!(last_servers.last_server(&stream), Some(last(5)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_broadcast_is_recent_until_its_publisher_has_been_away_for_long() {
        let last_servers = LastServers::default();
        let stream = "stream".parse().unwrap();
        last_servers.record_departure(&stream, "encoder");
        assert_eq!(last_servers.last_server(&stream), None);
        last_servers.insert(&stream, last(1), ENCODER);
        tokio::time::advance(2 * MIN_RECENT_TIME).await;
        assert_eq!(last_servers.recent_server(&stream), Some(last(1)), "its publisher is still there");
        last_servers.record_departure(&stream, "an encoder that it has replaced");
        tokio::time::advance(2 * MIN_RECENT_TIME).await;
        assert_eq!(last_servers.recent_server(&stream), Some(last(1)), "its publisher is still there");
        last_servers.record_departure(&stream, "encoder");
        assert_eq!(last_servers.recent_server(&stream), Some(last(1)));
        tokio::time::advance(MIN_RECENT_TIME).await;
        let both = (last_servers.last_server(&stream), last_servers.recent_server(&stream));
        assert_eq!(both, (Some(last(1)), None));
    }

    #[tokio::test(start_paused = true)]
    async fn a_long_reconnect_window_keeps_a_broadcast_recent() {
        let last_servers = LastServers::default();
        let stream = "stream".parse().unwrap();
        let policy = Policy {
            ladder: Ladder::default(),
            recording: None,
            dvr_window: Duration::ZERO,
            reconnect_window: 4 * MIN_RECENT_TIME,
            retention: None,
        };
        last_servers.insert(&stream, last(1), TakenPublisher { policy: Some(&policy), ..ENCODER });
        last_servers.record_departure(&stream, "encoder");
        tokio::time::advance(3 * MIN_RECENT_TIME).await;
        assert_eq!(last_servers.recent_server(&stream), Some(last(1)));
        tokio::time::advance(MIN_RECENT_TIME).await;
        assert_eq!(last_servers.recent_server(&stream), None);
    }

    #[tokio::test(start_paused = true)]
    async fn the_stream_whose_publisher_is_away_the_longest_is_forgotten() {
        let last_servers = LastServers::default();
        let name = |n: usize| format!("stream-{n}").parse::<StreamId>().unwrap();
        for n in 0..MAX_STREAMS {
            last_servers.insert(&name(n), last(1), ENCODER);
        }
        for n in [77, 5] {
            last_servers.record_departure(&name(n), "encoder");
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        last_servers.insert(&name(MAX_STREAMS), last(1), ENCODER);
        last_servers.insert(&name(MAX_STREAMS), last(2), ENCODER);
        assert_eq!(last_servers.last_server(&name(MAX_STREAMS)), Some(last(2)));
        assert_eq!(last_servers.streams().len(), MAX_STREAMS);
        let forgotten = (0..MAX_STREAMS).filter(|n| last_servers.last_server(&name(*n)).is_none());
        assert_eq!(forgotten.collect::<Vec<_>>(), [77]);
    }
}
