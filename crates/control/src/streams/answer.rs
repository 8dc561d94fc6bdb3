//! Streams on air as callers see them.

use std::time::Duration;

use headwater_media::broadcast::{BroadcastReport, PublisherReport};
use headwater_media::stats::{HealthSample, HealthWarning, WarningKind};
use headwater_media::{AudioStats, EncoderStats, SourceStats, VideoStats};
use headwater_runtime::clock::rfc3339;
use headwater_wire::operator::BroadcastHistory;
use serde::Serialize;
use utoipa::ToSchema;

use crate::fleet::Located;

/// Stream on air.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct StreamAnswer {
    /// Name of the stream, and of its live input.
    uid: String,
    /// Id of the broadcast, which its recording will have.
    #[schema(format = "uuid")]
    broadcast: String,
    state: StreamState,
    /// Time at which the broadcast began.
    #[schema(format = "date-time", required)]
    since: Option<String>,
    /// Address of the server that has the broadcast.
    server: String,
    /// Publisher that is connected; null while the broadcast waits for one.
    #[schema(required)]
    publisher: Option<PublisherAnswer>,
    /// Mean of the last seconds; null before the first ones.
    #[schema(required)]
    health: Option<HealthSampleAnswer>,
    warnings: Vec<WarningAnswer>,
    /// Sessions of viewers at all origins; behind a CDN, its nodes. Null where the number is not known.
    #[schema(required)]
    viewers_at_origins: Option<u64>,
}

/// `reconnecting`: the publisher is gone, and the broadcast waits for it.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum StreamState {
    Live,
    Reconnecting,
}

/// Publisher of a stream. Each field is null where it is not known.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct PublisherAnswer {
    /// Time at which it began to publish.
    #[schema(format = "date-time", required)]
    since: Option<String>,
    /// IP address that it publishes from.
    #[schema(required)]
    address: Option<String>,
    /// Protocol that it publishes by: `rtmp` or `rtmps`.
    #[schema(required)]
    protocol: Option<String>,
    /// Name and version of its program, as the program says.
    #[schema(required)]
    encoder: Option<String>,
    /// Address of its proxy, as the server sees it.
    proxy: String,
}

/// Health of the publisher's source over ten seconds.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct HealthSampleAnswer {
    /// Begin of the ten seconds.
    #[schema(format = "date-time", required)]
    time: Option<String>,
    /// Null without a video track.
    #[schema(required)]
    video: Option<VideoAnswer>,
    /// Null without an audio track.
    #[schema(required)]
    audio: Option<AudioAnswer>,
    /// Pictures that came too late to be shown.
    frames_dropped: u64,
    /// Encoder of the server; null before it has put out media.
    #[schema(required)]
    encoder: Option<EncoderAnswer>,
}

/// Video track of a source.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct VideoAnswer {
    /// RFC 6381, such as `avc1.64001f`.
    codecs: String,
    /// Pixels.
    width: u32,
    /// Pixels.
    height: u32,
    /// Bits a second.
    bitrate: u64,
    /// Pictures a second.
    frame_rate: f64,
    /// Longest time from a keyframe to the next one; null before the second one.
    #[schema(required)]
    keyframe_interval_seconds: Option<f64>,
}

/// Audio track of a source.
#[derive(Serialize, ToSchema)]
struct AudioAnswer {
    /// RFC 6381, such as `mp4a.40.2`.
    codecs: String,
    /// Bits a second.
    bitrate: u64,
}

/// Encoder of a stream's renditions.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct EncoderAnswer {
    /// Seconds of media that come out in a second.
    speed: f64,
    /// Distance between the newest media that went in and the newest that came out.
    delay_seconds: f64,
    /// Share of the time in which media had to wait, from 0 to 1.
    saturation: f64,
}

/// Fault of the source, and the way to mend it.
#[derive(Serialize, ToSchema)]
pub(crate) struct WarningAnswer {
    code: WarningCode,
    /// Text for the broadcaster.
    text: String,
}

/// Kind of a fault.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
enum WarningCode {
    NoMedia,
    KeyframeInterval,
    FrameRate,
    Bitrate,
    Encoder,
}

/// Page of streams on air.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct StreamPage {
    /// The `after` of the next page; null where this one is the last.
    #[schema(required)]
    pub(crate) next: Option<String>,
    pub(crate) streams: Vec<StreamAnswer>,
    /// Addresses of servers that did not answer: they may have further streams.
    pub(crate) servers_not_heard: Vec<String>,
}

