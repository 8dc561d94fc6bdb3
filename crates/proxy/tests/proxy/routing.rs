//! Which server gets a publisher, and what it is told when none does.

use headwater_registry::{Claim, Registry};
use headwater_wire::v2::failure::Code;

use crate::support::{Encoder, TestProxy, TestServer, failure};

#[tokio::test]
async fn the_next_server_is_asked_when_one_has_no_room() {
    let proxy = TestProxy::start().await;
    let mut freer = TestServer::start(&proxy.registry, "freer", 0).await;
    let mut fuller = TestServer::start(&proxy.registry, "fuller", 1_500).await;
    let mut encoder = Encoder::request(proxy.address, "demo").await;
    freer.call().await.reject(failure(Code::NoCapacity, "full")).await;
    let call = fuller.call().await;
    call.accept(0).await;
    encoder.accepted().await;
    assert_eq!(proxy.owner("demo").await, Some(("fuller".into(), call.open.epoch)));
}

#[tokio::test]
async fn a_server_that_can_do_nothing_is_not_asked() {
    let proxy = TestProxy::start().await;
    let mut unable = TestServer::start(&proxy.registry, "unable", 0).await;
    unable.offer(&proxy.registry, 0).await;
    let (_, text) = Encoder::request(proxy.address, "demo").await.refused().await;
    assert_eq!(text, "no transcode server has room for another broadcast: try again in a moment");
    assert!(!unable.was_called());
    unable.offer(&proxy.registry, 2_000).await;
    let _encoder = Encoder::request(proxy.address, "demo").await;
    unable.call().await;
}

#[tokio::test]
async fn without_room_anywhere_the_broadcaster_is_told_so() {
    let proxy = TestProxy::start().await;
    let mut server = TestServer::start(&proxy.registry, "a", 0).await;
    let encoder = Encoder::request(proxy.address, "demo").await;
    server.call().await.reject(failure(Code::NoCapacity, "full")).await;
    let (code, text) = encoder.refused().await;
    assert_eq!(code, "NetStream.Publish.Denied");
    assert_eq!(text, "no transcode server has room for another broadcast: try again in a moment");
    assert_eq!(proxy.owner("demo").await, None, "the claim is given back");
}

#[tokio::test]
async fn that_there_is_no_server_at_all_is_told_apart_from_that_there_is_no_room() {
    let proxy = TestProxy::start().await;
    let (code, text) = Encoder::request(proxy.address, "demo").await.refused().await;
    assert_eq!(code, "NetStream.Publish.Denied");
    assert_eq!(text, "no transcode server is registered: try again in a moment");
}

#[tokio::test]
async fn a_dead_server_is_passed_over() {
    let proxy = TestProxy::start().await;
    TestServer::dead(&proxy.registry, "dead").await;
    let mut living = TestServer::start(&proxy.registry, "living", 1_500).await;
    let mut encoder = Encoder::request(proxy.address, "demo").await;
    let call = living.call().await;
    call.accept(0).await;
    encoder.accepted().await;
    assert_eq!(proxy.owner("demo").await, Some(("living".into(), call.open.epoch)));
}

#[tokio::test]
async fn the_owner_of_a_stream_decides_about_its_publishers() {
    let proxy = TestProxy::start().await;
    let mut other = TestServer::start(&proxy.registry, "other", 0).await;
    let mut owner = TestServer::start(&proxy.registry, "owner", 2_000).await;
    let epoch = claim(&proxy, &owner).await;
    let encoder = Encoder::request(proxy.address, "demo").await;
    let call = owner.call().await;
    assert_eq!(call.open.epoch, epoch);
    call.reject(failure(Code::StreamInUse, "another encoder is publishing this stream")).await;
    let told = encoder.refused().await;
    let expected = ("NetStream.Publish.BadName", "another encoder is publishing this stream");
    assert_eq!((told.0.as_str(), told.1.as_str()), expected);
    assert!(!other.was_called());
    assert_eq!(proxy.owner("demo").await, Some(("owner".into(), epoch)));
}

#[tokio::test]
async fn a_stream_is_taken_from_an_owner_that_is_dead() {
    let proxy = TestProxy::start().await;
    let record = TestServer::dead(&proxy.registry, "dead").await;
    let mut living = TestServer::start(&proxy.registry, "living", 2_000).await;
    let stream = "demo".parse().unwrap();
    proxy.registry.claim(&stream, &record.id, &record.address, None).await.unwrap();
    let mut encoder = Encoder::request(proxy.address, "demo").await;
    let call = living.call().await;
    assert_eq!(call.open.epoch, 2);
    call.accept(0).await;
    encoder.accepted().await;
}

