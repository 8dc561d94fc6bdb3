//! Tests of the registry while its Redis is down, frozen, or back without its data.

// All of this is tests, which clippy does not see of functions that tests call.
#![allow(clippy::unwrap_used)]

mod contract;
mod redis_backend;

use std::net::SocketAddr;
use std::time::Duration;

use contract::*;
use headwater_media::Epoch;
use headwater_registry::testing::RedisServer;
use headwater_registry::{
    Claim, Ownership, RedisRegistry, RedisSettings, Registry, RegistryError, RegistryEvent,
};
use redis_backend::Redis;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

/// The command timeout of a second, and room for a busy machine.
const ANSWER_LIMIT: Duration = Duration::from_secs(3);

#[tokio::test]
async fn an_owner_restores_its_lease_after_redis_came_back_empty() {
    let mut redis = Redis::start();
    let registry = redis.with_defaults().await;
    let id = stream("demo");
    let owner = Ownership { broadcast: Some(broadcast(1)), ..claimed(&registry, &id, "a").await };
    registry.renew(&id, &owner).await.unwrap();
    registry.register_server(&record("a")).await.unwrap();

    redis.server.restart();
    eventually("the lease is renewed", async || registry.renew(&id, &owner).await.ok()).await;
    registry.register_server(&record("a")).await.unwrap();

    assert_eq!(registry.owner(&id).await.unwrap(), Some(owner.clone()));
    assert_eq!(registry.servers().await.unwrap(), [record("a")]);
    assert_eq!(claim(&registry, &id, "b", None).await, Claim::Held(owner.clone()));
    let successor = claim(&registry, &id, "b", Some(owner.epoch)).await;
    assert!(matches!(&successor, Claim::Granted(next) if next.epoch > owner.epoch), "{successor:?}");
}

#[tokio::test]
async fn watchers_hear_again_after_a_restart_and_are_told_to_look() {
    let mut redis = Redis::start();
    let actor = redis.with_defaults().await;
    let watcher = redis.with_defaults().await;
    let mut watch = watcher.watch();
    for round in ["first", "second"] {
        redis.server.restart();
        let next = timeout(DEADLINE, watch.next()).await.expect("is told in time");
        assert_eq!(next, Some(RegistryEvent::Missed), "{round}");
        eventually("Redis is back", async || actor.ready().await.ok()).await;
        claimed(&actor, &stream(round), "a").await;
        assert_eq!(next_change(&mut watch).await, RegistryEvent::OwnerChanged(stream(round)));
    }
}

#[tokio::test]
async fn a_redis_that_is_down_at_start_is_connected_later() {
    let mut server = RedisServer::reserve();
    let registry = RedisRegistry::connect(RedisSettings::new(server.url())).unwrap();
    let mut watch = registry.watch();
    let error = answered(registry.ready()).await.unwrap_err();
    assert!(error.to_string().contains(&server.address().to_string()), "{error}");
    assert_all_unavailable(&registry).await;

    server.restart();
    let told = timeout(DEADLINE, watch.next()).await.expect("is told in time");
    assert_eq!(told, Some(RegistryEvent::Missed));
    registry.ready().await.unwrap();
}

#[tokio::test]
async fn a_frozen_redis_is_an_error_in_time_and_used_again_when_it_thaws() {
    let redis = Redis::start();
    let registry = redis.with_defaults().await;
    let id = stream("demo");
    let owner = claimed(&registry, &id, "a").await;
    redis.server.freeze();
    assert_all_unavailable(&*registry).await;
    redis.server.thaw();
    eventually("it is used again", async || registry.renew(&id, &owner).await.ok()).await;
    assert_eq!(registry.owner(&id).await.unwrap(), Some(owner));
}

#[tokio::test]
async fn a_registry_that_only_listens_notices_that_its_connection_is_dead() {
    let server = RedisServer::start();
    let (address, silence) = relay(server.address()).await;
    let url = format!("redis://{address}").parse().unwrap();
    let registry = redis_backend::connect(RedisSettings::new(url)).await;
    let mut watch = registry.watch();
    silence.send_replace(());
    let told = timeout(DEADLINE, watch.next()).await.expect("is told in time");
    assert_eq!(told, Some(RegistryEvent::Missed));
    registry.ready().await.unwrap();
}

#[tokio::test]
async fn dropping_a_registry_ends_its_watches() {
    let redis = Redis::start();
    let registry = redis.with_defaults().await;
    let mut watch = registry.watch();
    drop(registry);
    assert_eq!(timeout(DEADLINE, watch.next()).await.expect("ends in time"), None);
}

#[tokio::test]
async fn closing_is_bounded_also_when_redis_is_frozen() {
    let server = RedisServer::start();
    let registry = RedisRegistry::connect(RedisSettings::new(server.url())).unwrap();
    eventually("it is connected", async || registry.ready().await.ok()).await;
    server.freeze();
    timeout(ANSWER_LIMIT, registry.close()).await.expect("closes in time");
}

/// Every command, all at once.
async fn assert_all_unavailable(registry: &dyn Registry) {
    let id = stream("demo");
    let owner = server("a");
    let record = record("a");
    let ownership =
        Ownership { server: owner.clone(), address: "a:7000".into(), epoch: Epoch(1), broadcast: None };
    tokio::join!(
        assert_unavailable("claim", registry.claim(&id, &owner, "a:7000", None)),
        assert_unavailable("renew", registry.renew(&id, &ownership)),
        assert_unavailable("release", registry.release(&id, &owner, Epoch(0))),
        assert_unavailable("owner", registry.owner(&id)),
        assert_unavailable("register", registry.register_server(&record)),
        assert_unavailable("unregister", registry.unregister_server(&owner)),
        assert_unavailable("servers", registry.servers()),
        assert_unavailable("ready", registry.ready()),
    );
}

async fn assert_unavailable<T: std::fmt::Debug>(
    what: &str,
    command: impl Future<Output = Result<T, RegistryError>>,
) {
    let result = answered(command).await;
    assert!(matches!(result, Err(RegistryError::Unavailable { .. })), "{what}: {result:?}");
}

async fn answered<T>(command: impl Future<Output = T>) -> T {
    let start = Instant::now();
    let answer = timeout(ANSWER_LIMIT, command).await;
    answer.unwrap_or_else(|_| panic!("no answer after {:?}", start.elapsed()))
}

/// Forwards connections. What it returns silences those that are open now, without closing them.
async fn relay(target: SocketAddr) -> (SocketAddr, watch::Sender<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let silence = watch::Sender::new(());
    let silences = silence.clone();
    tokio::spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((mut inward, _)) = listener.accept().await {
            let mut silenced = silences.subscribe();
            connections.spawn(async move {
                let mut outward = TcpStream::connect(target).await.unwrap();
                tokio::select! {
                    _ = tokio::io::copy_bidirectional(&mut inward, &mut outward) => {}
                    _ = silenced.changed() => std::future::pending().await,
                }
            });
        }
    });
    (address, silence)
}
