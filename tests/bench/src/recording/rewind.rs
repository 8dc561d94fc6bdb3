//! Memory of an origin and a server for an hour that viewers can go back.

use std::fs;

use anyhow::{Context, Result, ensure};
use headwater_hls::{Archive, Object};
use headwater_media::{
    BroadcastId, Epoch, MediaEvent, MediaSequence, MediaTime, Opening, PeriodNumber, PeriodStart, Piece,
    Record, Rendition, RenditionKind, SegmentSettings, StoredSegment, StreamId, UnixMillis,
};
use headwater_registry::testing::RedisServer;
use headwater_wire::{WatchMessage, v2};
use tokio::time::{Duration, Instant, sleep};

use crate::broadcast::{FIRST, SEGMENTS, Shape, broadcast_id, live_file, noise};
use crate::keepalive::{Connection, request};
use crate::origin::{PREFIX, start_origin_with};
use crate::processes::Service;
use crate::stub::Stub;

/// As by default; a part of each rendition is the fourth of what the default ladder makes in a third of a second.
const SHAPE: Shape =
    Shape { settings: SegmentSettings { segment_ms: 2_000, part_ms: 334 }, parts: 6, part_bytes: 29_000 };
/// Segments that have left the live window: with it they make an hour.
const STORED: u64 = 1_790;
/// The default ladder.
const PICTURES: [(&str, u16, u16); 3] = [("720p", 1280, 720), ("480p", 842, 480), ("360p", 640, 360)];
const SOUND: &str = "audio";
/// Enough for what one stream takes to be more than what varies.
const STREAMS: u32 = 40;
/// Held by this process while it looks how much it has grown.
const ARCHIVES: usize = 200;
/// Most of a playlist of an hour, not compressed.
const ROOM: usize = 1 << 20;
/// How long an origin may take to be told an hour.
const READY: Duration = Duration::from_secs(30);

/// MB of memory a stream.
#[derive(Debug)]
pub struct Memory {
    pub streams: u32,
    /// Of an origin: without going back, with it while nobody does, and when every playlist of it was asked for.
    pub origin: [f64; 3],
    /// The index alone, as a server holds it.
    pub index: f64,
}

/// To be called before anything else has used memory of this process.
pub async fn measure() -> Result<Memory> {
    let index = index()?;
    let without = origin("0s", Asked::Live).await?;
    let with = origin("60m", Asked::Live).await?;
    let asked = origin("60m", Asked::All).await?;
    Ok(Memory { streams: STREAMS, origin: [without, with, asked], index })
}

/// Requests that viewers have made for every stream.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Asked {
    /// Each live playlist.
    Live,
    /// And each one that goes back an hour.
    All,
}

/// MB that an origin grows by with a stream.
async fn origin(window: &str, asked: Asked) -> Result<f64> {
    let redis = RedisServer::start();
    let directory = tempfile::tempdir()?;
    let streams: Vec<StreamId> =
        (0..STREAMS).map(|nth| format!("load-{nth}").parse()).collect::<Result<_, _>>()?;
    let _stub = on_air(&redis, &streams).await?;
    let store = directory.path().join("store");
    fs::create_dir(&store)?;
    let settings = [
        ("STORE_URL", format!("file://{}", store.display())),
        ("RECORDING_DVR_WINDOW", window.into()),
        ("ORIGIN_MIRROR_LINGER", "10m".into()),
    ];
    let origin = start_origin_with(&redis, directory.path(), &settings).await?;
    let empty = origin.process.tree().peak_memory()?;
    let mut connection = Connection::open(origin.address, ROOM).await?;
    for stream in &streams {
        for rendition in ids() {
            watch(&mut connection, &origin, &format!("/{stream}/{rendition}/index.m3u8")).await?;
            if asked == Asked::All {
                let list =
                    watch(&mut connection, &origin, &format!("/{stream}/{rendition}/dvr.m3u8")).await?;
                let segments = list.lines().filter(|line| line.starts_with("#EXTINF")).count();
                ensure!(segments as u64 >= STORED, "{segments} segments of an hour are listed");
            }
        }
    }
    Ok((origin.process.tree().peak_memory()? - empty) as f64 / 1e6 / f64::from(STREAMS))
}

/// A playlist, once it has the whole live window.
async fn watch(connection: &mut Connection, origin: &Service, path: &str) -> Result<String> {
    let deadline = Instant::now() + READY;
    let last = live_file(Object::Segment(MediaSequence(FIRST + STORED + u64::from(SEGMENTS) - 1)));
    loop {
        let mut body = Vec::new();
        let head =
            connection.get(&request(origin.address, path), |piece| body.extend_from_slice(piece)).await?;
        let text = unzipped(&body)?;
        if head.status == 200 && text.lines().any(|line| line == last) {
            return Ok(text);
        }
        ensure!(Instant::now() < deadline, "{path}: {} without the last segment", head.status);
        sleep(Duration::from_millis(5)).await;
    }
}

