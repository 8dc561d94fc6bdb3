//! Watch calls of origins.

use headwater_wire::v2;
use headwater_wire::v2::delivery_client::DeliveryClient;
use tonic::Code;

use crate::support::stub::{BURST, Order, RENDITIONS};
use crate::support::{Source, TestServer, Watcher, eventually, payload};

#[tokio::test]
async fn whoever_joins_late_gets_an_equal_window() {
    let server = TestServer::start().await;
    let mut source = Source::publish(&server, "demo").await;
    let mut early = Watcher::join(&server, "demo").await;
    source.period().await;
    // More than are kept.
    source.keyframes(40).await;
    early.segments(40).await;
    let mut late = Watcher::join(&server, "demo").await;
    let committed = early.window.committed();
    late.until("the window", |window| window.committed() == committed).await;
    assert!(late.opening.first_sequence > early.opening.first_sequence);
    assert_eq!(late.window, early.window);
    source.keyframes(1).await;
    for watcher in [&mut early, &mut late] {
        watcher.until("what follows", |window| window.committed() > committed).await;
    }
    assert_eq!(late.window, early.window);
    let rendition = RENDITIONS[0].parse().unwrap();
    let part = late.window.part(&rendition, late.window.committed().unwrap(), Default::default()).unwrap();
    assert_eq!(payload(&part.bytes), b"picture at 80040 ms");
}

#[tokio::test]
async fn what_is_not_on_air_is_not_found() {
    let server = TestServer::start().await;
    let mut client = DeliveryClient::new(server.channel.clone());
    let watch = client.watch(v2::WatchRequest { stream: "demo".into() }).await;
    assert_eq!(watch.err().unwrap().code(), Code::NotFound);
    let located = client.locate(v2::LocateRequest { stream: "demo".into() }).await;
    assert_eq!(located.err().unwrap().code(), Code::NotFound);
    let source = Source::publish(&server, "demo").await;
    let located = client.locate(v2::LocateRequest { stream: "demo".into() }).await.unwrap().into_inner();
    assert_eq!(located.broadcast, source.accepted.broadcast);
    assert_eq!(located.epoch, server.owner("demo").await.unwrap().epoch.0);
}

#[tokio::test]
async fn whoever_falls_behind_is_told_and_can_begin_again() {
    let server = TestServer::start().await;
    let mut source = Source::publish(&server, "demo").await;
    source.period().await;
    let mut slow = Watcher::join(&server, "demo").await;
    source.order(Order::Burst).await;
    let end = slow.opening.first_sequence.0 + BURST;
    eventually("the burst is over", async || {
        server.broadcast("demo").await.filter(|on_air| on_air.next_media_sequence == end)
    })
    .await;
    let status = slow.until_it_ends().await.unwrap_err();
    assert_eq!(status.code(), Code::Aborted);
    assert!(slow.window.next_sequence().0 < end);
    let mut again = Watcher::join(&server, "demo").await;
    again.until("the end of the burst", |window| window.next_sequence().0 == end).await;
}

#[tokio::test]
async fn a_follower_is_told_of_the_end() {
    let server = TestServer::with(|config| config.server.reconnect_window = std::time::Duration::ZERO).await;
    let mut source = Source::publish(&server, "demo").await;
    let mut watcher = Watcher::join(&server, "demo").await;
    source.period().await;
    source.keyframes(3).await;
    source.end().await;
    watcher.until("the end", |window| window.ended()).await;
    // An origin that was away in the last seconds still gets them.
    let mut late = Watcher::join(&server, "demo").await;
    late.until("the end", |window| window.ended()).await;
    assert_eq!(late.window, watcher.window);
}
