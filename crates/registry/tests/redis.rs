//! The contract on a real Redis, and what is particular to it while it is well.

// All of this is tests, which clippy does not see of functions that tests call.
#![allow(clippy::unwrap_used)]

mod contract;
mod redis_backend;

use contract::*;
use headwater_registry::{
    Claim, OriginId, Ownership, RedisRegistry, RedisSettings, Registry, RegistryError, RegistryEvent,
    ViewerReport,
};
use redis_backend::{Redis, connect};

use fred::prelude::*;

contract!(Redis::start(), #[tokio::test]);

#[tokio::test]
async fn what_is_stored_is_what_the_documentation_says() {
    let redis = Redis::start();
    let registry = redis.with_defaults().await;
    let raw = redis.raw().await;
    let id = stream("demo");
    let owner = Ownership { broadcast: Some(broadcast(1)), ..claimed(&registry, &id, "a").await };
    registry.renew(&id, &owner).await.unwrap();
    registry.register_server(&record("a")).await.unwrap();

    let lease: Vec<Option<String>> =
        raw.hmget("headwater:{demo}:lease", vec!["server", "address", "epoch", "broadcast"]).await.unwrap();
    let expected = ["a", "a:7000", &owner.epoch.to_string(), &broadcast(1).to_string()];
    assert_eq!(lease, expected.map(|text| Some(text.to_owned())));
    let turn: Vec<Option<String>> =
        raw.hmget("headwater:{demo}:turn", vec!["newest", "server", "aired"]).await.unwrap();
    let epoch = owner.epoch.to_string();
    assert_eq!(turn, [&epoch, "a", &epoch].map(|text| Some(text.to_owned())));
    let json: String = raw.hget("headwater:servers:{all}:records", "a").await.unwrap();
    assert_eq!(serde_json::from_str::<serde_json::Value>(&json).unwrap()["capacity_millicores"], 4_000);
    for (key, at_most_ms) in [("lease", 10_000), ("turn", 24 * 60 * 60 * 1_000)] {
        let left: i64 = raw.pttl(format!("headwater:{{demo}}:{key}")).await.unwrap();
        assert!((1..=at_most_ms).contains(&left), "{key}: {left} ms");
    }
    let mut keys: Vec<String> = raw.custom(fred::cmd!("KEYS"), vec!["*"]).await.unwrap();
    keys.sort();
    let expected = [
        "headwater:servers:{all}:records",
        "headwater:servers:{all}:until",
        "headwater:{demo}:lease",
        "headwater:{demo}:turn",
    ];
    assert_eq!(keys, expected);
}

#[tokio::test]
async fn epochs_grow_also_when_redis_lost_everything() {
    let redis = Redis::start();
    let registry = redis.with_defaults().await;
    let id = stream("demo");
    let old = claimed(&registry, &id, "a").await;
    redis.raw().await.flushall::<()>(false).await.unwrap();
    let new = claimed(&registry, &id, "b").await;
    assert!(new.epoch > old.epoch);
    let fenced = registry.renew(&id, &old).await;
    assert!(matches!(fenced, Err(RegistryError::Fenced { .. })), "{fenced:?}");
}

#[tokio::test]
async fn whoever_renews_first_after_redis_lost_everything_the_newest_owner_stays() {
    let redis = Redis::start();
    let registry = redis.with_defaults().await;
    let raw = redis.raw().await;
    for id in [stream("newest-first"), stream("oldest-first")] {
        let old = claimed(&registry, &id, "a").await;
        let new = taken_over(&registry, &id, "b", old.epoch).await;
        raw.flushall::<()>(false).await.unwrap();
        if id == stream("oldest-first") {
            registry.renew(&id, &old).await.unwrap();
        }
        registry.renew(&id, &new).await.unwrap();
        let fenced = registry.renew(&id, &old).await;
        assert!(matches!(fenced, Err(RegistryError::Fenced { .. })), "{id}: {fenced:?}");
        assert_eq!(registry.owner(&id).await.unwrap(), Some(new));
    }
}

#[tokio::test]
async fn no_epoch_is_given_twice_though_redis_lost_the_newest_and_heard_of_an_older_one() {
    let redis = Redis::start();
    let registry = redis.with_defaults().await;
    let id = stream("demo");
    let old = claimed(&registry, &id, "a").await;
    let lost = taken_over(&registry, &id, "b", old.epoch).await;
    redis.raw().await.flushall::<()>(false).await.unwrap();
    registry.renew(&id, &old).await.unwrap();
    let epoch = registry.next_turn(&id, &old).await.unwrap();
    assert!(epoch > lost.epoch, "{epoch} was {}'s", lost.server);
}

/// A counter as an operator, or a version that did not check epochs, may have left it.
#[tokio::test]
async fn a_counter_that_can_not_be_counted_up_heals() {
    let redis = Redis::start();
    let registry = redis.with_defaults().await;
    let raw = redis.raw().await;
    for poison in ["18446744073709551615", "9007199254740992", "9007199254740991", "-1", "nonsense"] {
        let id = stream("demo");
        let owner = claimed(&registry, &id, "a").await;
        registry.renew(&id, &owner).await.unwrap();
        raw.hset::<(), _, _>("headwater:{demo}:turn", ("newest", poison)).await.unwrap();
        raw.hset::<(), _, _>("headwater:{demo}:lease", ("epoch", poison)).await.unwrap();
        let held = owner.epoch.next();
        let next = match claim(&registry, &id, "b", Some(owner.epoch)).await {
            Claim::Granted(next) => next,
            // That one can still be an epoch, if just so.
            _ => taken_over(&registry, &id, "b", headwater_media::Epoch((1 << 53) - 1)).await,
        };
        assert!(next.epoch >= held && next.epoch.0 < 1 << 50, "{poison}: {}", next.epoch);
        registry.renew(&id, &next).await.unwrap();
        registry.release(&id, &next.server, next.epoch).await.unwrap();
    }
}

#[tokio::test]
async fn what_somebody_else_left_is_named_and_costs_only_itself() {
    let redis = Redis::start();
    let registry = redis.with_defaults().await;
    let raw = redis.raw().await;
    raw.hset::<(), _, _>("headwater:{demo}:lease", ("server", "a")).await.unwrap();
    let error = registry.owner(&stream("demo")).await.unwrap_err();
    assert!(
        matches!(&error, RegistryError::Unreadable { key, .. } if key == "headwater:{demo}:lease"),
        "{error}"
    );

    registry.register_server(&record("a")).await.unwrap();
    raw.hset::<(), _, _>("headwater:servers:{all}:records", ("b", "{}")).await.unwrap();
    assert_eq!(registry.servers().await.unwrap(), [record("a")]);

    raw.hset::<(), _, _>("headwater:servers:{all}:records", ("a", "not JSON")).await.unwrap();
    registry.register_server(&record("a")).await.unwrap();
    assert_eq!(registry.servers().await.unwrap(), [record("a")]);
}

#[tokio::test]
async fn installations_with_other_prefixes_are_apart() {
    let redis = Redis::start();
    let ours = redis.with_defaults().await;
    let settings =
        RedisSettings { prefix: "staging/".parse().unwrap(), ..RedisSettings::new(redis.server.url()) };
    let theirs = connect(settings).await;
    let mut watch = theirs.watch();
    claimed(&ours, &stream("demo"), "a").await;
    ours.register_server(&record("a")).await.unwrap();
    assert!(matches!(claim(&theirs, &stream("demo"), "b", None).await, Claim::Granted(_)));
    assert_eq!(theirs.servers().await.unwrap(), []);
    assert_eq!(next_change(&mut watch).await, RegistryEvent::OwnerChanged(stream("demo")));
}

#[tokio::test]
async fn a_password_is_used_and_never_told() {
    let redis = Redis::start();
    let set_password = vec!["SET", "requirepass", "open:sesame"];
    redis.raw().await.custom::<(), _>(fred::cmd!("CONFIG"), set_password).await.unwrap();
    let address = redis.server.address();
    let settings =
        |password: &str| RedisSettings::new(format!("redis://:{password}@{address}").parse().unwrap());
    connect(settings("open%3Asesame")).await.ready().await.unwrap();

    let wrong = settings("hunter2");
    assert!(!format!("{wrong:?}").contains("hunter2"));
    let registry = RedisRegistry::connect(wrong).unwrap();
    let cause = eventually("the cause is known", async || {
        let text = registry.ready().await.unwrap_err().to_string();
        text.contains("WRONGPASS").then_some(text)
    });
    let text = cause.await;
    assert!(text.contains(&address.to_string()) && !text.contains("hunter2"), "{text}");
}

#[tokio::test]
async fn the_documented_rights_suffice() {
    let redis = Redis::start();
    let rights = "SETUSER hw on >secret ~headwater:* &headwater:events +@connection +info +subscribe \
        +evalsha +script|load +hmget +hset +hget +hvals +hdel +zadd +zscore +zrangebyscore +zrem +get +set +pttl \
        +del +pexpire +publish +time";
    redis
        .raw()
        .await
        .custom::<(), _>(fred::cmd!("ACL"), rights.split(' ').collect::<Vec<_>>())
        .await
        .unwrap();
    let url = format!("redis://hw:secret@{}", redis.server.address());
    let registry = connect(RedisSettings::new(url.parse().unwrap())).await;
    let mut watch = registry.watch();
    let owner = Ownership { broadcast: Some(broadcast(1)), ..claimed(&registry, &stream("demo"), "a").await };
    assert_eq!(next_change(&mut watch).await, RegistryEvent::OwnerChanged(stream("demo")));
    registry.renew(&stream("demo"), &owner).await.unwrap();
    registry.release(&stream("demo"), &owner.server, owner.epoch).await.unwrap();
    assert_eq!(registry.owner(&stream("demo")).await.unwrap(), None);
    registry.register_server(&record("a")).await.unwrap();
    assert_eq!(registry.servers().await.unwrap(), [record("a")]);
    registry.unregister_server(&server("a")).await.unwrap();
    let streams = vec![(stream("demo"), 3)];
    let report = ViewerReport { origin: OriginId(1), streams, is_cut: false };
    registry.report_viewers(&report).await.unwrap();
    assert_eq!(registry.viewers(&[stream("demo")]).await.unwrap(), [Some(3)]);
    registry.ready().await.unwrap();
}
