//! Cost to a server of telling proxies where another one would continue: the work on its window with it and without.

use std::hint::black_box;

use anyhow::Result;
use headwater_hls::{LiveWindow, Packager};
use headwater_media::{
    BroadcastId, Cutter, EncodedFrame, Epoch, Grid, MediaEvent, MediaSequence, MediaTime, Opening,
    PeriodNumber, PeriodStart, Rendition, RenditionId, RenditionKind, SegmentSettings, SourceTime,
    UnixMillis,
};
use headwater_wire::v2::publish_response::{Committed, Message as Response};
use headwater_wire::v2::{self, PublishResponse};
use prost::Message;

use crate::series::Series;
use crate::usage::Scope;

/// The default ladder.
const RENDITIONS: [&str; 3] = ["720p", "480p", "360p"];
const FIRST: MediaSequence = MediaSequence(1_000);
/// Pictures a second.
const RATE: u64 = 30;
/// Seconds of media that are put through a window.
const SECONDS: u64 = 1_200;

/// How often it is measured, with it and without in turns.
const PASSES: usize = 21;

/// CPU time in microseconds that a stream costs in a second for being ready to move.
pub fn micros_per_second() -> Result<f64> {
    let events = events()?;
    let mut more = Series::default();
    for _ in 0..PASSES {
        let with = cost(&events, true)?;
        more.push(with - cost(&events, false)?);
    }
    Ok((more.median() / SECONDS as f64).max(0.0) * 1e6)
}

/// CPU seconds of all events on a fresh window.
fn cost(events: &[MediaEvent], telling: bool) -> Result<f64> {
    let mut window = LiveWindow::new(opening());
    let own = Scope::Process(std::process::id());
    let before = own.cpu()?;
    for event in events {
        apply(&mut window, event, telling)?;
    }
    Ok((own.cpu()? - before).as_secs_f64())
}

/// As the server does it.
fn apply(window: &mut LiveWindow, event: &MediaEvent, telling: bool) -> Result<()> {
    let before = telling.then(|| window.committed());
    window.apply(event)?;
    if before.is_some_and(|before| window.committed() != before) {
        let resume: v2::ResumePoint = window.resume_point().into();
        let committed = Response::Committed(Committed { resume: Some(resume), epoch: None });
        black_box(PublishResponse { message: Some(committed) }.encode_to_vec());
    }
    Ok(())
}

fn opening() -> Opening {
    Opening {
        broadcast: BroadcastId::new(UnixMillis(1_800_000_000_000), &[1; 10]),
        epoch: Epoch(1),
        settings: SegmentSettings::default(),
        window_segments: 10,
        first_sequence: FIRST,
        discontinuity_sequence: 0,
    }
}

fn events() -> Result<Vec<MediaEvent>> {
    let ids: Vec<RenditionId> = RENDITIONS.iter().map(|name| name.parse()).collect::<Result<_, _>>()?;
    let kind = RenditionKind::Video { width: 1280, height: 720, frame_rate: RATE as f64 };
    let rendition = |id: &RenditionId| Rendition {
        id: id.clone(),
        kind: kind.clone(),
        codecs: "avc1.64001f".into(),
        declared_bitrate: 2_800_000,
    };
    let period = PeriodStart {
        number: PeriodNumber(0),
        first_sequence: FIRST,
        origin: MediaTime::ZERO,
        wall_clock: UnixMillis(1_800_000_000_000),
        renditions: ids.iter().map(|id| (rendition(id), b"init".as_slice().into())).collect(),
        ladder: None,
    };
    let mut packager = Packager::default();
    packager.begin(&period)?;
    let mut cutter = Cutter::video(Grid::new(SourceTime(0), FIRST, SegmentSettings::default()));
    let mut placement = cutter.place(MediaTime::ZERO);
    let time = |n: u64| n * 90_000 / RATE;
    let mut all = vec![MediaEvent::PeriodStart(period)];
    for n in 0..SECONDS * RATE {
        let next = cutter.place(MediaTime::from_ticks(time(n + 1), 90_000));
        for rendition in 0..ids.len() {
            all.extend(packager.push(EncodedFrame {
                rendition,
                time: time(n),
                end: time(n + 1),
                composition_offset: 0,
                keyframe: n % (2 * RATE) == 0,
                sequence: placement.sequence,
                part: placement.part,
                next: Some(next.cut),
                payload: b"picture".as_slice().into(),
            })?);
        }
        placement = next;
    }
    Ok(all)
}
