//! Invariants that hold whatever happens: each one by its name, with its section of the design.

mod holders;
pub mod recordings;
mod shown;
mod verdict;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard};

use headwater_hls::LiveWindow;
use headwater_media::lock::MutexExt;

pub use holders::{GivenUp, Holders};
pub use shown::Shown;
pub use verdict::{Facts, judge};

use crate::kernel::log::event;
use crate::kernel::net::Host;
use crate::kernel::system;

/// Run of an origin, and a stream that is watched there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Seat {
    pub stream: &'static str,
    pub origin: Host,
    pub run: u32,
}

#[derive(Clone, Default)]
pub struct Checker(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    failures: Vec<String>,
    seats: BTreeMap<Seat, Shown>,
    holders: Holders,
}

impl Checker {
    pub fn fail(&self, invariant: &str, detail: &str) {
        let failure = format!("{invariant}: {detail}");
        event!("FAILED    {failure}");
        self.state().failures.push(failure);
    }

    /// Takes note of the window that is shown there by now; `None` where there is none.
    pub fn see(&self, seat: Seat, window: Option<&LiveWindow>) {
        let mut failures = Vec::new();
        let mut state = self.state();
        let shown = state.seats.entry(seat).or_default();
        match window {
            Some(window) => shown.see(seat, window, &mut failures),
            None => shown.dark(seat),
        }
        drop(state);
        failures.iter().for_each(|(invariant, detail)| {
            self.fail(invariant, &format!("{} (run {}) shows {detail}", seat.origin, seat.run));
        });
    }

    pub fn seats(&self) -> BTreeMap<Seat, Shown> {
        self.state().seats.clone()
    }

    /// Takes down who has what.
    pub fn note<T>(&self, note: impl FnOnce(&mut Holders) -> T) -> T {
        note(&mut self.state().holders)
    }

    pub fn failures(&self) -> Vec<String> {
        self.state().failures.clone()
    }

    /// The newest tag of the first rendition that is shown at a seat.
    pub fn newest(&self, seat: Seat) -> Option<crate::world::tag::Number> {
        self.state().seats.get(&seat)?.newest()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock_ignoring_poison()
    }
}

impl fmt::Debug for Checker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Checker")
    }
}

/// Now, for messages.
fn now() -> u64 {
    system::now()
}
