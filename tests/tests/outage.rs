//! The registry goes away, for all or for one: it is an index, and the servers hold the truth.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use headwater_registry::{Registry, RegistryError};
use headwater_tests::network::Place;
use headwater_tests::player::Player;
use headwater_tests::publish;
use headwater_tests::relay::Relay;
use headwater_tests::stack::{Plan, Service, Stack};
use headwater_tests::{broadcasts, http, wait};

const LIVE: Duration = Duration::from_secs(20);
/// How long a registry that comes back empty may take to be whole again.
const WHOLE: Duration = Duration::from_secs(5);
/// The shortest lease that can be set, so that it runs out soon. A server's record lives for 5 s.
const LEASE: &str = "2s";
/// Text of a service that waits for Redis.
const MISSING: &str = "the registry (Redis) does not answer";

#[tokio::test]
async fn services_that_start_before_redis_wait_for_it() -> Result<()> {
    let mut stack = Plan::tiny().start_without_redis()?;
    for service in stack.services() {
        waits(service).await.with_context(|| service.process.output())?;
    }
    // Not waited for anything: so long it is away, for several tries of all who try once a second.
    tokio::time::sleep(Duration::from_secs(5)).await;
    for service in stack.services() {
        waits(service).await.context("it has given up")?;
    }
    stack.redis.restart();
    stack.ready().await?;
    for service in stack.services() {
        let said = service.process.output();
        let told = said.lines().filter(|line| line.contains("WARN") || line.contains("ERROR")).count();
        ensure!((1..=2).contains(&told), "it said {told} times that there is no Redis: {said}");
    }
    let source = broadcasts::tiny(5);
    let file = source.make(stack.path(), "source").await?;
    let mut encoder = publish::ffmpeg(stack.path(), &file, &stack.publish_url("demo"))?;
    let shown = Player::new(&stack.origin(0), "demo").watch().await?;
    ensure!(encoder.wait(LIVE).await?.success(), "{}", encoder.output());
    broadcasts::shown_in_one_go(&stack, &shown, source.frames()).await
}

/// It lives, takes no work, and says what is missing once all else is there.
async fn waits(service: &Service) -> Result<()> {
    let asked = || async {
        let lives = service.operations("livez");
        let ready = service.operations("readyz");
        Some((http::get(&lives).await.ok()?, http::get(&ready).await.ok()?))
    };
    let is_told = || async {
        let (lives, ready) = asked().await?;
        (lives.status == 200 && ready.status != 200 && ready.text().contains(MISSING)).then_some(ready)
    };
    let ready = wait::until("a service to say that it waits", LIVE, is_told).await?;
    ensure!(ready.status == 503, "{}", ready.status);
    Ok(())
}

/// Redis is killed for longer than a lease and a server's record live, and comes back empty.
#[tokio::test]
async fn what_is_live_stays_live_without_redis_and_is_registered_again_after() -> Result<()> {
    let plan = Plan::tiny().origins(2).set("HLS_WINDOW_SEGMENTS", "20").set("REGISTRY_LEASE", LEASE);
    let mut stack = plan.start().await?;
    let source = broadcasts::tiny(24);
    let file = source.make(stack.path(), "source").await?;
    let mut encoder = publish::ffmpeg(stack.path(), &file, &stack.publish_url("demo"))?;
    let seen = Player::new(&stack.origin(0), "demo");
    let late = Player::new(&stack.origin(1), "demo");
    let outage = async {
        seen.wait_segments("180p", 2, LIVE).await?;
        stack.redis.kill();
        let outage = async {
            // Five segments are ten seconds.
            late.wait_segments("180p", 7, LIVE).await?;
            stack.redis.restart();
            let registry = stack.registry()?;
            let is_whole =
                || async { is_whole(registry.as_ref(), 1).await.ok().filter(|whole| *whole).map(drop) };
            wait::until("the registry to be whole", WHOLE, is_whole).await
        };
        // A viewer of an origin that has not shown the stream before.
        tokio::try_join!(late.watch(), outage)
    };
    let (first, (second, ())) = tokio::try_join!(seen.watch(), outage)?;
    ensure!(encoder.wait(LIVE).await?.success(), "the encoder noticed: {}", encoder.output());
    for shown in [&first, &second] {
        broadcasts::shown_in_one_go(&stack, shown, source.frames()).await?;
    }
    Ok(())
}

