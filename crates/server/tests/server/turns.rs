//! Epochs: each publisher's turn has one of its own, all of them are the registry's, and what is refused changes nothing.

use std::time::Duration;

use headwater_media::Epoch;
use headwater_registry::{Claim, Registry, Ttls};
use headwater_wire::v2::failure::Code;
use headwater_wire::v2::publish_request::{Ground, Message as Request, Open};

use crate::resuming::claim_elsewhere;
use crate::support::{Call, Source, TestServer, Watcher, eventually, name};

fn opened(epoch: u64, ground: Ground) -> Open {
    Open {
        stream: "demo".into(),
        epoch,
        publisher: uuid::Uuid::now_v7().to_string(),
        ground: ground.into(),
        ..Open::default()
    }
}

async fn open(server: &TestServer, epoch: u64, ground: Ground) -> Call {
    Call::begin(server, Request::Open(opened(epoch, ground))).await.unwrap()
}

/// A publisher with something on air.
async fn on_air(server: &TestServer) -> Source {
    let mut source = Source::publish(server, "demo").await;
    source.period().await;
    source.keyframes(1).await;
    source.committed().await;
    source
}

#[tokio::test]
async fn whoever_takes_a_publishers_place_gets_a_turn_of_its_own() {
    let server = TestServer::start().await;
    let mut first = on_air(&server).await;
    let point = first.accepted.clone();
    first.end().await;
    server.unpublished("demo").await;
    let second = Source::publish(&server, "demo").await;
    assert_eq!(second.accepted.broadcast, point.broadcast);
    assert!(second.epoch > first.epoch);
    let owner = server.owner("demo").await.unwrap();
    assert_eq!((owner.epoch, &owner.server), (second.epoch, &server.record.id));
    // The first one's proxy, which has not heard of it: elsewhere, and here.
    let stream = "demo".parse().unwrap();
    let another = "another".parse().unwrap();
    let elsewhere = server.registry.claim(&stream, &another, "192.0.2.1:7000", Some(first.epoch)).await;
    assert_eq!(elsewhere.unwrap(), Claim::Held(owner));
    let here = Call::resume(&server, "demo", second.epoch, "the first", Some(point)).await;
    let refused = here.accepted().await.err().unwrap();
    assert_eq!(name(&refused), (Code::StreamInUse, "another encoder has taken this stream over"));
    assert!(server.broadcast("demo").await.unwrap().publishing);
}

#[tokio::test]
async fn an_epoch_that_the_registry_did_not_give_is_refused_and_changes_nothing() {
    let server = TestServer::start().await;
    let mut source = on_air(&server).await;
    let before = server.owner("demo").await.unwrap();
    for forged in [u64::MAX, 1 << 53] {
        let refused =
            Call::begin(&server, Request::Open(opened(forged, Ground::Registry))).await.err().unwrap();
        assert_eq!(refused.code(), tonic::Code::InvalidArgument, "{forged}");
    }
    for forged in [(1 << 53) - 1, source.epoch.0 + 1] {
        let refused = open(&server, forged, Ground::Registry).await.accepted().await.err().unwrap();
        assert_eq!(refused.code(), Code::Fenced, "{forged}");
    }
    assert_eq!(server.broadcast("demo").await.unwrap().epoch, before.epoch.0);
    assert_eq!(server.owner("demo").await, Some(before));
    source.keyframes(1).await;
    source.committed().await;
    assert!(matches!(claim_elsewhere(&server).await.epoch, Epoch(next) if next == source.epoch.0 + 1));
}

#[tokio::test]
async fn a_released_epoch_starts_no_broadcast() {
    let server = TestServer::start().await;
    let epoch = server.claim("demo").await;
    server.registry.release(&"demo".parse().unwrap(), &server.record.id, epoch).await.unwrap();
    for ground in [Ground::Registry, Ground::OnAir] {
        let refused = open(&server, epoch.0, ground).await.accepted().await.err().unwrap();
        assert_eq!(refused.code(), Code::Fenced, "{ground:?}");
    }
    assert_eq!(server.broadcast("demo").await, None);
    assert_eq!(server.owner("demo").await, None);
}

#[tokio::test]
async fn a_broadcast_that_begins_without_the_registry_is_claimed_by_its_server() {
    let server = TestServer::with(|config| config.registry.lease = Duration::from_millis(300)).await;
    let mut source = open(&server, 7, Ground::Memory).await.accepted().await.unwrap();
    source.period().await;
    source.keyframes(1).await;
    let owner = eventually("the stream is claimed", async || {
        server.owner("demo").await.filter(|owner| owner.broadcast.is_some())
    });
    let owner = owner.await;
    assert_eq!(owner.server, server.record.id);
    assert!(owner.epoch > Epoch(7));
    let watcher = Watcher::join(&server, "demo").await;
    assert_eq!(watcher.opening.epoch, owner.epoch);
}

