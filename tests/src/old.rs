//! A broadcast that is some minutes old as soon as it begins: its publisher says when it began, and sends what it would
//! have sent since as fast as the server takes it. From then on it sends at its own pace.

use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use futures::SinkExt as _;
use futures::channel::mpsc;
use headwater_registry::{Claim, Registry};
use headwater_wire::v2::ingest_client::IngestClient;
use headwater_wire::v2::publish_request::{Message as Request, Open};
use headwater_wire::v2::publish_response::{Accepted, Message as Response};
use headwater_wire::v2::track::Kind;
use headwater_wire::v2::{
    Period, PublishRequest, PublishResponse, ResumePoint, SegmentSettings, Tag as Frame, Track,
};
use tokio::time::{Instant, sleep_until, timeout};
use tonic::Streaming;

use crate::encoder::{self, Tag};
use crate::stack::channels;
use crate::wait;

/// How long the server may take to accept, and to take one more frame.
const ANSWER: Duration = Duration::from_secs(60);
/// Frames on the way. Few, so that the server's own pace is felt.
const AHEAD: usize = 16;
const PUBLISHER: &str = "01932b2e-0000-7000-8000-000000000000";

/// Publishes an FLV file over and over, as a broadcast that began `age` ago, until the server ends it.
pub async fn publish(registry: &dyn Registry, stream: &str, file: &Path, age: Duration) -> Result<()> {
    let tags = encoder::tags(&std::fs::read(file)?.into())?;
    let began_ms = unix_millis()?.saturating_sub(millis(age));
    let (mut requests, responses, period) = open(registry, stream, began_ms).await?;
    // The server's commits are of no use here, but somebody must take them.
    let heard = tokio::spawn(drain(responses));
    let header = |audio| tags.iter().find(|tag| tag.is_header() && tag.is_audio() == audio);
    let began = Instant::now();
    let period = Period {
        number: period,
        origin_us: 0,
        wall_clock_unix_ms: began_ms,
        tracks: [
            header(false).map(|tag| track(VIDEO_TRACK, Kind::Video, "avc1", tag.body.slice(VIDEO_HEADER..))),
            header(true).map(|tag| track(AUDIO_TRACK, Kind::Audio, "mp4a", tag.body.slice(AUDIO_HEADER..))),
        ]
        .into_iter()
        .flatten()
        .collect(),
        first_sequence: None,
    };
    send(&mut requests, Request::Period(period)).await?;
    let frames: Vec<_> = tags.iter().filter(|tag| !tag.is_header()).collect();
    let (first, last) = frames.first().zip(frames.last()).context("the file has no frame")?;
    // A keyframe begins each round.
    let round = u64::from(last.time - first.time) + 40;
    for start in (0..).map(|nth| nth * round) {
        for tag in &frames {
            let time_ms = start + u64::from(tag.time - first.time);
            sleep_until(began + Duration::from_millis(time_ms.saturating_sub(millis(age)))).await;
            if heard.is_finished() {
                return heard.await?;
            }
            send(&mut requests, Request::Tag(frame(tag, time_ms))).await?;
        }
    }
    Ok(())
}

type Requests = mpsc::Sender<PublishRequest>;

/// Claims the stream for a server, and publishes to it. Gives the number of the first period, too.
async fn open(
    registry: &dyn Registry,
    stream: &str,
    began_ms: u64,
) -> Result<(Requests, Streaming<PublishResponse>, u32)> {
    let name = stream.parse().context("the name of a stream")?;
    let server = wait::until("a server", ANSWER, || async {
        registry.servers().await.ok().and_then(|servers| servers.into_iter().next())
    })
    .await?;
    let epoch = match registry.claim(&name, &server.id, &server.address, None).await? {
        Claim::Granted(ownership) => ownership.epoch,
        refused => bail!("the stream is somebody else's: {refused:?}"),
    };
    let (mut requests, sent) = mpsc::channel(AHEAD);
    let open = Open {
        stream: stream.into(),
        epoch: epoch.0,
        publisher: PUBLISHER.into(),
        resume: Some(beginning(began_ms)),
        ..Open::default()
    };
    send(&mut requests, Request::Open(open)).await?;
    let mut client = IngestClient::new(channels().dedicated(&server.address)?);
    let mut responses = timeout(ANSWER, client.publish(sent)).await??.into_inner();
    let accepted = timeout(ANSWER, responses.message()).await??.and_then(|answer| answer.message);
    let Some(Response::Accepted(Accepted { resume: Some(resume), .. })) = accepted else {
        bail!("it was not accepted: {accepted:?}")
    };
    Ok((requests, responses, resume.period))
}

/// Resume point of another server that was lost before it made anything.
fn beginning(began_ms: u64) -> ResumePoint {
    // RFC 9562 §5.7: a name that says when the broadcast began.
    let mut broadcast = [0x70; 16];
    broadcast[..6].copy_from_slice(&began_ms.to_be_bytes()[2..]);
    broadcast[8] = 0x80;
    let first = began_ms / 1_000;
    ResumePoint {
        broadcast: Bytes::copy_from_slice(&broadcast),
        settings: Some(SegmentSettings { segment_ms: 2_000, part_ms: 334 }),
        next_sequence: first,
        free_sequence: first,
        ..ResumePoint::default()
    }
}

async fn drain(mut responses: Streaming<PublishResponse>) -> Result<()> {
    while let Some(response) = responses.message().await? {
        ensure!(!matches!(response.message, Some(Response::Rejected(_))), "it was sent away: {response:?}");
    }
    Ok(())
}

async fn send(requests: &mut Requests, message: Request) -> Result<()> {
    let request = PublishRequest { message: Some(message) };
    timeout(ANSWER, requests.send(request))
        .await
        .context("the server takes nothing")?
        .context("the call is over")
}

/// FLV 10.1 §E.4.3, §E.4.2: what stands before a picture, and before sound.
const VIDEO_HEADER: usize = 5;
const AUDIO_HEADER: usize = 2;

/// Numbers of the tracks.
const VIDEO_TRACK: u32 = 1;
const AUDIO_TRACK: u32 = 2;

fn track(id: u32, kind: Kind, codec: &str, configuration: Bytes) -> Track {
    Track { id, kind: kind.into(), codec: codec.to_owned(), configuration }
}

fn frame(tag: &Tag, time_ms: u64) -> Frame {
    let (track, offset_ms, payload) = if tag.is_audio() {
        (AUDIO_TRACK, 0, tag.body.slice(AUDIO_HEADER..))
    } else {
        (VIDEO_TRACK, composition_offset(&tag.body), tag.body.slice(VIDEO_HEADER..))
    };
    Frame {
        track,
        keyframe: tag.is_keyframe(),
        time_us: time_ms * 1_000,
        composition_offset_us: offset_ms * 1_000,
        drift_ms: 0,
        payload,
    }
}

/// Three bytes with a sign.
fn composition_offset(body: &Bytes) -> i32 {
    i32::from_be_bytes([body[2], body[3], body[4], 0]) >> 8
}

fn millis(duration: Duration) -> u64 {
    duration.as_millis() as u64
}

fn unix_millis() -> Result<u64> {
    Ok(millis(SystemTime::now().duration_since(UNIX_EPOCH)?))
}
