//! Frames of a track whose timestamps have jumped, until it is known what that means.

use std::collections::VecDeque;

use super::{MAX_STEP_BACK_US, MIN_STEP_US};
use crate::access_unit::TrackKind;
use crate::timeline::held::HeldFrame;

/// Frames on a clock of their own, which starts with the first of them.
#[derive(Debug)]
pub(super) struct Aside {
    pub(super) track: TrackKind,
    /// The other track's latest time, when this one jumped.
    pub(super) other_was_at: Option<i64>,
    /// Microseconds from the first frame on; they grow.
    frames: VecDeque<(i64, HeldFrame)>,
    /// The timestamp of the first frame.
    base: i64,
    bytes: usize,
}

impl Aside {
    pub(super) fn new(track: TrackKind, other_was_at: Option<i64>, raw: i64, first: HeldFrame) -> Self {
        let bytes = first.tag.memory_cost();
        Self { track, other_was_at, frames: VecDeque::from([(0, first)]), base: raw, bytes }
    }

    pub(super) fn push_frame(&mut self, raw: i64, frame: HeldFrame, max_gap_us: i64) {
        let next = self.span_us() + MIN_STEP_US;
        let step = raw - self.newest_raw();
        // Timestamps that step back by more, or forth by more than a gap, have jumped once more.
        if step < -MAX_STEP_BACK_US || step >= max_gap_us {
            self.base = raw - next;
        }
        self.bytes += frame.tag.memory_cost();
        self.frames.push_back(((raw - self.base).max(next), frame));
    }

    /// Microseconds from the first frame to the newest.
    pub(super) fn span_us(&self) -> i64 {
        self.frames.back().map_or(0, |(at, _)| *at)
    }

    /// The newest timestamp.
    pub(super) fn newest_raw(&self) -> i64 {
        self.base + self.span_us()
    }

    /// Of all payloads.
    pub(super) fn payload_bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn into_frames(self) -> impl Iterator<Item = (i64, HeldFrame)> {
        self.frames.into_iter()
    }
}
