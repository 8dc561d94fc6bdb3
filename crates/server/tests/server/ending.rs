//! How broadcasts end, and servers.

use std::time::Duration;

use headwater_registry::{Claim, Registry};
use headwater_wire::v2::failure::Code;
use tokio::net::TcpStream;

use crate::support::{Call, Source, TestServer, Watcher, eventually, name, within};

#[tokio::test]
async fn a_publisher_that_stays_away_ends_its_broadcast_and_may_begin_another() {
    let server = TestServer::with(|config| config.server.reconnect_window = Duration::from_millis(50)).await;
    let mut source = Source::publish(&server, "demo").await;
    let old = server.owner("demo").await.unwrap().epoch;
    source.period().await;
    source.keyframes(2).await;
    let mut watcher = Watcher::join(&server, "demo").await;
    source.end().await;
    watcher.until("the end", |window| window.ended()).await;
    eventually("the lease is given back", async || server.owner("demo").await.is_none().then_some(())).await;

    // The last viewers still have the old one, and its epoch is worth nothing any more.
    let late = Call::open(&server, "demo", old).await.accepted().await.err().unwrap();
    assert_eq!(name(&late), (Code::Fenced, "the broadcast has just ended: claim the stream anew"));
    let mut next = Source::publish(&server, "demo").await;
    assert_ne!(next.accepted.broadcast, source.accepted.broadcast);
    next.period().await;
    next.keyframes(1).await;
    assert!(next.committed().await.next_sequence >= watcher.opening.first_sequence.0);
    let again = Watcher::join(&server, "demo").await;
    assert!(again.opening.broadcast > watcher.opening.broadcast);
}

#[tokio::test]
async fn without_a_reconnect_window_the_first_publisher_is_waited_for() {
    let server = TestServer::with(|config| config.server.reconnect_window = Duration::ZERO).await;
    let mut source = Source::publish(&server, "demo").await;
    source.period().await;
    source.keyframes(1).await;
    source.committed().await;
}

#[tokio::test]
async fn who_lost_the_stream_to_another_server_leaves_it_to_that_one() {
    let server = TestServer::with(|config| config.registry.lease = Duration::from_millis(300)).await;
    let mut source = Source::publish(&server, "demo").await;
    source.period().await;
    source.keyframes(2).await;
    let mut watcher = Watcher::join(&server, "demo").await;
    watcher.segments(2).await;
    let epoch = server.owner("demo").await.unwrap().epoch;
    let other = "other".parse().unwrap();
    let stream = "demo".parse().unwrap();
    let claim = server.registry.claim(&stream, &other, "192.0.2.1:7000", Some(epoch)).await.unwrap();
    let Claim::Granted(theirs) = claim else { panic!("{claim:?}") };
    assert_eq!(source.last_word().await.unwrap().code(), Code::Fenced);
    watcher.until_it_ends().await.unwrap();
    assert!(!watcher.window.ended(), "the broadcast goes on elsewhere");
    eventually("it is forgotten", async || server.broadcast("demo").await.is_none().then_some(())).await;
    assert_eq!(server.owner("demo").await, Some(theirs));
}

#[tokio::test]
async fn a_server_that_stops_shows_what_it_has_and_ends() {
    let server = TestServer::start().await;
    let mut source = Source::publish(&server, "demo").await;
    let mut watcher = Watcher::join(&server, "demo").await;
    source.period().await;
    source.keyframes(3).await;
    watcher.segments(3).await;
    let TestServer { registry, record, channel, drain, running, .. } = server;
    drain.cancel();
    let last = source.last_word().await.unwrap();
    let text = "this server is stopping, and there is no other one: publish again";
    assert_eq!(name(&last), (Code::CannotResume, text), "what has ended here goes on nowhere else");
    watcher.until_it_ends().await.unwrap();
    assert!(watcher.window.ended());
    within("the server ends", running).await.unwrap().unwrap();
    drop(channel);
    assert!(registry.servers().await.unwrap().is_empty());
    assert!(registry.owner(&"demo".parse().unwrap()).await.unwrap().is_none());
    assert!(TcpStream::connect(&record.address).await.is_err());
}

#[tokio::test]
async fn peers_that_read_nothing_do_not_keep_a_server_from_ending() {
    let server = TestServer::start().await;
    let mut source = Source::publish(&server, "demo").await;
    source.period().await;
    let unread = Watcher::join(&server, "demo").await;
    source.order(crate::support::stub::Order::Burst).await;
    source.keyframes(1).await;
    source.committed().await;
    server.drain.cancel();
    within("the server ends", server.running).await.unwrap().unwrap();
    drop(unread);
}
