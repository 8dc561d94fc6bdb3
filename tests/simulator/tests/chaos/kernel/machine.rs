//! A machine: a runtime of its own with a clock that only the simulation moves. Killing it drops every task that it has.

use std::cell::Cell;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::time::Instant;

use super::net::Host;
use super::system;

thread_local! {
    static PRESENT: Cell<Host> = const { Cell::new("") };
}

/// Whose turn it is.
pub fn present() -> Host {
    PRESENT.get()
}

/// A running process. Dropping it is `kill -9`.
pub struct Machine {
    host: Host,
    /// None while it is dropped.
    runtime: Option<Runtime>,
    /// Its clock at the simulation's zero.
    zero: Instant,
    frozen: bool,
}

impl Machine {
    /// Starts a process that does `work`.
    pub fn start(host: Host, work: impl Future<Output = ()> + Send + 'static) -> Self {
        let runtime = Builder::new_current_thread().enable_time().start_paused(true).build();
        let runtime = runtime.expect("a runtime without input and output needs nothing of the system");
        let zero = runtime.block_on(async { Instant::now() }) - Duration::from_millis(system::now());
        runtime.spawn(work);
        Self { host, runtime: Some(runtime), zero, frozen: false }
    }

    pub fn host(&self) -> Host {
        self.host
    }

    /// Lets it live up to this moment of the simulation.
    pub fn run_until(&self, now_ms: u64) {
        if !self.frozen {
            let until = self.zero + Duration::from_millis(now_ms);
            self.enter(async move { tokio::time::sleep_until(until).await });
        }
    }

    pub fn is_frozen(&self) -> bool {
        self.frozen
    }

    /// Stops it as SIGSTOP does.
    pub fn freeze(&mut self) {
        self.frozen = true;
    }

    /// Lets it go on: for its timers, all the time that it has missed passes at once.
    pub fn thaw(&mut self) {
        if std::mem::take(&mut self.frozen) {
            let now = self.zero + Duration::from_millis(system::now());
            self.enter(
                async move { tokio::time::advance(now.saturating_duration_since(Instant::now())).await },
            );
        }
    }

    fn enter(&self, work: impl Future<Output = ()>) {
        PRESENT.set(self.host);
        if let Some(runtime) = &self.runtime {
            runtime.block_on(work);
        }
        PRESENT.set("");
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        PRESENT.set(self.host);
        drop(self.runtime.take());
        PRESENT.set("");
    }
}
