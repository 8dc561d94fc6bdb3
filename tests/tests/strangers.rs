//! Services that don't know the secret of the others: nothing is shown to them, and their logs say why.

use std::time::Duration;

use anyhow::{Result, ensure};
use headwater_runtime::tls::testing::Authority;
use headwater_tests::broadcasts;
use headwater_tests::http;
use headwater_tests::player::Player;
use headwater_tests::publish;
use headwater_tests::stack::{Plan, channels};
use headwater_tests::wait;
use headwater_wire::v2::StatusRequest;
use headwater_wire::v2::operator_client::OperatorClient;

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

#[tokio::test]
async fn services_that_speak_tls_show_a_broadcast_frame_by_frame_and_answer_nobody_else() -> Result<()> {
    let authority = Authority::new();
    let files = authority.write("service", "headwater-server", 4000);
    let stack = Plan::tiny()
        .set("CLUSTER_TLS_CERTIFICATE", &files.certificate.display().to_string())
        .set("CLUSTER_TLS_KEY", &files.key.display().to_string())
        .set("CLUSTER_TLS_AUTHORITY", &authority.file().display().to_string())
        .start()
        .await?;
    let source = broadcasts::tiny(8);
    let file = source.make(stack.path(), "source").await?;
    let _encoder = publish::ffmpeg(stack.path(), &file, &stack.publish_url("demo"))?;
    let shown = Player::new(&stack.origin(0), "demo").watch().await?;
    broadcasts::shown_in_one_go(&stack, &shown, source.frames()).await?;
    // It knows the secret, and speaks no TLS.
    let mut stranger = OperatorClient::new(channels().to(&stack.servers[0].address())?);
    ensure!(stranger.status(StatusRequest {}).await.is_err());
    Ok(())
}
