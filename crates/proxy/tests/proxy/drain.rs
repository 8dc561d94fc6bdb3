//! A proxy that is told to stop.

use std::io::ErrorKind;
use std::time::Duration;

use headwater_rtmp::ClientEvent;
use headwater_wire::v2::failure::Code;
use headwater_wire::v2::publish_request::Message as Request;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::support::{Call, DEADLINE, Encoder, TestProxy, TestServer, failure, media, resume_point, within};

const RESTARTED: &str = "this server is being restarted: reconnect";

/// A proxy whose publishers may stay for longer than a test does.
async fn patient() -> (TestProxy, TestServer) {
    let proxy = TestProxy::with(|config| config.proxy.drain_timeout = 10 * DEADLINE).await;
    let server = TestServer::start(&proxy.registry, "a", 0).await;
    (proxy, server)
}

async fn accepted(mut encoder: Encoder, server: &mut TestServer) -> (Encoder, Call) {
    let call = server.call().await;
    call.accept(0).await;
    encoder.accepted().await;
    encoder.headers().await;
    (encoder, call)
}

/// Sends a keyframe, which has to arrive. Gives what came before it.
async fn passes(encoder: &mut Encoder, call: &mut Call, time: u32) -> Vec<Request> {
    encoder.video(time, media::keyframe(b"key")).await;
    let mut before = Vec::new();
    loop {
        match call.message().await.unwrap().expect("a tag") {
            Request::Tag(tag) if tag.time_us == 1_000 * u64::from(time) => return before,
            message => before.push(message),
        }
    }
}

fn is_leaving(messages: &[Request]) -> bool {
    messages.iter().any(|message| matches!(message, Request::Leaving(_)))
}

/// The encoder was asked to connect again.
async fn asked(encoder: &mut Encoder) {
    let expected = ClientEvent::ReconnectRequested { tc_url: None, description: RESTARTED.into() };
    assert_eq!(encoder.event().await, Some(expected));
}

#[tokio::test]
async fn who_can_connect_again_is_asked_to_and_is_forwarded_until_then() {
    let (proxy, mut server) = patient().await;
    let encoder = Encoder::request_movable(proxy.address, "demo").await;
    let (mut encoder, mut call) = accepted(encoder, &mut server).await;
    assert!(!is_leaving(&passes(&mut encoder, &mut call, 1_000).await));
    proxy.drain.cancel();
    asked(&mut encoder).await;
    assert!(is_leaving(&passes(&mut encoder, &mut call, 2_000).await));
    assert!(!is_leaving(&passes(&mut encoder, &mut call, 3_000).await), "once");
    drop(encoder);
    assert_eq!(call.until_it_ends().await.1, "the publisher's connection ended");
    proxy.ended().await;
}

#[tokio::test]
async fn who_can_not_is_told_nothing_and_stays_until_the_time_is_over() {
    const LIMIT: Duration = Duration::from_secs(2);
    let proxy = TestProxy::with(|config| config.proxy.drain_timeout = LIMIT).await;
    let mut server = TestServer::start(&proxy.registry, "a", 0).await;
    let encoder = Encoder::request(proxy.address, "demo").await;
    let (mut encoder, mut call) = accepted(encoder, &mut server).await;
    let began = Instant::now();
    proxy.drain.cancel();
    assert!(!is_leaving(&passes(&mut encoder, &mut call, 1_000).await));
    assert!(!is_leaving(&passes(&mut encoder, &mut call, 2_000).await));
    let (code, text) = encoder.sent_away().await;
    assert_eq!((code.as_str(), text.as_str()), ("NetStream.Failed", RESTARTED));
    assert!(began.elapsed() >= LIMIT, "{:?}", began.elapsed());
    assert_eq!(call.until_it_ends().await.1, "stopping");
    proxy.ended().await;
}

#[tokio::test]
async fn nobody_new_is_taken() {
    let (proxy, mut server) = patient().await;
    let encoder = Encoder::request(proxy.address, "demo").await;
    let (encoder, call) = accepted(encoder, &mut server).await;
    let mut late = Encoder::connect(proxy.address, Encoder::config(proxy.address, "late")).await;
    let searching = Encoder::request(proxy.address, "searching").await;
    let _unanswered = server.call().await;
    proxy.drain.cancel();
    late.ask().await;
    for refused in [late, searching] {
        let (code, text) = refused.refused().await;
        assert_eq!((code.as_str(), text.as_str()), ("NetStream.Failed", RESTARTED));
    }
    assert!(!server.was_called());
    let closed = async {
        while TcpStream::connect(proxy.address).await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    within("the listener is closed", closed).await;
    let refused = TcpStream::connect(proxy.address).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    drop((encoder, call));
    proxy.ended().await;
}

#[tokio::test]
async fn an_idle_proxy_stops_at_once() {
    let (proxy, _server) = patient().await;
    let _idle = Encoder::connect(proxy.address, Encoder::config(proxy.address, "idle")).await;
    proxy.drain.cancel();
    proxy.ended().await;
}

/// It has two connections for a moment, and the old one must not tell it that something is wrong.
#[tokio::test]
async fn whose_successor_is_there_may_take_its_time_to_leave() {
    let (proxy, mut server) = patient().await;
    let encoder = Encoder::request_movable(proxy.address, "demo").await;
    let (mut encoder, mut call) = accepted(encoder, &mut server).await;
    proxy.drain.cancel();
    asked(&mut encoder).await;
    passes(&mut encoder, &mut call, 1_000).await;
    call.reject(failure(Code::StreamInUse, "another encoder has taken this stream over")).await;
    for nth in 2..20 {
        encoder.video(nth * 1_000, media::keyframe(&[7; 100_000])).await;
    }
    encoder.unpublish().await;
    encoder.socket.shutdown().await.unwrap();
    let mut heard = Vec::new();
    within("it is closed", encoder.socket.read_to_end(&mut heard)).await.unwrap();
    let heard = String::from_utf8_lossy(&heard);
    assert!(heard.contains("NetStream.Unpublish.Success"), "{heard}");
    assert!(!heard.contains("BadName") && !heard.contains("error"), "{heard}");
    assert!(!server.was_called(), "it has its successor, and comes not back");
    proxy.ended().await;
}

#[tokio::test]
async fn the_next_server_is_told_that_the_publisher_leaves_too() {
    let (proxy, mut server) = patient().await;
    let encoder = Encoder::request_movable(proxy.address, "demo").await;
    let (mut encoder, mut call) = accepted(encoder, &mut server).await;
    proxy.drain.cancel();
    asked(&mut encoder).await;
    passes(&mut encoder, &mut call, 1_000).await;
    let mut other = TestServer::start(&proxy.registry, "b", 0).await;
    call.reject(failure(Code::Draining, "this server is stopping")).await;
    let mut call = other.call().await;
    call.accept_at(resume_point(0, None, 100)).await;
    assert!(is_leaving(&passes(&mut encoder, &mut call, 2_000).await));
    drop((encoder, call));
    proxy.ended().await;
}
