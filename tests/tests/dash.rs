//! ffmpeg's DASH demuxer watches while a server dies, and shows every picture once, in order. It plays one period, and never
//! learns that a broadcast has ended: it is killed when it has shown all but what its decoder holds back for an end.
//!
//! tests/browser has dash.js, which knows low latency and periods.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use headwater_tests::broadcasts;
use headwater_tests::content::{self, HEIGHT, WIDTH};
use headwater_tests::player::Player;
use headwater_tests::process::Process;
use headwater_tests::publish;
use headwater_tests::stack::Plan;
use headwater_tests::wait;

const LIVE: Duration = Duration::from_secs(20);
const SECONDS: u32 = 14;
/// Pictures that the decoder holds back.
const HELD_BACK: u32 = 3;

#[tokio::test]
async fn a_killed_server_is_not_seen_in_dash() -> Result<()> {
    let mut stack = Plan::tiny().servers(2).start().await?;
    let source = broadcasts::tiny(SECONDS);
    let file = source.make(stack.path(), "source").await?;
    let mut encoder = publish::ffmpeg(stack.path(), &file, &stack.publish_url("demo"))?;
    let origin = stack.origin(0);
    Player::new(&origin, "demo").wait_segments("180p", 2, LIVE).await?;
    let pictures = stack.path().join("pictures.grey");
    let mut viewer = watch(stack.path(), &format!("{origin}/demo/live.mpd"), &pictures)?;
    wait::until("a picture", LIVE, || async { last(&pictures) }).await?;
    let owner = broadcasts::owner(stack.registry()?.as_ref(), "demo", LIVE).await?;
    stack.take_server(&owner.address)?.process.kill().await?;
    ensure!(encoder.wait(LIVE).await?.success(), "the encoder noticed: {}", encoder.output());
    let end = source.frames() as u32 - 1;
    let nearly_all = || async { last(&pictures).filter(|last| *last >= end - HELD_BACK) };
    let shown = wait::until("the last pictures", LIVE, nearly_all).await;
    viewer.kill().await?;
    shown.with_context(|| format!("{:?} {}", last(&pictures), said(&viewer)))?;
    let numbers = content::written(&pictures)?;
    let (first, last) = numbers.first().zip(numbers.last()).context("it has shown nothing")?;
    ensure!(numbers == (*first..=*last).collect::<Vec<_>>(), "it has shown {numbers:?}");
    let metrics = stack.proxy().metrics().await?;
    ensure!(metrics.contains("headwater_proxy_failovers_total 1\n"), "{metrics}");
    Ok(())
}

/// A player that writes the pictures that it shows to a file.
fn watch(directory: &Path, url: &str, pictures: &Path) -> Result<Process> {
    let scale = format!("scale={WIDTH}:{HEIGHT}:flags=area,format=gray");
    let chosen = ["-map", "0:v:0", "-fps_mode", "passthrough", "-vf", &scale, "-f", "rawvideo"];
    let file = pictures.to_string_lossy();
    // With more threads the decoder holds more pictures back.
    let arguments = ["-v", "warning", "-nostdin", "-threads", "1", "-i", url].into_iter().chain(chosen);
    let arguments = arguments.chain(["-flush_packets", "1", file.as_ref()]).map(String::from);
    Process::start(directory, "viewer", Path::new("ffmpeg"), arguments, &[])
}

/// The number of the last picture that was written.
fn last(pictures: &Path) -> Option<u32> {
    content::written(pictures).ok()?.last().copied()
}

/// The beginning of what it said; after the end of a broadcast it repeats itself.
fn said(viewer: &Process) -> String {
    viewer.output().chars().take(2_000).collect()
}
