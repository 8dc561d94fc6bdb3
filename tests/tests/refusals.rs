//! Tests of refusals: the party concerned is told, and the next publisher works.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use headwater_tests::player::Player;
use headwater_tests::process::{self, Process};
use headwater_tests::publish::{self, Source};
use headwater_tests::stack::{Plan, Stack};
use headwater_tests::wait;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// How long an encoder may need to be refused.
const REFUSED: Duration = Duration::from_secs(15);
const LIVE: Duration = Duration::from_secs(15);

/// Waits until the encoder gives up, and gives what it said.
async fn last_words(mut encoder: Process) -> Result<String> {
    let status = encoder.wait(REFUSED).await?;
    ensure!(!status.success(), "the encoder was not refused: {}", encoder.output());
    Ok(encoder.output())
}

async fn is_live(stack: &Stack, stream: &str) -> Result<()> {
    Player::new(&stack.origin(0), stream).wait_live(LIVE).await.map(drop)
}

#[tokio::test]
async fn a_wrong_key_is_refused_and_the_right_one_is_taken() -> Result<()> {
    let mut stack = Plan::default()
        .set("INPUTS", "show=right-secret")
        .set("INPUTS_MODE", "keys")
        .set("DIRECTORY_URL", "none")
        .start()
        .await?;
    let file = Source { seconds: 30, ..Source::default() }.make(stack.path(), "source").await?;
    let words = last_words(publish::ffmpeg(stack.path(), &file, &stack.publish_url("wrong-secret"))?).await?;
    ensure!(words.contains("the stream key is not known"), "{words}");
    let _encoder = publish::ffmpeg(stack.path(), &file, &stack.publish_url("right-secret"))?;
    is_live(&stack, "show").await?;
    let said = stack.proxy().process.output() + &stack.proxy().metrics().await?;
    ensure!(!said.contains("secret"), "a key was written down: {said}");
    let by_key = headwater_tests::http::get(&format!("{}/right-secret/live.m3u8", stack.origin(0))).await?;
    ensure!(by_key.status == 404, "a key is no name to watch by");
    Ok(())
}

#[tokio::test]
async fn a_second_publisher_is_refused_while_the_first_is_heard() -> Result<()> {
    let stack = Plan::default().servers(2).start().await?;
    let file = Source { seconds: 30, ..Source::default() }.make(stack.path(), "source").await?;
    let mut first = publish::ffmpeg(stack.path(), &file, &stack.publish_url("demo"))?;
    is_live(&stack, "demo").await?;
    let words = last_words(publish::ffmpeg(stack.path(), &file, &stack.publish_url("demo"))?).await?;
    ensure!(words.contains("another encoder is publishing this stream"), "{words}");
    ensure!(first.is_running(), "the first publisher was disturbed: {}", first.output());
    Ok(())
}

#[tokio::test]
async fn without_room_a_publisher_is_told_so() -> Result<()> {
    let stack = Plan::default().set("SERVER_MAX_BROADCASTS", "1").start().await?;
    let file = Source { seconds: 30, ..Source::default() }.make(stack.path(), "source").await?;
    let first = publish::ffmpeg(stack.path(), &file, &stack.publish_url("one"))?;
    is_live(&stack, "one").await?;
    let words = last_words(publish::ffmpeg(stack.path(), &file, &stack.publish_url("two"))?).await?;
    ensure!(words.contains("no transcode server has room"), "{words}");
    drop(first);
    // The reconnect window of the first is over: its place is free.
    let retry = || async {
        let mut second = publish::ffmpeg(stack.path(), &file, &stack.publish_url("two")).ok()?;
        let refused = second.wait(Duration::from_secs(3)).await;
        refused.is_err().then_some(second)
    };
    let _second = wait::until("a place to be free", Duration::from_secs(30), retry).await?;
    is_live(&stack, "two").await
}

