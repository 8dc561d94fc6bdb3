//! Way of a publisher's media to its server.

use headwater_rtmp::Metadata;
use headwater_wire::v2;
use headwater_wire::v2::publish_request::Message as Request;
use headwater_wire::v2::publish_response::stats::{self, Encoder as Encoding};
use headwater_wire::v2::publish_response::{Message as Response, OutputTag, Stats};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;

use crate::support::media::{self, Kind};
use crate::support::{Encoder, TestProxy, TestServer, within};

fn tag(request: &Request) -> (Kind, u64, i32, &[u8]) {
    let Request::Tag(tag) = request else { panic!("no tag: {request:?}") };
    (media::kind(tag), tag.time_us / 1_000, tag.composition_offset_us / 1_000, &tag.payload)
}

#[tokio::test]
async fn media_arrives_in_order_with_its_times() {
    let proxy = TestProxy::start().await;
    let mut server = TestServer::start(&proxy.registry, "a", 0).await;
    let mut encoder = Encoder::request(proxy.address, "demo").await;
    let mut call = server.call().await;
    assert_eq!((call.open.stream.as_str(), call.open.epoch), ("demo", 1));
    call.accept(3).await;
    encoder.accepted().await;
    encoder.headers().await;
    encoder.video(1_000, media::keyframe(b"first")).await;
    encoder.audio(1_010, media::sound(b"beep")).await;
    encoder.video(1_033, media::picture(b"second")).await;
    let Some(Request::Period(period)) = call.message().await.unwrap() else { panic!("no period") };
    let v2::Period { number, origin_us, tracks, .. } = period;
    assert_eq!((number, origin_us), (3, 1_000_000));
    let tracks: Vec<_> = tracks.iter().map(|track| (&track.codec[..], &track.configuration[..])).collect();
    assert_eq!(tracks, [("avc1", media::AVC), ("mp4a", media::AAC)]);
    let expected: [(Kind, u64, i32, &[u8]); 3] = [
        (Kind::VideoKeyframe, 1_000, 0, b"first"),
        (Kind::Audio, 1_010, 0, b"beep"),
        (Kind::Video, 1_033, 40, b"second"),
    ];
    for expected in expected {
        assert_eq!(tag(&call.message().await.unwrap().unwrap()), expected);
    }
    encoder.unpublish().await;
    let (rest, reason) = call.until_it_ends().await;
    assert_eq!((rest.len(), reason.as_str()), (0, "the publisher ended its stream"));
}

#[tokio::test]
async fn statistics_and_media_of_outputs_leave_the_publisher_on_air() {
    let proxy = TestProxy::start().await;
    let mut server = TestServer::start(&proxy.registry, "a", 0).await;
    let mut encoder = Encoder::request(proxy.address, "demo").await;
    let mut call = server.call().await;
    call.accept(0).await;
    encoder.accepted().await;
    let unreadable = Encoding { speed: f64::NAN, ..Encoding::default() };
    let stats = Stats { source: Some(stats::Source::default()), encoder: Some(unreadable) };
    call.say(Response::Stats(stats)).await;
    call.say(Response::OutputTag(OutputTag::default())).await;
    // A response of a newer server.
    call.say_nothing().await;
    encoder.headers().await;
    encoder.video(1_000, media::keyframe(b"first")).await;
    encoder.audio(1_010, media::sound(b"beep")).await;
    assert!(matches!(call.message().await.unwrap(), Some(Request::Period(_))));
    encoder.unpublish().await;
    let (rest, reason) = call.until_it_ends().await;
    assert_eq!((rest.len(), reason.as_str()), (2, "the publisher ended its stream"));
}

#[tokio::test]
async fn the_encoder_waits_until_a_server_has_accepted() {
    let proxy = TestProxy::start().await;
    let mut server = TestServer::start(&proxy.registry, "a", 0).await;
    let mut encoder = Encoder::request(proxy.address, "demo").await;
    let call = server.call().await;
    let early = timeout(std::time::Duration::from_millis(200), encoder.socket.peek(&mut [0])).await;
    assert!(early.is_err(), "it was answered before the server had accepted");
    call.accept(0).await;
    encoder.accepted().await;
}

