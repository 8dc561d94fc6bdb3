//! Publish calls: which ones are accepted, and how they end.

use std::pin::pin;
use std::time::Duration;

use headwater_wire::broadcast_id;
use headwater_wire::v2::failure::Code;
use headwater_wire::v2::publish_request::{End, Message as Request, Open};

use crate::support::stub::Order;
use crate::support::{Call, Source, TestServer, Watcher, eventually, name};

#[tokio::test]
async fn what_is_published_is_committed_and_the_lease_names_the_broadcast() {
    let server = TestServer::start().await;
    let mut source = Source::publish(&server, "demo").await;
    assert_eq!(source.accepted.period, 0);
    source.period().await;
    source.keyframes(2).await;
    let first = source.committed().await;
    let second = source.committed().await;
    assert_eq!((first.period, first.start_us), (0, Some(360_000)));
    assert_eq!((second.next_sequence, second.start_us), (first.next_sequence + 1, Some(2_360_000)));
    let broadcast = broadcast_id(&source.accepted.broadcast).unwrap();
    eventually("the lease names the broadcast", async || {
        server.owner("demo").await.filter(|owner| owner.broadcast == Some(broadcast))
    })
    .await;
}

#[tokio::test]
async fn a_second_publisher_is_refused_while_the_first_is_heard() {
    let server = TestServer::with(|config| config.server.silent_publisher = Duration::from_secs(3600)).await;
    let mut first = Source::publish(&server, "demo").await;
    let epoch = server.owner("demo").await.unwrap().epoch;
    first.period().await;
    let mut second = pin!(async { Call::open(&server, "demo", epoch).await.accepted().await.err().unwrap() });
    let refused = loop {
        tokio::select! {
            refused = &mut second => break refused,
            () = tokio::time::sleep(Duration::from_millis(20)) => first.keyframes(1).await,
        }
    };
    assert_eq!(name(&refused), (Code::StreamInUse, "another encoder is publishing this stream"));
    first.keyframes(1).await;
    first.committed().await;
    Source::publish(&server, "other").await;
}

#[tokio::test]
async fn a_silent_publisher_is_replaced_in_the_same_broadcast() {
    let server = TestServer::with(|config| config.server.silent_publisher = Duration::from_millis(100)).await;
    let mut silent = Source::publish(&server, "demo").await;
    silent.period().await;
    silent.keyframes(1).await;
    let committed = silent.committed().await;
    let epoch = server.owner("demo").await.unwrap().epoch;
    let mut second = Call::open(&server, "demo", epoch).await.accepted().await.unwrap();
    let replaced = silent.last_word().await.unwrap();
    assert_eq!(name(&replaced), (Code::StreamInUse, "another encoder has taken this stream over"));
    assert_eq!(second.accepted.period, 1);
    second.period().await;
    second.keyframes(1).await;
    let next = second.committed().await;
    assert_eq!((next.period, next.next_sequence), (1, committed.next_sequence + 1));
}

#[tokio::test]
async fn one_that_was_asked_to_connect_again_is_replaced_at_once() {
    let server = TestServer::with(|config| config.server.silent_publisher = Duration::from_secs(3600)).await;
    let mut leaving = Source::publish(&server, "demo").await;
    leaving.period().await;
    leaving.leave().await;
    leaving.keyframes(1).await;
    leaving.committed().await;
    let next = Source::publish(&server, "demo").await;
    assert_eq!((next.accepted.broadcast, next.accepted.period), (leaving.accepted.broadcast.clone(), 1));
    assert_eq!(leaving.last_word().await.unwrap().code(), Code::StreamInUse);
}

#[tokio::test]
async fn whoever_comes_back_in_time_goes_on_with_the_broadcast() {
    let server = TestServer::start().await;
    let mut source = Source::publish(&server, "demo").await;
    source.period().await;
    source.keyframes(3).await;
    source.end().await;
    server.unpublished("demo").await;
    let mut again = Source::publish(&server, "demo").await;
    assert_eq!(again.accepted.broadcast, source.accepted.broadcast);
    assert_eq!(again.accepted.period, 1);
    again.period().await;
    again.keyframes(1).await;
    let mut watcher = Watcher::join(&server, "demo").await;
    watcher.segments(4).await;
    assert_eq!(watcher.window.resume_point().period.0, 1);
    assert_eq!(watcher.opening.first_sequence.0 + 4, again.committed().await.next_sequence);
}

