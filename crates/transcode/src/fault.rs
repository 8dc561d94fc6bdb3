//! Fault shared by the threads of a worker: the first error, and waits that end with it.

use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use headwater_media::lock::MutexExt;

use crate::error::Error;

/// How long any element may stand still while it has work. A frame takes milliseconds, on a drowning machine a
/// second; a server whose worker has said nothing for this long would rather have a new one.
const PROGRESS_TIMEOUT: Duration = Duration::from_secs(15);

/// The worker is stopping; [`Fault::take_error`] says why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stopped;

pub(crate) type Flow<T = ()> = Result<T, Stopped>;

impl From<Stopped> for gst::FlowError {
    fn from(_: Stopped) -> Self {
        Self::Error
    }
}

pub(crate) struct Fault {
    state: Mutex<State>,
    changed: Condvar,
    is_writing: AtomicBool,
    patience: Duration,
}

impl Default for Fault {
    fn default() -> Self {
        Self::with_patience(PROGRESS_TIMEOUT)
    }
}

#[derive(Default)]
enum State {
    #[default]
    None,
    Failed(Error),
    Taken,
}

impl Fault {
    fn with_patience(patience: Duration) -> Self {
        let state = Mutex::default();
        let changed = Condvar::new();
        let is_writing = AtomicBool::new(false);
        Self { state, changed, is_writing, patience }
    }

    /// Stops the worker; only the first error counts, the others are its consequences.
    pub(crate) fn fail_with(&self, error: Error) -> Stopped {
        let mut state = self.lock_state();
        match &*state {
            State::None => *state = State::Failed(error),
            _ => tracing::debug!(%error, "after the first failure"),
        }
        self.changed.notify_all();
        Stopped
    }

    /// Wakes everybody who waits for something that the caller has just changed.
    pub(crate) fn notify_waiters(&self) {
        let _state = self.lock_state();
        self.changed.notify_all();
    }

    /// Waits until `done`, which looks at something whose changes are followed by [`Self::notify_waiters`]. An element that
    /// keeps it from happening for too long is taken for frozen.
    pub(crate) fn wait_for(&self, element: &str, done: impl Fn() -> bool) -> Flow {
        let deadline = Instant::now() + self.patience;
        let mut state = self.lock_state();
        loop {
            if !matches!(*state, State::None) {
                return Err(Stopped);
            }
            if done() {
                return Ok(());
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                *state = State::Failed(self.standstill_error(element));
                self.changed.notify_all();
                return Err(Stopped);
            }
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn standstill_error(&self, element: &str) -> Error {
        if self.is_writing.load(SeqCst) {
            Error::Unheard { limit: self.patience }
        } else {
            Error::Frozen { element: element.to_owned(), limit: self.patience }
        }
    }

    /// Runs `write`: whoever waits for too long meanwhile waits for the other end of the output, not for an element.
    pub(crate) fn while_writing<T>(&self, write: impl FnOnce() -> T) -> T {
        self.is_writing.store(true, SeqCst);
        let written = write();
        self.is_writing.store(false, SeqCst);
        written
    }

    pub(crate) fn check_running(&self) -> Flow {
        match *self.lock_state() {
            State::None => Ok(()),
            _ => Err(Stopped),
        }
    }

    /// Takes the error, once, for the thread that reports it.
    pub(crate) fn take_error(&self) -> Error {
        match std::mem::replace(&mut *self.lock_state(), State::Taken) {
            State::Failed(error) => error,
            State::None | State::Taken => Error::Packaging("stopped without a reason".into()),
        }
    }

    fn lock_state(&self) -> MutexGuard<'_, State> {
        self.state.lock_ignoring_poison()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::Ordering::SeqCst;

    const BRIEF: Duration = Duration::from_millis(20);

    #[test]
    fn what_stands_still_is_named() {
        let fault = Fault::with_patience(BRIEF);
        assert_eq!(fault.wait_for("encoder 720p", || false), Err(Stopped));
        assert!(fault.take_error().to_string().contains("encoder 720p"));
    }

    #[test]
    fn a_reader_that_does_not_read_is_not_blamed_on_an_element() {
        let fault = Fault::with_patience(BRIEF);
        assert_eq!(fault.while_writing(|| fault.wait_for("encoder 720p", || false)), Err(Stopped));
        assert!(matches!(fault.take_error(), Error::Unheard { .. }));
    }

    #[test]
    fn a_wait_ends_with_what_it_waits_for_or_with_a_failure() {
        let fault = Fault::default();
        let ready = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| fault.wait_for("it", || ready.load(SeqCst)));
            ready.store(true, SeqCst);
            fault.notify_waiters();
            assert_eq!(waiting.join().unwrap(), Ok(()));
            let waiting = scope.spawn(|| fault.wait_for("it", || false));
            fault.fail_with(Error::InputEnded);
            fault.fail_with(Error::Unsupported("a consequence".into()));
            assert_eq!(waiting.join().unwrap(), Err(Stopped));
        });
        assert!(matches!(fault.take_error(), Error::InputEnded));
    }
}
