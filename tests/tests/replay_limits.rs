//! There is no server for longer than the proxy can keep what is sent: something is lost, and said to be, and the
//! broadcast goes on with what there is.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use headwater_tests::player::{Player, Shown};
use headwater_tests::publish::{self, Source};
use headwater_tests::stack::{Plan, Service, Stack};
use headwater_tests::{broadcasts, content, wait};

const LIVE: Duration = Duration::from_secs(20);
/// From one keyframe to the next, in pictures: media is lost in such groups.
const GROUP: u32 = 30;

#[tokio::test]
async fn past_the_time_that_is_kept_a_broadcast_goes_on_after_a_gap() -> Result<()> {
    let source = Source { keyframe_interval: GROUP, ..broadcasts::tiny(22) };
    go_on_after_a_gap(Plan::tiny().set("PROXY_REPLAY_DURATION", "8s"), source).await
}

#[tokio::test]
async fn past_the_memory_that_is_kept_a_broadcast_goes_on_after_a_gap() -> Result<()> {
    // As much as eight seconds of the source take.
    let source = Source { keyframe_interval: GROUP, ..broadcasts::tiny(22) };
    go_on_after_a_gap(Plan::tiny().set("PROXY_REPLAY_MEMORY", "1MiB"), source).await
}

async fn go_on_after_a_gap(plan: Plan, source: Source) -> Result<()> {
    let mut stack = plan.origins(2).set("HLS_WINDOW_SEGMENTS", "20").start().await?;
    let file = source.make(stack.path(), "source").await?;
    let mut encoder = publish::ffmpeg(stack.path(), &file, &stack.publish_url("demo"))?;
    let players = [0, 1].map(|origin| Player::new(&stack.origin(origin), "demo").patient());
    let happens = async {
        for player in &players {
            player.wait_segments("180p", 2, LIVE).await?;
        }
        let mut server = stack.servers.remove(0);
        server.process.kill().await?;
        let some = || async { lost_tags(&stack.proxies[0]).await.ok().filter(|tags| *tags > 0) };
        wait::until("the proxy to have lost something", LIVE, some).await?;
        stack.add_server().await
    };
    let (first, second, ()) = tokio::try_join!(players[0].watch(), players[1].watch(), happens)?;
    ensure!(encoder.wait(LIVE).await?.success(), "the encoder noticed: {}", encoder.output());
    let said = stack.proxy().process.output();
    ensure!(said.contains("media was lost"), "the log does not say it: {said}");
    let lost = lost_tags(stack.proxy()).await?;
    broadcasts::same_bytes(&first, &second)?;
    for shown in [&first, &second] {
        shown_with_a_gap(&stack, shown, source.frames() as u32, lost).await?;
    }
    Ok(())
}

/// All from the first picture on to somewhere, then all from a keyframe on to the last picture, after one discontinuity.
async fn shown_with_a_gap(stack: &Stack, shown: &Shown, sent: u32, lost: u64) -> Result<()> {
    for (name, rendition) in &shown.renditions {
        let breaks = rendition.segments.values().filter(|segment| segment.discontinuity).count();
        ensure!(breaks == 1, "{name} has {breaks} discontinuities");
    }
    for name in broadcasts::TINY_RENDITIONS {
        let numbers = content::numbers(stack.path(), name, &shown.renditions[name]).await?;
        let [before, after] = numbers.as_slice() else { anyhow::bail!("{name} shows {numbers:?}") };
        let end = before.len() as u32;
        let start = *after.first().context("nothing after the gap")?;
        ensure!(*before == (0..end).collect::<Vec<_>>(), "{name} shows {before:?} before the gap");
        ensure!(*after == (start..sent).collect::<Vec<_>>(), "{name} shows {after:?} after the gap");
        ensure!(start.is_multiple_of(GROUP), "{name} goes on at {start}, which is no keyframe");
        ensure!(start > end, "{name} shows no gap from {end} to {start}");
        ensure!(
            u64::from(start - end) <= lost,
            "{} pictures are missing, {lost} tags were lost",
            start - end
        );
    }
    Ok(())
}

/// Tags that the proxy could not keep, by its metrics.
async fn lost_tags(proxy: &Service) -> Result<u64> {
    let metrics = proxy.metrics().await?;
    let counted =
        metrics.lines().find_map(|line| line.strip_prefix("headwater_proxy_replay_lost_tags_total "));
    Ok(counted.context("it does not count what it loses")?.parse()?)
}
