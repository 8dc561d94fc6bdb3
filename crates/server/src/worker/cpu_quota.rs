//! The CPU time that a worker may use: as much as its threads can, and not more.

use std::time::Duration;

use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, kill_process, prlimit};
use tokio::task::AbortHandle;

/// Time over which the use is averaged: a worker that starts or catches up may use more for a moment.
const RENEWAL_INTERVAL: Duration = Duration::from_secs(10);
/// Most by which a renewal is late on a busy machine.
const MAX_RENEWAL_DELAY: Duration = Duration::from_secs(2);
/// `/proc` counts in these, on every Linux (`USER_HZ`, proc(5)).
const TICKS_PER_SECOND: u64 = 100;
/// Of `/proc/<pid>/stat`, counted behind the command's name: time in user mode, then in the kernel.
const USER_FIELD: usize = 11;

/// Renews a worker's RLIMIT_CPU while it lives. A worker that has more threads at work than it can have by itself has
/// been taken over, and is ended by the kernel; so is a worker whose server has vanished while it hung.
#[derive(Debug)]
pub(super) struct CpuQuota(Option<AbortHandle>);

struct Terms {
    /// Cores that the worker may use on the average.
    cores: u32,
    /// Time between two renewals.
    interval: Duration,
    max_delay: Duration,
}

impl CpuQuota {
    /// `cores` on the average; to be dropped before the process is waited for.
    pub(super) fn start_renewing(process: Option<u32>, cores: u32) -> Self {
        let pid = process.and_then(|id| Pid::from_raw(id.cast_signed()));
        let terms = Terms { cores, interval: RENEWAL_INTERVAL, max_delay: MAX_RENEWAL_DELAY };
        Self(pid.map(|pid| tokio::spawn(renew_quota(pid, terms)).abort_handle()))
    }
}

impl Drop for CpuQuota {
    fn drop(&mut self) {
        if let Some(task) = &self.0 {
            task.abort();
        }
    }
}

async fn renew_quota(pid: Pid, terms: Terms) {
    let Terms { cores, interval, max_delay } = terms;
    let mut allowed = None;
    // Until the process is gone, or can't be looked at.
    while let Some(used) = read_used(pid) {
        if allowed.is_some_and(|allowed| used > allowed + max_delay) {
            tracing::warn!("the worker used more than {cores} cores, against its limit, and is killed");
            let _ = kill_process(pid, Signal::KILL);
            return;
        }
        let next = used + interval * cores + max_delay;
        if let Err(error) = set_limit(pid, next) {
            tracing::debug!(%error, "the worker's CPU time could not be limited");
            return;
        }
        allowed = Some(next);
        tokio::time::sleep(interval).await;
    }
}

/// Only the soft limit: the hard one could not be raised again. It counts whole seconds.
fn set_limit(pid: Pid, total: Duration) -> rustix::io::Result<()> {
    let maximum = getrlimit(Resource::Cpu).maximum;
    let seconds = total.as_secs() + 1;
    prlimit(Some(pid), Resource::Cpu, Rlimit { current: Some(seconds), maximum }).map(drop)
}

fn read_used(pid: Pid) -> Option<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).ok()?;
    parse_ticks(&stat).map(|ticks| Duration::from_millis(ticks * 1_000 / TICKS_PER_SECOND))
}

/// The name of the command may hold anything but ends with the last parenthesis.
fn parse_ticks(stat: &str) -> Option<u64> {
    let (_, fields) = stat.rsplit_once(") ")?;
    let times = fields.split(' ').skip(USER_FIELD).take(2);
    times.map(|field| field.parse::<u64>().ok()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::ExitStatusExt;
    use tokio::process::Command;

    #[test]
    fn times_are_found_behind_any_name() {
        let stat = "7 (a) b) S 1 2 3 4 5 6 7 8 9 10 150 25 0 0 20 0";
        assert_eq!(parse_ticks(stat), Some(175));
        assert_eq!(parse_ticks("nonsense"), None);
    }

    /// Nobody renews what a loop used up: its server is gone, or it uses more than it may.
    #[tokio::test]
    async fn a_process_that_uses_up_its_allowance_is_ended() {
        let mut busy =
            Command::new("sh").args(["-c", "while :; do :; done"]).kill_on_drop(true).spawn().unwrap();
        let pid = Pid::from_raw(busy.id().unwrap().cast_signed()).unwrap();
        set_limit(pid, read_used(pid).unwrap()).unwrap();
        let status = tokio::time::timeout(Duration::from_secs(60), busy.wait()).await.unwrap().unwrap();
        assert_eq!(status.signal(), Some(Signal::XCPU.as_raw()));
    }

    #[tokio::test]
    async fn one_that_ignores_the_limit_is_killed() {
        let script = "trap '' XCPU; while :; do :; done";
        let mut busy = Command::new("sh").args(["-c", script]).kill_on_drop(true).spawn().unwrap();
        let pid = Pid::from_raw(busy.id().unwrap().cast_signed()).unwrap();
        // No allowance but the slack, which it uses up at once.
        let terms =
            Terms { cores: 0, interval: Duration::from_millis(500), max_delay: Duration::from_millis(50) };
        let renewing = renew_quota(pid, terms);
        let killed = tokio::time::timeout(Duration::from_secs(120), async {
            tokio::join!(renewing, busy.wait()).1.unwrap()
        });
        assert_eq!(killed.await.unwrap().signal(), Some(Signal::KILL.as_raw()));
    }
}
