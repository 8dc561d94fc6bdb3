//! A server that is told to stop, and what becomes of its broadcasts.

use std::time::Duration;

use headwater_hls::LiveWindow;
use headwater_media::{MediaSequence, PartIndex};
use headwater_registry::Registry;
use headwater_wire::v2::operator_client::OperatorClient;
use headwater_wire::v2::{DrainRequest, ResumePoint, failure::Code};

use crate::resuming::{claim_elsewhere, on_air};
use crate::support::stub::{Order, RENDITIONS};
use crate::support::{Call, Source, TestServer, Watcher, eventually, name, within};

const DRAINING: (Code, &str) = (Code::Draining, "this server is stopping");

/// Tells the server to stop, and waits until everybody is told.
async fn drain(server: &TestServer) {
    server.drain.cancel();
    let told =
        async || server.registry.servers().await.unwrap().iter().any(|server| server.draining).then_some(());
    eventually("its record says so", told).await;
}

async fn ends(server: TestServer) {
    drop(server.channel);
    within("the server ends", server.running).await.unwrap().unwrap();
}

/// A publisher with two segments on air, and the first half of a third.
async fn in_the_middle(server: &TestServer) -> (Source, Watcher) {
    let (mut source, _) = on_air(server, "p", 2).await;
    let mut watcher = Watcher::join(server, "demo").await;
    source.order(Order::Half).await;
    let third = MediaSequence(watcher.opening.first_sequence.0 + 2);
    watcher.until("half a segment", |window| has_part(window, 0, third)).await;
    (source, watcher)
}

fn has_part(window: &LiveWindow, rendition: usize, sequence: MediaSequence) -> bool {
    window.part(&RENDITIONS[rendition].parse().unwrap(), sequence, PartIndex(0)).is_some()
}

#[tokio::test]
async fn it_leaves_when_the_segment_in_the_making_is_whole_and_shows_nothing_beyond_it() {
    let server = TestServer::shared(|_| {}).await;
    let (mut source, mut watcher) = in_the_middle(&server).await;
    drain(&server).await;
    // One rendition is ahead of the other; parts that viewers have not seen yet stay unseen.
    source.order(Order::Ahead).await;
    source.order(Order::Rest).await;
    let whole = source.committed().await;
    assert_eq!(whole.next_sequence, watcher.opening.first_sequence.0 + 3);
    assert_eq!(name(&source.last_word().await.unwrap()), DRAINING);
    let theirs = claim_elsewhere(&server).await;
    watcher.until_it_ends().await.unwrap();
    assert!(!watcher.window.ended(), "the broadcast goes on elsewhere");
    let next = MediaSequence(whole.next_sequence);
    assert_eq!((watcher.window.committed().unwrap().next(), watcher.window.next_sequence()), (next, next));
    assert_eq!(server.owner("demo").await, Some(theirs));
    ends(server).await;
}

#[tokio::test]
async fn what_viewers_have_seen_the_beginning_of_is_finished() {
    let server = TestServer::shared(|_| {}).await;
    let (mut source, mut watcher) = in_the_middle(&server).await;
    source.order(Order::Ahead).await;
    let fourth = MediaSequence(watcher.opening.first_sequence.0 + 3);
    watcher.until("a rendition ahead", |window| has_part(window, 1, fourth)).await;
    drain(&server).await;
    source.order(Order::Rest).await;
    source.committed().await;
    assert_eq!(source.committed().await.next_sequence, fourth.0 + 1);
    assert_eq!(name(&source.last_word().await.unwrap()), DRAINING);
}

#[tokio::test]
async fn between_two_segments_it_leaves_at_once() {
    let server = TestServer::shared(|_| {}).await;
    let (source, _) = on_air(&server, "p", 2).await;
    server.drain.cancel();
    assert_eq!(name(&source.last_word().await.unwrap()), DRAINING);
    assert!(!server.running.is_finished(), "viewers are served until somebody else does");
    claim_elsewhere(&server).await;
    ends(server).await;
}

#[tokio::test]
async fn a_segment_that_does_not_come_is_broken_off() {
    let server = TestServer::shared(|config| config.hls.segment_duration = Duration::from_secs(1)).await;
    let (source, mut watcher) = in_the_middle(&server).await;
    drain(&server).await;
    assert_eq!(name(&source.last_word().await.unwrap()), DRAINING);
    claim_elsewhere(&server).await;
    watcher.until_it_ends().await.unwrap();
    assert_eq!(watcher.window.committed().unwrap().0, watcher.opening.first_sequence.0 + 1);
}

#[tokio::test]
async fn a_period_that_ends_meanwhile_is_the_last_one() {
    let server = TestServer::shared(|_| {}).await;
    let (mut source, mut watcher) = in_the_middle(&server).await;
    drain(&server).await;
    // The second rendition has nothing of the last segment.
    source.period().await;
    let begun = source.committed().await;
    let first = watcher.opening.first_sequence.0;
    assert_eq!((begun.period, begun.start_us, begun.next_sequence), (1, None, first + 3));
    assert_eq!(name(&source.last_word().await.unwrap()), DRAINING);
    claim_elsewhere(&server).await;
    ends_without_end(&mut watcher).await;
}

