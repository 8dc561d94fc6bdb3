//! Metrics of the services: how much proxies keep for each publisher, and what they could not keep.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use headwater_media::lock::MutexExt;
use metrics::{
    Counter, CounterFn, Gauge, GaugeFn, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit,
};

static MOST_KEPT: AtomicU64 = AtomicU64::new(0);
static LOST_TAGS: AtomicU64 = AtomicU64::new(0);

/// Bytes that were kept for one publisher at most.
pub fn most_kept() -> u64 {
    MOST_KEPT.load(Ordering::Relaxed)
}

/// Tags that proxies say they could not keep.
pub fn lost_tags() -> u64 {
    LOST_TAGS.load(Ordering::Relaxed)
}

/// To be called once in the process.
pub fn record() {
    metrics::set_global_recorder(Replays).expect("nobody else records");
}

struct Replays;

/// Every publisher's buffer looks its gauge up for itself.
#[derive(Default)]
struct Kept(Mutex<f64>);

struct Lost;

impl Recorder for Replays {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        match key.name() {
            "headwater_proxy_replay_lost_tags_total" => Counter::from_arc(Arc::new(Lost)),
            _ => Counter::noop(),
        }
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        match key.name() {
            "headwater_proxy_replay_bytes" => Gauge::from_arc(Arc::<Kept>::default()),
            _ => Gauge::noop(),
        }
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::noop()
    }
}

impl CounterFn for Lost {
    fn increment(&self, value: u64) {
        LOST_TAGS.fetch_add(value, Ordering::Relaxed);
    }

    fn absolute(&self, _: u64) {}
}

impl GaugeFn for Kept {
    fn increment(&self, value: f64) {
        let mut kept = self.0.lock_ignoring_poison();
        *kept += value;
        MOST_KEPT.fetch_max(*kept as u64, Ordering::Relaxed);
    }

    fn decrement(&self, value: f64) {
        self.increment(-value);
    }

    fn set(&self, _: f64) {}
}
