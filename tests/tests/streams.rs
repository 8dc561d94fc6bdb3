//! Operators and streams on air: publishers are shown, disconnected and blocked by `headwater streams`, with Redis and
//! without it.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use headwater_tests::player::Player;
use headwater_tests::process::{self, Process, binary};
use headwater_tests::publish::{self, Source};
use headwater_tests::stack::{Plan, Stack, free_port};
use headwater_tests::wait;
use serde_json::Value;

/// Time for a broadcast to begin, or for an encoder to end after it was told.
const SOON: Duration = Duration::from_secs(20);
/// Time in which a publisher whose input is blocked has to be ended, on every proxy.
const BLOCK_TIME: Duration = Duration::from_secs(2);
const TOKEN: &str = "0123456789abcdef-token";

/// Stack with live inputs in a directory, and a control API.
struct Installation {
    stack: Stack,
    api: String,
}

impl Installation {
    async fn start() -> Result<Self> {
        let port = free_port()?;
        let folder = tempfile::tempdir()?.keep();
        let stack = Plan::tiny()
            .set("INPUTS_MODE", "keys")
            .set("DIRECTORY_URL", &format!("file://{}", folder.join("directory").display()))
            .set("DIRECTORY_SECRET", "a-secret-of-the-operator")
            .set("CONTROL_LISTEN", &format!("127.0.0.1:{port}"))
            .set("CONTROL_TOKEN", TOKEN)
            .set("LOG_LEVEL", "info")
            .start()
            .await?;
        std::fs::write(stack.path().join("token"), TOKEN)?;
        Ok(Self { stack, api: format!("http://127.0.0.1:{port}") })
    }

    /// Text that a command of `headwater` prints.
    async fn run(&self, words: &[&str]) -> Result<String> {
        let headwater = binary("headwater")?;
        let token = self.stack.path().join("token").display().to_string();
        let arguments = [words, &["--api", &self.api, "--token-file", &token]].concat();
        let text = process::run(&headwater.display().to_string(), &arguments).await?;
        Ok(String::from_utf8(text)?)
    }

    async fn json(&self, words: &[&str]) -> Result<Value> {
        Ok(serde_json::from_str(&self.run(words).await?)?)
    }

    /// Uid and stream key of a new live input.
    async fn create(&self) -> Result<(String, String)> {
        let input = self.json(&["inputs", "create", "--name", "studio"]).await?;
        let text = |value: &Value| value.as_str().map(str::to_owned).context("no text");
        Ok((text(&input["uid"])?, text(&input["rtmp"]["streamKey"])?))
    }

    /// Encoder that publishes with this key, once it is on air.
    async fn publish(&self, file: &Path, uid: &str, key: &str) -> Result<Process> {
        let encoder = publish::ffmpeg(self.stack.path(), file, &self.stack.publish_url(key))?;
        Player::new(&self.stack.origin(0), uid).wait_live(SOON).await?;
        Ok(encoder)
    }

    async fn source(&self) -> Result<std::path::PathBuf> {
        Source { seconds: 60, ..Source::default() }.make(self.stack.path(), "source").await
    }
}

/// Waits until the encoder is sent away, and gives its last words and the time that it took.
async fn sent_away(mut encoder: Process, since: Instant) -> Result<(String, Duration)> {
    let status = encoder.wait(SOON).await?;
    ensure!(!status.success(), "the encoder was not sent away: {}", encoder.output());
    Ok((encoder.output(), since.elapsed()))
}

