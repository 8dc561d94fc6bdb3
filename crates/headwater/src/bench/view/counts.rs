//! Counters of all viewers.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use headwater_media::lock::MutexExt;
use http::StatusCode;
use serde::Serialize;

use crate::bench::cpu;
use crate::bench::run::Counts;
use crate::bench::spread::{Quantiles, Spread};

/// Outcomes that are told apart; the rest counts as one.
const MAX_OUTCOMES: usize = 50;

/// Kind of a requested object.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    Multivariant,
    Playlist,
    Init,
    Part,
    Segment,
}

impl Kind {
    fn metric_name(self) -> &'static str {
        match self {
            Self::Multivariant => "multivariant",
            Self::Playlist => "playlist",
            Self::Init => "init",
            Self::Part => "part",
            Self::Segment => "segment",
        }
    }
}

/// Counters of all viewers, shared by them.
#[derive(Clone)]
pub struct ViewCounts(Arc<Inner>);

struct Inner {
    viewers: u32,
    began: AtomicU64,
    watching: AtomicU64,
    bytes: AtomicU64,
    late: AtomicU64,
    wrong_sequences: AtomicU64,
    /// By the kind of request and what came of it.
    requests: Mutex<BTreeMap<(&'static str, String), u64>>,
    latency: Spread,
    stalls: Spread,
    stall_count: AtomicU64,
    faults: AtomicU64,
}

/// Results of a run with viewers.
#[derive(Serialize)]
pub struct Summary {
    pub viewers: u32,
    pub seconds: f64,
    /// Viewers that have found something to play.
    pub began: u64,
    /// How many requests of each kind had which status, or failed in which way.
    pub requests: BTreeMap<&'static str, BTreeMap<String, u64>>,
    /// Requests without success, or a playlist that can't be followed. Not those that say that there is nothing to play
    /// yet, to a viewer who has not begun.
    pub faults: u64,
    /// Bodies only.
    pub bytes: u64,
    pub stalls: u64,
    pub stall_ms: Quantiles,
    pub late_parts: u64,
    pub wrong_sequences: u64,
    /// From a part's end by `EXT-X-PROGRAM-DATE-TIME` to when it was there: encoder and network of the publisher included.
    pub latency_ms: Quantiles,
    /// CPU time of this tool, in seconds.
    pub cpu_seconds: Option<f64>,
}

/// A viewer that has begun, until it is dropped.
pub struct Watching(Arc<Inner>);

impl Drop for Watching {
    fn drop(&mut self) {
        self.0.watching.fetch_sub(1, Relaxed);
    }
}

impl ViewCounts {
    /// Counters for this number of viewers.
    pub fn new(viewers: u32) -> Self {
        Self(Arc::new(Inner {
            viewers,
            began: AtomicU64::new(0),
            watching: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            late: AtomicU64::new(0),
            wrong_sequences: AtomicU64::new(0),
            requests: Mutex::default(),
            latency: Spread::default(),
            stalls: Spread::default(),
            stall_count: AtomicU64::new(0),
            faults: AtomicU64::new(0),
        }))
    }

    /// Counts a viewer that begins to play; it watches until the result is dropped.
    pub fn count_viewer(&self) -> Watching {
        self.0.began.fetch_add(1, Relaxed);
        self.0.watching.fetch_add(1, Relaxed);
        Watching(self.0.clone())
    }

    /// Counts an answer by kind and status, and its bytes.
    pub fn count_answer(&self, kind: Kind, status: StatusCode, bytes: u64) {
        self.0.bytes.fetch_add(bytes, Relaxed);
        self.count_outcome(kind, status.as_str());
    }

    /// Counts a request without an answer as a fault, by kind and reason.
    pub fn count_failure(&self, kind: Kind, why: &str) {
        self.count_outcome(kind, why);
        self.count_fault();
    }

    /// Counts a fault.
    pub fn count_fault(&self) {
        self.0.faults.fetch_add(1, Relaxed);
    }

    /// Counts a stall of this duration.
    pub fn count_stall(&self, stalled: Duration) {
        self.0.stall_count.fetch_add(1, Relaxed);
        self.0.stalls.count_duration(stalled);
    }

    /// Counts the latency of a part.
    pub fn count_latency(&self, latency: Duration) {
        self.0.latency.count_duration(latency);
    }

