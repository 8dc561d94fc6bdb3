//! Whether a worker that takes media gives any, and how late.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use headwater_media::{MediaTime, SourceTime};
use headwater_wire::v1::worker_input::Message as Input;
use tokio::time::Instant;

#[derive(Default)]
pub(super) struct Pulse(Mutex<State>);

#[derive(Default)]
struct State {
    /// When media was first given after the last output.
    waiting_since: Option<Instant>,
    /// The newest time that was given in the present period.
    newest: SourceTime,
}

impl Pulse {
    /// Media is given to the worker.
    pub(super) fn fed(&self, message: &Input) {
        let mut state = self.state();
        match message {
            Input::Period(period) => state.newest = SourceTime(period.origin_ms),
            Input::Tag(tag) => state.newest = state.newest.max(SourceTime(tag.time_ms)),
            Input::Start(_) | Input::End(_) => {}
        }
        state.waiting_since.get_or_insert_with(Instant::now);
    }

    /// What was given last has not been taken yet, and is still offered.
    pub(super) fn offered(&self) {
        self.state().waiting_since.get_or_insert_with(Instant::now);
    }

    /// Media came out of the worker.
    pub(super) fn gave(&self) {
        self.state().waiting_since = None;
    }

    /// How long media has been given without any coming out. A publisher that pauses is no worker that is stuck: call
    /// this only when media was given just now.
    pub(super) fn fed_in_vain(&self) -> Duration {
        self.state().waiting_since.map_or(Duration::ZERO, |since| since.elapsed())
    }

    /// How far what was given is ahead of `end`, in source time: as sources are live, that is how late it comes out.
    pub(super) fn delay(&self, end: MediaTime) -> Duration {
        Duration::from_micros(MediaTime::from_millis(self.state().newest.0).saturating_sub(end).0)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