fn unzipped(body: &[u8]) -> Result<String> {
    if !body.starts_with(&[0x1f, 0x8b]) {
        return Ok(String::from_utf8(body.to_vec())?);
    }
    let mut text = String::new();
    std::io::Read::read_to_string(&mut flate2::read::GzDecoder::new(body), &mut text)?;
    Ok(text)
}

async fn on_air(redis: &RedisServer, streams: &[StreamId]) -> Result<Stub> {
    let registry = headwater_registry::open(Some(&redis.url_text()), PREFIX, headwater_registry::LEASE_TTL)?;
    let from = WatchMessage::StoredFrom { discontinuity_sequence: 0, dvr_window: None };
    let stored = std::iter::once(from).chain(records()?.into_iter().map(WatchMessage::Stored)).collect();
    let opening = |broadcast: BroadcastId, epoch: Epoch| Opening {
        first_sequence: MediaSequence(FIRST + STORED),
        ..SHAPE.opening(broadcast, epoch)
    };
    let stub = Stub::start_with(registry, streams, stored, opening).await?;
    stub.play([MediaEvent::PeriodStart(period()?)])?;
    let parts = u64::from(SHAPE.parts);
    for nth in STORED * parts..(STORED + u64::from(SEGMENTS)) * parts {
        for id in ids() {
            stub.play(SHAPE.part(&id.parse()?, nth))?;
        }
    }
    Ok(stub)
}

fn ids() -> impl Iterator<Item = &'static str> {
    PICTURES.iter().map(|(id, ..)| *id).chain([SOUND])
}

fn period() -> Result<PeriodStart> {
    let picture = |(id, width, height): &(&str, u16, u16)| {
        let kind =
            RenditionKind::Video { width: (*width).into(), height: (*height).into(), frame_rate: 30.0 };
        let rendition =
            Rendition { id: id.parse()?, kind, codecs: "avc1.4d401f".into(), declared_bitrate: 2_800_000 };
        anyhow::Ok((rendition, noise(1, 800)))
    };
    let kind = RenditionKind::Audio { channels: 2, sample_rate: 48_000 };
    let sound = Rendition { id: SOUND.parse()?, kind, codecs: "mp4a.40.2".into(), declared_bitrate: 160_000 };
    let mut renditions = PICTURES.iter().map(picture).collect::<Result<Vec<_>>>()?;
    renditions.push((sound, noise(2, 600)));
    Ok(PeriodStart {
        number: PeriodNumber(0),
        first_sequence: MediaSequence(FIRST),
        origin: MediaTime::ZERO,
        wall_clock: UnixMillis(1_800_000_000_000),
        renditions,
        ladder: None,
    })
}

/// Records of the hour that is stored.
fn records() -> Result<Vec<Record>> {
    let mut records = vec![Record::Period(period()?)];
    for sequence in FIRST..FIRST + STORED {
        let piece = |id: &str| {
            let start = SHAPE.settings.cell_start(1 + sequence - FIRST);
            let duration = MediaTime::from_millis(SHAPE.settings.segment_ms.into());
            anyhow::Ok(Piece { rendition: id.parse()?, start, duration, size: Some(170_000) })
        };
        let pieces = ids().map(piece).collect::<Result<_>>()?;
        records.push(Record::Segment(StoredSegment { sequence: MediaSequence(sequence), pieces, drift: 0 }));
    }
    Ok(records)
}

/// MB of an hour's index, each read from messages, as an origin and a server's successor have it.
fn index() -> Result<f64> {
    let messages: Vec<v2::MediaEvent> =
        records()?.into_iter().map(|record| WatchMessage::Stored(record).into()).collect();
    let broadcast = broadcast_id();
    let before = resident()?;
    let mut archives = Vec::with_capacity(ARCHIVES);
    for _ in 0..ARCHIVES {
        let mut archive = Archive::new(broadcast, SHAPE.settings, 0);
        for message in &messages {
            if let WatchMessage::Stored(record) = message.clone().try_into()? {
                archive.apply(&record)?;
            }
        }
        archives.push(archive);
    }
    Ok((resident()? - before) as f64 / 1e6 / archives.len() as f64)
}

/// Bytes of this process that are resident.
fn resident() -> Result<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    Ok(line.trim().trim_end_matches("kB").trim().parse::<u64>()? * 1024)
}
