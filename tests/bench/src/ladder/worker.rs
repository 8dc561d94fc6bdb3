//! A worker process at work, as fast as it can: what it takes waits in a pipe, and so does what it gives.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufReader, Write};
use std::path::Path;
use std::process::{ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use headwater_hls::Packager;
use headwater_media::{EncodedFrame, Ladder, MediaEvent, PeriodStart, SegmentSettings, TimelineEvent};
use headwater_wire::frames;
use headwater_wire::v2::worker_input::{End, Message as Order, Start};
use headwater_wire::v2::worker_output::Message as Answer;
use headwater_wire::v2::{WorkerInput, WorkerOutput};

use crate::usage::{self, Spent};

/// As a server says it by default, in the worker's environment.
const ENVIRONMENT: [(&str, &str); 2] = [("WORKER_SANDBOX", "preferred"), ("WORKER_MEMORY", "2147483648")];

/// Makes the ladder; each rendition becomes `<name>.mp4` in the directory.
pub fn run(events: &[TimelineEvent], ladder: &Ladder, directory: &Path) -> Result<Spent> {
    let program = std::env::current_exe()?.with_file_name("headwater-server");
    let log = directory.join("worker.log");
    let mut command = Command::new(&program);
    command
        .arg("worker")
        .env_clear()
        .envs(ENVIRONMENT)
        .envs(std::env::var_os("HOME").map(|home| ("HOME", home)));
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(File::create(&log)?);
    let mut child =
        command.spawn().with_context(|| format!("{} can't be started: build it first", program.display()))?;
    let pipes = child.stdin.take().zip(child.stdout.take());
    let (input, output) = pipes.context("both were asked to be pipes")?;
    let (status, spent, fed, made) = std::thread::scope(|scope| {
        let feeder = scope.spawn(|| feed(input, events, ladder));
        let taker = scope.spawn(|| take(output, directory));
        let ended = usage::wait(&mut child);
        let join = "the thread does not panic";
        let fed = feeder.join().expect(join);
        let made = taker.join().expect(join);
        ended.map(|(status, spent)| (status, spent, fed, made))
    })?;
    let said = fs::read_to_string(&log).unwrap_or_default();
    made.with_context(|| format!("the worker says: {said}"))?;
    fed.context("the worker does not listen")?;
    ensure!(status.success(), "the worker ends with {status}: {said}");
    Ok(spent)
}

fn feed(mut input: ChildStdin, events: &[TimelineEvent], ladder: &Ladder) -> Result<()> {
    let start = Start {
        settings: Some(SegmentSettings::default().into()),
        ladder: Some(ladder.clone().into()),
        first_sequence: 0,
        resume_us: None,
        kept: Vec::new(),
        begun_as: None,
    };
    frames::write(&mut input, &order(Order::Start(start)))?;
    for event in events {
        frames::write(&mut input, &WorkerInput::from(event.clone()))?;
    }
    frames::write(&mut input, &order(Order::End(End {})))?;
    Ok(())
}

fn order(message: Order) -> WorkerInput {
    WorkerInput { message: Some(message) }
}

/// Packages what the worker makes, as a server does it.
fn take(output: ChildStdout, directory: &Path) -> Result<()> {
    let mut output = BufReader::new(output);
    let mut files: BTreeMap<String, File> = BTreeMap::new();
    let mut packager = Packager::default();
    while let Some(WorkerOutput { message }) = frames::read(&mut output)? {
        let made = match message {
            Some(Answer::PeriodStart(period)) => {
                ensure!(files.is_empty(), "the source has a jump: it becomes more than one period");
                let period = PeriodStart::try_from(period)?;
                packager.begin(&period)?;
                for (rendition, init) in period.renditions {
                    let mut file = File::create(directory.join(format!("{}.mp4", rendition.id)))?;
                    file.write_all(&init)?;
                    files.insert(rendition.id.to_string(), file);
                }
                continue;
            }
            Some(Answer::Frame(frame)) => packager.push(EncodedFrame::try_from(frame)?)?,
            Some(Answer::RenditionEnd(end)) => packager.end(end.rendition as usize)?,
            Some(Answer::Failed(failure)) => bail!("it failed: {}", failure.message),
            Some(Answer::Finished(_)) => return Ok(packager.check_ended()?),
            Some(Answer::Stats(_) | Answer::Ready(_)) | None => continue,
        };
        for event in made {
            if let MediaEvent::Part { rendition, bytes, .. } = event {
                let file = files.get_mut(rendition.as_str()).context("a part of nothing")?;
                file.write_all(&bytes)?;
            }
        }
    }
    bail!("it ends without a word")
}