/// The last media of somebody who hangs up at once is still on its way through the proxy then.
#[tokio::test]
async fn nothing_is_lost_when_an_encoder_hangs_up() {
    const PICTURES: usize = 400;
    let proxy = TestProxy::start().await;
    let mut server = TestServer::start(&proxy.registry, "a", 0).await;
    let mut encoder = Encoder::request(proxy.address, "demo").await;
    let call = server.call().await;
    call.accept(0).await;
    encoder.accepted().await;
    encoder.headers().await;
    for nth in 0..PICTURES as u32 {
        encoder.video(nth * 33, media::keyframe(&[7; 4_096])).await;
    }
    drop(encoder);
    let (messages, reason) = call.until_it_ends().await;
    assert_eq!((messages.len(), reason.as_str()), (1 + PICTURES, "the publisher's connection ended"));
}

#[tokio::test]
async fn an_encoder_may_publish_again_on_its_connection() {
    let proxy = TestProxy::start().await;
    let mut server = TestServer::start(&proxy.registry, "a", 0).await;
    let mut encoder = Encoder::request(proxy.address, "demo").await;
    let first = server.call().await;
    first.accept(0).await;
    encoder.accepted().await;
    encoder.unpublish().await;
    let (messages, reason) = first.until_it_ends().await;
    assert_eq!((messages.len(), reason.as_str()), (0, "the publisher ended its stream"));

    // The session has ended for the client, so it is spoken for by hand.
    for command in [command("createStream", 7.0, 0, &[]), command("publish", 8.0, 1, &["again", "live"])] {
        encoder.socket.write_all(&command).await.unwrap();
    }
    let second = server.call().await;
    assert_eq!(second.open.stream, "again");
    second.accept(0).await;
    let mut heard = Vec::new();
    let started = async {
        while !String::from_utf8_lossy(&heard).contains("NetStream.Publish.Start") {
            assert_ne!(encoder.socket.read_buf(&mut heard).await.unwrap(), 0, "closed");
        }
    };
    within("the second stream is accepted", started).await;
}

/// A command in one chunk: a full header (RTMP 1.0 §5.3.1.2.1), then name, transaction, null and strings in AMF0.
fn command(name: &str, transaction: f64, stream: u32, values: &[&str]) -> Vec<u8> {
    let string = |text: &str| [&[2, 0, text.len() as u8], text.as_bytes()].concat();
    let mut body = string(name);
    body.push(0);
    body.extend(transaction.to_be_bytes());
    body.push(5);
    body.extend(values.iter().flat_map(|value| string(value)));
    let mut chunk = vec![3, 0, 0, 0, 0, 0, body.len() as u8, 20];
    chunk.extend(stream.to_le_bytes());
    chunk.extend(body);
    chunk
}

#[tokio::test]
async fn the_server_is_told_facts_about_the_publisher_and_more_once_the_encoder_announces_it() {
    let proxy = TestProxy::start().await;
    let mut server = TestServer::start(&proxy.registry, "a", 0).await;
    let mut encoder = Encoder::request(proxy.address, "demo").await;
    let mut call = server.call().await;
    let facts = call.open.facts.clone().unwrap();
    assert_eq!((facts.address.as_str(), facts.protocol.as_str()), ("127.0.0.1", "rtmp"));
    assert!(facts.connected_unix_ms > 1_700_000_000_000 && facts.frame_rate.is_none(), "{facts:?}");
    call.accept(0).await;
    encoder.accepted().await;
    let metadata = Metadata {
        video: true,
        frame_rate: Some(30.0),
        video_kbps: Some(2_500),
        encoder: Some("obs-output module".into()),
        ..Metadata::default()
    };
    encoder.announce(&metadata).await;
    let Some(Request::Facts(told)) = call.message().await.unwrap() else { panic!("no facts") };
    let announced = (told.encoder.as_deref(), told.frame_rate, told.video_bitrate);
    assert_eq!(announced, (Some("obs-output module"), Some(30.0), Some(2_500_000)));
    assert_eq!(told.connected_unix_ms, facts.connected_unix_ms);
    // What is announced again is not told again.
    encoder.announce(&metadata).await;
    encoder.headers().await;
    encoder.video(0, media::keyframe(b"first")).await;
    assert!(matches!(call.message().await.unwrap(), Some(Request::Period(_))));
}
