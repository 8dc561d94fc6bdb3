//! Benchmarks of an origin's work for every part, and a server's for every frame: `cargo bench -p headwater-hls`.

#![allow(clippy::unwrap_used, reason = "a benchmark")]

use bytes::Bytes;
use divan::counter::{BytesCount, ItemsCount};
use divan::{Bencher, black_box};
use headwater_hls::playlist::{self, MediaOptions};
use headwater_hls::{LiveWindow, Packager, Skip};
use headwater_media::{
    BroadcastId, Cutter, EncodedFrame, Epoch, Grid, MediaEvent, MediaSequence, MediaTime, Opening,
    PeriodNumber, PeriodStart, Rendition, RenditionId, RenditionKind, SegmentSettings, SourceTime,
    UnixMillis,
};

fn main() {
    divan::main();
}

const FIRST: MediaSequence = MediaSequence(1_000);
/// Pictures a second.
const RATE: u64 = 30;

fn id(name: &str) -> RenditionId {
    name.parse().unwrap()
}

fn rendition(name: &str) -> Rendition {
    let kind = RenditionKind::Video { width: 1280, height: 720, frame_rate: RATE as f64 };
    Rendition { id: id(name), kind, codecs: "avc1.64001f".into(), declared_bitrate: 2_800_000 }
}

fn period(names: &[&str]) -> PeriodStart {
    let init = Bytes::from_static(b"init");
    PeriodStart {
        number: PeriodNumber(0),
        first_sequence: FIRST,
        origin: MediaTime::ZERO,
        wall_clock: UnixMillis(1_800_000_000_000),
        renditions: names.iter().map(|name| (rendition(name), init.clone())).collect(),
        ladder: None,
    }
}

/// The events of a rendition that has been on the air for this long, with frames of this size.
fn events(name: &str, seconds: u64, frame: usize) -> Vec<MediaEvent> {
    let settings = SegmentSettings::default();
    let mut cutter = Cutter::video(Grid::new(SourceTime(0), FIRST, settings));
    let mut packager = Packager::default();
    packager.begin(&period(&[name])).unwrap();
    let payload = Bytes::from(vec![7; frame]);
    let time = |n: u64| n * 90_000 / RATE;
    let place = |cutter: &mut Cutter, n| cutter.place(MediaTime::from_ticks(time(n), 90_000));
    let mut placement = place(&mut cutter, 0);
    let mut events = Vec::new();
    for n in 0..seconds * RATE {
        let next = place(&mut cutter, n + 1);
        let frame = EncodedFrame {
            rendition: 0,
            time: time(n),
            end: time(n + 1),
            composition_offset: 0,
            keyframe: n % (2 * RATE) == 0,
            sequence: placement.sequence,
            part: placement.part,
            next: Some(next.cut),
            payload: payload.clone(),
        };
        events.extend(packager.push(frame).unwrap());
        placement = next;
    }
    events
}

fn window(seconds: u64) -> LiveWindow {
    let names = ["720p", "480p", "360p"];
    let mut window = LiveWindow::new(Opening {
        broadcast: BroadcastId::new(UnixMillis(1_800_000_000_000), &[1; 10]),
        epoch: Epoch(1),
        settings: SegmentSettings::default(),
        window_segments: 10,
        first_sequence: FIRST,
        discontinuity_sequence: 0,
    });
    window.apply(&MediaEvent::PeriodStart(period(&names))).unwrap();
    let tracks = names.map(|name| events(name, seconds, 4_000));
    for step in 0..tracks[0].len() {
        for track in &tracks {
            window.apply(&track[step]).unwrap();
        }
    }
    window
}

/// Packages one second of pictures into CMAF chunks.
#[divan::bench]
fn package_a_second(bencher: Bencher) {
    bencher.counter(BytesCount::new(RATE as usize * 10_000)).bench(|| black_box(events("720p", 1, 10_000)));
}

#[divan::bench]
fn render_a_media_playlist(bencher: Bencher) {
    let window = window(60);
    let options = MediaOptions { skip: None, low_latency: true };
    bencher
        .counter(ItemsCount::new(1usize))
        .bench(|| playlist::media(black_box(&window), &id("720p"), options));
}

#[divan::bench]
fn render_a_delta_update(bencher: Bencher) {
    let window = window(60);
    let options = MediaOptions { skip: Some(Skip::Segments), low_latency: true };
    bencher
        .counter(ItemsCount::new(1usize))
        .bench(|| playlist::media(black_box(&window), &id("720p"), options));
}

#[divan::bench]
fn render_the_multivariant_playlist(bencher: Bencher) {
    let window = window(60);
    bencher.counter(ItemsCount::new(1usize)).bench(|| playlist::multivariant(black_box(&window)));
}
