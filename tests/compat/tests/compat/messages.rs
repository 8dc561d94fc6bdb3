//! Messages of the gRPC calls: a full one of each kind, and their reading with the code of today.

use bytes::Bytes;
use headwater_media::broadcast::{BroadcastReport, Policy, PolicyOverrides};
use headwater_media::{
    MediaEvent, MediaSequence, MediaTime, OutputTag, PartIndex, Period, PeriodNumber, PublisherFacts, Record,
    TimelineEvent,
};
use headwater_wire::v2::{self, publish_request as request, publish_response as response};
use headwater_wire::{ConvertError, WatchMessage, broadcast_bytes, output_tag_of, tag_of};
use prost::Message;

use crate::values;

/// Message of a call: its type, a name for it, and its bytes.
pub struct Sample {
    pub message: &'static str,
    pub name: &'static str,
    pub bytes: Vec<u8>,
}

macro_rules! messages {
    ($($message:ident),+ $(,)?) => {
        /// Types that calls carry.
        pub const MESSAGES: &[&str] = &[$(stringify!($message)),+];

        /// Bytes of a message after it was read into the type of today: what the type does not know is missing.
        pub fn read_and_write(message: &str, bytes: &[u8]) -> Vec<u8> {
            match message {
                $(stringify!($message) => v2::$message::decode(bytes).unwrap().encode_to_vec(),)+
                other => panic!("no call carries {other} any more"),
            }
        }
    };
}

messages! {
    PublishRequest, PublishResponse, LocateRequest, LocateResponse, WatchRequest, MediaEvent, FetchRequest, Chunk,
    StatusRequest, StatusResponse, ListBroadcastsRequest, ListBroadcastsResponse, DescribeBroadcastRequest,
    DescribeBroadcastResponse, DisconnectRequest, DisconnectResponse, DrainRequest, DrainResponse,
}

/// Checks a message as its receiver does.
pub fn check(message: &str, bytes: &[u8]) -> Result<(), ConvertError> {
    match message {
        "PublishRequest" => check_request(v2::PublishRequest::decode(bytes).unwrap().message.unwrap()),
        "PublishResponse" => check_response(v2::PublishResponse::decode(bytes).unwrap().message.unwrap()),
        "ListBroadcastsResponse" => {
            let list = v2::ListBroadcastsResponse::decode(bytes).unwrap();
            list.broadcasts.into_iter().try_for_each(|on_air| BroadcastReport::try_from(on_air).map(drop))
        }
        "MediaEvent" => WatchMessage::try_from(v2::MediaEvent::decode(bytes).unwrap()).map(drop),
        _ => Ok(()),
    }
}

fn check_request(message: request::Message) -> Result<(), ConvertError> {
    match message {
        request::Message::Open(open) => {
            headwater_wire::publish::resume_point(open.resume)?;
            let overrides = open.overrides.map(PolicyOverrides::try_from).transpose()?;
            let policy = open.policy.map(Policy::try_from).transpose()?;
            policy.map(drop).or(overrides.map(drop)).ok_or(ConvertError::Missing("policy"))
        }
        request::Message::Period(period) => Period::try_from(period).map(drop),
        request::Message::Tag(tag) => tag_of(&values::period(), tag).map(drop),
        request::Message::Facts(facts) => PublisherFacts::try_from(facts).map(drop),
        request::Message::End(_) | request::Message::Leaving(_) => Ok(()),
    }
}

fn check_response(message: response::Message) -> Result<(), ConvertError> {
    match message {
        response::Message::Accepted(accepted) => {
            headwater_wire::publish::resume_point(accepted.resume).map(drop)
        }
        response::Message::Committed(committed) => {
            headwater_wire::publish::resume_point(committed.resume).map(drop)
        }
        response::Message::Stats(stats) => headwater_media::PublisherStats::try_from(stats).map(drop),
        response::Message::OutputTag(tag) => output_tag_of(Some(&values::period()), tag).map(drop),
        response::Message::Rejected(_) => Ok(()),
    }
}

fn sample(message: &'static str, name: &'static str, value: &impl Message) -> Sample {
    Sample { message, name, bytes: value.encode_to_vec() }
}

/// A full message of each kind.
pub fn samples() -> Vec<Sample> {
    let requests = publish_requests().into_iter().map(|(name, message)| {
        sample("PublishRequest", name, &v2::PublishRequest { message: Some(message) })
    });
    let responses = publish_responses().into_iter().map(|(name, message)| {
        sample("PublishResponse", name, &v2::PublishResponse { message: Some(message) })
    });
    let events = watch_messages()
        .into_iter()
        .map(|(name, message)| sample("MediaEvent", name, &v2::MediaEvent::from(message)));
    requests.chain(responses).chain(events).chain(unary_samples()).collect()
}

fn publish_requests() -> Vec<(&'static str, request::Message)> {
    let open = request::Open {
        stream: "demo".into(),
        epoch: 1_800_000_000_123,
        publisher: "0199a1b2-3d4e-7f50-8a61-728394a5b6c7".into(),
        resume: Some(values::resume_point().into()),
        failures: 2,
        ground: request::Ground::OnAir.into(),
        policy: Some(values::policy().into()),
        facts: Some(values::facts().into()),
        overrides: Some(values::overrides().into()),
    };
    let end = request::End { reason: "the publisher ended its stream".into() };
    vec![
        ("open", request::Message::Open(open)),
        ("period", TimelineEvent::Period(values::period()).into()),
        ("tag", TimelineEvent::Tag(values::tag()).into()),
        ("end", request::Message::End(end)),
        ("leaving", request::Message::Leaving(request::Leaving {})),
        ("facts", request::Message::Facts(values::facts().into())),
    ]
}

