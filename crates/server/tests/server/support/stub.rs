//! A worker without GStreamer: this test binary, run once more. Each keyframe becomes a segment of one frame in two
//! renditions; audio tags are orders to misbehave.

use std::fs::File;
use std::io::{self, Write};
use std::str::FromStr;
use std::time::Duration;

use bytes::Bytes;
use headwater_hls::packager::MAX_OPEN_BYTES;
use headwater_media::{
    Cut, EncodedFrame, MediaSequence, MediaTime, PartIndex, Period, PeriodNumber, PeriodStart, Rendition,
    RenditionKind, SegmentSettings, TrackId, UnixMillis,
};
use headwater_server::WorkerCommand;
use headwater_wire::frames;
use headwater_wire::v2::failure::Code;
use headwater_wire::v2::worker_input::{Message as Input, Start};
use headwater_wire::v2::worker_output::{Finished, Message as Output, Ready, RenditionEnd};
use headwater_wire::v2::{self, Failure};

pub const RENDITIONS: [&str; 2] = ["720p", "audio"];
/// Set where the process is the worker.
const MARK: &str = "STUB_WORKER";
/// The harness says something on the standard output of every test binary; the protocol goes by another descriptor.
const SCRIPT: &str = "exec 3>&1 >/dev/null; STUB_WORKER=1 exec \"$@\"";
/// Segments of a burst: more events than a follower may be behind.
pub const BURST: u64 = 600;
/// Bytes of a part in it: more than fits into the buffers of a connection.
const BURST_PART: usize = 16 << 10;

/// By then the server has something for it that its pipe does not hold, and has not lost its patience yet.
const STICK: Duration = Duration::from_millis(250);

/// How long a worker that lags behind takes for a segment.
pub const LAG: Duration = Duration::from_millis(400);

/// Order to the worker in an audio tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Ends without a word.
    Exit,
    /// Says what failed, and ends.
    Fail,
    /// Says what is no message.
    Garbage,
    /// Makes a frame of a rendition that there is not.
    Stray,
    /// Makes a frame from before the others.
    Back,
    /// Makes frames of a part that does not end.
    Endless,
    /// Says that it has finished in the middle of a rendition.
    Open,
    /// Reads on, and makes nothing of it.
    Mute,
    /// Reads nothing any more.
    Freeze,
    /// The same, but what it has made before comes out a moment later.
    Stick,
    /// Makes many segments at once.
    Burst,
    /// Makes a segment of what it was started with.
    Tell,
    /// Begins the next segment in the first rendition.
    Half,
    /// Makes the next segment in the second rendition, and begins the one after it there.
    Ahead,
    /// Finishes what was begun, and the segment after it.
    Rest,
    /// Makes nothing of what it reads before it is told to end, and then takes its time for each segment.
    Lag,
}

pub fn command() -> WorkerCommand {
    let test = format!("{}::is_the_worker", module_path!().split_once("::").unwrap().1);
    let this = std::env::current_exe().unwrap().to_string_lossy().into_owned();
    let arguments = ["-c", SCRIPT, "sh", &this, &test, "--exact", "--ignored", "--nocapture"];
    WorkerCommand { program: "/bin/sh".into(), arguments: arguments.map(Into::into).into() }
}

#[test]
#[ignore = "this is the worker that the other tests start"]
fn is_the_worker() {
    if std::env::var_os(MARK).is_some() {
        let output = File::options().write(true).open("/dev/fd/3").unwrap();
        Stub {
            output,
            start: Start::default(),
            next: MediaSequence(0),
            begun: MediaSequence(0),
            made_ms: None,
            mute: false,
            ahead: false,
            behind: None,
        }
        .run();
        std::process::exit(0);
    }
}

struct Stub {
    output: File,
    start: Start,
    next: MediaSequence,
    /// Number after those of all segments that were begun.
    begun: MediaSequence,
    /// End of the newest frame of each rendition; none before the first period.
    made_ms: Option<[u64; 2]>,
    mute: bool,
    ahead: bool,
    /// Segments that a worker which lags behind has still to make.
    behind: Option<Vec<(u64, Bytes)>>,
}

