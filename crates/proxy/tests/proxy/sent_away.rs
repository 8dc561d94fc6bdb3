//! Publishers that can't stay are told why.

use std::time::Duration;

use headwater_wire::v2::failure::Code;
use headwater_wire::v2::publish_request::Message as Request;
use headwater_wire::v2::publish_response::Message as Response;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::support::{Call, Encoder, TestProxy, TestServer, failure, media, within};

/// An encoder on the air, and its call at the server.
async fn on_air(proxy: &TestProxy) -> (Encoder, Call, TestServer) {
    let mut server = TestServer::start(&proxy.registry, "a", 0).await;
    let mut encoder = Encoder::request(proxy.address, "demo").await;
    let call = server.call().await;
    call.accept(0).await;
    encoder.accepted().await;
    (encoder, call, server)
}

fn is(told: (String, String), code: &str, text: &str) {
    assert_eq!((told.0.as_str(), told.1.as_str()), (code, text));
}

#[tokio::test]
async fn when_the_server_ends_the_call() {
    let proxy = TestProxy::start().await;
    let (encoder, call, _server) = on_air(&proxy).await;
    call.reject(failure(Code::UnsupportedMedia, "h264parse: no picture in it")).await;
    is(encoder.sent_away().await, "NetStream.Publish.Denied", "h264parse: no picture in it");
}

#[tokio::test]
async fn when_an_operator_ends_the_publication_or_blocks_the_input() {
    for (code, status, label) in [
        (Code::Disconnected, "NetStream.Failed", "disconnected"),
        (Code::Blocked, "NetStream.Publish.BadName", "blocked"),
    ] {
        let proxy = TestProxy::start().await;
        let (encoder, call, _server) = on_air(&proxy).await;
        call.say(Response::Rejected(failure(code, "the words of the operator"))).await;
        is(encoder.sent_away().await, status, "the words of the operator");
        assert_eq!(call.until_it_ends().await.1, label, "the proxy says goodbye, so that the server knows");
    }
}

#[tokio::test]
async fn when_the_codec_is_not_supported() {
    let proxy = TestProxy::start().await;
    let (mut encoder, call, _server) = on_air(&proxy).await;
    encoder.video(0, media::hevc_header()).await;
    let text = "HEVC is not supported: choose H.264 in your encoder's output settings";
    is(encoder.sent_away().await, "NetStream.Publish.Denied", text);
    assert_eq!(call.until_it_ends().await.1, "media");
}

#[tokio::test]
async fn when_it_breaks_the_protocol_after_what_it_had_sent_before() {
    let proxy = TestProxy::start().await;
    let (mut encoder, call, _server) = on_air(&proxy).await;
    encoder.session.video(0, media::video_header()).unwrap();
    encoder.session.audio(0, media::audio_header()).unwrap();
    encoder.session.video(0, media::keyframe(&[7; 100])).unwrap();
    encoder.session.audio(10, media::sound(&[7; 10])).unwrap();
    encoder.session.video(33, media::keyframe(&vec![7; 9 << 20])).unwrap();
    let everything = encoder.session.poll_output().unwrap();
    let Encoder { socket, session } = encoder;
    let (mut read, mut write) = socket.into_split();
    let writing = tokio::spawn(async move {
        let _ = write.write_all(&everything).await;
        write
    });
    let mut heard = Vec::new();
    within("the encoder is told", read.read_to_end(&mut heard)).await.unwrap();
    drop((session, writing.await));
    let heard = String::from_utf8_lossy(&heard);
    assert!(heard.contains("NetStream.Publish.Denied"), "{heard}");
    assert!(heard.contains("lower the bit rate or the picture size in your encoder's settings"), "{heard}");
    let (messages, _) = call.until_it_ends().await;
    let tags = messages.iter().filter(|message| matches!(message, Request::Tag(_))).count();
    assert_eq!(tags, 2, "the keyframe and the sound from before the error are passed on: {messages:?}");
}

#[tokio::test]
async fn when_nothing_comes_from_it() {
    let proxy = TestProxy::with(|config| config.proxy.idle_timeout = Duration::from_millis(200)).await;
    let (encoder, call, _server) = on_air(&proxy).await;
    is(encoder.sent_away().await, "NetStream.Failed", "nothing was received for too long");
    assert_eq!(call.until_it_ends().await.1, "idle");
}

#[tokio::test]
async fn when_the_server_takes_nothing() {
    let proxy = TestProxy::with(|config| config.proxy.stall_timeout = Duration::from_millis(200)).await;
    let (mut encoder, _untaken, _server) = on_air(&proxy).await;
    encoder.headers().await;
    for nth in 0..1_000 {
        encoder.session.video(nth * 33, media::keyframe(&[7; 4_096])).unwrap();
    }
    // More than all buffers hold, so it is written while the answer is read.
    let media = encoder.session.poll_output().unwrap();
    let (read, mut write) = encoder.socket.into_split();
    let writing = tokio::spawn(async move {
        let _ = write.write_all(&media).await;
        write
    });
    let text = "the transcode server can't keep up: lower the bit rate or the picture size";
    let mut heard = Vec::new();
    let told = async {
        while !String::from_utf8_lossy(&heard).contains(text) {
            read.readable().await.unwrap();
            assert!(!matches!(read.try_read_buf(&mut heard), Ok(0)), "closed without a word");
        }
    };
    within("the encoder is told", told).await;
    within("the proxy reads on until it closes", writing).await.unwrap();
}

#[tokio::test]
async fn when_the_proxy_stops_and_waits_for_nobody() {
    let proxy = TestProxy::with(|config| config.proxy.drain_timeout = Duration::ZERO).await;
    let (encoder, call, mut server) = on_air(&proxy).await;
    let waiting = Encoder::request(proxy.address, "other").await;
    let _unanswered = server.call().await;
    proxy.drain.cancel();
    let text = "this server is being restarted: reconnect";
    is(encoder.sent_away().await, "NetStream.Failed", text);
    is(waiting.refused().await, "NetStream.Failed", text);
    assert_eq!(call.until_it_ends().await.1, "stopping");
    proxy.ended().await;
}

#[tokio::test]
async fn an_encoder_that_leaves_early_is_not_published() {
    let proxy = TestProxy::start().await;
    let mut server = TestServer::start(&proxy.registry, "a", 0).await;
    let encoder = Encoder::request(proxy.address, "demo").await;
    let mut call = server.call().await;
    drop(encoder);
    let ended = call.message().await;
    assert!(!matches!(ended, Ok(Some(_))), "{ended:?}");
}
