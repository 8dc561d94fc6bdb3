//! Viewers who are moved to another origin, and a server that comes to itself much too late.

use std::time::Duration;

use anyhow::{Result, ensure};
use headwater_tests::broadcasts::{self, tiny};
use headwater_tests::feed::Feed;
use headwater_tests::player::Player;
use headwater_tests::publish;
use headwater_tests::stack::Plan;
use headwater_tests::wait;

const LIVE: Duration = Duration::from_secs(20);
/// How long the server is frozen: twice as long as its lease holds.
const FROZEN: Duration = Duration::from_secs(20);
/// Segments that are shown after the server has come to itself.
const AFTER: usize = 2;

/// Its viewers go on at the other origin: the same sequence numbers, the same bytes, and everything that was advertised
/// is there.
#[tokio::test]
async fn viewers_of_a_killed_origin_go_on_at_another_one() -> Result<()> {
    let mut stack = Plan::tiny().origins(2).set("HLS_WINDOW_SEGMENTS", "20").start().await?;
    let source = tiny(12);
    let file = source.make(stack.path(), "source").await?;
    let mut encoder = publish::ffmpeg(stack.path(), &file, &stack.publish_url("demo"))?;
    let player = Player::balanced(&[stack.origin(0), stack.origin(1)], "demo");
    let killed = async {
        player.wait_segments("90p", 2, LIVE).await?;
        stack.origins[0].process.kill().await
    };
    let (shown, ()) = tokio::try_join!(player.watch(), killed)?;
    ensure!(encoder.wait(LIVE).await?.success(), "the encoder noticed: {}", encoder.output());
    for (name, rendition) in &shown.renditions {
        ensure!(rendition.moves == 1, "{name} was moved {} times", rendition.moves);
    }
    broadcasts::shown_in_one_go(&stack, &shown, source.frames()).await
}

/// A server is frozen for longer than its lease holds, with the worker's output in its pipes, while another one takes
/// over. When it comes to itself it changes nothing: not the registry, not what viewers get.
#[tokio::test]
async fn an_owner_that_wakes_up_late_can_write_nothing() -> Result<()> {
    let plan = Plan::tiny().servers(2).origins(2).set("HLS_WINDOW_SEGMENTS", "20");
    let mut stack = plan.start().await?;
    let source = tiny(32);
    let file = source.make(stack.path(), "source").await?;
    let mut encoder = publish::ffmpeg(stack.path(), &file, &stack.publish_url("demo"))?;
    let players = [0, 1].map(|origin| Player::new(&stack.origin(origin), "demo"));
    let late = async {
        players[1].wait_segments("90p", 2, LIVE).await?;
        let registry = stack.registry()?;
        let owner = broadcasts::owner(registry.as_ref(), "demo", LIVE).await?;
        let sleeper = stack.take_server(&owner.address)?;
        sleeper.process.signal("STOP").await?;
        tokio::time::sleep(FROZEN).await;
        let heir = broadcasts::owner(registry.as_ref(), "demo", LIVE).await?;
        ensure!(heir.epoch > owner.epoch && heir.server != owner.server, "{owner:?}, then {heir:?}");
        let shown = players[0].playlist("90p").await?.next().0;
        sleeper.process.signal("CONT").await?;
        let fenced = || async { sleeper.process.output().contains("fenced").then_some(()) };
        wait::until("the late server to find itself fenced", LIVE, fenced).await?;
        players[0].wait_sequence("90p", shown + AFTER as u64, LIVE).await?;
        encoder.must_run()?;
        let last = broadcasts::owner(registry.as_ref(), "demo", LIVE).await?;
        ensure!(last == heir, "{heir:?} had the stream, then {last:?}");
        // It has given the broadcast up, and shows it to nobody.
        let given_up = || async { Feed::open(&owner.address, "demo").await.is_err().then_some(()) };
        wait::until("the late server to have forgotten the stream", LIVE, given_up).await?;
        Ok(sleeper)
    };
    let (first, second, sleeper) = tokio::try_join!(players[0].watch(), players[1].watch(), late)?;
    ensure!(encoder.wait(LIVE).await?.success(), "the encoder noticed: {}", encoder.output());
    let metrics = stack.proxy().metrics().await?;
    ensure!(metrics.contains("headwater_proxy_failovers_total 1\n"), "{metrics}");
    drop(sleeper);
    broadcasts::shown_in_one_go(&stack, &first, source.frames()).await?;
    broadcasts::same(&first, &second)
}
