//! A worker without GStreamer: what it makes is a function of what it is given and told at its start, as with the real
//! one. Its frames are the numbers of the tags that they are made of. When it gives them is up to chance, and
//! each rendition takes its own time.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::StreamExt as _;
use headwater_media::lock::MutexExt;
use headwater_media::{Cut, EncodedFrame};
use headwater_server::{Worker, Workers};
use headwater_wire::frames::{self, MESSAGE_LIMIT};
use headwater_wire::v2::worker_input::Message as Input;
use headwater_wire::v2::worker_output::{Finished, Message as Output, Ready, RenditionEnd};
use headwater_wire::v2::{WorkerInput, WorkerOutput};
use tokio::io::{AsyncWriteExt as _, DuplexStream};
use tokio::time::{Instant, sleep_until};
use tokio_util::codec::{FramedRead, LengthDelimitedCodec};

use super::ladder::{self, Encoding, Made};
use super::tag::{self, Number};
use crate::check::Checker;
use crate::kernel::chance::Chance;
use crate::kernel::net::Host;

/// Bytes that the system's pipes hold.
const PIPE_BYTES: usize = 64 << 10;

/// Frames that wait in an encoder: those of the real one look ahead for 10 pictures and have 4 more waiting.
const ROOM: usize = 14;

/// Behaviour of a server's workers.
#[derive(Clone, Debug)]
pub struct Crew {
    host: Host,
    checker: Checker,
    chance: Arc<Mutex<Chance>>,
    fault: Arc<AtomicU8>,
    on_strike: Arc<AtomicBool>,
}

/// Error number of the system for too many open files.
const EMFILE: i32 = 24;
const WELL: u8 = 0;
const CRASH: u8 = 1;
const HANG: u8 = 2;

impl Crew {
    pub fn new(host: Host, chance: Chance, checker: Checker) -> Self {
        let chance = Arc::new(Mutex::new(chance));
        let fault = Arc::default();
        let on_strike = Arc::default();
        Self { host, checker, chance, fault, on_strike }
    }

    /// The next worker that is given something crashes.
    pub fn crash(&self) {
        self.fault.store(CRASH, Ordering::Relaxed);
    }

    /// The next worker that is given something does nothing any more.
    pub fn hang(&self) {
        self.fault.store(HANG, Ordering::Relaxed);
    }

    /// No worker starts any more.
    pub fn strike(&self) {
        self.on_strike.store(true, Ordering::Relaxed);
    }

    pub fn end_strike(&self) {
        self.on_strike.store(false, Ordering::Relaxed);
    }

    pub fn heal(&self) {
        self.fault.store(WELL, Ordering::Relaxed);
        self.end_strike();
    }

    fn delays(&self) -> [u64; 2] {
        let mut chance = self.chance.lock_ignoring_poison();
        [chance.between(5, 400), chance.between(5, 200)]
    }
}

impl Workers for Crew {
    fn start(&self) -> io::Result<Worker> {
        if self.on_strike.load(Ordering::Relaxed) {
            return Err(io::Error::from_raw_os_error(EMFILE));
        }
        let (input, theirs) = tokio::io::duplex(PIPE_BYTES);
        let (ours, output) = tokio::io::duplex(PIPE_BYTES);
        let process = Process {
            host: self.host,
            checker: self.checker.clone(),
            input: FramedRead::new(
                theirs,
                LengthDelimitedCodec::builder().max_frame_length(MESSAGE_LIMIT).new_codec(),
            ),
            output: ours,
            fault: self.fault.clone(),
            delays: self.delays(),
            encoding: Encoding::default(),
            waiting: [VecDeque::new(), VecDeque::new()],
            parts: BTreeMap::new(),
        };
        let task = tokio::spawn(async move { drop(process.run().await) });
        Ok(Worker::simulated(task.abort_handle(), Box::new(input), Box::new(output)))
    }
}

type Pipe = FramedRead<DuplexStream, LengthDelimitedCodec>;

struct Process {
    host: Host,
    checker: Checker,
    input: Pipe,
    output: DuplexStream,
    fault: Arc<AtomicU8>,
    /// How long each rendition takes, in milliseconds.
    delays: [u64; 2],
    encoding: Encoding,
    /// Output that each rendition has made and not yet given.
    waiting: [VecDeque<(Instant, ladder::Output)>; 2],
    /// Frames of each rendition's open part: track, segment and number.
    parts: BTreeMap<usize, Vec<(usize, u64, Number)>>,
}