impl Stub {
    fn run(&mut self) {
        let mut input = io::stdin().lock();
        while let Some(v2::WorkerInput { message: Some(message) }) = frames::read(&mut input).unwrap() {
            match message {
                Input::Start(start) => {
                    self.next = MediaSequence(start.first_sequence);
                    self.start = start;
                    self.say(Output::Ready(Ready {}));
                }
                Input::Period(period) => {
                    self.end_renditions();
                    (self.next, self.ahead) = (self.next.max(self.begun), false);
                    if let Some(first) = period.first_sequence.filter(|first| *first > self.next.0) {
                        (self.next, self.start.resume_us) = (MediaSequence(first), None);
                    }
                    let before = self.start.resume_us.map_or(0, |start| {
                        let settings = SegmentSettings::try_from(self.start.settings.unwrap()).unwrap();
                        settings.cell(MediaTime(start - period.origin_us))
                    });
                    let first = MediaSequence(self.next.0 - before);
                    self.made_ms = Some([0; 2]);
                    self.say(Output::PeriodStart(period_start(period.try_into().unwrap(), first).into()));
                }
                Input::Tag(tag) if TrackId(tag.track) == Period::AUDIO_TRACK => {
                    self.obey(std::str::from_utf8(&tag.payload).unwrap().parse().unwrap());
                }
                Input::Tag(tag) if self.mute || Some(tag.time_us) < self.start.resume_us => drop(tag),
                Input::Tag(tag) => match &mut self.behind {
                    Some(behind) => behind.push((tag.time_us / 1_000, tag.payload)),
                    None => self.segment(tag.time_us / 1_000, &tag.payload),
                },
                Input::End(_) if self.mute => {}
                Input::End(_) => {
                    for (time_ms, payload) in self.behind.take().unwrap_or_default() {
                        std::thread::sleep(LAG);
                        self.segment(time_ms, &payload);
                    }
                    self.end_renditions();
                    return self.say(Output::Finished(Finished {}));
                }
            }
        }
    }

    fn obey(&mut self, order: Order) {
        match order {
            Order::Exit => std::process::exit(3),
            Order::Fail => self.fail(),
            Order::Garbage => self.output.write_all(&[0xff; 64]).unwrap(),
            Order::Stray => {
                self.say(Output::Frame(EncodedFrame { rendition: 7, ..self.open_frame() }.into()))
            }
            Order::Back => self.say(Output::Frame(EncodedFrame { time: 1, ..self.open_frame() }.into())),
            Order::Endless => {
                let payload = Bytes::from(vec![7; 1 << 20]);
                for _ in 0..MAX_OPEN_BYTES >> 20 {
                    let payload = payload.clone();
                    self.say(Output::Frame(EncodedFrame { payload, ..self.open_frame() }.into()));
                }
            }
            Order::Open => self.say(Output::Finished(Finished {})),
            Order::Mute => self.mute = true,
            Order::Freeze => std::thread::park(),
            Order::Stick => {
                std::thread::sleep(STICK);
                self.segment(u64::from(u16::MAX), &Bytes::from_static(b"late"));
                std::thread::park();
            }
            Order::Tell => {
                let told = what_it_was_told(&self.start);
                self.segment(u64::from(u16::MAX), &told.into());
            }
            Order::Half => self.part(0, self.next, 0, Cut::Part),
            Order::Ahead => {
                self.part(1, self.next, 0, Cut::Segment);
                self.part(1, self.next.next(), 0, Cut::Part);
                self.ahead = true;
            }
            Order::Rest => self.rest(),
            Order::Lag => self.behind = Some(Vec::new()),
            Order::Burst => (0..BURST).for_each(|n| self.segment(n * 100, &Bytes::from(vec![7; BURST_PART]))),
        }
    }

    fn fail(&mut self) {
        let message = "h264parse: no picture in it".into();
        self.say(Output::Failed(Failure { code: Code::UnsupportedMedia.into(), message }));
        std::process::exit(1);
    }

    fn segment(&mut self, time_ms: u64, bytes: &Bytes) {
        let sequence = self.next;
        for rendition in 0..RENDITIONS.len() {
            let placement = (sequence, PartIndex(0), Cut::Segment);
            self.frame(rendition, (time_ms, 2_000), placement, bytes.clone());
        }
        self.next = sequence.next();
    }

