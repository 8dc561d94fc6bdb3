//! The load tools: what they count is what happened, and their exit codes say whether it was good.

use std::path::Path;
use std::process::{Output, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use headwater_tests::http;
use headwater_tests::process::binary;
use headwater_tests::publish::Source;
use headwater_tests::stack::{Plan, Stack};
use headwater_tests::wait;
use serde_json::Value;

/// How long a load tool may take beyond its duration, on a slow machine.
const LIMIT: Duration = Duration::from_secs(60);

/// Two broadcasts must fit on two cores in a debug build.
fn plan() -> Plan {
    Plan::default().set("LADDER_RUNGS", "320x180@300k")
}

async fn bench(arguments: &[&str]) -> Result<Output> {
    let mut command = tokio::process::Command::new(binary("headwater")?);
    let output = command.arg("bench").args(arguments).kill_on_drop(true).output();
    Ok(tokio::time::timeout(LIMIT, output).await.context("the load tool hangs")??)
}

fn summary(output: &Output) -> Result<Value> {
    serde_json::from_slice(&output.stdout).with_context(|| format!("{output:?}"))
}

async fn source(stack: &Stack, seconds: u32) -> Result<String> {
    let source = Source { width: 320, height: 180, seconds, ..Source::default() };
    Ok(source.make(stack.path(), "source").await?.to_string_lossy().into_owned())
}

#[tokio::test]
async fn publishers_are_accepted_and_loop_without_a_break() -> Result<()> {
    let mut stack = plan().start().await?;
    let source = source(&stack, 3).await?;
    let url = stack.publish_url("load");
    let output = ["publish", "-n", "2", "--url", &url, "--source", &source, "--loop", "--duration", "10s"];
    let output = bench(&[&output[..], &["--json"]].concat()).await?;
    let summary = summary(&output)?;
    ensure!(output.status.code() == Some(0), "{summary} {output:?}");
    ensure!(summary["accepted"] == 2 && summary["reconnects"] == 0, "{summary}");
    let count = |name: &str| summary[name].as_u64().with_context(|| format!("no {name} in {summary}"));
    let bytes = count("bytes")?;
    let tags = count("tags")?;
    // 30 pictures and 43 frames of sound a second, each for about ten seconds: neither half as fast nor twice.
    ensure!((800..1_800).contains(&tags), "{summary}");
    let received = metric(&stack.proxy().metrics().await?, "headwater_proxy_received_bytes_total")?;
    // Greetings and goodbyes make a small difference.
    ensure!(received.abs_diff(bytes) * 100 < bytes, "{received} {summary}");
    for stream in ["load-1", "load-2"] {
        let playlist = http::get(&format!("{}/{stream}/180p/index.m3u8", stack.origin(0))).await?;
        let text = playlist.ok(stream)?.text().to_owned();
        ensure!(text.matches("#EXTINF").count() >= 3, "{text}");
        ensure!(!text.contains("#EXT-X-DISCONTINUITY\n"), "the loop broke the timeline: {text}");
    }
    Ok(())
}

fn metric(text: &str, name: &str) -> Result<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    Ok(line.with_context(|| format!("no {name} in {text}"))?.trim().parse::<f64>()? as u64)
}

#[tokio::test]
async fn refusals_are_counted_with_their_reason_and_without_the_key() -> Result<()> {
    let stack = plan()
        .set("INPUTS", "show=right-secret")
        .set("INPUTS_MODE", "keys")
        .set("DIRECTORY_URL", "none")
        .start()
        .await?;
    let source = source(&stack, 1).await?;
    let url = stack.publish_url("wrong-secret");
    let arguments = ["publish", "--url", &url, "--source", &source, "--duration", "20s"];
    let output = bench(&arguments).await?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(output.status.code() == Some(1), "{output:?}");
    ensure!(said.contains("accepted    0 of 1 publishers") && said.contains("refused     1\n"), "{said}");
    ensure!(said.contains("the stream key is not known"), "{said}");
    ensure!(!format!("{output:?}").contains("secret"), "the key was shown: {output:?}");
    Ok(())
}

#[tokio::test]
async fn viewers_follow_a_stream_part_by_part() -> Result<()> {
    let stack = plan().start().await?;
    let source = source(&stack, 3).await?;
    let publish = stack.publish_url("load");
    let watch = format!("{}/load/live.m3u8", stack.origin(0));
    let arguments = ["publish", "--url", &publish, "--source", &source, "--loop", "--duration", "25s"];
    let publisher = tokio::process::Command::new(binary("headwater")?);
    let _publisher = start(publisher, &arguments)?;
    let live = || async { http::get(&watch).await.ok().filter(|answer| answer.status == 200).map(drop) };
    wait::until("the stream to be live", LIMIT, live).await?;
    let arguments = ["view", "-n", "3", "--url", &watch, "--duration", "6s", "--json"];
    let output = bench(&arguments).await?;
    let summary = summary(&output)?;
    ensure!(summary["began"] == 3, "{summary}");
    ensure!(summary["faults"] == 0 && summary["wrong_sequences"] == 0, "{summary}");
    // About eighteen parts of a third of a second of picture and of sound each, besides what was listed at first; one
    // reload a part.
    let requests = |kind: &str| summary["requests"][kind]["200"].as_u64().unwrap_or_default();
    ensure!((72..180).contains(&requests("part")), "{summary}");
    ensure!((60..180).contains(&requests("playlist")), "{summary}");
    ensure!(requests("multivariant") == 3 && requests("init") == 6, "{summary}");
    let latency = summary["latency_ms"]["p50"].as_f64().context("latency")?;
    ensure!(latency > 0.0 && latency < 10_000.0, "{summary}");
    let code = if summary["stalls"] == 0 { 0 } else { 1 };
    ensure!(output.status.code() == Some(code), "{summary}");
    Ok(())
}

fn start(mut command: tokio::process::Command, arguments: &[&str]) -> Result<tokio::process::Child> {
    let quiet = command.arg("bench").args(arguments).stdout(Stdio::null()).stderr(Stdio::null());
    Ok(quiet.kill_on_drop(true).spawn()?)
}

#[tokio::test]
async fn viewers_of_nothing_find_nothing() -> Result<()> {
    let stack = plan().start().await?;
    let url = format!("{}/nobody/live.m3u8", stack.origin(0));
    let output = bench(&["view", "--url", &url, "--duration", "2s", "--json"]).await?;
    let summary = summary(&output)?;
    ensure!(output.status.code() == Some(1) && summary["began"] == 0, "{summary}");
    ensure!(summary["faults"] == 0, "{summary}");
    ensure!(summary["requests"]["multivariant"]["404"].as_u64() >= Some(1), "{summary}");
    Ok(())
}

#[tokio::test]
async fn wrong_use_is_said_at_once() -> Result<()> {
    let missing = bench(&["publish", "--source", "/nowhere.flv"]).await?;
    ensure!(missing.status.code() == Some(2), "{missing:?}");
    ensure!(String::from_utf8_lossy(&missing.stderr).contains("/nowhere.flv can't be read"), "{missing:?}");
    let text = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")).to_string_lossy();
    let no_flv = bench(&["publish", "--source", &text]).await?;
    ensure!(no_flv.status.code() == Some(2), "{no_flv:?}");
    let no_url = bench(&["publish", "--source", &text, "--url", "http://h/a"]).await?;
    ensure!(no_url.status.code() == Some(2), "{no_url:?}");
    Ok(())
}
