//! Statistics of a publisher, as its proxy gets them: a source made by ffmpeg, and the real worker.

use std::process::Command;
use std::time::Duration;

use bytes::Bytes;
use headwater_media::broadcast::PolicyOverrides;
use headwater_media::{
    EncoderStats, FlvReader, Limits, PeriodNumber, PublisherStats, Tag, Timeline, TimelineEvent, UnixMillis,
    VideoStats,
};
use headwater_server::WorkerCommand;
use headwater_wire::Channels;
use headwater_wire::publish::{Accepted, Opening, PublishCall};
use headwater_wire::v2::publish_request::Ground;
use headwater_wire::v2::publish_response::Message as Response;

use crate::support::{DEADLINE, TestServer, within};

/// Source of 30 pictures a second with a keyframe every two seconds, 8 s long.
const SOURCE: &str = "-f lavfi -i testsrc2=size=640x360:rate=30:duration=8 -f lavfi -i sine=sample_rate=48000:duration=8 \
    -c:v libx264 -preset ultrafast -tune zerolatency -pix_fmt yuv420p -g 60 -sc_threshold 0 -c:a aac -b:a 96k";

/// Runs ffmpeg with these arguments, and reads the FLV that it writes as a proxy does.
fn make_events(arguments: &str) -> Vec<TimelineEvent> {
    let output = Command::new("ffmpeg")
        .args(["-hide_banner", "-loglevel", "error", "-nostdin"])
        .args(arguments.split_whitespace())
        .args(["-flvflags", "no_duration_filesize", "-f", "flv", "-"])
        .output()
        .expect("ffmpeg must be installed for these tests");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut timeline = Timeline::new(PeriodNumber(0), Limits::default());
    let mut reader = FlvReader::default();
    for (kind, timestamp, body) in read_tags(&output.stdout.into()) {
        let media = match kind {
            8 => reader.audio(timestamp, &body).unwrap(),
            9 => reader.video(timestamp, &body).unwrap(),
            _ => None,
        };
        media.into_iter().for_each(|media| timeline.push(UnixMillis(1_800_000_000_000), media).unwrap());
    }
    timeline.finish();
    std::iter::from_fn(|| timeline.poll()).collect()
}

/// Kind, timestamp in milliseconds and body of each tag of a file (FLV 10.1 §E.3, §E.4).
fn read_tags(file: &Bytes) -> Vec<(u8, u32, Bytes)> {
    let mut tags = Vec::new();
    let mut at = 9 + 4;
    while let Some(header) = file.get(at..at + 11) {
        let length = u32::from_be_bytes([0, header[1], header[2], header[3]]) as usize;
        let time = u32::from_be_bytes([header[7], header[4], header[5], header[6]]);
        tags.push((header[0], time, file.slice(at + 11..at + 11 + length)));
        at += 11 + length + 4;
    }
    tags
}

/// Bits a second of the tags of one kind over the last 6 s, without the newest one.
fn count_bits(events: &[TimelineEvent], is_video: bool) -> f64 {
    let is_of_kind = |event: &TimelineEvent| match event {
        TimelineEvent::Tag(tag) if tag.is_video() == is_video => Some(tag.clone()),
        _ => None,
    };
    let tags: Vec<Tag> = events.iter().filter_map(is_of_kind).collect();
    let (newest, others) = tags.split_last().unwrap();
    let last = others.iter().filter(|tag| newest.time.since(tag.time) <= Duration::from_secs(6));
    let first = last.clone().next().unwrap();
    let bytes: usize = last.map(|tag| tag.payload.len()).sum();
    8.0 * bytes as f64 / newest.time.since(first.time).as_secs_f64()
}

/// Next statistics for which this holds.
async fn next_stats(call: &mut PublishCall, is_wanted: impl Fn(&PublisherStats) -> bool) -> PublisherStats {
    within("the statistics", async {
        loop {
            if let Response::Stats(stats) = call.next_response().await.unwrap() {
                let stats = PublisherStats::try_from(stats).unwrap();
                if is_wanted(&stats) {
                    return stats;
                }
            }
        }
    })
    .await
}

async fn open(server: &TestServer) -> PublishCall {
    let opening = Opening {
        stream: "demo".parse().unwrap(),
        epoch: server.claim("demo").await,
        ground: Ground::Registry,
        publisher: "ffmpeg".into(),
        resume: None,
        failures: 0,
        facts: None,
        overrides: PolicyOverrides::default(),
    };
    let channel = Channels::default().dedicated(&server.record.address).unwrap();
    let accepted = PublishCall::open(channel, opening, DEADLINE).await;
    let Ok(Accepted { call, .. }) = accepted else { panic!("the server does not accept") };
    call
}

#[tokio::test]
async fn the_proxy_is_told_how_the_source_looks_and_how_the_encoder_keeps_up() {
    let program = env!("CARGO_BIN_EXE_headwater-server").into();
    let worker = WorkerCommand { program, arguments: vec!["worker".into()] };
    let server = TestServer::with_worker(worker, |config| config.ladder.preset = "ultrafast".into()).await;
    let mut call = open(&server).await;
    let events = make_events(SOURCE);
    let (last, most) = events.split_last().unwrap();
    for event in most {
        call.send_event(event.clone()).await.unwrap();
    }
    // Some of it has come out.
    next_stats(&mut call, |stats| stats.encoder.is_some()).await;
    call.send_event(last.clone()).await.unwrap();
    let stats = next_stats(&mut call, |_| true).await;
    let VideoStats { codecs, width, height, bitrate, frame_rate, keyframe_interval } =
        stats.source.video.unwrap();
    assert_eq!((codecs.as_str(), width, height), ("avc1.42c01e", 640, 360));
    assert_eq!((frame_rate, keyframe_interval), (30.0, Some(Duration::from_secs(2))));
    assert_eq!(bitrate as f64, count_bits(&events, true).round());
    let audio = stats.source.audio.unwrap();
    assert_eq!(
        (audio.codecs.as_str(), audio.bitrate as f64),
        ("mp4a.40.2", count_bits(&events, false).round())
    );
    let EncoderStats { speed, delay, saturation } = stats.encoder.unwrap();
    assert!(
        speed > 0.1 && delay < Duration::from_secs(8) && saturation <= 1.0,
        "{speed} {delay:?} {saturation}"
    );
}
