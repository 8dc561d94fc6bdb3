//! Publishers that come back, on the same proxy or on another one, and publishers that come second.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use headwater_tests::broadcasts::{self, tiny};
use headwater_tests::player::{Player, Shown};
use headwater_tests::process::Process;
use headwater_tests::publish::{self, Source};
use headwater_tests::stack::{Plan, Stack};
use headwater_tests::wait;

const LIVE: Duration = Duration::from_secs(20);
/// How long an encoder may need to be refused, or sent away.
const REFUSED: Duration = Duration::from_secs(15);
/// Seconds of the source after the return: long enough for the discontinuity to leave a window of three segments.
const SECOND: u32 = 7;

/// A broadcast whose publisher is away for a while.
struct Return {
    stack: Stack,
    /// Source that the encoder sends first. It is left before its end, unless it is short.
    first: Source,
    second: Source,
    files: [std::path::PathBuf; 2],
    player: Player,
}

impl Return {
    async fn start(first: Source) -> Result<Self> {
        let plan = Plan::tiny().proxies(2).set("HLS_WINDOW_SEGMENTS", "3");
        // Shorter than an origin holds a request, so that the player never has to be told to ask again.
        let stack = plan.set("SERVER_RECONNECT_WINDOW", "5s").start().await?;
        let second = tiny(SECOND);
        let files = [first.make(stack.path(), "first").await?, second.make(stack.path(), "second").await?];
        let player = Player::new(&stack.origin(0), "demo");
        Ok(Self { stack, first, second, files, player })
    }

    fn publish_first(&self) -> Result<Process> {
        publish::ffmpeg_named(self.stack.path(), "first", &self.files[0], &self.stack.publish_url("demo"))
    }

    /// The same encoder comes back: its first try has to work.
    fn publish_again(&self, proxy: usize) -> Result<Process> {
        let url = self.stack.publish_url_at(proxy, "demo");
        publish::ffmpeg_named(self.stack.path(), "second", &self.files[1], &url)
    }

    async fn wait_segments(&self, count: usize) -> Result<()> {
        self.player.wait_segments("90p", count, LIVE).await
    }

    /// How many pictures the first encoder has sent for certain.
    fn sent(&self) -> Result<usize> {
        Ok(publish::sent(self.stack.path(), "first")?.saturating_sub(publish::IN_HAND))
    }

    /// Checks that a viewer sees what `happens` does to the first encoder, and its return, as one broadcast of two
    /// periods. `happens` gives how many pictures the first encoder had sent at least, and the second encoder.
    async fn check_one_broadcast(
        mut self,
        happens: impl AsyncFnOnce(&mut Self, Process) -> Result<(usize, Process)>,
    ) -> Result<()> {
        let watching = Player::new(&self.stack.origin(0), "demo");
        let returned = async {
            let registry = self.stack.registry()?;
            let first = self.publish_first()?;
            let before = broadcasts::owner(registry.as_ref(), "demo", LIVE).await?;
            let (sent, mut second) = happens(&mut self, first).await?;
            self.wait_period().await?;
            let after = broadcasts::owner(registry.as_ref(), "demo", LIVE).await?;
            ensure!(after.broadcast == before.broadcast, "another broadcast: {before:?}, then {after:?}");
            ensure!(second.wait(LIVE).await?.success(), "it was refused: {}", second.output());
            Ok(sent)
        };
        let (shown, sent) = tokio::try_join!(watching.watch(), returned)?;
        let first = sent..=self.first.frames();
        broadcasts::shown_in_two_parts(&self.stack, &shown, first, self.second.frames()).await?;
        discontinuity_has_left(&shown)
    }

    /// Waits until the second period is shown.
    async fn wait_period(&self) -> Result<()> {
        wait::until("the second period", LIVE, || async {
            let media = self.player.playlist("90p").await.ok()?;
            let begun = media.discontinuity_sequence > 0 || media.segments.iter().any(|s| s.discontinuity);
            begun.then_some(())
        })
        .await
    }
}

/// The player has checked with every playlist that EXT-X-DISCONTINUITY-SEQUENCE grows as a discontinuity leaves; here,
/// that it has left.
fn discontinuity_has_left(shown: &Shown) -> Result<()> {
    for (name, rendition) in &shown.renditions {
        let playlist = &rendition.playlist;
        ensure!(playlist.discontinuity_sequence == 1, "{name}: {playlist:?}");
        ensure!(!playlist.segments.iter().any(|segment| segment.discontinuity), "{name}: {playlist:?}");
    }
    Ok(())
}

#[tokio::test]
async fn who_ends_the_stream_and_comes_back_continues_the_broadcast() -> Result<()> {
    let returns = async |show: &mut Return, mut first: Process| {
        show.wait_segments(1).await?;
        ensure!(first.wait(LIVE).await?.success(), "{}", first.output());
        Ok((show.first.frames(), show.publish_again(0)?))
    };
    Return::start(tiny(5)).await?.check_one_broadcast(returns).await
}

