//! The idle state of connections: those that may give way do when there is no place left.

use std::sync::{Arc, Mutex, MutexGuard};

use headwater_media::lock::MutexExt;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Connection as its listener knows it.
#[derive(Debug, Default)]
pub(super) struct Place {
    state: Mutex<State>,
    given_up: CancellationToken,
}

#[derive(Debug, Default)]
enum State {
    /// It keeps its place, whatever it does.
    #[default]
    Kept,
    Idle {
        since: Instant,
    },
    /// There is so much work on it.
    Working(usize),
}

impl Place {
    pub(super) fn idle_since(&self) -> Option<Instant> {
        match *self.lock_state() {
            State::Idle { since } => Some(since),
            State::Kept | State::Working(_) => None,
        }
    }

    pub(super) fn give_up(&self) {
        self.given_up.cancel();
    }

    pub(super) async fn given_up(&self) {
        self.given_up.cancelled().await;
    }

    fn lock_state(&self) -> MutexGuard<'_, State> {
        self.state.lock_ignoring_poison()
    }
}

/// Says when there is work on a connection.
#[derive(Clone, Debug)]
pub struct Activity(Arc<Place>);

impl Activity {
    pub(super) fn new(place: Arc<Place>) -> Self {
        *place.lock_state() = State::Idle { since: Instant::now() };
        Self(place)
    }

    /// There is something to be done on the connection until what is returned is dropped.
    #[must_use]
    pub fn work(&self) -> Work {
        let mut state = self.0.lock_state();
        *state = match *state {
            State::Working(others) => State::Working(others + 1),
            State::Kept | State::Idle { .. } => State::Working(1),
        };
        Work(self.0.clone())
    }

    /// Whether there is work on the connection.
    pub fn is_working(&self) -> bool {
        matches!(*self.0.lock_state(), State::Working(_))
    }
}

/// Work on a connection.
#[derive(Debug)]
pub struct Work(Arc<Place>);

impl Drop for Work {
    fn drop(&mut self) {
        let mut state = self.0.lock_state();
        *state = match *state {
            State::Working(all) if all > 1 => State::Working(all - 1),
            State::Working(_) | State::Kept | State::Idle { .. } => State::Idle { since: Instant::now() },
        };
    }
}
