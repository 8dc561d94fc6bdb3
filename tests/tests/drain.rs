//! Servers and proxies that are told to stop: every broadcast goes on elsewhere, and nobody sees it.

use std::time::Duration;

use anyhow::{Result, ensure};
use headwater_tests::player::Player;
use headwater_tests::publish;
use headwater_tests::shows::{self, tiny};
use headwater_tests::stack::Plan;

const LIVE: Duration = Duration::from_secs(20);

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