/// The server of a broadcast loses Redis, which all others reach: to them, nobody has the stream.
#[tokio::test]
async fn a_server_that_redis_has_forgotten_goes_on_and_comes_back() -> Result<()> {
    let plan =
        Plan::tiny().servers(0).origins(2).set("HLS_WINDOW_SEGMENTS", "20").set("REGISTRY_LEASE", LEASE);
    let mut stack = plan.start().await?;
    let relay = Relay::start(stack.redis.address()).await?;
    let registry = Some(format!("redis://127.0.0.1:{}", relay.port()));
    stack.add_server_at(&Place { registry, ..Place::default() }).await?;
    let source = broadcasts::tiny(24);
    let file = source.make(stack.path(), "source").await?;
    let mut encoder = publish::ffmpeg(stack.path(), &file, &stack.publish_url("demo"))?;
    let seen = Player::new(&stack.origin(0), "demo");
    let late = Player::new(&stack.origin(1), "demo");
    let partition = async {
        seen.wait_segments("180p", 1, LIVE).await?;
        // The registry has another server to name.
        stack.add_server().await?;
        relay.cut();
        let registry = stack.registry()?;
        let forgotten = || async { is_forgotten(registry.as_ref()).await.ok().filter(|it| *it).map(drop) };
        wait::until("the registry to forget the server", LIVE, forgotten).await?;
        let healing = async {
            late.wait_segments("180p", 7, LIVE).await?;
            relay.heal();
            let is_whole =
                || async { is_whole(registry.as_ref(), 2).await.ok().filter(|whole| *whole).map(drop) };
            wait::until("the registry to be whole", WHOLE, is_whole).await
        };
        tokio::try_join!(late.watch(), healing)
    };
    let (first, (second, ())) = tokio::try_join!(seen.watch(), partition)?;
    ensure!(encoder.wait(LIVE).await?.success(), "the encoder noticed: {}", encoder.output());
    is_where_it_was(&mut stack).await?;
    for shown in [&first, &second] {
        broadcasts::shown_in_one_go(&stack, shown, source.frames()).await?;
    }
    Ok(())
}

/// The proxy has not moved its publisher.
async fn is_where_it_was(stack: &mut Stack) -> Result<()> {
    let metrics = stack.proxy().metrics().await?;
    let moved = metrics.lines().find(|line| line.starts_with("headwater_proxy_failovers_total"));
    ensure!(moved.is_none_or(|line| line.ends_with(" 0")), "{moved:?}");
    Ok(())
}

#[tokio::test]
async fn a_publisher_that_was_there_before_is_admitted_without_redis() -> Result<()> {
    let mut stack = Plan::tiny().set("SERVER_RECONNECT_WINDOW", "10s").start().await?;
    let file = broadcasts::tiny(5).make(stack.path(), "source").await?;
    let player = Player::new(&stack.origin(0), "demo");
    let mut encoder = publish::ffmpeg(stack.path(), &file, &stack.publish_url("demo"))?;
    player.wait_live(LIVE).await?;
    ensure!(encoder.wait(LIVE).await?.success());
    stack.redis.kill();
    let mut again = publish::ffmpeg(stack.path(), &file, &stack.publish_url("demo"))?;
    // Five seconds are a short segment and three others: the fifth one is of the second time.
    player.wait_segments("180p", 5, LIVE).await?;
    ensure!(again.wait(LIVE).await?.success(), "{}", again.output());
    let stranger = publish::ffmpeg(stack.path(), &file, &stack.publish_url("stranger"))?.wait(LIVE).await?;
    ensure!(!stranger.success(), "nobody knows where a new stream belongs");
    Ok(())
}

/// Whether the stream's owner and all servers are there.
async fn is_whole(registry: &dyn Registry, servers: usize) -> Result<bool, RegistryError> {
    let stream = "demo".parse().expect("a name");
    let owner = registry.owner(&stream).await?;
    let has_owner = owner.is_some_and(|owner| owner.broadcast.is_some());
    Ok(has_owner && registry.servers().await?.len() == servers)
}

/// Whether the stream's owner is not there any more, and only the other server is.
async fn is_forgotten(registry: &dyn Registry) -> Result<bool, RegistryError> {
    let stream = "demo".parse().expect("a name");
    Ok(registry.owner(&stream).await?.is_none() && registry.servers().await?.len() == 1)
}
