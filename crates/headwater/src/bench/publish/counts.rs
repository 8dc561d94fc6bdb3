//! Counters of all publishers.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use headwater_media::lock::MutexExt;
use serde::Serialize;

use crate::bench::cpu;
use crate::bench::run::Counts;
use crate::bench::spread::{Quantiles, Spread};

/// Reasons that are told apart; servers could name any number. The rest counts as one.
const MAX_REASONS: usize = 20;

/// Counters of all publishers, shared by them.
#[derive(Clone)]
pub struct PublishCounts(Arc<Inner>);

struct Inner {
    publishers: u32,
    accepted: AtomicU64,
    on_air: AtomicU64,
    reconnects: AtomicU64,
    tags: AtomicU64,
    media_bytes: AtomicU64,
    bytes: AtomicU64,
    late: Spread,
    refused: Reasons,
    lost: Reasons,
}

#[derive(Default)]
struct Reasons(Mutex<BTreeMap<String, u64>>);

/// Results of a run with publishers.
#[derive(Serialize)]
pub struct Summary {
    pub publishers: u32,
    pub seconds: f64,
    /// Publishers that were accepted at least once.
    pub accepted: u64,
    /// Attempts to publish that failed, by what the server said.
    pub refused: BTreeMap<String, u64>,
    /// Connections that were lost on the air.
    pub lost: BTreeMap<String, u64>,
    pub reconnects: u64,
    /// Audio and video messages.
    pub tags: u64,
    /// Their payloads.
    pub media_bytes: u64,
    /// Written to sockets, RTMP's headers included.
    pub bytes: u64,
    /// From when the first frame of a write was due to when the system had taken it all.
    pub late_ms: Quantiles,
    /// CPU time of this tool, in seconds.
    pub cpu_seconds: Option<f64>,
}

/// A publisher on the air, until it is dropped.
pub struct OnAir(Arc<Inner>);

impl PublishCounts {
    /// Counters for this number of publishers.
    pub fn new(publishers: u32) -> Self {
        Self(Arc::new(Inner {
            publishers,
            accepted: AtomicU64::new(0),
            on_air: AtomicU64::new(0),
            reconnects: AtomicU64::new(0),
            tags: AtomicU64::new(0),
            media_bytes: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            late: Spread::default(),
            refused: Reasons::default(),
            lost: Reasons::default(),
        }))
    }

    /// Counts an accepted publisher, or one that was accepted `again`; it is on air until the result is dropped.
    pub fn count_accepted(&self, again: bool) -> OnAir {
        let counter = if again { &self.0.reconnects } else { &self.0.accepted };
        counter.fetch_add(1, Relaxed);
        self.0.on_air.fetch_add(1, Relaxed);
        OnAir(self.0.clone())
    }

    /// Counts a refusal by its reason.
    pub fn count_refused(&self, reason: &str) {
        self.0.refused.count_reason(reason);
    }

    /// Counts a lost publisher by the reason.
    pub fn count_lost(&self, reason: &str) {
        self.0.lost.count_reason(reason);
    }

    /// Counts sent tags, their media and the bytes on the wire, and how late they were.
    pub fn count_sent(&self, tags: u64, media_bytes: u64, bytes: u64, late: Duration) {
        self.0.tags.fetch_add(tags, Relaxed);
        self.0.media_bytes.fetch_add(media_bytes, Relaxed);
        self.0.bytes.fetch_add(bytes, Relaxed);
        self.0.late.count_duration(late);
    }
}

impl Drop for OnAir {
    fn drop(&mut self) {
        self.0.on_air.fetch_sub(1, Relaxed);
    }
}

impl Reasons {
    fn count_reason(&self, reason: &str) {
        let mut reasons = self.0.lock_ignoring_poison();
        let is_new = !reasons.contains_key(reason);
        let reason = if is_new && reasons.len() >= MAX_REASONS { "for other reasons" } else { reason };
        *reasons.entry(reason.to_owned()).or_default() += 1;
    }

