//! Services that don't know the secret of the others: nothing is shown to them, and their logs say why.

use std::time::Duration;

use anyhow::{Result, ensure};
use headwater_tests::broadcasts;
use headwater_tests::http;
use headwater_tests::player::Player;
use headwater_tests::publish;
use headwater_tests::stack::Plan;
use headwater_tests::wait;

const LIVE: Duration = Duration::from_secs(20);

#[tokio::test]
async fn an_origin_with_another_secret_shows_nothing_and_says_why() -> Result<()> {
    let mut stack = Plan::tiny().start().await?;
    let file = broadcasts::tiny(60).make(stack.path(), "source").await?;
    let _encoder = publish::ffmpeg(stack.path(), &file, &stack.publish_url("demo"))?;
    Player::new(&stack.origin(0), "demo").wait_live(LIVE).await?;
    stack.set("CLUSTER_SECRET", "secret-of-another-cluster");
    stack.add_origin().await?;
    let url = format!("{}/demo/live.m3u8", stack.origin(1));
    let reason =
        "the server refuses this service: another secret than this server's was shown: set cluster.secret";
    wait::until("the reason in the log", LIVE, || async {
        let shown = http::get(&url).await.ok()?;
        (shown.status != 200 && stack.origins[1].process.output().contains(reason)).then_some(())
    })
    .await?;
    ensure!(http::get(&url).await?.status != 200);
    let said: String = stack.services().map(|service| service.process.output()).collect();
    ensure!(!said.contains("secret-of-another") && !said.contains("secret-of-the-tests"), "{said}");
    Ok(())
}
