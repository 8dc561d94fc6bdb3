//! Starting a worker: the server's own executable once more, with as little of the server's as it can work with.

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use headwater_runtime::config::{Config, WorkerSandbox};
use headwater_transcode::sandbox::{MEMORY_VARIABLE, MODE_VARIABLE, Mode};
use tokio::process::Command;
use tracing::Instrument;

use super::allowance::Allowance;
use super::{Body, Worker, Workers, log};

/// What a worker is given of the server's environment. Everything else stays here: credentials, keys, addresses.
const VARIABLES: [&str; 5] = ["PATH", "HOME", "XDG_CACHE_HOME", "LD_LIBRARY_PATH", "RUST_BACKTRACE"];
/// And what GStreamer goes by: where plugins are, and what it says while somebody looks for a fault.
const PREFIX: &str = "GST_";
/// A healthy worker has one busy thread for each rung, one that decodes, and less than one for the sound and the rest.
const THREADS_BESIDE_RUNGS: u32 = 2;

/// How a worker is started: the running executable with one argument, unless a test says otherwise.
#[derive(Clone, Debug)]
pub struct WorkerCommand {
    pub program: PathBuf,
    pub arguments: Vec<String>,
}

impl WorkerCommand {
    /// This executable, which runs the worker when its first argument is `worker`.
    pub fn own() -> io::Result<Self> {
        Ok(Self { program: std::env::current_exe()?, arguments: vec!["worker".into()] })
    }
}

/// Workers as child processes.
#[derive(Clone, Debug)]
pub struct Processes {
    command: WorkerCommand,
    sandbox: WorkerSandbox,
    /// Bytes.
    memory: u64,
    cores: u32,
    start_timeout: Duration,
}

/// Why no worker may be started.
#[derive(Debug, thiserror::Error)]
#[error("server.worker_sandbox is \"required\", and {0}")]
pub struct Unconfined(String);

impl Processes {
    pub fn new(command: WorkerCommand, config: &Config) -> Self {
        let server = &config.server;
        let cores = config.ladder.rungs.len() as u32 + THREADS_BESIDE_RUNGS;
        let (sandbox, memory) = (server.worker_sandbox, server.worker_memory.0);
        Self { command, sandbox, memory, cores, start_timeout: server.worker_start_timeout }
    }

    /// Starts a worker that does nothing but shut itself in, and says once what of it this machine can't do. It also
    /// has GStreamer look for its plugins, so that no publisher waits for that.
    ///
    /// # Errors
    /// When that is not enough for the settings.
    pub async fn check(&self) -> Result<(), Unconfined> {
        if self.sandbox == WorkerSandbox::Off {
            tracing::warn!("workers are not confined: server.worker_sandbox is \"off\"");
            return Ok(());
        }
        let said = self.try_out().await;
        let gaps = match &said {
            Ok(gaps) if gaps.is_empty() => {
                tracing::info!("workers are confined: no files, no network, no other processes");
                return Ok(());
            }
            Ok(gaps) => format!("workers are not wholly confined: {gaps}"),
            Err(error) => format!("no worker could be started: {error}"),
        };
        match self.sandbox {
            WorkerSandbox::Required => Err(Unconfined(gaps)),
            WorkerSandbox::Preferred | WorkerSandbox::Off => {
                tracing::warn!("{gaps}");
                Ok(())
            }
        }
    }

    /// What is missing of the sandbox, in one line.
    async fn try_out(&self) -> io::Result<String> {
        let output = self.process(Mode::Check).stdin(Stdio::null()).kill_on_drop(true).output();
        let output = tokio::time::timeout(self.start_timeout, output).await;
        let output = output.map_err(|_| io::Error::other("it did not start in time"))??;
        if !output.status.success() {
            let why = log::brief(&output.stderr);
            return Err(io::Error::other(format!("{} ({why})", output.status)));
        }
        Ok(log::brief(&output.stdout))
    }

    fn process(&self, mode: Mode) -> Command {
        let mut command = Command::new(&self.command.program);
        command.args(&self.command.arguments).env_clear().envs(passed_on(std::env::vars_os()));
        command.env(MODE_VARIABLE, mode.to_string()).env(MEMORY_VARIABLE, self.memory.to_string());
        command
    }
}

impl Workers for Processes {
    fn start(&self) -> io::Result<Worker> {
        let mode = match self.sandbox {
            WorkerSandbox::Required => Mode::Required,
            WorkerSandbox::Preferred => Mode::Preferred,
            WorkerSandbox::Off => Mode::Off,
        };
        let mut child = self
            .process(mode)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let pipes = "every stream was asked to be a pipe";
        let (input, output) = (child.stdin.take().expect(pipes), child.stdout.take().expect(pipes));
        let stderr = child.stderr.take().expect(pipes);
        // Ends by itself with the pipe, which ends with the child.
        tokio::spawn(log::lines(stderr).in_current_span());
        let allowance = Allowance::give(child.id(), self.cores);
        Ok(Worker::new(Body::Process(child, allowance), Box::new(input), Box::new(output)))
    }
}

fn passed_on(
    variables: impl Iterator<Item = (OsString, OsString)>,
) -> impl Iterator<Item = (OsString, OsString)> {
    let is_needed = |name: &OsStr| {
        name.to_str().is_some_and(|name| VARIABLES.contains(&name) || name.starts_with(PREFIX))
    };
    variables.filter(move |(name, _)| is_needed(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_stay_with_the_server() {
        let names = ["AWS_SECRET_ACCESS_KEY", "HEADWATER_INPUTS", "GST_PLUGIN_PATH", "PATH", "REDIS_URL"];
        let variables = names.map(|name| (name.into(), "x".into()));
        let passed: Vec<_> = passed_on(variables.into_iter()).map(|(name, _)| name).collect();
        assert_eq!(passed, ["GST_PLUGIN_PATH", "PATH"]);
    }
}
