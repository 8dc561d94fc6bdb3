//! A server dies, stops, or comes late in the middle of a broadcast, and nobody sees it: the encoder's connection stays,
//! every frame that was sent is shown once, in order, in one timeline, on every origin.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use headwater_tests::content;
use headwater_tests::player::{Player, Shown};
use headwater_tests::process::{self, Process};
use headwater_tests::publish::{self, Source};
use headwater_tests::stack::{Plan, Service, Stack};
use headwater_tests::wait;

const LIVE: Duration = Duration::from_secs(20);
const RENDITIONS: [&str; 3] = ["360p", "270p", "180p"];

/// A broadcast on the air.
struct Show {
    stack: Stack,
    source: Source,
    encoder: Process,
}

impl Show {
    async fn start(servers: usize) -> Result<Self> {
        let plan = Plan::default().servers(servers).origins(2).set("HLS_WINDOW_SEGMENTS", "20");
        let stack = plan.start().await?;
        let source = Source { seconds: 14, ..Source::default() };
        let file = source.make(stack.path(), "source").await?;
        let encoder = publish::ffmpeg(stack.path(), &file, &stack.publish_url("demo"))?;
        Ok(Self { stack, source, encoder })
    }

    /// Follows the broadcast on both origins to its end, and meanwhile lets something happen to its server.
    async fn watch_while<T>(
        &mut self,
        happens: impl AsyncFnOnce(&mut Stack, Service) -> Result<T>,
    ) -> Result<(Shown, Shown, T)> {
        let players = [0, 1].map(|origin| Player::new(&self.stack.origin(origin), "demo"));
        let happens = async {
            // Both origins show the broadcast by then.
            for player in &players {
                player.wait_segments("180p", 2, LIVE).await?;
            }
            let owner = take_owner(&mut self.stack).await?;
            happens(&mut self.stack, owner).await
        };
        tokio::try_join!(players[0].watch(), players[1].watch(), happens)
    }

    /// Everything came out, on both origins, and the proxy has really moved the publisher so often.
    async fn check(mut self, first: Shown, second: Shown, moves: u32) -> Result<()> {
        ensure!(self.encoder.wait(LIVE).await?.success(), "the encoder noticed: {}", self.encoder.output());
        let metrics = self.stack.proxy().metrics().await?;
        ensure!(metrics.contains(&format!("headwater_proxy_failovers_total {moves}\n")), "{metrics}");
        for shown in [&first, &second] {
            for name in RENDITIONS {
                self.check_rendition(shown, name).await.with_context(|| format!("rendition {name}"))?;
            }
        }
        Ok(())
    }

    async fn check_rendition(&self, shown: &Shown, name: &str) -> Result<()> {
        let timelines = content::timelines(&shown.renditions[name]);
        ensure!(timelines.len() == 1, "{} timelines", timelines.len());
        let file = content::write(self.stack.path(), name, &timelines[0])?;
        let numbers: Vec<_> = content::pictures(&file).await?.iter().map(|picture| picture.number).collect();
        let sent: Vec<_> = (0..self.source.frames() as u32).collect();
        ensure!(numbers == sent, "it shows {numbers:?}");
        Ok(())
    }
}

/// Takes the server that has the broadcast out of the stack.
async fn take_owner(stack: &mut Stack) -> Result<Service> {
    let owner = wait::until("a server to have the broadcast", LIVE, || async {
        for (number, server) in stack.servers.iter().enumerate() {
            if server.metrics().await.is_ok_and(|text| text.contains("headwater_server_broadcasts 1")) {
                return Some(number);
            }
        }
        None
    });
    let owner = owner.await?;
    Ok(stack.servers.remove(owner))
}

#[tokio::test]
async fn a_killed_server_is_seen_by_nobody() -> Result<()> {
    let mut show = Show::start(2).await?;
    let (first, second, ()) = show.watch_while(async |_, mut owner| owner.process.kill().await).await?;
    show.check(first, second, 1).await
}

/// It vanishes without a word: its host still acknowledges what it is sent. When it comes back it is too late.
#[tokio::test]
async fn a_server_that_freezes_is_replaced_and_fenced() -> Result<()> {
    let mut show = Show::start(2).await?;
    let freeze = async |_: &mut Stack, owner: Service| {
        owner.process.signal("STOP").await?;
        Ok(owner)
    };
    let (first, second, frozen) = show.watch_while(freeze).await?;
    frozen.process.signal("CONT").await?;
    let fenced = || async { frozen.process.output().contains("fenced").then_some(()) };
    wait::until("the late server to find itself fenced", LIVE, fenced).await?;
    show.check(first, second, 1).await
}

#[tokio::test]
async fn a_server_that_is_told_to_stop_hands_its_broadcast_over() -> Result<()> {
    let mut show = Show::start(2).await?;
    let stop = async |_: &mut Stack, mut owner: Service| {
        owner.stop().await?;
        Ok(owner.process.output())
    };
    let (first, second, said) = show.watch_while(stop).await?;
    ensure!(said.contains("moved to another server"), "{said}");
    show.check(first, second, 1).await
}

#[tokio::test]
async fn without_any_server_the_broadcast_waits_for_one() -> Result<()> {
    let mut show = Show::start(1).await?;
    let replace = async |stack: &mut Stack, mut owner: Service| {
        owner.process.kill().await?;
        stack.add_server().await
    };
    let (first, second, ()) = show.watch_while(replace).await?;
    show.check(first, second, 1).await
}

#[tokio::test]
async fn a_worker_that_dies_is_replaced_in_place() -> Result<()> {
    let mut show = Show::start(1).await?;
    let kill_worker = async |_: &mut Stack, owner: Service| {
        let parent = owner.process.id().context("the server runs")?.to_string();
        process::run("pkill", &["-KILL", "-P", &parent]).await?;
        Ok(owner)
    };
    let (first, second, _owner) = show.watch_while(kill_worker).await?;
    show.check(first, second, 1).await
}
