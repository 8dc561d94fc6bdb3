//! Runs schedules, each in a process of its own: what one leaves behind (counters of libraries, keys of hash maps) would
//! change the next one.

use std::io::{self, Write as _};
use std::ops::Range;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::kernel::{log, metrics, system};
use crate::world::World;

/// Which schedule: the child's task, or a run's only one.
pub const SEED: &str = "SEED";
/// How many schedules, and from which seed on.
const SEEDS: &str = "SEEDS";
const FROM: &str = "FROM";
/// How many at the same time.
const JOBS: &str = "JOBS";
/// Set where a child is to tell everything while it happens.
const TELL: &str = "TELL";
/// A schedule takes some seconds of the clock on the wall; one that takes so long hangs.
const HANG: Duration = Duration::from_secs(120);
/// The stack of a simulation: all machines live on it.
const STACK: usize = 64 << 20;

/// How a schedule went.
#[derive(Debug)]
pub struct Verdict {
    pub seed: u64,
    pub hash: String,
    pub failures: Vec<String>,
    pub log: String,
}

/// Runs these schedules; panics with the first one that fails.
pub fn run(seeds: Range<u64>, is_told: bool) {
    let next = AtomicU64::new(seeds.start);
    let began = Instant::now();
    let total = seeds.end - seeds.start;
    let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get() as u64);
    let failed = std::thread::scope(|scope| {
        let work = || {
            let mut failed = Vec::new();
            loop {
                let seed = next.fetch_add(1, Ordering::Relaxed);
                if seed >= seeds.end {
                    return failed;
                }
                let verdict = child(seed, false);
                let done = seed - seeds.start + 1;
                if is_told && done.is_multiple_of(100) {
                    tell(&format!("{done} of {total} schedules, {:.0} s", began.elapsed().as_secs_f64()));
                }
                if !verdict.failures.is_empty() {
                    tell(&format!("seed {seed} fails: {}", verdict.failures[0]));
                    failed.push(verdict);
                }
            }
        };
        let workers: Vec<_> = (0..number(JOBS).unwrap_or(cores)).map(|_| scope.spawn(work)).collect();
        workers
            .into_iter()
            .flat_map(|worker| worker.join().expect("a runner does not panic"))
            .collect::<Vec<_>>()
    });
    if let Some(first) = failed.iter().min_by_key(|verdict| verdict.seed) {
        tell(&first.log);
        let seeds: Vec<_> = failed.iter().map(|verdict| verdict.seed).collect();
        let Verdict { seed, failures, .. } = first;
        panic!(
            "{} of {total} schedules fail: {seeds:?}\nseed {seed}: {failures:#?}\nagain: make chaos SEED={seed}",
            failed.len()
        );
    }
}

/// Runs one schedule, and tells everything.
pub fn replay(seed: u64) {
    let Verdict { failures, hash, .. } = child(seed, true);
    assert!(failures.is_empty(), "seed {seed} fails: {failures:#?}");
    tell(&format!("seed {seed} holds, log {hash}"));
}

pub fn range() -> Range<u64> {
    let from = number(FROM).unwrap_or(0);
    from..from + number(SEEDS).unwrap_or(1_000)
}

pub fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok().filter(|text| !text.is_empty())?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} is a number")))
}

/// Runs one schedule in a process of its own.
pub fn child(seed: u64, is_told: bool) -> Verdict {
    let this = std::env::current_exe().expect("the test binary knows where it is");
    let mut command = Command::new(this);
    command.args(["one_schedule", "--exact", "--ignored", "--nocapture"]).env(SEED, seed.to_string());
    command.env(TELL, if is_told { "1" } else { "" }).stdout(Stdio::piped());
    command.stderr(if is_told { Stdio::inherit() } else { Stdio::piped() });
    let child = command.spawn().expect("the test binary starts again");
    let id = child.id();
    let (done, is_done) = std::sync::mpsc::channel::<()>();
    let watch = std::thread::spawn(move || {
        if is_done.recv_timeout(HANG) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
            // SAFETY: a system call without memory; the child is waited for after this thread has ended.
            unsafe { libc::kill(id as libc::pid_t, libc::SIGKILL) };
        }
    });
    let output = child.wait_with_output().expect("a child that was started can be waited for");
    drop(done);
    watch.join().expect("the watch does not panic");
    verdict(seed, &output)
}

fn verdict(seed: u64, output: &std::process::Output) -> Verdict {
    let text = String::from_utf8_lossy(&output.stdout);
    let marked = |mark: &str| -> Vec<String> {
        text.lines().filter_map(|line| line.strip_prefix(mark)).map(str::to_owned).collect()
    };
    let hash = marked("HASH ").pop();
    let mut failures = marked("FAILURE ");
    if hash.is_none() {
        failures.push(format!(
            "nothing hangs or crashes: {}\n{}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        ));
    }
    Verdict { seed, hash: hash.unwrap_or_default(), failures, log: marked("LOG ").join("\n") }
}

/// Runs one schedule, told on the standard output.
pub fn be_the_child() {
    let seed = number(SEED).expect("the runner says which schedule");
    metrics::record();
    log::start(std::env::var(TELL).is_ok_and(|tell| !tell.is_empty()));
    let simulation = std::thread::Builder::new().stack_size(STACK).spawn(move || simulate(seed));
    let failures =
        simulation.expect("a thread starts").join().unwrap_or_else(|_| vec!["the simulator panicked".into()]);
    let mut out = io::stdout().lock();
    let mut say = |mark: &str, text: &str| {
        writeln!(out, "{mark} {}", text.replace('\n', " ")).expect("the runner reads")
    };
    say("", "");
    failures.iter().for_each(|failure| say("FAILURE", failure));
    if !failures.is_empty() {
        log::lines().iter().for_each(|line| say("LOG", line));
    }
    say("HASH", &format!("{:016x}", log::hash()));
}

fn simulate(seed: u64) -> Vec<String> {
    system::take_over(seed);
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        log::panicked(&info.to_string());
        usual(info);
    }));
    let mut failures = World::new(seed).run();
    failures.extend(log::panics().into_iter().map(|panic| format!("nothing panics: {panic}")));
    failures
}

/// Past the test harness, which would keep it until the end.
fn tell(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}
