//! Broadcasts made of numbers: every frame goes through a cutter and a packager, as in a worker.

use bytes::Bytes;
use headwater_hls::*;
use headwater_media::*;

pub(crate) fn id(name: &str) -> RenditionId {
    name.parse().unwrap()
}

pub(crate) fn opening(window_segments: u32) -> Opening {
    let settings = SegmentSettings::default();
    let broadcast = BroadcastId::new(UnixMillis(1_800_000_000_000), &[3; 10]);
    let epoch = Epoch(4);
    let first_sequence = MediaSequence(100);
    let discontinuity_sequence = 0;
    Opening { broadcast, epoch, settings, window_segments, first_sequence, discontinuity_sequence }
}

pub(crate) fn video(name: &str, width: u32, height: u32, declared_bitrate: u32) -> Rendition {
    let kind = RenditionKind::Video { width, height, frame_rate: 30_000.0 / 1_001.0 };
    Rendition { id: id(name), kind, codecs: "avc1.64001f".into(), declared_bitrate }
}

pub(crate) fn audio() -> Rendition {
    let kind = RenditionKind::Audio { channels: 2, sample_rate: 48_000 };
    Rendition { id: id("audio"), kind, codecs: "mp4a.40.2".into(), declared_bitrate: 128_000 }
}

pub(crate) fn ladder() -> Vec<Rendition> {
    vec![video("720p", 1280, 720, 2_800_000), video("360p", 640, 360, 800_000), audio()]
}

/// Plan of a period: where its source timeline starts, how long each video frame is shown, how much longer (or shorter) the
/// audio is, in milliseconds.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub origin: u64,
    pub frames: Vec<u64>,
    pub audio_excess: i64,
    pub renditions: Vec<Rendition>,
}

impl Plan {
    pub(crate) fn steady(origin: u64, millis: u64) -> Self {
        Self { origin, frames: vec![40; millis as usize / 40], audio_excess: 0, renditions: ladder() }
    }

    fn video_ticks(&self) -> Vec<(u64, u64)> {
        let mut time = self.origin;
        let mut frame = |length: &u64| {
            let start = time;
            time += length;
            (start * 90, time * 90)
        };
        self.frames.iter().map(&mut frame).collect()
    }

    fn audio_ticks(&self) -> Vec<(u64, u64)> {
        let end = (self.origin + self.frames.iter().sum::<u64>()) as i64 + self.audio_excess;
        let first = self.origin * 48;
        let end = end.max(self.origin as i64 + 30) as u64 * 48;
        (0..).map(|n| (first + n * 1024, first + (n + 1) * 1024)).take_while(|(_, to)| *to <= end).collect()
    }

    fn frames_of(&self, rendition: &Rendition) -> Vec<(u64, u64)> {
        match rendition.kind {
            RenditionKind::Video { .. } => self.video_ticks(),
            RenditionKind::Audio { .. } => self.audio_ticks(),
        }
    }
}

/// The events of whole periods, interleaved by time.
pub(crate) fn events(first: MediaSequence, plans: &[Plan]) -> Vec<MediaEvent> {
    let mut events = Vec::new();
    let mut next = first;
    for (number, plan) in plans.iter().enumerate() {
        let start = start_of(number as u32, next, plan);
        let mut timed = period_events(plan, &start);
        events.push(MediaEvent::PeriodStart(start));
        timed.sort_by_key(|(time, _)| *time);
        let ends = timed.iter().filter_map(|(_, event)| match event {
            MediaEvent::SegmentEnd { sequence, .. } => Some(sequence.next()),
            _ => None,
        });
        next = ends.max().unwrap();
        events.extend(timed.into_iter().map(|(_, event)| event));
    }
    events
}

pub(crate) fn period_start(number: u32, first_sequence: MediaSequence, plan: &Plan) -> MediaEvent {
    MediaEvent::PeriodStart(start_of(number, first_sequence, plan))
}

fn start_of(number: u32, first_sequence: MediaSequence, plan: &Plan) -> PeriodStart {
    let init = |r: &Rendition| (r.clone(), Bytes::from(format!("init {number} {}", r.id)));
    PeriodStart {
        number: PeriodNumber(number),
        first_sequence,
        origin: MediaTime::from_millis(plan.origin),
        wall_clock: UnixMillis(1_800_000_000_000 + u64::from(number) * 3_600_000),
        renditions: plan.renditions.iter().map(init).collect(),
        ladder: None,
    }
}

/// Events of a packager for a whole period, each with its time.
fn period_events(plan: &Plan, start: &PeriodStart) -> Vec<(MediaTime, MediaEvent)> {
    let mut packager = Packager::default();
    packager.begin(start).unwrap();
    let mut events = Vec::new();
    for (at, rendition) in plan.renditions.iter().enumerate() {
        let position = |ticks| MediaTime::from_ticks(ticks, rendition.timescale());
        for frame in rendition_frames(plan, at, start.first_sequence) {
            let end = position(frame.end);
            events.extend(packager.push(frame).unwrap().into_iter().map(|event| (end, event)));
        }
        let end = plan.frames_of(rendition).last().map_or(MediaTime::ZERO, |(_, end)| position(*end));
        events.extend(packager.end(at).unwrap().into_iter().map(|event| (end, event)));
    }
    packager.check_ended().unwrap();
    events
}

fn rendition_frames(plan: &Plan, rendition: usize, first: MediaSequence) -> Vec<EncodedFrame> {
    let grid = Grid::new(SourceTime::from_millis(plan.origin), first, SegmentSettings::default());
    let of = &plan.renditions[rendition];
    let is_video = matches!(of.kind, RenditionKind::Video { .. });
    let mut cutter = if is_video { Cutter::video(grid) } else { Cutter::audio(grid) };
    let frames = plan.frames_of(of);
    let position = |ticks| MediaTime::from_ticks(ticks, of.timescale());
    let placements: Vec<_> = frames.iter().map(|(time, _)| cutter.place(position(*time))).collect();
    let frame = |(n, ((time, end), placement)): (usize, ((u64, u64), Placement))| {
        let keyframe = placement.cut == Cut::Segment;
        let size = if keyframe { 4_000 } else { 200 } + n % 7;
        EncodedFrame {
            rendition,
            time,
            end,
            composition_offset: 0,
            keyframe,
            sequence: placement.sequence,
            part: placement.part,
            next: placements.get(n + 1).map(|placement| placement.cut),
            payload: Bytes::from(vec![n as u8; size]),
        }
    };
    frames.into_iter().zip(placements.iter().copied()).enumerate().map(frame).collect()
}

pub(crate) fn window_of(opening: Opening, events: &[MediaEvent]) -> LiveWindow {
    let mut window = LiveWindow::new(opening);
    for event in events {
        window.apply(event).unwrap();
    }
    window
}
