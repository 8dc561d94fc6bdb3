//! What this service counts. No stream is ever a label.

use http::StatusCode;
use metrics::{Counter, Gauge, Unit, counter, describe_counter, describe_gauge, gauge};

/// Handles that are used for every request; made once.
pub(crate) struct Metrics {
    pub(crate) mirrors: Gauge,
    pub(crate) viewers: Gauge,
    pub(crate) watches: Level,
    pub(crate) blocked: Level,
    pub(crate) connections: Level,
    pub(crate) playlist_renders: Counter,
    pub(crate) playlist_hits: Counter,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        describe();
        Self {
            mirrors: gauge!("headwater_origin_mirrors"),
            viewers: gauge!("headwater_origin_viewers"),
            watches: Level(gauge!("headwater_origin_upstream_watches")),
            blocked: Level(gauge!("headwater_origin_blocked_requests")),
            connections: Level(gauge!("headwater_origin_connections")),
            playlist_renders: counter!("headwater_origin_playlist_renders_total"),
            playlist_hits: counter!("headwater_origin_playlist_hits_total"),
        }
    }

    /// Counts an answer; what is returned counts its bytes.
    pub(crate) fn answered(&self, kind: &'static str, status: StatusCode) -> Counter {
        let status = status.as_str().to_owned();
        counter!("headwater_origin_requests_total", "kind" => kind, "status" => status).increment(1);
        counter!("headwater_origin_sent_bytes_total", "kind" => kind)
    }
}

fn describe() {
    describe_counter!("headwater_origin_requests_total", "Answers, by what was asked for and their status.");
    describe_counter!(
        "headwater_origin_sent_bytes_total",
        Unit::Bytes,
        "Bytes of bodies handed to connections."
    );
    describe_counter!("headwater_origin_playlist_renders_total", "Playlists that were rendered.");
    describe_counter!(
        "headwater_origin_playlist_hits_total",
        "Playlists that were answered as rendered before."
    );
    describe_gauge!("headwater_origin_mirrors", "Streams that are followed, those not on air included.");
    describe_gauge!(
        "headwater_origin_viewers",
        "Pairs of address and User-Agent that asked for a stream's media playlist in the last 15 s. Behind a CDN these are its nodes."
    );
    describe_gauge!(
        "headwater_origin_upstream_watches",
        "Watch calls that are open; one for each stream on air here."
    );
    describe_gauge!("headwater_origin_blocked_requests", "Requests that wait for something to be made.");
    describe_gauge!("headwater_origin_connections", "Connections of viewers.");
}

/// How many of something there are right now.
pub(crate) struct Level(Gauge);

impl Level {
    /// One more, until what is returned is dropped.
    pub(crate) fn enter(&self) -> Present {
        self.0.increment(1.0);
        Present(self.0.clone())
    }
}

pub(crate) struct Present(Gauge);

impl Drop for Present {
    fn drop(&mut self) {
        self.0.decrement(1.0);
    }
}