#[tokio::test]
async fn a_codec_that_is_not_supported_is_named() -> Result<()> {
    let stack = Plan::default().start().await?;
    let source = Source { seconds: 10, ..Source::default() }.make(stack.path(), "source").await?;
    let mp3 = stack.path().join("mp3.flv");
    let from = source.to_string_lossy();
    let to = mp3.to_string_lossy();
    let convert =
        ["-v", "error", "-i", &from, "-c:v", "copy", "-c:a", "libmp3lame", "-ar", "44100", "-f", "flv", &to];
    process::run("ffmpeg", &convert).await?;
    let words = last_words(publish::ffmpeg(stack.path(), &mp3, &stack.publish_url("demo"))?).await?;
    ensure!(words.contains("MP3 audio is not supported: choose AAC"), "{words}");
    let _encoder = publish::ffmpeg(stack.path(), &source, &stack.publish_url("demo"))?;
    is_live(&stack, "demo").await
}

#[tokio::test]
async fn an_unknown_application_is_told_the_right_url() -> Result<()> {
    let stack = Plan::default().start().await?;
    let source = Source { seconds: 10, ..Source::default() }.make(stack.path(), "source").await?;
    let url = stack.publish_url("demo").replace("/live/", "/nosuch/");
    let words = last_words(publish::ffmpeg(stack.path(), &source, &url)?).await?;
    ensure!(words.contains("/live"), "{words}");
    Ok(())
}

#[tokio::test]
async fn strangers_are_sent_away_and_publishers_are_not_disturbed() -> Result<()> {
    let stack = Plan::default().set("PROXY_PUBLISH_DEADLINE", "1s").start().await?;
    let address = stack.publish_url("").replace("rtmp://", "").replace("/live/", "");
    for greeting in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0x16, 3, 1, 2, 0, 1], &[0xff; 5_000], b"\x03"] {
        let mut socket = tokio::net::TcpStream::connect(&address).await?;
        socket.write_all(greeting).await?;
        let mut answer = Vec::new();
        // A reset is an answer too.
        let read = tokio::time::timeout(REFUSED, socket.read_to_end(&mut answer)).await;
        ensure!(read.is_ok(), "a stranger who said {greeting:?} was kept");
    }
    let source = Source { seconds: 10, ..Source::default() }.make(stack.path(), "source").await?;
    let _encoder = publish::ffmpeg(stack.path(), &source, &stack.publish_url("demo"))?;
    is_live(&stack, "demo").await
}

#[tokio::test]
async fn a_worker_that_dies_costs_its_own_broadcast_only() -> Result<()> {
    let stack = Plan::default().start().await?;
    let source = Source { seconds: 12, ..Source::default() };
    let file = source.make(stack.path(), "source").await?;
    let _victim = publish::ffmpeg(stack.path(), &file, &stack.publish_url("victim"))?;
    is_live(&stack, "victim").await?;
    let workers = children(stack.servers[0].process.id().context("the server runs")?)?;
    ensure!(workers.len() == 1, "{workers:?}");
    let _other = publish::ffmpeg(stack.path(), &file, &stack.publish_url("other"))?;
    is_live(&stack, "other").await?;
    let status = std::process::Command::new("kill").args(["-KILL", &workers[0].to_string()]).status()?;
    ensure!(status.success());
    let shown = Player::new(&stack.origin(0), "other").watch().await?;
    let frames = count_frames(stack.path(), &shown).await?;
    ensure!(frames == source.frames(), "{frames} of {}", source.frames());
    let said = stack.servers[0].process.output();
    ensure!(said.contains("the transcoder failed"), "{said}");
    Ok(())
}

async fn count_frames(directory: &Path, shown: &headwater_tests::player::Shown) -> Result<usize> {
    let segments: Vec<_> = shown.renditions["180p"].segments.values().collect();
    let file = headwater_tests::content::write(directory, "count", &segments)?;
    Ok(headwater_tests::content::pictures(&file).await?.len())
}

/// The child processes of a process, oldest first.
fn children(parent: u32) -> Result<Vec<u32>> {
    let output = std::process::Command::new("pgrep").args(["-P", &parent.to_string()]).output()?;
    Ok(String::from_utf8(output.stdout)?.lines().filter_map(|line| line.parse().ok()).collect())
}
