//! Workers as child processes, and the check whether they can be confined.

use std::io;
use std::process::Stdio;
use std::time::Duration;

use headwater_runtime::config::{ServerConfig, WorkerSandbox};
use headwater_transcode::launch::{WorkerCommand, brief};
use headwater_transcode::sandbox::Mode;
use tokio::process::Command;
use tracing::Instrument;

use super::cpu_quota::CpuQuota;
use super::{Body, Worker, Workers, log};

/// Busy threads of a healthy worker besides the one of each rung: one that decodes, and less than one for the sound and the rest.
const THREADS_BESIDE_RUNGS: u32 = 2;

/// Workers as child processes.
#[derive(Clone, Debug)]
pub struct Processes {
    command: WorkerCommand,
    sandbox: WorkerSandbox,
    /// Bytes of memory that a worker may have.
    memory: u64,
    cores: u32,
    start_timeout: Duration,
}

/// Reason why no worker may be started.
#[derive(Debug, thiserror::Error)]
#[error("server.worker_sandbox is \"required\", and {0}")]
pub struct Unconfined(String);

impl Processes {
    /// Workers that this command starts, within the limits of the configuration, for ladders of so many rungs.
    pub fn new(command: WorkerCommand, server: &ServerConfig, rungs: usize) -> Self {
        let cores = rungs as u32 + THREADS_BESIDE_RUNGS;
        let sandbox = server.worker_sandbox;
        let memory = server.worker_memory.0;
        Self { command, sandbox, memory, cores, start_timeout: server.worker_start_timeout }
    }

    /// Starts a worker that does nothing but shut itself in, and logs which parts of that this machine can't do. It also
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

    /// The parts of the sandbox that are missing, in one line.
    async fn try_out(&self) -> io::Result<String> {
        let output = self.process(Mode::Check).stdin(Stdio::null()).kill_on_drop(true).output();
        let output = tokio::time::timeout(self.start_timeout, output).await;
        let output = output.map_err(|_| io::Error::other("it did not start in time"))??;
        if !output.status.success() {
            let why = brief(&output.stderr);
            return Err(io::Error::other(format!("{} ({why})", output.status)));
        }
        Ok(brief(&output.stdout))
    }

    fn process(&self, mode: Mode) -> Command {
        self.command.command(mode, self.memory).into()
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
        let input = child.stdin.take().expect(pipes);
        let output = child.stdout.take().expect(pipes);
        let stderr = child.stderr.take().expect(pipes);
        // Ends by itself with the pipe, which ends with the child.
        tokio::spawn(log::log_lines(stderr).in_current_span());
        let allowance = CpuQuota::start_renewing(child.id(), self.cores);
        Ok(Worker::new(Body::Process(child, allowance), Box::new(input), Box::new(output)))
    }
}
