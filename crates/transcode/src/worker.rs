//! The worker as a process: length-prefixed messages in, length-prefixed messages out.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::process::ExitCode;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use headwater_media::lock::MutexExt;
use headwater_media::{MediaSequence, SourceTime};
use headwater_wire::v2::failure::Code;
use headwater_wire::v2::{self, worker_input as input, worker_output as output};
use headwater_wire::{ConvertError, frames, tag_of};

use crate::cpu::Cpu;
use crate::error::{Error, Result};
use crate::memory::Memory;
use crate::preload::preload;
use crate::progress::Stats;
use crate::report::{Report, Sink};
use crate::sandbox::{self, Gap, Mode};
use crate::sandbox_config::{SandboxConfig, prepare_process};
use crate::transcoder::{Start, Transcoder};

/// Messages that were read and wait; the rest waits in the pipe, and so with the publisher.
const QUEUE_MESSAGES: usize = 8;
/// How soon a failure is noticed while the publisher is silent.
const CHECK_INTERVAL: Duration = Duration::from_millis(250);

type Message = io::Result<Option<v2::WorkerInput>>;

/// The whole life of a worker process: standard input in, standard output out. The exit code is 0 when the server ended
/// it.
pub fn main() -> ExitCode {
    let gaps = sandbox::harden_process();
    // Not `Stdout` itself, which looks for line ends in everything.
    let output = io::stdout().as_fd().try_clone_to_owned().map(File::from).map_err(Error::Output);
    match output.and_then(|output| run_worker(output, gaps)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // The server logs what comes on standard error.
            let _ = writeln!(io::stderr(), "{error}");
            // Threads that hang must not keep the process.
            std::process::exit(1)
        }
    }
}

/// Shuts itself in, then works.
fn run_worker(mut output: File, mut gaps: Vec<Gap>) -> Result<()> {
    let config = SandboxConfig::from_environment(|name| std::env::var(name).ok())?;
    gaps.extend(sandbox::lower_priority());
    let prepared = preload().and_then(|()| prepare_process(&config, gaps));
    if config.mode == Mode::Check {
        let gaps = prepared?.1;
        return gaps.iter().try_for_each(|gap| writeln!(output, "{gap}")).map_err(Error::Output);
    }
    let output = Output::new(output);
    let result = prepared.and_then(|(memory, _)| {
        memory.iter().for_each(|memory| watch_memory(memory, output.clone()));
        let result = begin_work(io::stdin(), &output);
        match memory {
            Some(memory) => memory.explain_failure(result),
            None => result,
        }
    });
    output.write_end(result)
}

/// Ends the process, with a word to the server, before its memory does.
fn watch_memory(memory: &Arc<Memory>, output: Output<File>) {
    memory.watch_usage(move |error| {
        let _ = output.write_end(Err(error));
        std::process::exit(1)
    });
}

/// Works until the server says that there is no more, or until something fails; says so before it returns.
///
/// The caller exits with a code other than 0 after an error: threads may be left that can't be stopped.
///
/// # Errors
/// What ended the work. The server was told, unless its end of a pipe is what is missing.
pub fn run(input: impl Read + Send + 'static, output: impl Write + Send + 'static) -> Result<()> {
    let output = Output::new(output);
    let result = begin_work(input, &output);
    output.write_end(result)
}

fn begin_work<W: Write + Send + 'static>(
    input: impl Read + Send + 'static,
    output: &Output<W>,
) -> Result<()> {
    let (sender, messages) = sync_channel(QUEUE_MESSAGES);
    std::thread::spawn(move || read_messages(input, &sender));
    process_messages(&messages, output)
}

fn process_messages<W: Write + Send + 'static>(
    messages: &Receiver<Message>,
    output: &Output<W>,
) -> Result<()> {
    let mut transcoder = Transcoder::new(read_start(next(messages, || Ok(()))?)?, output.clone())?;
    output.write_message(output::Message::Ready(output::Ready {}))?;
    loop {
        match next(messages, || transcoder.check())? {
            input::Message::Start(_) => return Err(Error::Protocol("started twice".into())),
            input::Message::Period(period) => {
                transcoder.begin_period(period.try_into().map_err(misread_error)?)?
            }
            input::Message::Tag(tag) => {
                transcoder.tag(tag_of(transcoder.period()?, tag).map_err(misread_error)?)?
            }
            input::Message::End(_) => return transcoder.finish(),
        }
    }
}