impl Process {
    async fn run(mut self) -> io::Result<()> {
        loop {
            let due = self.waiting.iter().filter_map(|made| Some(made.front()?.0)).min();
            tokio::select! {
                biased;
                () = until(due) => self.give_due().await?,
                message = read(&mut self.input), if self.has_room() => {
                    let Some(message) = message? else { return Ok(()) };
                    if !self.take(message).await? {
                        return Ok(());
                    }
                }
            }
        }
    }

    /// Whether it takes more. As with the real one, sound does not get far ahead of the pictures, however fast media comes.
    fn has_room(&self) -> bool {
        self.waiting.iter().all(|made| made.len() < ROOM)
    }

    /// False when it is done.
    async fn take(&mut self, message: Input) -> io::Result<bool> {
        if !matches!(message, Input::Start(_)) {
            match self.fault.swap(WELL, Ordering::Relaxed) {
                CRASH => return Ok(false),
                HANG => std::future::pending::<()>().await,
                _ => {}
            }
        }
        match message {
            Input::Start(start) => {
                self.encoding.start(start);
                self.say(Output::Ready(Ready {})).await?;
            }
            Input::Period(period) => {
                let ends = self.encoding.finish();
                self.wait_for(ends);
                self.give_all().await?;
                let begins = self.encoding.begin(period);
                self.say(Output::PeriodStart(begins.into())).await?;
            }
            Input::Tag(tag) => {
                let made = self.encoding.push(tag);
                self.wait_for(made);
            }
            Input::End(_) => {
                let ends = self.encoding.finish();
                self.wait_for(ends);
                self.give_all().await?;
                self.say(Output::Finished(Finished {})).await?;
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn wait_for(&mut self, made: Vec<Made>) {
        for Made { track, output } in made {
            let due = Instant::now() + Duration::from_millis(self.delays[track]);
            self.waiting[track].push_back((due, output));
        }
    }

    async fn give_due(&mut self) -> io::Result<()> {
        for track in 0..self.waiting.len() {
            while self.waiting[track].front().is_some_and(|(due, _)| *due <= Instant::now()) {
                match self.waiting[track].pop_front() {
                    Some((_, ladder::Output::Frame(frame))) => {
                        self.note(track, &frame);
                        self.say(Output::Frame(frame.into())).await?;
                    }
                    Some((_, ladder::Output::End(rendition))) => {
                        self.note_part(rendition);
                        let rendition = rendition as u32;
                        self.say(Output::RenditionEnd(RenditionEnd { rendition })).await?;
                    }
                    None => {}
                }
            }
        }
        Ok(())
    }

    /// Before something that holds for all renditions.
    async fn give_all(&mut self) -> io::Result<()> {
        while let Some(due) = self.waiting.iter().filter_map(|made| Some(made.front()?.0)).min() {
            sleep_until(due).await;
            self.give_due().await?;
        }
        Ok(())
    }

    /// Takes a frame into its part. A part that is whole with it is noted: servers show whole parts only.
    fn note(&mut self, track: usize, frame: &EncodedFrame) {
        let part = self.parts.entry(frame.rendition).or_default();
        part.push((track, frame.sequence.0, tag::number(&frame.payload)));
        if frame.next != Some(Cut::None) {
            self.note_part(frame.rendition);
        }
    }

    /// Notes the open part of a rendition, which the checks find from now on.
    fn note_part(&mut self, rendition: usize) {
        for (track, sequence, number) in self.parts.remove(&rendition).unwrap_or_default() {
            self.checker.note(|holders| holders.made(self.host, track, sequence, number));
        }
    }

    async fn say(&mut self, message: Output) -> io::Result<()> {
        self.output.write_all(&frames::encode(&WorkerOutput { message: Some(message) })).await
    }
}

async fn until(due: Option<Instant>) {
    match due {
        Some(due) => sleep_until(due).await,
        None => std::future::pending().await,
    }
}

async fn read(input: &mut Pipe) -> io::Result<Option<Input>> {
    let Some(frame) = input.next().await.transpose()? else { return Ok(None) };
    Ok(frames::decode::<WorkerInput>(frame.freeze())?.message)
}
