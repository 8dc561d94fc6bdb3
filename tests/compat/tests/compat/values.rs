//! Full values: every field is set, and to something else than its default.

use std::time::Duration;

use bytes::Bytes;
use headwater_media::broadcast::{Policy, PolicyOverrides, RecordedRenditions};
use headwater_media::stats::HealthSample;
use headwater_media::{
    AnnouncedRates, AudioStats, BroadcastId, Codec, EncoderStats, Ladder, MediaSequence, MediaTime, Opening,
    Period, PeriodNumber, PeriodStart, Piece, PublisherFacts, PublisherStats, Rendition, RenditionKind,
    ResumePoint, Rung, SegmentSettings, SourceStats, SourceTime, StoredSegment, Tag, TagKind, Track, TrackId,
    UnixMillis, VideoStats,
};
use headwater_wire::Handoff;

/// Renditions of the broadcasts.
pub const RENDITIONS: [&str; 2] = ["720p", "audio"];
/// Begin of the broadcasts.
pub const BEGIN: UnixMillis = UnixMillis(1_800_000_000_000);
pub const SETTINGS: SegmentSettings = SegmentSettings { segment_ms: 2_000, part_ms: 334 };

pub fn broadcast(nth: u8) -> BroadcastId {
    BroadcastId::new(UnixMillis(BEGIN.0 + u64::from(nth) * 1_000), &[nth; 10])
}

pub fn ladder() -> Ladder {
    let name = "720p".parse().unwrap();
    Ladder {
        rungs: vec![Rung { name, width: 1280, height: 720, bitrate: 2_800_000 }],
        preset: "veryfast".into(),
        crf: 23.5,
        max_frame_rate: 60,
        audio_bitrate: 128_000,
    }
}

pub fn policy() -> Policy {
    Policy {
        ladder: ladder(),
        recording: Some(RecordedRenditions::Top),
        dvr_window: Duration::from_secs(3_600),
        reconnect_window: Duration::from_secs(60),
        retention: Some(Duration::from_secs(30 * 86_400)),
    }
}

pub fn overrides() -> PolicyOverrides {
    PolicyOverrides {
        rungs: Some(ladder().rungs),
        is_recorded: Some(true),
        dvr_window: Some(Duration::from_secs(1_800)),
        reconnect_window: Some(Duration::from_secs(30)),
        retention: Some(Duration::from_secs(7 * 86_400)),
    }
}

pub fn renditions() -> Vec<Rendition> {
    let video = RenditionKind::Video { width: 1280, height: 720, frame_rate: 29.97 };
    let audio = RenditionKind::Audio { channels: 2, sample_rate: 48_000 };
    let kinds = [(video, "avc1.64001f", 2_800_000), (audio, "mp4a.40.2", 128_000)];
    let rendition = |(id, (kind, codecs, declared_bitrate)): (&str, (_, &str, u32))| Rendition {
        id: id.parse().unwrap(),
        kind,
        codecs: codecs.into(),
        declared_bitrate,
    };
    RENDITIONS.into_iter().zip(kinds).map(rendition).collect()
}

pub fn period_start(number: u32, first: u64) -> PeriodStart {
    let init = |rendition: Rendition| {
        let init = format!("init of {}", rendition.id).into();
        (rendition, init)
    };
    PeriodStart {
        number: PeriodNumber(number),
        first_sequence: MediaSequence(first),
        origin: MediaTime(40_000),
        wall_clock: UnixMillis(BEGIN.0 + 500),
        renditions: renditions().into_iter().map(init).collect(),
        ladder: Some(ladder()),
    }
}

pub fn resume_point() -> ResumePoint {
    ResumePoint {
        broadcast: broadcast(1),
        settings: SETTINGS,
        window_segments: 10,
        period: PeriodNumber(2),
        start: Some(SourceTime(4_340_000)),
        next_sequence: MediaSequence(1_800_000_009),
        discontinuity_sequence: 2,
        kept: renditions(),
        begun_as: Some(period_start(2, 1_800_000_007)),
        free: MediaSequence(1_800_000_011),
        policy: Some(policy()),
    }
}

pub fn handoff() -> Handoff {
    let point = ResumePoint { begun_as: None, ..resume_point() };
    Handoff { point, is_publishing: true, lasts: Duration::from_secs(60) }
}

pub fn opening() -> Opening {
    Opening {
        broadcast: broadcast(1),
        epoch: headwater_media::Epoch(7),
        settings: SETTINGS,
        window_segments: 10,
        first_sequence: MediaSequence(1_800_000_001),
        discontinuity_sequence: 1,
    }
}

pub fn stored_segment(sequence: u64) -> StoredSegment {
    let piece = |(id, size): (&str, Option<u64>)| Piece {
        rendition: id.parse().unwrap(),
        start: MediaTime(40_000),
        duration: MediaTime(2_000_000),
        size,
    };
    let pieces = RENDITIONS.into_iter().zip([Some(700_000), None]).map(piece).collect();
    StoredSegment { sequence: MediaSequence(sequence), pieces, drift: -7 }
}

pub fn period() -> Period {
    let track = |(id, codec, configuration): (u32, Codec, &'static [u8])| Track {
        id: TrackId(id),
        codec,
        configuration: Bytes::from_static(configuration),
    };
    Period {
        number: PeriodNumber(2),
        first_sequence: Some(MediaSequence(1_800_000_007)),
        origin: SourceTime(40_000),
        wall_clock: BEGIN,
        tracks: [(1, Codec::H264, &b"avcC"[..]), (2, Codec::Aac, &b"\x11\x90"[..])].map(track).into(),
    }
}

pub fn tag() -> Tag {
    Tag {
        track: TrackId(1),
        kind: TagKind::Video { keyframe: true },
        time: SourceTime(80_000),
        composition_offset_us: 33_000,
        drift: -2,
        payload: Bytes::from_static(b"picture"),
    }
}

pub fn facts() -> PublisherFacts {
    PublisherFacts {
        connected: BEGIN,
        address: Some("192.0.2.7".parse().unwrap()),
        protocol: "rtmps".into(),
        encoder: Some("obs-output module".into()),
        announced: AnnouncedRates { frame_rate: Some(29.97), video_bitrate: Some(4_500_000) },
    }
}

pub fn health_sample() -> HealthSample {
    HealthSample { time: BEGIN, stats: stats(), frames_dropped: 3 }
}

pub fn stats() -> PublisherStats {
    let video = VideoStats {
        codecs: "avc1.64001f".into(),
        width: 1280,
        height: 720,
        bitrate: 4_500_000,
        frame_rate: 29.97,
        keyframe_interval: Some(Duration::from_millis(2_002)),
    };
    let audio = AudioStats { codecs: "mp4a.40.2".into(), bitrate: 128_000 };
    let encoder = EncoderStats { speed: 0.98, delay: Duration::from_millis(340), saturation: 0.25 };
    PublisherStats { source: SourceStats { video: Some(video), audio: Some(audio) }, encoder: Some(encoder) }
}
