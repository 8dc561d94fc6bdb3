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
    let (epoch, first_sequence, discontinuity_sequence) = (Epoch(4), MediaSequence(100), 0);
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
        let (first, end) = (self.origin * 48, end.max(self.origin as i64 + 30) as u64 * 48);
        (0..).map(|n| (first + n * 1024, first + (n + 1) * 1024)).take_while(|(_, to)| *to <= end).collect()
    }

    fn frames_of(&self, rendition: &Rendition) -> (TrackFormat, Vec<(u64, u64)>) {
        match rendition.kind {
            RenditionKind::Video { .. } => (TrackFormat::Video, self.video_ticks()),
            RenditionKind::Audio { sample_rate, .. } => {
                (TrackFormat::Audio { sample_rate }, self.audio_ticks())
            }
        }
    }
}

/// The events of whole periods, interleaved by time.
pub(crate) fn events(first: MediaSequence, plans: &[Plan]) -> Vec<MediaEvent> {
    let mut events = Vec::new();
    let mut next = first;
    for (number, plan) in plans.iter().enumerate() {
        events.push(period_start(number as u32, next, plan));
        let mut timed: Vec<_> =
            plan.renditions.iter().flat_map(|r| rendition_events(plan, r, next)).collect();
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
    let init = |r: &Rendition| (r.clone(), Bytes::from(format!("init {number} {}", r.id)));
    MediaEvent::PeriodStart(PeriodStart {
        number: PeriodNumber(number),
        first_sequence,
        origin: MediaTime::from_millis(plan.origin),
        wall_clock: UnixMillis(1_800_000_000_000 + u64::from(number) * 3_600_000),
        renditions: plan.renditions.iter().map(init).collect(),
        ladder: None,
    })
}

/// Events of a packager for one rendition, each with its time.
fn rendition_events(
    plan: &Plan,
    rendition: &Rendition,
    first: MediaSequence,
) -> Vec<(MediaTime, MediaEvent)> {
    let grid = Grid::new(SourceTime::from_millis(plan.origin), first, SegmentSettings::default());
    let (track, frames) = plan.frames_of(rendition);
    let mut cutter = if track == TrackFormat::Video { Cutter::video(grid) } else { Cutter::audio(grid) };
    let position = |ticks| MediaTime::from_ticks(ticks, track.timescale());
    let placements: Vec<_> = frames.iter().map(|(time, _)| cutter.place(position(*time))).collect();
    let mut packager = Packager::new(rendition.id.clone(), track);
    let mut events = Vec::new();
    for (n, ((time, end), placement)) in frames.iter().copied().zip(placements.iter().copied()).enumerate() {
        let keyframe = placement.cut == Cut::Segment;
        let size = if keyframe { 4_000 } else { 200 } + n % 7;
        let data = Bytes::from(vec![n as u8; size]);
        let next = placements.get(n + 1).map(|placement| placement.cut);
        let sample = PlacedSample { time, end, composition_offset: 0, placement, keyframe, data, next };
        events.extend(packager.push(sample).into_iter().map(|event| (position(end), event)));
    }
    let end = frames.last().map_or(MediaTime::ZERO, |(_, end)| position(*end));
    events.extend(packager.finish().into_iter().map(|event| (end, event)));
    events
}

pub(crate) fn window_of(opening: Opening, events: &[MediaEvent]) -> LiveWindow {
    let mut window = LiveWindow::new(opening);
    for event in events {
        window.apply(event).unwrap();
    }
    window
}
