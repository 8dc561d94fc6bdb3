//! Metrics of the origin. No stream is ever a label.

use std::sync::RwLock;

use headwater_media::lock::RwLockExt;
use http::StatusCode;
use metrics::{Counter, Gauge, counter, gauge};

/// Handles that are used for every request; made once.
pub(crate) struct Metrics {
    pub(crate) mirrors: Gauge,
    pub(crate) viewers: Gauge,
    pub(crate) watches: Level,
    pub(crate) blocked: Level,
    pub(crate) connections: Level,
    pub(crate) playlist_renders: Counter,
    pub(crate) playlist_hits: Counter,
    /// By kind and status, each of which there are few.
    answers: RwLock<Vec<Answers>>,
}

/// Answers of one kind with one status. To find these by their labels costs more than to make a playlist's answer.
struct Answers {
    kind: &'static str,
    status: StatusCode,
    number: Counter,
    bytes: Counter,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        Self {
            mirrors: gauge!("headwater_origin_mirrors"),
            viewers: gauge!("headwater_origin_viewers"),
            watches: Level(gauge!("headwater_origin_upstream_watches")),
            blocked: Level(gauge!("headwater_origin_blocked_requests")),
            connections: Level(gauge!("headwater_origin_connections")),
            playlist_renders: counter!("headwater_origin_playlist_renders_total"),
            playlist_hits: counter!("headwater_origin_playlist_hits_total"),
            answers: RwLock::default(),
        }
    }

    /// Counts an answer; what is returned counts its bytes.
    pub(crate) fn answered(&self, kind: &'static str, status: StatusCode) -> Counter {
        let known = self.answers.read_ignoring_poison();
        if let Some(answers) = known.iter().find(|answers| answers.kind == kind && answers.status == status) {
            return answers.count();
        }
        drop(known);
        let answers = Answers::new(kind, status);
        let bytes = answers.count();
        // Somebody else may have done the same meanwhile; its handles lead to the same counters.
        self.answers.write_ignoring_poison().push(answers);
        bytes
    }
}

impl Answers {
    fn new(kind: &'static str, status: StatusCode) -> Self {
        let label = status.as_str().to_owned();
        let number = counter!("headwater_origin_requests_total", "kind" => kind, "status" => label);
        Self { kind, status, number, bytes: counter!("headwater_origin_sent_bytes_total", "kind" => kind) }
    }

    fn count(&self) -> Counter {
        self.number.increment(1);
        self.bytes.clone()
    }
}

/// How many of something there are right now.
pub(crate) struct Level(Gauge);

impl Level {
    /// Raises the level by one until the returned value is dropped.
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
