//! CPU time and memory of a process and all its descendants, from `/proc` (proc(5)).
//!
//! CPU time is read from each thread's `schedstat`, in nanoseconds; a thread that has ended meanwhile is missing. Where
//! the kernel does not keep it, from `stat`, in hundredths of a second. Memory is `VmHWM`, the most that was resident at a
//! time, in KB; where a tree has several processes, their peaks are added, though they need not have been at one time.

use std::fs;
use std::process::{Child, ExitStatus};
use std::time::Duration;

use anyhow::{Context, Result};

/// `USER_HZ`.
const TICK: Duration = Duration::from_millis(10);
/// How often a process is looked at whose end is awaited: often enough not to miss its peak.
const LOOK_INTERVAL: Duration = Duration::from_millis(10);

/// A process with all its descendants, or without them.
#[derive(Clone, Copy, Debug)]
pub enum Scope {
    Tree(u32),
    Process(u32),
}

impl Scope {
    fn processes(self) -> Vec<u32> {
        match self {
            Self::Process(id) => vec![id],
            Self::Tree(id) => {
                let mut all = vec![id];
                let mut next = 0;
                while let Some(id) = all.get(next).copied() {
                    all.extend(children(id));
                    next += 1;
                }
                all
            }
        }
    }

    /// CPU time that was used so far.
    pub fn cpu(self) -> Result<Duration> {
        let used = self.processes().into_iter().map(cpu).sum::<Option<Duration>>();
        used.with_context(|| format!("{self:?} has ended"))
    }

    /// The most memory that was resident at a time, in bytes.
    pub fn peak_memory(self) -> Result<u64> {
        let peaks = self.processes().into_iter().map(|id| status(id, "VmHWM:")).sum::<Option<u64>>();
        peaks.with_context(|| format!("{self:?} has ended"))
    }
}

/// Resources that a process without descendants has used when it ended.
#[derive(Clone, Copy, Debug, Default)]
pub struct Spent {
    /// To a hundredth of a second.
    pub cpu: Duration,
    /// Bytes.
    pub peak_memory: u64,
}

/// Waits for the end of a child, and reads its account before the kernel closes it.
pub fn wait(child: &mut Child) -> Result<(ExitStatus, Spent)> {
    let id = child.id();
    let mut spent = Spent::default();
    loop {
        spent.peak_memory = status(id, "VmHWM:").unwrap_or(0).max(spent.peak_memory);
        let text = fs::read_to_string(format!("/proc/{id}/stat")).context("a child can't be watched")?;
        if is_zombie(&text) {
            spent.cpu = stat(&text).context("a child has no account")?;
            return Ok((child.wait()?, spent));
        }
        std::thread::sleep(LOOK_INTERVAL);
    }
}

fn is_zombie(stat: &str) -> bool {
    stat.rsplit_once(") ").is_some_and(|(_, fields)| fields.starts_with('Z'))
}

fn children(id: u32) -> Vec<u32> {
    let threads = threads(id).into_iter();
    let lists =
        threads.filter_map(|thread| fs::read_to_string(format!("/proc/{id}/task/{thread}/children")).ok());
    lists
        .flat_map(|list| list.split_whitespace().filter_map(|id| id.parse().ok()).collect::<Vec<_>>())
        .collect()
}

fn threads(id: u32) -> Vec<u32> {
    let entries = fs::read_dir(format!("/proc/{id}/task")).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

fn cpu(id: u32) -> Option<Duration> {
    let exact = threads(id).into_iter().map(|thread| schedstat(id, thread)).sum::<Option<Duration>>();
    exact
        .filter(|used| !used.is_zero())
        .or_else(|| stat(&fs::read_to_string(format!("/proc/{id}/stat")).ok()?))
}

/// Time on a processor, time waiting for one, slices.
fn schedstat(id: u32, thread: u32) -> Option<Duration> {
    let text = fs::read_to_string(format!("/proc/{id}/task/{thread}/schedstat")).ok()?;
    text.split(' ').next()?.parse().ok().map(Duration::from_nanos)
}

/// The name of the command may hold anything but ends with the last parenthesis; user time is the 12th field behind it.
fn stat(text: &str) -> Option<Duration> {
    let (_, fields) = text.rsplit_once(") ")?;
    let ticks: Option<u32> = fields.split(' ').skip(11).take(2).map(|field| field.parse::<u32>().ok()).sum();
    Some(TICK * ticks?)
}

fn status(id: u32, name: &str) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{id}/status")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kb| kb * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_shows_in_the_process_that_does_it() {
        let own = Scope::Process(std::process::id());
        let before = own.cpu().unwrap();
        let mut sum = 0u64;
        while own.cpu().unwrap() < before + Duration::from_millis(50) {
            sum = (0..100_000u64).fold(sum, |sum, n| std::hint::black_box(sum ^ n.wrapping_mul(31)));
        }
        assert!(own.peak_memory().unwrap() > 1 << 20);
    }

    #[test]
    fn a_tree_has_its_children() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let tree = Scope::Tree(std::process::id()).processes();
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(tree.contains(&child.id()) && tree[0] == std::process::id(), "{tree:?}");
        assert!(Scope::Process(child.id()).cpu().is_err(), "it is over");
    }

    #[test]
    fn a_child_leaves_its_account() {
        let work = "n=0; while [ $n -lt 100000 ]; do n=$((n + 1)); done; exit 3";
        let mut child = std::process::Command::new("sh").args(["-c", work]).spawn().unwrap();
        let (status, spent) = wait(&mut child).unwrap();
        assert_eq!(status.code(), Some(3));
        assert!(spent.cpu >= TICK && spent.peak_memory > 100_000, "{spent:?}");
    }

    #[test]
    fn a_stat_line_counts_user_and_system_time() {
        assert_eq!(stat("7 (a) b) S 1 2 3 4 5 6 7 8 9 10 150 25 0 0 20 0"), Some(TICK * 175));
        assert_eq!(stat("nonsense"), None);
    }
}