/// Health of a stream's publisher over the last hour.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct StreamHealth {
    /// Name of the stream.
    uid: String,
    /// Seconds that a sample stands for.
    interval_seconds: u64,
    /// Oldest first. A time without media has none, and the server that the broadcast has moved to begins anew.
    samples: Vec<HealthSampleAnswer>,
    warnings: Vec<WarningAnswer>,
}

impl StreamAnswer {
    pub(crate) fn new(located: &Located, viewers: Option<u64>) -> Self {
        let Located { server, report } = located;
        let state = if report.publisher.is_some() { StreamState::Live } else { StreamState::Reconnecting };
        Self {
            uid: report.stream.to_string(),
            broadcast: report.broadcast.to_string(),
            state,
            since: rfc3339(report.broadcast.made_at()),
            server: server.clone(),
            publisher: report.publisher.as_ref().map(PublisherAnswer::from),
            health: report.health.as_ref().map(HealthSampleAnswer::from),
            warnings: warnings_of(report),
            viewers_at_origins: viewers,
        }
    }
}

impl From<&PublisherReport> for PublisherAnswer {
    fn from(PublisherReport { facts, proxy }: &PublisherReport) -> Self {
        let facts = facts.as_ref();
        Self {
            since: facts.and_then(|facts| rfc3339(facts.connected)),
            address: facts.and_then(|facts| facts.address).map(|address| address.to_string()),
            protocol: facts.map(|facts| facts.protocol.clone()),
            encoder: facts.and_then(|facts| facts.encoder.clone()),
            proxy: proxy.clone(),
        }
    }
}

impl From<&HealthSample> for HealthSampleAnswer {
    fn from(sample: &HealthSample) -> Self {
        let SourceStats { video, audio } = &sample.stats.source;
        Self {
            time: rfc3339(sample.time),
            video: video.as_ref().map(VideoAnswer::from),
            audio: audio.as_ref().map(AudioAnswer::from),
            frames_dropped: sample.frames_dropped,
            encoder: sample.stats.encoder.map(EncoderAnswer::from),
        }
    }
}

impl From<&VideoStats> for VideoAnswer {
    fn from(video: &VideoStats) -> Self {
        Self {
            codecs: video.codecs.clone(),
            width: video.width,
            height: video.height,
            bitrate: video.bitrate,
            frame_rate: round_to_millis(video.frame_rate),
            keyframe_interval_seconds: video.keyframe_interval.map(|interval| interval.as_secs_f64()),
        }
    }
}

impl From<&AudioStats> for AudioAnswer {
    fn from(AudioStats { codecs, bitrate }: &AudioStats) -> Self {
        Self { codecs: codecs.clone(), bitrate: *bitrate }
    }
}

impl From<EncoderStats> for EncoderAnswer {
    fn from(EncoderStats { speed, delay, saturation }: EncoderStats) -> Self {
        Self {
            speed: round_to_millis(speed),
            delay_seconds: delay.as_secs_f64(),
            saturation: round_to_millis(saturation),
        }
    }
}

impl From<HealthWarning> for WarningAnswer {
    fn from(HealthWarning { kind, text }: HealthWarning) -> Self {
        let code = match kind {
            WarningKind::NoMedia => WarningCode::NoMedia,
            WarningKind::KeyframeInterval => WarningCode::KeyframeInterval,
            WarningKind::FrameRate => WarningCode::FrameRate,
            WarningKind::Bitrate => WarningCode::Bitrate,
            WarningKind::Encoder => WarningCode::Encoder,
        };
        Self { code, text }
    }
}

impl From<&BroadcastHistory> for StreamHealth {
    fn from(BroadcastHistory { report, samples }: &BroadcastHistory) -> Self {
        let interval: Duration = headwater_media::stats::HealthHistory::SAMPLE_INTERVAL;
        Self {
            uid: report.stream.to_string(),
            interval_seconds: interval.as_secs(),
            samples: samples.iter().map(HealthSampleAnswer::from).collect(),
            warnings: warnings_of(report),
        }
    }
}

fn warnings_of(report: &BroadcastReport) -> Vec<WarningAnswer> {
    report.find_warnings().into_iter().map(WarningAnswer::from).collect()
}

/// A measured number, without digits that say nothing.
fn round_to_millis(value: f64) -> f64 {
    (value * 1e3).round() / 1e3
}