/// While it is away its server stops, and has another one wait in its stead.
#[tokio::test]
async fn who_is_away_while_its_server_stops_continues_the_broadcast_on_another_one() -> Result<()> {
    let returns = async |show: &mut Return, mut first: Process| {
        show.wait_segments(1).await?;
        show.stack.add_server().await?;
        ensure!(first.wait(LIVE).await?.success(), "{}", first.output());
        let mut old = show.stack.servers.remove(0);
        old.process.signal("TERM").await?;
        let status = old.process.wait(LIVE).await?;
        ensure!(status.success(), "{status}: {}", old.process.output());
        Ok((show.first.frames(), show.publish_again(0)?))
    };
    Return::start(tiny(5)).await?.check_one_broadcast(returns).await
}

/// The encoder's process is killed, which ends its connection. It comes back to another proxy.
#[tokio::test]
async fn who_is_killed_continues_the_broadcast_on_another_proxy() -> Result<()> {
    let returns = async |show: &mut Return, mut first: Process| {
        show.wait_segments(2).await?;
        first.kill().await?;
        Ok((show.sent()?, show.publish_again(1)?))
    };
    Return::start(tiny(30)).await?.check_one_broadcast(returns).await
}

/// The encoder's host is gone without a word, and its connection stays. The encoder comes back two seconds later, as OBS
/// does, and has to be taken at its first try. Then the first one wakes up.
#[tokio::test]
async fn who_left_a_half_open_connection_is_taken_at_the_first_try() -> Result<()> {
    let returns = async |show: &mut Return, mut first: Process| {
        show.wait_segments(2).await?;
        first.signal("STOP").await?;
        let sent = show.sent()?;
        // As long as OBS waits.
        tokio::time::sleep(Duration::from_secs(2)).await;
        let second = show.publish_again(1)?;
        show.wait_period().await?;
        first.signal("CONT").await?;
        let status = first.wait(REFUSED).await?;
        ensure!(!status.success(), "the one that was replaced was not sent away: {}", first.output());
        Ok((sent, second))
    };
    Return::start(tiny(30)).await?.check_one_broadcast(returns).await
}

/// The proxy is killed. The encoder comes back to the other one.
#[tokio::test]
async fn who_loses_the_proxy_continues_the_broadcast_on_another_one() -> Result<()> {
    let returns = async |show: &mut Return, mut first: Process| {
        show.wait_segments(2).await?;
        let sent = show.sent()?;
        show.stack.proxies[0].process.kill().await?;
        ensure!(!first.wait(REFUSED).await?.success(), "it has noticed nothing: {}", first.output());
        Ok((sent, show.publish_again(1)?))
    };
    Return::start(tiny(30)).await?.check_one_broadcast(returns).await
}

/// Refused while the first one sends, on the same proxy and on another one, with the status that encoders know, and the
/// first one is not disturbed.
#[tokio::test]
async fn a_second_publisher_is_refused_and_the_first_one_loses_nothing() -> Result<()> {
    let stack = Plan::tiny().proxies(2).servers(2).set("HLS_WINDOW_SEGMENTS", "20").start().await?;
    let source = tiny(14);
    let file = source.make(stack.path(), "source").await?;
    let mut first = publish::ffmpeg(stack.path(), &file, &stack.publish_url("demo"))?;
    let player = Player::new(&stack.origin(0), "demo");
    let refused = async {
        player.wait_segments("90p", 1, LIVE).await?;
        for proxy in [0, 1] {
            let url = stack.publish_url_at(proxy, "demo");
            let name = format!("ffmpeg-{proxy}");
            let ffmpeg = publish::ffmpeg_named(stack.path(), &name, &file, &url)?;
            let words = last_words(ffmpeg).await?;
            ensure!(words.contains("another encoder is publishing this stream"), "{words}");
            let words = last_words(publish::gstreamer(stack.path(), &file, &url)?).await?;
            ensure!(words.contains("NetStream.Publish.BadName"), "{words}");
        }
        first.must_run()?;
        Ok(())
    };
    let (shown, ()) = tokio::try_join!(player.watch(), refused)?;
    ensure!(first.wait(LIVE).await?.success(), "the first one noticed: {}", first.output());
    broadcasts::shown_in_one_go(&stack, &shown, source.frames())
        .await
        .context("the first publisher's broadcast")
}

/// Waits until the encoder gives up, and gives what it said.
async fn last_words(mut encoder: Process) -> Result<String> {
    let status = encoder.wait(REFUSED).await?;
    ensure!(!status.success(), "the encoder was not refused: {}", encoder.output());
    Ok(encoder.output())
}
