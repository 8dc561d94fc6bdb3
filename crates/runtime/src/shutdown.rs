//! How a process is told to stop, and how long it may take.

use std::future::Future;
use std::io;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{info, warn};

/// The exit code of a process that was told to stop twice: 128 + SIGINT, as shells have it.
const KILLED_EXIT_CODE: i32 = 130;

/// SIGTERM and SIGINT (Ctrl-C).
#[derive(Debug)]
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Takes the signals over: from now on they do not end the process by themselves.
    ///
    /// # Errors
    /// When the system refuses, which it does not in practice.
    pub fn listen() -> io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// Waits for the next signal and names it.
    pub async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }

    /// Cancels `drain` at the first signal and ends the process at the second. Runs until then.
    pub async fn drain_then_exit(mut self, drain: CancellationToken) {
        let name = self.next().await;
        info!("{name}: finishing what is under way; once more to stop at once");
        drain.cancel();
        let name = self.next().await;
        warn!("{name} again: stopping at once");
        std::process::exit(KILLED_EXIT_CODE);
    }
}

/// How a drain ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drained {
    /// Everything was finished.
    Complete,
    /// The time was over while this many tasks were still running.
    Abandoned { tasks: usize },
}

/// Waits for all tasks to finish, for `grace` at most. The tasks have been told to stop before.
pub async fn drain(grace: Duration, tasks: &TaskTracker) -> Drained {
    tasks.close();
    match tokio::time::timeout(grace, tasks.wait()).await {
        Ok(()) => Drained::Complete,
        Err(_) => Drained::Abandoned { tasks: tasks.len() },
    }
}

/// Runs `work` until it ends, or until `grace` has passed since `drain` was cancelled; none in the latter case.
pub async fn within_grace<W: Future>(
    work: W,
    drain: &CancellationToken,
    grace: Duration,
) -> Option<W::Output> {
    let limit = async {
        drain.cancelled().await;
        tokio::time::sleep(grace).await;
    };
    tokio::select! {
        output = work => Some(output),
        () = limit => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GRACE: Duration = Duration::from_secs(30);

    #[tokio::test(start_paused = true)]
    async fn a_drain_waits_for_tasks_that_finish() {
        let tasks = TaskTracker::new();
        let stop = CancellationToken::new();
        tasks.spawn({
            let stop = stop.clone();
            async move {
                stop.cancelled().await;
                tokio::time::sleep(GRACE / 2).await;
            }
        });
        stop.cancel();
        assert_eq!(drain(GRACE, &tasks).await, Drained::Complete);
    }

    #[tokio::test(start_paused = true)]
    async fn a_drain_does_not_wait_for_ever() {
        let tasks = TaskTracker::new();
        tasks.spawn(std::future::pending::<()>());
        assert_eq!(drain(GRACE, &tasks).await, Drained::Abandoned { tasks: 1 });
    }

    #[tokio::test(start_paused = true)]
    async fn the_grace_begins_with_the_drain() {
        let stop = CancellationToken::new();
        let long = tokio::time::sleep(GRACE * 10);
        assert_eq!(within_grace(long, &stop, GRACE).await, Some(()));
        stop.cancel();
        assert_eq!(within_grace(std::future::pending::<()>(), &stop, GRACE).await, None);
    }
}