#[tokio::test]
async fn an_owner_whose_broadcast_has_just_ended_may_get_the_next_one() {
    let proxy = TestProxy::start().await;
    let mut server = TestServer::start(&proxy.registry, "a", 0).await;
    let epoch = claim(&proxy, &server).await;
    let mut encoder = Encoder::request(proxy.address, "demo").await;
    server.call().await.reject(failure(Code::Fenced, "claim the stream anew")).await;
    let call = server.call().await;
    assert_eq!(call.open.epoch, epoch + 1);
    call.accept(0).await;
    encoder.accepted().await;
}

#[tokio::test]
async fn a_server_that_has_the_stream_keeps_it_when_it_sends_the_publisher_away() {
    let proxy = TestProxy::start().await;
    let mut server = TestServer::start(&proxy.registry, "a", 0).await;
    let mut other = TestServer::start(&proxy.registry, "b", 2_000).await;
    let encoder = Encoder::request(proxy.address, "demo").await;
    server.call().await.reject(failure(Code::WorkerFailed, "the transcoder failed: x264enc")).await;
    let told = encoder.refused().await;
    assert_eq!((told.0.as_str(), told.1.as_str()), ("NetStream.Failed", "the transcoder failed: x264enc"));
    assert_eq!(proxy.owner("demo").await, Some(("a".into(), 1)));
    let _again = Encoder::request(proxy.address, "demo").await;
    assert_eq!(server.call().await.open.epoch, 1);
    assert!(!other.was_called(), "a source that breaks one server does not go on to the next");
}

/// It alone is cut off from Redis, and its publisher comes back.
#[tokio::test]
async fn a_broadcast_goes_on_at_a_server_that_is_missing_in_the_registry() {
    let (proxy, mut absent, mut other) = left_at_an_absent_server().await;
    let mut encoder = Encoder::request(proxy.address, "demo").await;
    let call = absent.call().await;
    assert_eq!((call.open.epoch, call.open.resume.clone()), (1, None));
    call.accept(0).await;
    encoder.accepted().await;
    assert!(!other.was_called());
}

#[tokio::test]
async fn a_server_that_is_missing_in_the_registry_decides_about_its_publishers() {
    let (proxy, mut absent, mut other) = left_at_an_absent_server().await;
    let encoder = Encoder::request(proxy.address, "demo").await;
    absent.call().await.reject(failure(Code::StreamInUse, "another encoder is publishing")).await;
    assert_eq!(encoder.refused().await.1, "another encoder is publishing");
    assert!(!other.was_called());
}

#[tokio::test]
async fn a_stream_leaves_a_missing_server_that_does_not_take_it() {
    for code in [Code::Fenced, Code::Draining, Code::NoCapacity] {
        let (proxy, mut absent, mut other) = left_at_an_absent_server().await;
        let mut encoder = Encoder::request(proxy.address, "demo").await;
        absent.call().await.reject(failure(code, "not here")).await;
        other.call().await.accept(0).await;
        encoder.accepted().await;
        assert_eq!(proxy.owner("demo").await.unwrap().0, "other");
        assert!(!absent.was_called(), "once is enough");
    }
}

#[tokio::test]
async fn a_stream_leaves_a_missing_server_that_is_dead() {
    let (proxy, absent, mut other) = left_at_an_absent_server().await;
    absent.stop().await;
    let mut encoder = Encoder::request(proxy.address, "demo").await;
    other.call().await.accept(0).await;
    encoder.accepted().await;
}

/// A publisher was at a server that is not in the registry any more, and neither is the stream; another server is.
async fn left_at_an_absent_server() -> (TestProxy, TestServer, TestServer) {
    let proxy = TestProxy::start().await;
    let mut absent = TestServer::start(&proxy.registry, "absent", 0).await;
    let mut encoder = Encoder::request(proxy.address, "demo").await;
    let call = absent.call().await;
    call.accept(0).await;
    encoder.accepted().await;
    encoder.unpublish().await;
    call.until_it_ends().await;
    proxy.registry.unregister_server(&absent.record.id).await.unwrap();
    let epoch = headwater_media::Epoch(proxy.owner("demo").await.unwrap().1);
    proxy.registry.release(&"demo".parse().unwrap(), &absent.record.id, epoch).await.unwrap();
    let other = TestServer::start(&proxy.registry, "other", 0).await;
    (proxy, absent, other)
}

async fn claim(proxy: &TestProxy, server: &TestServer) -> u64 {
    let stream = "demo".parse().unwrap();
    let claim = proxy.registry.claim(&stream, &server.record.id, &server.record.address, None).await.unwrap();
    let Claim::Granted(ownership) = claim else { panic!("{claim:?}") };
    ownership.epoch.0
}