fn publish_responses() -> Vec<(&'static str, response::Message)> {
    let resume = || Some(values::resume_point().into());
    let accepted = response::Accepted { resume: resume(), epoch: Some(1_800_000_000_124) };
    let committed = response::Committed { resume: resume(), epoch: Some(1_800_000_000_124) };
    let rejected =
        v2::Failure { code: v2::failure::Code::Fenced.into(), message: "another server has it".into() };
    let output = |media| OutputTag { output: "0f3a".parse().unwrap(), media };
    vec![
        ("accepted", response::Message::Accepted(accepted)),
        ("committed", response::Message::Committed(committed)),
        ("rejected", response::Message::Rejected(rejected)),
        ("stats", response::Message::Stats(values::stats().into())),
        (
            "output_period",
            response::Message::OutputTag(output(TimelineEvent::Period(values::period())).into()),
        ),
        ("output_tag", response::Message::OutputTag(output(TimelineEvent::Tag(values::tag())).into())),
    ]
}

fn watch_messages() -> Vec<(&'static str, WatchMessage)> {
    let part = MediaEvent::Part {
        rendition: "720p".parse().unwrap(),
        sequence: MediaSequence(1_800_000_009),
        index: PartIndex(3),
        start: MediaTime(5_040_000),
        duration: MediaTime(333_667),
        independent: true,
        bytes: Bytes::from_static(b"moof mdat"),
    };
    let end =
        MediaEvent::SegmentEnd { rendition: "720p".parse().unwrap(), sequence: MediaSequence(1_800_000_009) };
    let drift = MediaEvent::Drift { period: PeriodNumber(2), from: MediaTime(5_040_000), drift: -7 };
    vec![
        ("opening", WatchMessage::Opening(values::opening())),
        (
            "period_start",
            WatchMessage::Event(MediaEvent::PeriodStart(values::period_start(2, 1_800_000_007))),
        ),
        ("part", WatchMessage::Event(part)),
        ("segment_end", WatchMessage::Event(end)),
        ("drift", WatchMessage::Event(drift)),
        ("broadcast_end", WatchMessage::Event(MediaEvent::BroadcastEnd)),
        ("caught_up", WatchMessage::CaughtUp),
        (
            "stored_from",
            WatchMessage::StoredFrom {
                discontinuity_sequence: 3,
                dvr_window: Some(MediaTime::from_millis(3_600_000)),
            },
        ),
        ("stored_period", WatchMessage::Stored(Record::Period(values::period_start(2, 1_800_000_007)))),
        ("stored_segment", WatchMessage::Stored(Record::Segment(values::stored_segment(1_800_000_008)))),
    ]
}

fn unary_samples() -> Vec<Sample> {
    let broadcast = broadcast_bytes(values::broadcast(1));
    let stream = || "demo".to_owned();
    let on_air = v2::Broadcast {
        stream: stream(),
        broadcast: broadcast.clone(),
        epoch: 7,
        publishing: true,
        next_media_sequence: 1_800_000_009,
        publisher: Some(v2::broadcast::Publisher {
            facts: Some(values::facts().into()),
            proxy: "192.0.2.9".into(),
        }),
        health: Some(values::health_sample().into()),
        silent_ms: 1_500,
        settings: Some(values::SETTINGS.into()),
        top_bitrate: 2_800_000,
    };
    let list = v2::ListBroadcastsRequest { after: "demo".into(), limit: 100, streams: vec![stream()] };
    let disconnect =
        v2::DisconnectRequest { stream: stream(), reason: "the show is over".into(), blocked: true };
    let disconnected = v2::DisconnectResponse {
        disconnected: Some(v2::disconnect_response::Disconnected {
            proxy: "192.0.2.9".into(),
            confirmed: true,
        }),
    };
    let described = v2::DescribeBroadcastResponse {
        broadcast: Some(on_air.clone()),
        history: vec![values::health_sample().into()],
    };
    let load = v2::Load { capacity_millicores: 8_000, used_millicores: 2_500, broadcasts: 2 };
    let fetch = v2::FetchRequest {
        stream: stream(),
        broadcast: broadcast.clone(),
        rendition: "720p".into(),
        sequence: 1_800_000_001,
    };
    vec![
        sample("LocateRequest", "locate", &v2::LocateRequest { stream: stream() }),
        sample("LocateResponse", "located", &v2::LocateResponse { broadcast, epoch: 7 }),
        sample("WatchRequest", "watch", &v2::WatchRequest { stream: stream() }),
        sample("FetchRequest", "fetch", &fetch),
        sample("Chunk", "chunk", &v2::Chunk { payload: Bytes::from_static(b"bytes of a segment") }),
        sample("StatusRequest", "status", &v2::StatusRequest {}),
        sample("StatusResponse", "status", &v2::StatusResponse { version: "0.2.0".into(), load: Some(load) }),
        sample("ListBroadcastsRequest", "list", &list),
        sample(
            "ListBroadcastsResponse",
            "list",
            &v2::ListBroadcastsResponse { broadcasts: vec![on_air.clone()] },
        ),
        sample("DescribeBroadcastRequest", "describe", &v2::DescribeBroadcastRequest { stream: stream() }),
        sample("DescribeBroadcastResponse", "describe", &described),
        sample("DisconnectRequest", "disconnect", &disconnect),
        sample("DisconnectResponse", "disconnect", &disconnected),
        sample("DrainRequest", "drain", &v2::DrainRequest {}),
        sample("DrainResponse", "drain", &v2::DrainResponse { broadcasts: vec![on_air] }),
    ]
}
