//! What the worker costs.

use std::time::{Duration, Instant};

/// `/proc` counts in these, on every Linux (`USER_HZ`, proc(5)).
const TICKS_PER_SECOND: u64 = 100;
/// Of `/proc/self/stat`, counted behind the command's name: time in user mode, then in the kernel.
const USER_FIELD: usize = 11;

/// Measures the CPU time of this process from one reading to the next.
pub(crate) struct Cpu {
    used: Duration,
    at: Instant,
}

impl Cpu {
    pub(crate) fn new() -> Self {
        Self { used: used().unwrap_or_default(), at: Instant::now() }
    }

    /// Thousandths of a core since the last reading; 0 where `/proc` can't be read.
    pub(crate) fn millicores(&mut self) -> u32 {
        let now = Self::new();
        let (spent, passed) = (now.used.saturating_sub(self.used), now.at - self.at);
        *self = now;
        let share = spent.as_secs_f64() / passed.as_secs_f64().max(0.001);
        (share * 1_000.0).round() as u32
    }
}

fn used() -> Option<Duration> {
    ticks(&std::fs::read_to_string("/proc/self/stat").ok()?)
        .map(|ticks| Duration::from_millis(ticks * 1_000 / TICKS_PER_SECOND))
}

/// The name of the command may hold anything but ends with the last parenthesis.
fn ticks(stat: &str) -> Option<u64> {
    let (_, fields) = stat.rsplit_once(") ")?;
    let times = fields.split(' ').skip(USER_FIELD).take(2);
    times.map(|field| field.parse::<u64>().ok()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_found_behind_any_name() {
        let stat = "7 (a) b) S 1 2 3 4 5 6 7 8 9 10 150 25 0 0 20 0";
        assert_eq!(ticks(stat), Some(175));
        assert_eq!(ticks("nonsense"), None);
        assert!(used().is_some());
    }
}
