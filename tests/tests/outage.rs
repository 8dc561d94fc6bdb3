//! The registry goes away in the middle of a broadcast: it is an index, and the servers hold the truth.

use std::time::Duration;

use anyhow::{Result, ensure};
use headwater_registry::{Registry, RegistryError, open};
use headwater_tests::content;
use headwater_tests::player::Player;
use headwater_tests::publish::{self, Source};
use headwater_tests::stack::Plan;
use headwater_tests::wait;

const LIVE: Duration = Duration::from_secs(20);
/// How long a registry that comes back empty may take to be whole again.
const WHOLE: Duration = Duration::from_secs(5);

#[tokio::test]
async fn what_is_live_stays_live_without_redis_and_is_registered_again_after() -> Result<()> {
    let mut stack = Plan::default().origins(2).set("HLS_WINDOW_SEGMENTS", "20").start().await?;
    let source = Source { seconds: 16, ..Source::default() };
    let file = source.make(stack.path(), "source").await?;
    let mut encoder = publish::ffmpeg(stack.path(), &file, &stack.publish_url("demo"))?;
    let (seen, late) = (Player::new(&stack.origin(0), "demo"), Player::new(&stack.origin(1), "demo"));
    let outage = async {
        seen.wait_segments("180p", 2, LIVE).await?;
        stack.redis.kill();
        // A viewer of an origin that has not shown the stream before.
        late.wait_segments("180p", 4, LIVE).await?;
        stack.redis.restart();
        let registry = open(Some(&stack.redis.url_text()), "headwater", Duration::from_secs(10))?;
        let is_whole = || async { is_whole(registry.as_ref()).await.ok().filter(|whole| *whole).map(drop) };
        wait::until("the registry to be whole", WHOLE, is_whole).await
    };
    let (shown, ()) = tokio::try_join!(seen.watch(), outage)?;
    ensure!(encoder.wait(LIVE).await?.success(), "the encoder noticed: {}", encoder.output());
    let segments: Vec<_> = shown.renditions["180p"].segments.values().collect();
    let file = content::write(stack.path(), "180p", &segments)?;
    let numbers: Vec<_> = content::pictures(&file).await?.iter().map(|picture| picture.number).collect();
    ensure!(numbers == (0..source.frames() as u32).collect::<Vec<_>>(), "it shows {numbers:?}");
    Ok(())
}

#[tokio::test]
async fn a_publisher_that_was_there_before_is_admitted_without_redis() -> Result<()> {
    let mut stack = Plan::default().set("SERVER_RECONNECT_WINDOW", "10s").start().await?;
    let file = Source { seconds: 5, ..Source::default() }.make(stack.path(), "source").await?;
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

/// Whether the stream's owner and the server are there.
async fn is_whole(registry: &dyn Registry) -> Result<bool, RegistryError> {
    let stream = "demo".parse().expect("a name");
    let owner = registry.owner(&stream).await?;
    Ok(owner.is_some_and(|owner| owner.broadcast.is_some()) && registry.servers().await?.len() == 1)
}
