//! Executables of another release beside those of today: `make compat` says where they are.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use headwater_tests::broadcasts::{self, tiny};
use headwater_tests::player::Player;
use headwater_tests::publish;
use headwater_tests::stack::{Plan, Stack};

const LIVE: Duration = Duration::from_secs(20);

/// Folder of the other release's executables.
fn old_executables() -> Result<PathBuf> {
    std::env::var_os("OLD_EXECUTABLES").map(PathBuf::from).context("run this by `make compat`")
}

/// Publishes to services of which these kinds are old, and counts every picture at the origin.
async fn show_whole(old: &[&'static str]) -> Result<()> {
    let plan = Plan::tiny().set("HLS_WINDOW_SEGMENTS", "20").executables_from(&old_executables()?, old);
    let stack = plan.start().await?;
    let source = tiny(10);
    let file = source.make(stack.path(), "source").await?;
    let mut encoder = publish::ffmpeg(stack.path(), &file, &stack.publish_url("demo"))?;
    let shown = Player::new(&stack.origin(0), "demo").watch().await?;
    ensure!(encoder.wait(LIVE).await?.success(), "the encoder noticed: {}", encoder.output());
    broadcasts::shown_in_one_go(&stack, &shown, source.frames()).await
}

#[tokio::test]
#[ignore = "needs the executables of another release: make compat"]
async fn a_new_server_works_with_an_old_proxy_and_an_old_origin() -> Result<()> {
    show_whole(&["proxy", "origin"]).await
}

#[tokio::test]
#[ignore = "needs the executables of another release: make compat"]
async fn an_old_server_works_with_a_new_proxy_and_a_new_origin() -> Result<()> {
    show_whole(&["server"]).await
}

/// The server is replaced by a new one under an old proxy, then an origin comes; both origins show every picture.
#[tokio::test]
#[ignore = "needs the executables of another release: make compat"]
async fn an_update_of_servers_and_origins_is_seen_by_nobody() -> Result<()> {
    update(&["proxy", "server", "origin"]).await
}

/// The same where the proxy was updated first, in whatever order an operator goes on.
#[tokio::test]
#[ignore = "needs the executables of another release: make compat"]
async fn an_update_that_began_with_the_proxy_is_seen_by_nobody() -> Result<()> {
    update(&["server", "origin"]).await
}

async fn update(old: &[&'static str]) -> Result<()> {
    let plan = Plan::tiny().set("HLS_WINDOW_SEGMENTS", "30").executables_from(&old_executables()?, old);
    let mut stack = plan.start().await?;
    stack.use_own_executables();
    stack.add_origin().await?;
    let source = tiny(25);
    let file = source.make(stack.path(), "source").await?;
    let mut encoder = publish::ffmpeg(stack.path(), &file, &stack.publish_url("demo"))?;
    let players = [0, 1].map(|origin| Player::new(&stack.origin(origin), "demo"));
    let updated = async {
        players[0].wait_segments("90p", 2, LIVE).await?;
        stack.add_server().await?;
        stack.servers.remove(0).stop().await?;
        players[1].wait_segments("90p", 2, LIVE).await?;
        encoder.must_run()?;
        anyhow::Ok(stack)
    };
    let (first, second, mut stack) = tokio::try_join!(players[0].watch(), players[1].watch(), updated)?;
    ensure!(encoder.wait(LIVE).await?.success(), "the encoder noticed: {}", encoder.output());
    check_moved(&mut stack).await?;
    broadcasts::shown_in_one_go(&stack, &first, source.frames()).await?;
    broadcasts::shown_in_one_go(&stack, &second, source.frames()).await
}

/// The first proxy of an update: its encoder comes back to one of today, before servers and origins are replaced.
#[tokio::test]
#[ignore = "needs the executables of another release: make compat"]
async fn a_proxy_that_is_replaced_first_gives_its_encoder_to_one_of_today() -> Result<()> {
    replace_proxy(&["proxy", "server", "origin"]).await
}

/// The last proxy of an update.
#[tokio::test]
#[ignore = "needs the executables of another release: make compat"]
async fn a_proxy_that_is_replaced_last_gives_its_encoder_to_one_of_today() -> Result<()> {
    replace_proxy(&["proxy"]).await
}

/// Stops the old proxy of an encoder, which comes back to one of today. Viewers see one broadcast of two periods.
async fn replace_proxy(old: &[&'static str]) -> Result<()> {
    let plan = Plan::tiny().set("HLS_WINDOW_SEGMENTS", "30").set("PROXY_DRAIN_TIMEOUT", "1s");
    let mut stack = plan.executables_from(&old_executables()?, old).start().await?;
    stack.use_own_executables();
    stack.add_proxy().await?;
    let sources = [tiny(30), tiny(7)];
    let first_file = sources[0].make(stack.path(), "first").await?;
    let second_file = sources[1].make(stack.path(), "second").await?;
    let mut first = publish::ffmpeg_named(stack.path(), "first", &first_file, &stack.publish_url("demo"))?;
    let player = Player::new(&stack.origin(0), "demo");
    let replaced = async {
        player.wait_segments("90p", 2, LIVE).await?;
        let sent = publish::sent(stack.path(), "first")?.saturating_sub(publish::IN_HAND);
        stack.proxies.remove(0).stop().await?;
        ensure!(!first.wait(LIVE).await?.success(), "the encoder noticed nothing: {}", first.output());
        let mut second =
            publish::ffmpeg_named(stack.path(), "second", &second_file, &stack.publish_url("demo"))?;
        ensure!(second.wait(LIVE).await?.success(), "the encoder was refused: {}", second.output());
        anyhow::Ok((stack, sent))
    };
    let (shown, (stack, sent)) = tokio::try_join!(player.watch(), replaced)?;
    broadcasts::shown_in_two_parts(&stack, &shown, sent..=sources[0].frames(), sources[1].frames()).await
}

async fn check_moved(stack: &mut Stack) -> Result<()> {
    let metrics = stack.proxy().metrics().await?;
    ensure!(metrics.contains("headwater_proxy_failovers_total 1\n"), "{metrics}");
    Ok(())
}