    fn rest(&mut self) {
        let this = self.next;
        let next = self.next.next();
        let ahead = std::mem::take(&mut self.ahead);
        self.part(0, this, 1, Cut::Segment);
        if !ahead {
            self.part(1, this, 0, Cut::Segment);
        }
        self.part(0, next, 0, Cut::Segment);
        self.part(1, next, u16::from(ahead), Cut::Segment);
        self.next = next.next();
    }

    fn part(&mut self, rendition: usize, sequence: MediaSequence, index: u16, next: Cut) {
        let start_ms = 2_000 * (sequence.0 - self.start.first_sequence) + 1_000 * u64::from(index);
        let placement = (sequence, PartIndex(index.into()), next);
        self.frame(rendition, (start_ms, 1_000), placement, Bytes::from_static(b"part"));
    }

    /// Makes a part of one frame; it begins after what was made before.
    fn frame(
        &mut self,
        rendition: usize,
        (start_ms, duration_ms): (u64, u64),
        (sequence, part, next): (MediaSequence, PartIndex, Cut),
        payload: Bytes,
    ) {
        let ticks = [90, 48][rendition];
        let made_ms = &mut self.made_ms.as_mut().expect("a period has begun")[rendition];
        let start_ms = start_ms.max(*made_ms);
        *made_ms = start_ms + duration_ms;
        self.begun = self.begun.max(sequence.next());
        let frame = EncodedFrame {
            rendition,
            time: start_ms * ticks,
            end: *made_ms * ticks,
            composition_offset: 0,
            keyframe: part == PartIndex(0),
            sequence,
            part,
            next: Some(next),
            payload,
        };
        self.say(Output::Frame(frame.into()));
    }

    /// A frame of the next segment, which goes on.
    fn open_frame(&self) -> EncodedFrame {
        let time = self.made_ms.expect("a period has begun")[0] * 90;
        EncodedFrame {
            rendition: 0,
            time,
            end: time,
            composition_offset: 0,
            keyframe: true,
            sequence: self.next,
            part: PartIndex(0),
            next: Some(Cut::None),
            payload: Bytes::from_static(b"frame"),
        }
    }

    /// Ends the period, where one has begun.
    fn end_renditions(&mut self) {
        if self.made_ms.take().is_some() {
            for rendition in 0..RENDITIONS.len() as u32 {
                self.say(Output::RenditionEnd(RenditionEnd { rendition }));
            }
        }
    }

    fn say(&mut self, message: Output) {
        frames::write(&mut self.output, &v2::WorkerOutput { message: Some(message) }).unwrap();
    }
}

/// Content of the segment that [`Order::Tell`] makes.
pub fn what_it_was_told(start: &Start) -> String {
    let kept: Vec<_> = start.kept.iter().map(|rendition| rendition.id.as_str()).collect();
    let begun = start.begun_as.as_ref().map(|begun| (begun.number, begun.renditions.len()));
    let rungs: Vec<_> = start.ladder.iter().flat_map(|ladder| &ladder.rungs).map(|rung| &rung.name).collect();
    format!("{} {:?} {kept:?} {begun:?} {rungs:?}", start.first_sequence, start.resume_us)
}

fn period_start(period: Period, first_sequence: MediaSequence) -> PeriodStart {
    let video = RenditionKind::Video { width: 1280, height: 720, frame_rate: 30.0 };
    let kinds = [video, RenditionKind::Audio { channels: 2, sample_rate: 48_000 }];
    let rendition = |(id, kind): (&str, RenditionKind)| Rendition {
        id: id.parse().unwrap(),
        kind,
        codecs: "avc1.64001f".into(),
        declared_bitrate: 1_000_000,
    };
    let renditions = RENDITIONS.into_iter().zip(kinds).map(rendition);
    PeriodStart {
        number: PeriodNumber(period.number.0),
        first_sequence,
        origin: period.origin.into(),
        wall_clock: UnixMillis(period.wall_clock.0),
        renditions: renditions.map(|rendition| (rendition, Bytes::from_static(b"init"))).collect(),
        ladder: None,
    }
}

impl FromStr for Order {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        use Order::*;
        let orders = [
            Exit, Fail, Garbage, Stray, Back, Endless, Open, Mute, Freeze, Stick, Burst, Tell, Half, Ahead,
            Rest, Lag,
        ];
        orders.into_iter().find(|order| format!("{order:?}") == text).ok_or(())
    }
}
