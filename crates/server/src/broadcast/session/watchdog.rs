//! Watch over a worker: whether it gives media when it takes some, how late, and when its media was on air.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use headwater_media::lock::MutexExt;
use headwater_media::{MediaTime, PeriodNumber, SourceTime, TimelineEvent};
use tokio::time::Instant;

use super::health::Health;

#[derive(Default)]
pub(super) struct Watchdog {
    state: Mutex<State>,
    /// Statistics for the proxy.
    pub(super) health: Health,
}

#[derive(Default)]
struct State {
    /// Time when media was first given after the last output.
    waiting_since: Option<Instant>,
    /// Time when media came out last.
    last_output: Option<Instant>,
    /// The newest time that was given in the present period.
    newest: SourceTime,
    /// End of the media that came out.
    made: MediaTime,
    /// The period that is given.
    period: PeriodNumber,
    /// How far the wall clock was from that of the period, as of the tags that were given: of a few in a second.
    drifts: VecDeque<Drift>,
}

#[derive(Clone, Copy)]
struct Drift {
    period: PeriodNumber,
    from: SourceTime,
    drift: i32,
}

/// Media between two of them; the drift changes by a tenth of it at most.
const DRIFT_STEP: Duration = Duration::from_millis(250);
/// Twice the minute that a worker may be behind, which is far more than its queues hold.
const MAX_DRIFTS: usize = 480;

impl Watchdog {
    /// Notes that media is given to the worker.
    pub(super) fn note_input(&self, media: &TimelineEvent) {
        let mut state = self.lock_state();
        match media {
            TimelineEvent::Period(period) => {
                state.made = period.origin.into();
                state.newest = period.origin;
                state.period = period.number;
            }
            TimelineEvent::Tag(tag) => {
                state.newest = state.newest.max(tag.time);
                state.note_drift(tag.drift);
            }
        }
        state.waiting_since.get_or_insert_with(Instant::now);
    }

    /// Notes that the last message has not been taken yet, and is still offered.
    pub(super) fn note_offer(&self) {
        self.lock_state().waiting_since.get_or_insert_with(Instant::now);
    }

    /// Notes that media came out of the worker.
    pub(super) fn note_output(&self) {
        let mut state = self.lock_state();
        (state.waiting_since, state.last_output) = (None, Some(Instant::now()));
    }

    /// Media up to here has come out.
    pub(super) fn note_end(&self, end: MediaTime) {
        let mut state = self.lock_state();
        state.made = state.made.max(end);
    }

    /// When media came out last; `since` where none has come since then.
    pub(super) fn last_output_since(&self, since: Instant) -> Instant {
        self.lock_state().last_output.map_or(since, |last| last.max(since))
    }

    /// Length of the media that was given and has not come out.
    pub(super) fn unmade_media(&self) -> Duration {
        let made = self.lock_state().made;
        self.delay_at(made)
    }

    /// How long media has been given without any coming out. A publisher that pauses is no worker that is stuck: call
    /// this only when media was given just now.
    pub(super) fn time_without_output(&self) -> Duration {
        self.lock_state().waiting_since.map_or(Duration::ZERO, |since| since.elapsed())
    }

    /// Time by which the given media is ahead of `end`, on the source's clock: as sources are live, that is how late it comes out.
    pub(super) fn delay_at(&self, end: MediaTime) -> Duration {
        Duration::from_micros(MediaTime::from(self.lock_state().newest).saturating_sub(end).0)
    }

    /// Milliseconds that the wall clock was later than the clock of a period at this media time. Ask in the order of the
    /// media: what lies before is forgotten.
    pub(super) fn drift_at(&self, period: PeriodNumber, at: MediaTime) -> Option<i32> {
        let mut state = self.lock_state();
        let is_before = |one: &Drift| (one.period, MediaTime::from(one.from)) <= (period, at);
        while state.drifts.get(1).is_some_and(is_before) {
            state.drifts.pop_front();
        }
        state.drifts.front().filter(|one| one.period == period).map(|one| one.drift)
    }

    fn lock_state(&self) -> MutexGuard<'_, State> {
        self.state.lock_ignoring_poison()
    }
}

impl State {
    fn note_drift(&mut self, drift: i32) {
        let period = self.period;
        let from = self.newest;
        let is_near = |last: &Drift| last.period == period && from.since(last.from) < DRIFT_STEP;
        if self.drifts.back().is_some_and(is_near) {
            return;
        }
        if self.drifts.len() == MAX_DRIFTS {
            self.drifts.pop_front();
        }
        self.drifts.push_back(Drift { period, from, drift });
    }
}