#[tokio::test]
async fn what_a_publisher_leaves_behind_is_shown_to_its_end() {
    let server =
        TestServer::shared(|config| config.server.reconnect_window = Duration::from_millis(100)).await;
    let (mut source, mut watcher) = in_the_middle(&server).await;
    drain(&server).await;
    source.order(Order::Ahead).await;
    source.end().await;
    watcher.until("the end", |window| window.ended()).await;
    assert!(has_part(&watcher.window, 1, MediaSequence(watcher.opening.first_sequence.0 + 3)));
    ends(server).await;
}

#[tokio::test]
async fn a_broadcast_without_a_publisher_waits_for_it_elsewhere() {
    let server = TestServer::shared(|_| {}).await;
    let another = server.another().await;
    let (mut source, point) = on_air(&server, "p", 2).await;
    let mut watcher = Watcher::join(&server, "demo").await;
    source.end().await;
    server.unpublished("demo").await;
    server.drain.cancel();
    ends_without_end(&mut watcher).await;
    waits(&another).await;
    assert_eq!(another.owner("demo").await.unwrap().server, another.record.id);
    ends(server).await;
    let mut back = Source::publish(&another, "demo").await;
    assert_eq!(back.accepted.broadcast, point.broadcast);
    assert_eq!(back.accepted.next_sequence, point.next_sequence);
    assert!(back.accepted.period > point.period);
    back.period().await;
    back.keyframes(1).await;
    assert_eq!(back.committed().await.next_sequence, point.next_sequence + 1);
}

/// Until the server has the broadcast, and nobody publishes it.
async fn waits(server: &TestServer) {
    let waits = async || server.broadcast("demo").await.filter(|on_air| !on_air.publishing);
    eventually("it waits for the publisher", waits).await;
}

async fn ends_without_end(watcher: &mut Watcher) {
    watcher.until_it_ends().await.unwrap();
    assert!(!watcher.window.ended(), "the broadcast goes on elsewhere");
}

#[tokio::test]
async fn who_comes_back_is_told_where_to_go_on() {
    let server = TestServer::shared(|_| {}).await;
    let (mut source, point) = on_air(&server, "p", 2).await;
    source.end().await;
    server.unpublished("demo").await;
    drain(&server).await;
    let epoch = server.owner("demo").await.unwrap().epoch;
    let back = Call::resume(&server, "demo", epoch, "back", None).await.accepted().await.unwrap();
    assert_eq!(back.accepted.broadcast, point.broadcast);
    assert_eq!((back.accepted.next_sequence, back.accepted.period), (point.next_sequence, 1));
    let there = server.another().await;
    let next = back.accepted.clone();
    assert_eq!(name(&back.last_word().await.unwrap()), DRAINING);
    let owner = eventually("another server has it", async || {
        server.owner("demo").await.filter(|owner| owner.server == there.record.id)
    });
    waits(&there).await;
    let call = Call::resume(&there, "demo", owner.await.epoch, "back", Some(next.clone())).await;
    // Nobody has seen anything of that segment so far; from now on it may have been seen.
    assert_eq!(next.free_sequence, next.next_sequence);
    let begun = ResumePoint { free_sequence: next.next_sequence + 2, ..next };
    assert_eq!(call.accepted().await.unwrap().accepted, begun);
    ends(server).await;
}

#[tokio::test]
async fn a_broadcast_that_nobody_takes_ends_with_its_reconnect_window() {
    let server =
        TestServer::shared(|config| config.server.reconnect_window = Duration::from_millis(500)).await;
    let (mut source, _) = on_air(&server, "p", 2).await;
    let mut watcher = Watcher::join(&server, "demo").await;
    source.end().await;
    server.unpublished("demo").await;
    drain(&server).await;
    watcher.until("the end", |window| window.ended()).await;
    ends(server).await;
}

#[tokio::test]
async fn a_publisher_whose_call_broke_is_waited_for() {
    let server = TestServer::shared(|config| config.registry.lease = Duration::from_millis(600)).await;
    let (source, _) = on_air(&server, "p", 2).await;
    let mut watcher = Watcher::join(&server, "demo").await;
    source.break_off();
    server.unpublished("demo").await;
    drain(&server).await;
    claim_elsewhere(&server).await;
    ends_without_end(&mut watcher).await;
    ends(server).await;
}

#[tokio::test]
async fn it_takes_no_new_broadcast() {
    let server = TestServer::shared(|_| {}).await;
    let (mut source, _watcher) = in_the_middle(&server).await;
    drain(&server).await;
    let epoch = server.claim("other").await;
    let refused = Call::open(&server, "other", epoch).await.accepted().await.err().unwrap();
    assert_eq!(name(&refused), DRAINING);
    source.order(Order::Rest).await;
    source.committed().await;
}

#[tokio::test]
async fn an_operator_can_ask_for_it() {
    let server = TestServer::shared(|_| {}).await;
    let (source, _) = on_air(&server, "p", 2).await;
    let mut operator = OperatorClient::new(server.channel.clone());
    let told = operator.drain(DrainRequest {}).await.unwrap().into_inner();
    let streams: Vec<_> = told.broadcasts.iter().map(|broadcast| broadcast.stream.as_str()).collect();
    assert_eq!(streams, ["demo"]);
    assert_eq!(name(&source.last_word().await.unwrap()), DRAINING);
    claim_elsewhere(&server).await;
    drop(operator);
    ends(server).await;
}
