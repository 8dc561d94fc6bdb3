//! The replay buffer of one publisher, with its size in the metrics.

use headwater_hls::ResumePoint;
use headwater_media::{MediaTime, ReplayBuffer, ReplayLimits, TimelineEvent};

pub struct Replay {
    buffer: ReplayBuffer,
    counted_bytes: usize,
    counted_lost: u64,
}

impl Replay {
    pub fn new(limits: ReplayLimits) -> Self {
        Self { buffer: ReplayBuffer::new(limits), counted_bytes: 0, counted_lost: 0 }
    }

    pub fn push(&mut self, event: &TimelineEvent) {
        self.buffer.push(event);
        self.count();
    }

    /// A server says that another one would go on here: what is not needed for that can go.
    pub fn commit(&mut self, point: &ResumePoint) {
        self.buffer.commit(point.period, point.start.map_or(MediaTime::ZERO, Into::into));
        self.count();
    }

    /// What a server that goes on at this point needs, in order.
    pub fn from(&self, point: &ResumePoint) -> Vec<TimelineEvent> {
        self.buffer.events(point.period).collect()
    }

    /// Tags that no server has finished and none can be given any more.
    pub fn lost(&self) -> u64 {
        self.buffer.lost()
    }

    fn count(&mut self) {
        let (bytes, lost) = (self.buffer.bytes(), self.buffer.lost());
        metrics::gauge!("headwater_proxy_replay_bytes").increment(bytes as f64 - self.counted_bytes as f64);
        metrics::counter!("headwater_proxy_replay_lost_tags_total").increment(lost - self.counted_lost);
        (self.counted_bytes, self.counted_lost) = (bytes, lost);
    }
}

impl Drop for Replay {
    fn drop(&mut self) {
        metrics::gauge!("headwater_proxy_replay_bytes").decrement(self.counted_bytes as f64);
    }
}