#[tokio::test]
async fn a_broadcast_that_begins_without_the_registry_gives_way_to_the_owner() {
    let server = TestServer::with(|config| config.registry.lease = Duration::from_millis(300)).await;
    let theirs = claim_elsewhere(&server).await;
    let failure = match open(&server, theirs.epoch.0, Ground::Memory).await.accepted().await {
        Ok(source) => source.last_word().await.unwrap(),
        Err(failure) => failure,
    };
    assert_eq!(failure.code(), Code::Fenced);
    assert_eq!(server.owner("demo").await, Some(theirs));
}

/// The process that listened here before has died, and its lease has not run out.
#[tokio::test]
async fn a_broadcast_goes_on_without_the_registry_at_the_address_of_its_dead_owner() {
    let server = TestServer::with(|config| config.registry.lease = Duration::from_millis(300)).await;
    let stream = "demo".parse().unwrap();
    let dead = "dead".parse().unwrap();
    let claim = server.registry.claim(&stream, &dead, &server.record.address, None).await.unwrap();
    let Claim::Granted(turn) = claim else { panic!("{claim:?}") };
    let mut source = open(&server, turn.epoch.0, Ground::Memory).await.accepted().await.unwrap();
    source.period().await;
    source.keyframes(1).await;
    source.committed().await;
    let owner = eventually("the stream is claimed", async || {
        server.owner("demo").await.filter(|owner| owner.server == server.record.id)
    });
    assert!(owner.await.epoch > turn.epoch);
}

/// A proxy that was cut off knows of a restarted server only that it had the stream last.
#[tokio::test]
async fn a_publisher_that_goes_on_without_the_registry_takes_the_stream_from_nobody_who_came_after_it() {
    let elsewhere = TestServer::start().await;
    let point = on_air(&elsewhere).await.accepted.clone();
    let server = TestServer::with(|config| config.registry.lease = Duration::from_millis(300)).await;
    let theirs = claim_elsewhere(&server).await;
    let next = server.registry.next_turn(&"demo".parse().unwrap(), &theirs).await.unwrap();
    server.registry.release(&"demo".parse().unwrap(), &theirs.server, next).await.unwrap();
    let goes_on = Open { resume: Some(point), ..opened(theirs.epoch.0, Ground::Memory) };
    let failure = match Call::begin(&server, Request::Open(goes_on)).await.unwrap().accepted().await {
        Ok(source) => source.last_word().await.unwrap(),
        Err(failure) => failure,
    };
    assert_eq!(failure.code(), Code::Fenced);
    assert_eq!(server.owner("demo").await, None);
}

/// The registry has given the next turn, and nobody has heard the answer until the lease had run out.
#[tokio::test]
async fn a_turn_whose_answer_was_lost_is_still_the_owners_when_its_lease_has_run_out() {
    let server = TestServer::with(|config| config.registry.lease = Duration::from_millis(300)).await;
    let mut source = on_air(&server).await;
    let owner = server.owner("demo").await.unwrap();
    let lapsing = server.registry.with_ttls(Ttls { lease: Duration::ZERO, ..Ttls::default() });
    let turn = lapsing.next_turn(&"demo".parse().unwrap(), &owner).await.unwrap();
    let renewed = eventually("the turn is renewed", async || server.owner("demo").await).await;
    assert_eq!((renewed.epoch, renewed.broadcast), (turn, owner.broadcast));
    source.keyframes(1).await;
    source.committed().await;
    assert_eq!(server.broadcast("demo").await.unwrap().epoch, turn.0);
}

#[tokio::test]
async fn only_a_broadcast_that_somebody_may_have_seen_leaves_something_to_go_on_with() {
    let server = TestServer::with(|config| config.registry.lease = Duration::from_millis(300)).await;
    let stream = "demo".parse().unwrap();
    let mut source = Source::publish(&server, "demo").await;
    for _ in 0..2 {
        // The lease has vanished, and is renewed.
        let owner = server.owner("demo").await.unwrap();
        let lapsing = server.registry.with_ttls(Ttls { lease: Duration::ZERO, ..Ttls::default() });
        lapsing.renew(&stream, &owner).await.unwrap();
        eventually("the lease is renewed", async || server.owner("demo").await).await;
    }
    assert_eq!(server.registry.handoff(&stream).await.unwrap(), None);
    source.period().await;
    source.keyframes(1).await;
    eventually("what the next owner needs", async || server.registry.handoff(&stream).await.unwrap()).await;
}
