//! Log of a run, line by line, and a number that stands for all of it.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::{self, Write};
use std::sync::{Mutex, MutexGuard};

use headwater_media::lock::MutexExt;
use tracing_subscriber::fmt::MakeWriter;

use super::system;

static LOG: Mutex<Log> = Mutex::new(Log { lines: Vec::new(), panics: Vec::new(), hash: 0, is_told: false });

#[derive(Default)]
struct Log {
    lines: Vec<String>,
    panics: Vec<String>,
    hash: u64,
    is_told: bool,
}

fn log() -> MutexGuard<'static, Log> {
    LOG.lock_ignoring_poison()
}

/// Takes down what the services log, too. With `is_told`, every line is printed at once.
pub fn start(is_told: bool) {
    log().is_told = is_told;
    let logged = tracing_subscriber::fmt().with_max_level(tracing_subscriber::filter::LevelFilter::INFO);
    logged.without_time().with_ansi(false).with_target(false).with_writer(Services).init();
}

/// Notes one line.
pub fn note(text: &str) {
    let now = system::now();
    let line = format!("{:>3}.{:03} {text}", now / 1_000, now % 1_000);
    let mut log = log();
    let mut hasher = DefaultHasher::new();
    (log.hash, &line).hash(&mut hasher);
    log.hash = hasher.finish();
    if log.is_told {
        let _ = writeln!(io::stderr(), "{line}");
    }
    log.lines.push(line);
}

/// Notes that a task has panicked, which nobody else may notice.
pub fn panicked(text: &str) {
    note(&format!("PANIC {text}"));
    log().panics.push(text.to_owned());
}

pub fn panics() -> Vec<String> {
    log().panics.clone()
}

/// Stands for every line so far.
pub fn hash() -> u64 {
    log().hash
}

pub fn lines() -> Vec<String> {
    log().lines.clone()
}

/// How many of them have this text in them.
pub fn lines_with(text: &str) -> usize {
    log().lines.iter().filter(|line| line.contains(text)).count()
}

macro_rules! event {
    ($($text:tt)*) => {
        $crate::kernel::log::note(&format!($($text)*))
    };
}
pub(crate) use event;

struct Services;

impl<'a> MakeWriter<'a> for Services {
    type Writer = Services;
    fn make_writer(&'a self) -> Self::Writer {
        Services
    }
}

impl Write for Services {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        note(&format!("{:<9} {}", super::machine::present(), String::from_utf8_lossy(bytes).trim_end()));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
