//! When each frame of a recording is due.

use std::time::Duration;

use super::super::recording::{Recording, Tag};

/// How far the next frames may be in the future to be sent with one that is due: fewer writes, and no picture comes
/// sooner than an encoder's own jitter makes it.
const SEND_AHEAD: Duration = Duration::from_millis(10);

/// Walks over a recording, round after round.
pub struct Schedule<'a> {
    recording: &'a Recording,
    looped: bool,
    next: usize,
    /// Milliseconds before this round.
    base: u64,
}

impl<'a> Schedule<'a> {
    /// A schedule from the recording's first frame on, over and over where it is `looped`.
    pub fn new(recording: &'a Recording, looped: bool) -> Self {
        Self { recording, looped, next: 0, base: 0 }
    }

    /// When the next frame is due, from the start on; none at the end.
    pub fn next_due(&self) -> Option<Duration> {
        let tag = self.recording.frames.get(self.next)?;
        Some(Duration::from_millis(self.base + u64::from(tag.time)))
    }

    /// The next frame with its RTMP timestamp, when it is due by now or very soon.
    pub fn take_due(&mut self, now: Duration) -> Option<(u32, &'a Tag)> {
        self.next_due().filter(|due| *due <= now + SEND_AHEAD)?;
        let tag = &self.recording.frames[self.next];
        // Timestamps are modulo 2^32 (RTMP 1.0 §4).
        let timestamp = (self.base + u64::from(tag.time)) as u32;
        self.next += 1;
        if self.looped && self.next == self.recording.frames.len() {
            (self.next, self.base) = (0, self.base + self.recording.length);
        }
        Some((timestamp, tag))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::recording::tests::short;

    fn all(schedule: &mut Schedule, until_ms: u64) -> Vec<u32> {
        let now = Duration::from_millis(until_ms);
        std::iter::from_fn(|| schedule.take_due(now)).map(|(timestamp, _)| timestamp).collect()
    }

    #[test]
    fn timestamps_go_on_over_the_end_of_a_round() {
        let recording = short();
        let mut schedule = Schedule::new(&recording, true);
        assert_eq!(all(&mut schedule, 0), [0]);
        assert_eq!(schedule.next_due(), Some(Duration::from_millis(40)));
        assert_eq!(all(&mut schedule, 160), [40, 80, 120, 5, 26, 160]);
        assert_eq!(schedule.next_due(), Some(Duration::from_millis(200)));
    }

    #[test]
    fn without_a_loop_it_ends() {
        let recording = short();
        let mut schedule = Schedule::new(&recording, false);
        assert_eq!(all(&mut schedule, 10_000).len(), 6);
        assert_eq!(schedule.next_due(), None);
    }

    #[test]
    fn timestamps_wrap() {
        let recording = short();
        let mut schedule =
            Schedule { recording: &recording, looped: true, next: 0, base: u64::from(u32::MAX) - 9 };
        let taken: Vec<_> = (0..2).map(|_| schedule.take_due(Duration::MAX / 2).unwrap().0).collect();
        assert_eq!(taken, [u32::MAX - 9, 30]);
    }
}