#[tokio::test]
async fn a_publisher_is_shown_with_its_health_disconnected_and_comes_back() -> Result<()> {
    let installation = Installation::start().await?;
    let (uid, key) = installation.create().await?;
    let file = installation.source().await?;
    let encoder = installation.publish(&file, &uid, &key).await?;
    let measured = || async {
        let shown = installation.json(&["streams", "show", &uid]).await.ok()?;
        (shown["health"]["video"]["frameRate"].as_f64()? > 0.0 && shown["viewersAtOrigins"].is_u64())
            .then_some(shown)
    };
    let shown = wait::until("the stream's health and viewers", SOON, measured).await?;
    let publisher = &shown["publisher"];
    ensure!(shown["state"] == "live" && publisher["address"] == "127.0.0.1", "{shown:#}");
    ensure!(publisher["protocol"] == "rtmp", "{shown:#}");
    ensure!(publisher["encoder"].as_str().is_some_and(|name| name.starts_with("Lavf")), "{shown:#}");
    let list = installation.run(&["streams", "list"]).await?;
    ensure!(list.starts_with(&format!("{uid}\tlive\t")) && list.contains("Lavf"), "{list}");

    let began = Instant::now();
    let told = installation.run(&["streams", "disconnect", &uid, "--reason", "the show is over"]).await?;
    ensure!(told == format!("{uid} is disconnected\n"), "{told}");
    sent_away(encoder, began).await?;
    let said = installation.stack.proxies[0].process.output();
    ensure!(said.contains("an operator has ended this publication: the show is over"), "{said}");
    let _again = installation.publish(&file, &uid, &key).await?;
    let came_back = || async {
        let shown = installation.json(&["streams", "show", &uid]).await.ok()?;
        (shown["state"] == "live").then_some(shown)
    };
    wait::until("the encoder to come back", SOON, came_back).await.map(drop)
}

#[tokio::test]
async fn a_block_ends_the_publisher_for_good_until_it_is_lifted() -> Result<()> {
    let installation = Installation::start().await?;
    let (uid, key) = installation.create().await?;
    let file = installation.source().await?;
    let encoder = installation.publish(&file, &uid, &key).await?;
    let began = Instant::now();
    let told = installation.run(&["streams", "block", &uid, "--reason", "a copyright claim"]).await?;
    let answered = began.elapsed();
    ensure!(told == format!("{uid} is blocked\n") && answered < BLOCK_TIME, "{answered:?}: {told}");
    sent_away(encoder, began).await?;
    let refused = publish::ffmpeg(installation.stack.path(), &file, &installation.stack.publish_url(&key))?;
    let (words, _) = sent_away(refused, Instant::now()).await?;
    ensure!(words.contains("this live input is blocked: a copyright claim"), "{words}");
    installation.run(&["streams", "unblock", &uid]).await?;
    installation.publish(&file, &uid, &key).await.map(drop)
}

#[tokio::test]
async fn a_block_ends_the_publisher_within_two_seconds_without_redis() -> Result<()> {
    let mut installation = Installation::start().await?;
    let (uid, key) = installation.create().await?;
    let file = installation.source().await?;
    let encoder = installation.publish(&file, &uid, &key).await?;
    installation.stack.redis.kill();
    let began = Instant::now();
    let told = installation.run(&["streams", "block", &uid]).await?;
    ensure!(told.starts_with(&format!("{uid} is blocked\n")), "{told}");
    let (_, took) = sent_away(encoder, began).await?;
    // Starting the command and ending the encoder are none of it.
    ensure!(took < BLOCK_TIME + Duration::from_secs(2), "{took:?}");
    let refused = publish::ffmpeg(installation.stack.path(), &file, &installation.stack.publish_url(&key))?;
    let (words, _) = sent_away(refused, Instant::now()).await?;
    ensure!(words.contains("this live input is blocked"), "{words}");
    Ok(())
}

#[tokio::test]
async fn a_publisher_whose_server_nobody_can_ask_is_ended_by_its_proxy() -> Result<()> {
    let mut installation = Installation::start().await?;
    let (uid, key) = installation.create().await?;
    let file = installation.source().await?;
    let encoder = installation.publish(&file, &uid, &key).await?;
    installation.stack.redis.kill();
    installation.stack.servers[0].process.signal("STOP").await?;
    let began = Instant::now();
    let told = installation.run(&["streams", "block", &uid]).await?;
    ensure!(told.contains("did not answer: it may have the stream"), "{told}");
    let looked = || async {
        let metrics = installation.stack.proxies[0].metrics().await.ok()?;
        let ended = "headwater_proxy_failed_total{reason=\"blocked\"} 1";
        metrics.lines().any(|line| line == ended).then_some(())
    };
    wait::until("the proxy to end the publisher", SOON, looked).await?;
    let took = began.elapsed();
    installation.stack.servers[0].process.signal("CONT").await?;
    drop(encoder);
    // The command has waited for the server for as long as it may take.
    ensure!(took < BLOCK_TIME + Duration::from_secs(5), "{took:?}");
    Ok(())
}
