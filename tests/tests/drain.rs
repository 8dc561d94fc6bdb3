//! Servers and proxies that are told to stop: every broadcast goes on elsewhere, and nobody sees it.

use std::time::Duration;

use anyhow::{Result, ensure};
use headwater_tests::content;
use headwater_tests::player::Player;
use headwater_tests::publish;
use headwater_tests::shows::{self, tiny};
use headwater_tests::stack::{Plan, Stack};
use headwater_tests::wait;
use tokio::net::TcpStream;
use tokio::time::Instant;

const LIVE: Duration = Duration::from_secs(20);
/// How long a proxy lets its encoders stay. Longer than two segments take.
const DEADLINE: Duration = Duration::from_secs(6);
/// What needs no waiting for anybody, on a slow machine.
const AT_ONCE: Duration = Duration::from_secs(3);
/// Every server is replaced, one after the other, while somebody broadcasts.
#[tokio::test]
async fn a_rolling_restart_is_seen_by_nobody() -> Result<()> {
    let plan = Plan::tiny().servers(2).origins(2).set("HLS_WINDOW_SEGMENTS", "20");
    let mut stack = plan.start().await?;
    let source = tiny(28);
    let file = source.make(stack.path(), "source").await?;
    let mut encoder = publish::ffmpeg(stack.path(), &file, &stack.publish_url("demo"))?;
    let players = [0, 1].map(|origin| Player::new(&stack.origin(origin), "demo"));
    let restarted = async {
        players[0].wait_segments("90p", 2, LIVE).await?;
        let registry = stack.registry()?;
        for _ in 0..2 {
            // The one with the broadcast, so that it moves twice.
            let owner = shows::owner(registry.as_ref(), "demo", LIVE).await?;
            stack.take_server(&owner.address)?.stop().await?;
            stack.add_server().await?;
        }
        ensure!(encoder.is_running(), "the broadcast was over too soon");
        anyhow::Ok(stack)
    };
    let (first, second, mut stack) = tokio::try_join!(players[0].watch(), players[1].watch(), restarted)?;
    ensure!(encoder.wait(LIVE).await?.success(), "the encoder noticed: {}", encoder.output());
    let metrics = stack.proxy().metrics().await?;
    ensure!(metrics.contains("headwater_proxy_failovers_total 2\n"), "{metrics}");
    for shown in [&first, &second] {
        shows::shown_in_one_go(&stack, shown, source.frames()).await?;
    }
    shows::same_bytes(&first, &second)
}

/// Encoders that can't be told to connect again may stay until the deadline, and lose nothing until then. Nobody new is
/// taken.
#[tokio::test]
async fn a_proxy_that_stops_leaves_encoders_alone_until_its_deadline() -> Result<()> {
    let plan = Plan::tiny().set("PROXY_DRAIN_TIMEOUT", &format!("{}s", DEADLINE.as_secs()));
    let mut stack = plan.set("HLS_WINDOW_SEGMENTS", "20").start().await?;
    let file = tiny(40).make(stack.path(), "source").await?;
    let mut encoder = publish::ffmpeg(stack.path(), &file, &stack.publish_url("demo"))?;
    let player = Player::new(&stack.origin(0), "demo");
    let stopped = async {
        player.wait_segments("90p", 2, LIVE).await?;
        let told = Instant::now();
        stack.proxy().process.signal("TERM").await?;
        refuses_everybody(&mut stack).await?;
        let shown = player.playlist("90p").await?.next().0;
        player.wait_sequence("90p", shown + 2, LIVE).await?;
        ensure!(told.elapsed() < DEADLINE && encoder.is_running(), "it was sent away too soon");
        let status = stack.proxy().process.wait(LIVE).await?;
        ensure!(status.success(), "{status}: {}", stack.proxy().process.output());
        ensure!(told.elapsed() >= DEADLINE, "the encoder was left alone for {:?} only", told.elapsed());
        ensure!(!encoder.wait(LIVE).await?.success(), "the encoder was not told");
        publish::sent(stack.path(), "ffmpeg")
    };
    let (shown, sent) = tokio::try_join!(player.watch(), stopped)?;
    let numbers = content::numbers(stack.path(), "180p", &shown.renditions["180p"]).await?;
    let [numbers] = numbers.as_slice() else { anyhow::bail!("{} timelines", numbers.len()) };
    ensure!(numbers.iter().copied().eq(0..numbers.len() as u32), "it shows {numbers:?}");
    ensure!(numbers.len() + publish::IN_HAND >= sent, "{} of {sent} were shown", numbers.len());
    Ok(())
}

/// A proxy does not wait for its deadline when its last publisher has left.
#[tokio::test]
async fn a_proxy_that_stops_ends_with_its_last_publisher() -> Result<()> {
    let mut stack = Plan::tiny().set("HLS_WINDOW_SEGMENTS", "20").start().await?;
    let source = tiny(10);
    let file = source.make(stack.path(), "source").await?;
    let mut encoder = publish::ffmpeg(stack.path(), &file, &stack.publish_url("demo"))?;
    let player = Player::new(&stack.origin(0), "demo");
    let stopped = async {
        player.wait_segments("90p", 2, LIVE).await?;
        stack.proxy().process.signal("TERM").await?;
        ensure!(encoder.wait(LIVE).await?.success(), "the encoder noticed: {}", encoder.output());
        let status = stack.proxy().process.wait(AT_ONCE).await?;
        ensure!(status.success(), "{status}: {}", stack.proxy().process.output());
        anyhow::Ok(())
    };
    let (shown, ()) = tokio::try_join!(player.watch(), stopped)?;
    shows::shown_in_one_go(&stack, &shown, source.frames()).await
}

/// Waits until the proxy takes no connection any more.
async fn refuses_everybody(stack: &mut Stack) -> Result<()> {
    let address = stack.proxy().address();
    let refused = || async { TcpStream::connect(&address).await.is_err().then_some(()) };
    wait::until("the proxy to take no connection", AT_ONCE, refused).await
}