#[tokio::test]
async fn whoever_has_left_is_in_nobodys_way_while_its_media_is_worked_off() {
    const WORKING_OFF: Duration = Duration::from_secs(2);
    let server = TestServer::with(|config| {
        config.server.silent_publisher = Duration::from_secs(3600);
        config.server.worker_stop_timeout = WORKING_OFF;
    })
    .await;
    let mut first = Source::publish(&server, "demo").await;
    first.order(Order::Mute).await;
    first.end().await;
    let freed = tokio::time::timeout(WORKING_OFF / 2, server.unpublished("demo")).await;
    assert!(freed.is_ok(), "the place is taken until the worker is given up");
    let second = Source::publish(&server, "demo").await;
    assert_eq!(second.accepted.broadcast, first.accepted.broadcast);
    let failed = first.last_word().await.unwrap();
    assert_eq!(name(&failed), (Code::WorkerFailed, "the transcoder failed: it did not finish in time"));
}

#[tokio::test]
async fn a_publisher_whose_proxy_vanishes_has_left() {
    let server = TestServer::with(|config| config.server.silent_publisher = Duration::from_secs(3600)).await;
    let source = Source::publish(&server, "demo").await;
    let broadcast = source.accepted.broadcast.clone();
    drop(source);
    server.unpublished("demo").await;
    assert_eq!(Source::publish(&server, "demo").await.accepted.broadcast, broadcast);
}

#[tokio::test]
async fn an_older_epoch_is_refused_and_a_newer_one_is_taken_on() {
    let server = TestServer::with(|config| config.registry.lease = Duration::from_millis(300)).await;
    let mut source = Source::publish(&server, "demo").await;
    let old = server.owner("demo").await.unwrap().epoch;
    source.end().await;
    server.unpublished("demo").await;
    // As when the registry had lost the lease: the stream is claimed anew, for the same server.
    let claimed = server.claim("demo").await;
    let again = Call::open(&server, "demo", claimed).await.accepted().await.unwrap();
    assert_eq!(again.accepted.broadcast, source.accepted.broadcast);
    // The claim's own, or one above it where the server has heard of the claim before.
    let new = again.epoch;
    assert!(new >= claimed);
    let refused = Call::open(&server, "demo", old).await.accepted().await.err().unwrap();
    assert_eq!(refused.code(), Code::Fenced);
    assert_eq!(server.broadcast("demo").await.unwrap().epoch, new.0);
    eventually("the lease is renewed under the new epoch", async || {
        server.owner("demo").await.filter(|owner| owner.epoch == new && owner.broadcast.is_some())
    })
    .await;
    assert!(server.broadcast("demo").await.unwrap().publishing);
}

#[tokio::test]
async fn a_server_without_room_says_so() {
    let server = TestServer::with(|config| config.server.max_broadcasts = 1).await;
    let mut source = Source::publish(&server, "one").await;
    let epoch = server.claim("two").await;
    let refused = Call::open(&server, "two", epoch).await.accepted().await.err().unwrap();
    assert_eq!(name(&refused), (Code::NoCapacity, "this server has no room for another broadcast"));
    source.period().await;
    source.keyframes(1).await;
    source.committed().await;
}

#[tokio::test]
async fn a_call_that_makes_no_sense_is_refused() {
    let server = TestServer::start().await;
    let end = Request::End(End { reason: String::new() });
    let refused = Call::begin(&server, end).await.err().unwrap();
    assert_eq!(refused.code(), tonic::Code::InvalidArgument);
    let nameless = Open { stream: "../demo".into(), epoch: 1, publisher: "test".into(), ..Open::default() };
    let refused = Call::begin(&server, Request::Open(nameless)).await.err().unwrap();
    assert_eq!(refused.code(), tonic::Code::InvalidArgument);
    assert!(refused.message().contains("stream"), "{refused}");
}
