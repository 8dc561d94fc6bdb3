//! The worker as a child process: started, spoken to, stopped, each within a bound.

use std::fmt::Debug;
use std::io;
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use bytes::Bytes;
use futures::{SinkExt, StreamExt};
use headwater_wire::frames::{self, MESSAGE_LIMIT};
use headwater_wire::v1;
use prost::Message;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, BufReader};
use tokio::process::{Child, ChildStderr, Command};
use tokio::task::AbortHandle;
use tokio_util::codec::{FramedRead, FramedWrite, LengthDelimitedCodec};
use tracing::Instrument;

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

/// Where workers come from: child processes, unless the network and the machines are simulated.
pub trait Workers: Debug + Send + Sync + 'static {
    fn start(&self) -> io::Result<Worker>;
}

impl Workers for WorkerCommand {
    fn start(&self) -> io::Result<Worker> {
        Worker::spawn(self)
    }
}

/// A running worker. It is killed when this is dropped.
pub struct Worker {
    body: Body,
    pub input: WorkerInput,
    pub output: WorkerOutput,
}

enum Body {
    Process(Child),
    Task(Task),
}

/// A task that stands for a process; it is ended with its worker.
struct Task(AbortHandle);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

pub struct WorkerInput(FramedWrite<Box<dyn AsyncWrite + Send + Unpin>, LengthDelimitedCodec>);
pub struct WorkerOutput(FramedRead<Box<dyn AsyncRead + Send + Unpin>, LengthDelimitedCodec>);

impl Worker {
    pub fn spawn(command: &WorkerCommand) -> io::Result<Self> {
        let mut child = Command::new(&command.program)
            .args(&command.arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let pipes = "every stream was asked to be a pipe";
        let (input, output) = (child.stdin.take().expect(pipes), child.stdout.take().expect(pipes));
        let stderr = child.stderr.take().expect(pipes);
        // Ends by itself with the pipe, which ends with the child.
        tokio::spawn(log_lines(stderr).in_current_span());
        Ok(Self::new(Body::Process(child), Box::new(input), Box::new(output)))
    }

    /// A task of this process that speaks the worker's protocol on these pipes.
    pub fn simulated(
        task: AbortHandle,
        input: Box<dyn AsyncWrite + Send + Unpin>,
        output: Box<dyn AsyncRead + Send + Unpin>,
    ) -> Self {
        Self::new(Body::Task(Task(task)), input, output)
    }

    fn new(
        body: Body,
        input: Box<dyn AsyncWrite + Send + Unpin>,
        output: Box<dyn AsyncRead + Send + Unpin>,
    ) -> Self {
        let codec = || LengthDelimitedCodec::builder().max_frame_length(MESSAGE_LIMIT).new_codec();
        Self {
            body,
            input: WorkerInput(FramedWrite::new(input, codec())),
            output: WorkerOutput(FramedRead::new(output, codec())),
        }
    }

    /// Closes the worker's pipes and waits for its end; after `limit` it is killed.
    pub async fn stop(self, limit: Duration) -> io::Result<ExitStatus> {
        // What it still writes must not keep it: nobody reads that any more.
        drop((self.input, self.output));
        let mut child = match self.body {
            Body::Process(child) => child,
            Body::Task(task) => {
                drop(task);
                return Ok(ExitStatus::from_raw(0));
            }
        };
        if let Ok(status) = tokio::time::timeout(limit, child.wait()).await {
            return status;
        }
        tracing::warn!(?limit, "the worker did not stop in time and is killed");
        child.kill().await?;
        child.wait().await
    }
}

impl WorkerInput {
    /// Waits while the worker has more to do than its pipe can hold: this is the backpressure on the publisher.
    pub async fn send(&mut self, message: v1::WorkerInput) -> io::Result<()> {
        self.0.send(Bytes::from(message.encode_to_vec())).await
    }
}

impl WorkerOutput {
    /// The next message; `None` when the worker has closed its output.
    pub async fn next(&mut self) -> io::Result<Option<v1::worker_output::Message>> {
        loop {
            let Some(frame) = self.0.next().await.transpose()? else { return Ok(None) };
            let message: v1::WorkerOutput = frames::decode(frame.freeze())?;
            if message.message.is_some() {
                return Ok(message.message);
            }
        }
    }
}

async fn log_lines(stderr: ChildStderr) {
    let mut lines = BufReader::new(stderr).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        tracing::warn!(target: "headwater::worker", "{line}");
    }
}
