//! CPU time of the worker.

use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

/// Measures the CPU time of this process from one reading to the next.
pub(crate) struct Cpu {
    used: Duration,
    at: Instant,
}

impl Cpu {
    pub(crate) fn new() -> Self {
        Self { used: used_time(), at: Instant::now() }
    }

    /// Thousandths of a core since the last reading.
    pub(crate) fn read_millicores(&mut self) -> u32 {
        let now = Self::new();
        let spent = now.used.saturating_sub(self.used);
        let passed = now.at - self.at;
        *self = now;
        let share = spent.as_secs_f64() / passed.as_secs_f64().max(0.001);
        (share * 1_000.0).round() as u32
    }
}

/// A clock and not `/proc`, which can't be read in the sandbox.
fn used_time() -> Duration {
    clock_gettime(ClockId::ProcessCPUTime).try_into().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_is_counted() {
        let mut cpu = Cpu::new();
        let began = Instant::now();
        while began.elapsed() < Duration::from_millis(50) {}
        assert!(cpu.read_millicores() > 0);
    }
}