    /// Counts a part that came too late.
    pub fn count_late(&self) {
        self.0.late.fetch_add(1, Relaxed);
    }

    /// Counts a media sequence number that does not follow on the one before.
    pub fn wrong_sequence(&self) {
        self.0.wrong_sequences.fetch_add(1, Relaxed);
    }

    fn count_outcome(&self, kind: Kind, outcome: &str) {
        let mut requests = self.0.requests.lock_ignoring_poison();
        let full = requests.len() >= MAX_OUTCOMES;
        let key = (kind.metric_name(), outcome.to_owned());
        let key =
            if full && !requests.contains_key(&key) { (kind.metric_name(), "other".into()) } else { key };
        *requests.entry(key).or_default() += 1;
    }

    fn count_requests(&self) -> BTreeMap<&'static str, BTreeMap<String, u64>> {
        let mut all: BTreeMap<_, BTreeMap<_, _>> = BTreeMap::new();
        for ((kind, outcome), count) in &*self.0.requests.lock_ignoring_poison() {
            all.entry(*kind).or_default().insert(outcome.clone(), *count);
        }
        all
    }
}

impl Counts for ViewCounts {
    type Summary = Summary;

    fn progress_line(&self, passed: Duration) -> String {
        let Summary { viewers, faults, stalls, latency_ms, bytes, .. } = self.make_summary(passed);
        format!(
            "{:4.0} s  {} of {viewers} watching  {faults} faults  {stalls} stalls  {:.1} Mb/s  latency p50 {:.0} ms, p99 {:.0} ms",
            passed.as_secs_f64(),
            self.0.watching.load(Relaxed),
            bytes as f64 * 8.0 / 1e6 / passed.as_secs_f64().max(0.001),
            latency_ms.p50,
            latency_ms.p99,
        )
    }

    fn make_summary(&self, passed: Duration) -> Summary {
        let inner = &*self.0;
        Summary {
            viewers: inner.viewers,
            seconds: passed.as_secs_f64(),
            began: inner.began.load(Relaxed),
            requests: self.count_requests(),
            faults: inner.faults.load(Relaxed),
            bytes: inner.bytes.load(Relaxed),
            stalls: inner.stall_count.load(Relaxed),
            stall_ms: inner.stalls.read_quantiles(),
            late_parts: inner.late.load(Relaxed),
            wrong_sequences: inner.wrong_sequences.load(Relaxed),
            latency_ms: inner.latency.read_quantiles(),
            cpu_seconds: cpu::used_seconds(),
        }
    }

    fn describe_summary(summary: &Summary) -> String {
        let Summary { viewers, seconds, began, bytes, stalls, late_parts, wrong_sequences, .. } = summary;
        let mut text = format!("watching    {began} of {viewers} viewers, in {seconds:.1} s\n");
        for (kind, outcomes) in &summary.requests {
            let outcomes: Vec<_> = outcomes.iter().map(|(outcome, n)| format!("{n} × {outcome}")).collect();
            let _ = writeln!(text, "{kind:<12}  {}", outcomes.join(", "));
        }
        let megabits = *bytes as f64 * 8.0 / 1e6 / seconds.max(0.001);
        let _ = writeln!(text, "received    {:.1} MB, {megabits:.1} Mb/s", *bytes as f64 / 1e6);
        let Quantiles { p50, p95, p99, max } = summary.stall_ms;
        let _ = writeln!(
            text,
            "stalls      {stalls}: p50 {p50:.0} ms, p95 {p95:.0} ms, p99 {p99:.0} ms, max {max:.0} ms"
        );
        let _ = writeln!(text, "late parts  {late_parts}\nwrong numbers {wrong_sequences}");
        let Quantiles { p50, p95, p99, max } = summary.latency_ms;
        let _ =
            write!(text, "latency     p50 {p50:.0} ms, p95 {p95:.0} ms, p99 {p99:.0} ms, max {max:.0} ms");
        if let Some(cpu) = summary.cpu_seconds {
            let _ = write!(text, "\nown CPU     {cpu:.2} s");
        }
        text
    }

    fn is_good(summary: &Summary) -> bool {
        let all = summary.began == u64::from(summary.viewers);
        all && summary.faults == 0 && summary.stalls == 0 && summary.wrong_sequences == 0
    }
}
