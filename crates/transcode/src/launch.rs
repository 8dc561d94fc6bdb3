//! How those who start a worker, or a process that makes still pictures, start it: their own executable once more, with as
//! little of theirs as it can work with.

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::PathBuf;
use std::process::Command;

use crate::sandbox::{MEMORY_VARIABLE, MODE_VARIABLE, Mode};

/// Variables of the environment that a child process gets. Everything else stays behind: credentials, keys, addresses.
const KEPT_VARIABLES: [&str; 5] = ["PATH", "HOME", "XDG_CACHE_HOME", "LD_LIBRARY_PATH", "RUST_BACKTRACE"];
/// And what GStreamer goes by: where plugins are, and what it says while somebody looks for a fault.
const KEPT_PREFIX: &str = "GST_";
/// Bytes that are kept of a process's standard error.
const MAX_ERROR_BYTES: usize = 2_048;

/// How a worker is started: the running executable with one argument, unless a test says otherwise.
#[derive(Clone, Debug)]
pub struct WorkerCommand {
    pub program: PathBuf,
    pub arguments: Vec<String>,
}

impl WorkerCommand {
    /// This executable, which runs [`crate::worker::main`] when its first argument is `worker`.
    ///
    /// # Errors
    /// When the system does not say which one it is.
    pub fn own() -> io::Result<Self> {
        Self::with_argument("worker")
    }

    /// This executable, which runs [`crate::still::main`] when its first argument is `still`.
    ///
    /// # Errors
    /// When the system does not say which one it is.
    pub fn still() -> io::Result<Self> {
        Self::with_argument("still")
    }

    fn with_argument(argument: &str) -> io::Result<Self> {
        Ok(Self { program: std::env::current_exe()?, arguments: vec![argument.into()] })
    }

    /// A process that confines itself like this, with at most `memory` bytes.
    pub fn command(&self, mode: Mode, memory: u64) -> Command {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).env_clear().envs(passed_on(std::env::vars_os()));
        command.env(MODE_VARIABLE, mode.to_string()).env(MEMORY_VARIABLE, memory.to_string());
        command
    }
}

/// Text of a process's standard error, as one line; cut, as a stranger's media may have made it say anything.
pub fn brief(said: &[u8]) -> String {
    let text = String::from_utf8_lossy(&said[..said.len().min(MAX_ERROR_BYTES)]);
    text.trim().lines().collect::<Vec<_>>().join("; ")
}

fn passed_on(
    variables: impl Iterator<Item = (OsString, OsString)>,
) -> impl Iterator<Item = (OsString, OsString)> {
    let is_needed = |name: &OsStr| {
        name.to_str().is_some_and(|name| KEPT_VARIABLES.contains(&name) || name.starts_with(KEPT_PREFIX))
    };
    variables.filter(move |(name, _)| is_needed(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_stay() {
        let names = ["AWS_SECRET_ACCESS_KEY", "HEADWATER_INPUTS", "GST_PLUGIN_PATH", "PATH", "REDIS_URL"];
        let variables = names.map(|name| (name.into(), "x".into()));
        let passed: Vec<_> = passed_on(variables.into_iter()).map(|(name, _)| name).collect();
        assert_eq!(passed, ["GST_PLUGIN_PATH", "PATH"]);
    }

    #[test]
    fn what_was_said_is_one_line() {
        assert_eq!(brief(b" one\ntwo\n"), "one; two");
        assert_eq!(brief("x".repeat(MAX_ERROR_BYTES * 2).as_bytes()).len(), MAX_ERROR_BYTES);
    }
}