/// The next message; meanwhile `check` is asked now and then.
fn next(messages: &Receiver<Message>, check: impl Fn() -> Result<()>) -> Result<input::Message> {
    loop {
        match messages.recv_timeout(CHECK_INTERVAL) {
            Ok(Ok(Some(v2::WorkerInput { message: Some(message) }))) => return Ok(message),
            // A message of a newer server.
            Ok(Ok(Some(v2::WorkerInput { message: None }))) => {}
            Ok(Ok(None)) | Err(RecvTimeoutError::Disconnected) => return Err(Error::InputEnded),
            Ok(Err(error)) => return Err(Error::Input(error)),
            Err(RecvTimeoutError::Timeout) => check()?,
        }
    }
}

/// Until the end of the input, an error, or until nobody listens.
fn read_messages(mut input: impl Read, messages: &SyncSender<Message>) {
    loop {
        let message = frames::read(&mut input);
        let is_last = !matches!(message, Ok(Some(_)));
        if messages.send(message).is_err() || is_last {
            return;
        }
    }
}

fn read_start(message: input::Message) -> Result<Start> {
    let input::Message::Start(start) = message else {
        return Err(Error::Protocol("it does not begin with a start".into()));
    };
    let missing = |field| misread_error(ConvertError::Missing(field));
    Ok(Start {
        settings: start.settings.ok_or_else(|| missing("settings"))?.try_into().map_err(misread_error)?,
        ladder: start.ladder.ok_or_else(|| missing("ladder"))?.try_into().map_err(misread_error)?,
        first_sequence: MediaSequence(start.first_sequence),
        resume: start.resume_us.map(SourceTime),
        kept: start
            .kept
            .into_iter()
            .map(TryInto::try_into)
            .collect::<Result<_, _>>()
            .map_err(misread_error)?,
        begun_as: start.begun_as.map(TryInto::try_into).transpose().map_err(misread_error)?,
    })
}

fn misread_error(error: ConvertError) -> Error {
    Error::Protocol(error.to_string())
}

fn wire_failure(error: &Error) -> v2::Failure {
    let code = match error {
        Error::Input(_) | Error::Protocol(_) => Code::Protocol,
        Error::PeriodDiffers { .. } => Code::PeriodDiffers,
        error if error.is_unsupported_media() => Code::UnsupportedMedia,
        _ => Code::WorkerFailed,
    };
    v2::Failure { code: code.into(), message: error.to_string() }
}

/// Whole messages, one at a time, from any thread.
struct Output<W> {
    writer: Arc<Mutex<W>>,
    cpu: Arc<Mutex<Cpu>>,
}

impl<W> Clone for Output<W> {
    fn clone(&self) -> Self {
        Self { writer: self.writer.clone(), cpu: self.cpu.clone() }
    }
}

impl<W: Write> Output<W> {
    fn new(writer: W) -> Self {
        Self { writer: Arc::new(Mutex::new(writer)), cpu: Arc::new(Mutex::new(Cpu::new())) }
    }

    /// The last word.
    fn write_end(&self, result: Result<()>) -> Result<()> {
        match &result {
            Ok(()) => self.write_message(output::Message::Finished(output::Finished {}))?,
            // Nobody listens any more.
            Err(Error::InputEnded | Error::Output(_) | Error::Unheard { .. }) => {}
            Err(error) => self.write_message(output::Message::Failed(wire_failure(error)))?,
        }
        result
    }

    fn write_message(&self, message: output::Message) -> Result<()> {
        let message = v2::WorkerOutput { message: Some(message) };
        let mut writer = self.writer.lock_ignoring_poison();
        frames::write(&mut *writer, &message).and_then(|()| writer.flush()).map_err(Error::Output)
    }
}

impl<W: Write + Send + 'static> Sink for Output<W> {
    fn report(&self, report: Report) -> Result<()> {
        self.write_message(match report {
            Report::PeriodStart(start) => output::Message::PeriodStart(start.into()),
            Report::Frame(frame) => output::Message::Frame(frame.into()),
            Report::RenditionEnd(place) => {
                output::Message::RenditionEnd(output::RenditionEnd { rendition: place as u32 })
            }
            Report::Stats(numbers) => {
                let cpu = self.cpu.lock_ignoring_poison().read_millicores();
                output::Message::Stats(wire_stats(numbers, cpu))
            }
        })
    }
}

fn wire_stats(stats: Stats, cpu_millicores: u32) -> output::Stats {
    output::Stats {
        frames_in: stats.frames_in,
        frames_encoded: stats.frames_encoded,
        frames_dropped: stats.frames_dropped,
        frames_repeated: stats.frames_repeated,
        newest_in_us: stats.newest_in.0,
        newest_out_us: stats.newest_out.0,
        cpu_millicores,
    }
}
