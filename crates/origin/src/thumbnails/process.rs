//! The child process that makes one picture.

use std::io;
use std::process::{Output, Stdio};
use std::time::Duration;

use bytes::Bytes;
use headwater_runtime::config::WorkerSandbox;
use headwater_transcode::launch::{WorkerCommand, brief};
use headwater_transcode::sandbox::Mode;
use headwater_transcode::still::UNSUPPORTED_EXIT_CODE;
use headwater_wire::frames;
use headwater_wire::v2::StillRequest;
use prost::Message as _;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, Command};

/// A picture and a sheet take 0.2 s; on a machine that drowns, many times that.
const PROCESS_LIMIT: Duration = Duration::from_secs(10);
/// Measured: 72 MB in all for a frame of 720p. One of 4K takes 12 MB, and a decoder keeps 17 of them at most.
const MEMORY_BYTES: u64 = 512 << 20;
/// A JPEG of the largest size takes a tenth of it.
const MAX_PICTURE_BYTES: u64 = 8 << 20;
/// Of what a child says.
const MAX_ERROR_BYTES: u64 = 4 << 10;

/// Why a child gave no picture.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The media holds none.
    Media(String),
    Process(String),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Process(error.to_string())
    }
}

/// How children are started.
#[derive(Debug)]
pub(crate) struct StillProcess {
    /// None where this executable can't be told.
    command: Option<WorkerCommand>,
    mode: Mode,
}

impl StillProcess {
    /// This executable once more.
    pub(crate) fn own(sandbox: WorkerSandbox) -> Self {
        let mode = match sandbox {
            WorkerSandbox::Required => Mode::Required,
            WorkerSandbox::Preferred => Mode::Preferred,
            WorkerSandbox::Off => Mode::Off,
        };
        Self { command: WorkerCommand::still().ok(), mode }
    }

    #[cfg(test)]
    pub(crate) fn new(command: WorkerCommand, mode: Mode) -> Self {
        Self { command: Some(command), mode }
    }

    /// The JPEG that is asked for. The child does not outlive this call.
    pub(crate) async fn run(&self, request: &StillRequest) -> Result<Bytes, Failure> {
        if request.encoded_len() > frames::MESSAGE_LIMIT {
            return Err(Failure::Media("there is too much of it".into()));
        }
        let answered =
            tokio::time::timeout(PROCESS_LIMIT, answer(self.start()?, frames::encode(request))).await;
        let late = |_| Failure::Process(format!("it took more than {} s", PROCESS_LIMIT.as_secs()));
        judge(answered.map_err(late)??)
    }

    fn start(&self) -> Result<Child, Failure> {
        let unknown = || Failure::Process("the system does not say which executable this is".into());
        let command = self.command.as_ref().ok_or_else(unknown)?.command(self.mode, MEMORY_BYTES);
        let mut command = Command::from(command);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Ok(command.kill_on_drop(true).spawn()?)
    }
}

async fn answer(mut child: Child, request: Bytes) -> io::Result<Output> {
    let pipes = "every stream was asked to be a pipe";
    let mut stdin = child.stdin.take().expect(pipes);
    let stdout = child.stdout.take().expect(pipes);
    let stderr = child.stderr.take().expect(pipes);
    let asked = async {
        // One that has seen enough does not read everything; what it says counts.
        let _ = stdin.write_all(&request).await;
        drop(stdin);
    };
    let ((), stdout, stderr) =
        tokio::join!(asked, all(stdout, MAX_PICTURE_BYTES), all(stderr, MAX_ERROR_BYTES));
    let stdout = stdout?;
    let stderr = stderr?;
    Ok(Output { status: child.wait().await?, stdout, stderr })
}

/// Reads to the end, and keeps the first `most` bytes.
async fn all(mut source: impl AsyncRead + Unpin, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    (&mut source).take(most).read_to_end(&mut bytes).await?;
    tokio::io::copy(&mut source, &mut tokio::io::sink()).await?;
    Ok(bytes)
}

fn judge(Output { status, stdout, stderr }: Output) -> Result<Bytes, Failure> {
    let said = brief(&stderr);
    match status.code() {
        Some(0) if stdout.len() as u64 == MAX_PICTURE_BYTES => {
            Err(Failure::Process("its picture is too large".into()))
        }
        Some(0) if !stdout.is_empty() => Ok(stdout.into()),
        Some(code) if code == i32::from(UNSUPPORTED_EXIT_CODE) => Err(Failure::Media(said)),
        _ => Err(Failure::Process(format!("{status} ({said})"))),
    }
}