    fn all_reasons(&self) -> BTreeMap<String, u64> {
        self.0.lock_ignoring_poison().clone()
    }
}

impl Counts for PublishCounts {
    type Summary = Summary;

    fn progress_line(&self, passed: Duration) -> String {
        let Summary { publishers, refused, lost, bytes, late_ms, .. } = self.make_summary(passed);
        let on_air = self.0.on_air.load(Relaxed);
        format!(
            "{:4.0} s  {on_air} of {publishers} on air  {} refused  {} lost  {}  late p99 {:.1} ms, max {:.1} ms",
            passed.as_secs_f64(),
            refused.values().sum::<u64>(),
            lost.values().sum::<u64>(),
            megabits_per_second(bytes, passed.as_secs_f64()),
            late_ms.p99,
            late_ms.max,
        )
    }

    fn make_summary(&self, passed: Duration) -> Summary {
        let inner = &*self.0;
        Summary {
            publishers: inner.publishers,
            seconds: passed.as_secs_f64(),
            accepted: inner.accepted.load(Relaxed),
            refused: inner.refused.all_reasons(),
            lost: inner.lost.all_reasons(),
            reconnects: inner.reconnects.load(Relaxed),
            tags: inner.tags.load(Relaxed),
            media_bytes: inner.media_bytes.load(Relaxed),
            bytes: inner.bytes.load(Relaxed),
            late_ms: inner.late.read_quantiles(),
            cpu_seconds: cpu::used_seconds(),
        }
    }

    fn describe_summary(summary: &Summary) -> String {
        let Summary { publishers, seconds, accepted, reconnects, tags, bytes, late_ms, .. } = summary;
        let mut text = format!("accepted    {accepted} of {publishers} publishers, in {seconds:.1} s\n");
        for (title, reasons) in [("refused", &summary.refused), ("lost", &summary.lost)] {
            let _ = writeln!(text, "{title:<12}{}", reasons.values().sum::<u64>());
            for (reason, count) in reasons {
                let _ = writeln!(text, "  {count:>8}  {reason}");
            }
        }
        let _ = writeln!(text, "reconnects  {reconnects}");
        let sent = *bytes as f64 / 1e6;
        let _ = writeln!(
            text,
            "sent        {sent:.1} MB in {tags} messages, {}",
            megabits_per_second(*bytes, *seconds)
        );
        let Quantiles { p50, p95, p99, max } = late_ms;
        let _ =
            write!(text, "late        p50 {p50:.1} ms, p95 {p95:.1} ms, p99 {p99:.1} ms, max {max:.1} ms");
        if let Some(cpu) = summary.cpu_seconds {
            let _ = write!(text, "\nown CPU     {cpu:.2} s");
        }
        text
    }

    fn is_good(summary: &Summary) -> bool {
        let all = summary.accepted == u64::from(summary.publishers);
        all && summary.refused.is_empty() && summary.lost.is_empty()
    }
}

fn megabits_per_second(bytes: u64, seconds: f64) -> String {
    format!("{:.1} Mb/s", bytes as f64 * 8.0 / 1e6 / seconds.max(0.001))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_good_when_all_were_accepted_and_none_was_refused_or_lost() {
        let counts = PublishCounts::new(2);
        let good =
            |counts: &PublishCounts| PublishCounts::is_good(&counts.make_summary(Duration::from_secs(1)));
        let _first = counts.count_accepted(false);
        assert!(!good(&counts), "one of two");
        let _second = counts.count_accepted(false);
        assert!(good(&counts));
        counts.count_refused("no");
        assert!(!good(&counts));
    }

    #[test]
    fn reasons_are_counted_and_bounded() {
        let reasons = Reasons::default();
        (0..100).for_each(|n| reasons.count_reason(&format!("reason {n}")));
        reasons.count_reason("reason 3");
        let all = reasons.all_reasons();
        assert_eq!((all.len(), all["reason 3"], all["for other reasons"]), (MAX_REASONS + 1, 2, 80));
    }
}
