//! Live inputs of the control API, and what their settings do to broadcasts.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use headwater_tests::broadcasts::tiny;
use headwater_tests::inputs::LiveInputs;
use headwater_tests::player::Player;
use headwater_tests::publish;
use headwater_tests::recorded::Recorded;
use headwater_tests::stack::{Plan, Stack};
use headwater_tests::wait;
use serde_json::{Value, json};
use tokio::time::Instant;

/// Time for an encoder to leave, or for a recording to be finished.
const SOON: Duration = Duration::from_secs(30);
/// Length of the broadcasts, in seconds.
const SECONDS: u32 = 8;

/// Services with a store and a directory, whose own settings would record everything and wait for ten minutes.
async fn start(folder: &Path) -> Result<(Stack, LiveInputs)> {
    let (plan, inputs) = LiveInputs::plan(Plan::tiny(), &folder.join("directory"))?;
    let plan = plan
        .set("STORE_URL", &format!("file://{}", folder.join("store").display()))
        .set("RECORDING_SPOOL", &folder.join("spool").to_string_lossy())
        .set("SERVER_RECONNECT_WINDOW", "10m");
    Ok((plan.start().await?, inputs))
}

/// Files of the store whose paths name this stream.
fn stored(store: &Path, stream: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![store.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            match entry.path() {
                path if path.is_dir() => folders.push(path),
                path => found.push(path.to_string_lossy().into_owned()),
            }
        }
    }
    found.retain(|path| path.contains(stream));
    found
}

#[tokio::test]
async fn a_live_input_has_its_own_ladder_and_reconnect_window_and_is_not_stored() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (stack, inputs) = start(folder.path()).await?;
    let settings = json!({
        "recording": {"mode": "off", "timeoutSeconds": 5}, "dvrWindow": 0, "ladder": ["160x90@150k"],
    });
    let input = inputs.create(&settings).await?;
    let file = tiny(SECONDS).make(stack.path(), "source").await?;
    let mut encoder = publish::ffmpeg(stack.path(), &file, &stack.publish_url(&input.stream_key))?;
    let player = Player::new(&stack.origin(0), &input.uid);
    player.wait_live(SOON).await?;
    // A change counts for the next broadcast.
    inputs.patch(&input.uid, &json!({"recording": {"mode": "automatic", "timeoutSeconds": 0}})).await?;
    let left = async {
        encoder.wait(SOON).await?;
        anyhow::Ok(Instant::now())
    };
    let (shown, left) = tokio::join!(player.watch(), left);
    let waited = left?.elapsed();
    let renditions: Vec<_> = shown?.renditions.into_keys().collect();
    ensure!(renditions == ["90p", "audio"], "{renditions:?}");
    ensure!(waited > Duration::from_secs(4) && waited < Duration::from_secs(20), "it ended after {waited:?}");
    let stored = stored(&folder.path().join("store"), &input.uid);
    ensure!(stored.is_empty(), "{stored:?}");
    Ok(())
}

#[tokio::test]
async fn the_recording_of_a_live_input_is_marked_for_the_day_on_which_it_is_deleted() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (stack, inputs) = start(folder.path()).await?;
    let settings = json!({"recording": {"timeoutSeconds": 1}, "deleteRecordingAfterDays": 2});
    let input = inputs.create(&settings).await?;
    let file = tiny(SECONDS).make(stack.path(), "source").await?;
    let _encoder = publish::ffmpeg(stack.path(), &file, &stack.publish_url(&input.stream_key))?;
    let store = folder.path().join("store");
    Player::new(&stack.origin(0), &input.uid).watch().await?;
    let recorded = wait::until("the recording to be finished", SOON, || async {
        Recorded::finished(&store, &input.uid).ok().flatten()
    })
    .await?;
    ensure!(recorded.renditions.keys().map(String::as_str).eq(["180p", "90p", "audio"]));
    let paths = stored(&store, &input.uid);
    let summary = paths.iter().find(|path| path.ends_with("recording.json")).context("a summary")?;
    let summary: Value = serde_json::from_slice(&std::fs::read(summary)?)?;
    let days = |count: u64| count * 86_400_000;
    ensure!(summary["retention_ms"] == days(2), "{summary}");
    let number = |name: &str| summary[name].as_u64().context("a number");
    let due = number("start_unix_ms")? + number("duration_ms")? + days(2);
    let mark = format!(".expiry/{due:015}/{}", input.uid);
    ensure!(paths.iter().any(|path| path.contains(&mark)), "{mark} is not among {paths:?}");
    Ok(())
}
