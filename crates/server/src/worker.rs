//! The worker as a child process: started, spoken to, stopped, each within a bound.

mod cpu_quota;
mod log;
mod messages;
mod process;
mod starter;

use std::fmt::Debug;
use std::io;
use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;
use std::time::Duration;

use bytes::Bytes;
use futures::{SinkExt, StreamExt};
use headwater_wire::frames::{self, MESSAGE_LIMIT};
use headwater_wire::v2;
use prost::Message;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::process::Child;
use tokio::task::AbortHandle;
use tokio_util::codec::{FramedRead, FramedWrite, LengthDelimitedCodec};

use cpu_quota::CpuQuota;
pub(crate) use messages::{FromWorker, OutputError, Stats, ToWorker, TranscodeSpec};
pub use process::Processes;
pub(crate) use starter::Starter;

/// The source of workers: child processes, unless the network and the machines are simulated.
pub trait Workers: Debug + Send + Sync + 'static {
    fn start(&self) -> io::Result<Worker>;
}

/// A running worker. It is killed when this is dropped.
pub struct Worker {
    body: Body,
    pub input: WorkerInput,
    pub output: WorkerOutput,
}

enum Body {
    Process(Child, CpuQuota),
    Task(Task),
}

/// A task that stands for a process; it is ended with its worker.
struct Task(AbortHandle);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The worker's standard input.
pub struct WorkerInput(FramedWrite<Box<dyn AsyncWrite + Send + Unpin>, LengthDelimitedCodec>);
/// The worker's standard output.
pub struct WorkerOutput(FramedRead<Box<dyn AsyncRead + Send + Unpin>, LengthDelimitedCodec>);

impl Worker {
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
        // A worker that still writes must not wait: its output is not read any more.
        drop((self.input, self.output));
        let mut child = match self.body {
            Body::Process(child, _allowance) => child,
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
    pub(crate) async fn send_message(&mut self, message: ToWorker) -> io::Result<()> {
        let message = v2::WorkerInput::from(message);
        self.0.send(Bytes::from(message.encode_to_vec())).await
    }
}

impl WorkerOutput {
    /// The next message; `None` when the worker has closed its output.
    pub(crate) async fn next_message(&mut self) -> Result<Option<FromWorker>, OutputError> {
        loop {
            let Some(frame) = self.0.next().await.transpose()? else { return Ok(None) };
            let message: v2::WorkerOutput = frames::decode(frame.freeze())?;
            if let Some(message) = message.message {
                return Ok(Some(message.try_into()?));
            }
        }
    }
}
