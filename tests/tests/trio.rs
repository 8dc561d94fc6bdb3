//! The services apart from each other: published by real encoders, watched on two origins, and what was shown is
//! counted and compared.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use headwater_tests::broadcasts;
use headwater_tests::content;
use headwater_tests::player::{Player, Shown};
use headwater_tests::publish::{self, Source};
use headwater_tests::stack::Plan;

/// Sound and picture may be this far apart, in seconds.
const LIP_SYNC: f64 = 0.040;

#[tokio::test]
async fn ffmpeg_is_shown_on_two_origins_frame_by_frame() -> Result<()> {
    let stack = Plan::default().servers(2).origins(2).start().await?;
    let source = Source::default();
    let file = source.make(stack.path(), "source").await?;
    let first = Player::new(&stack.origin(0), "demo");
    let second = Player::new(&stack.origin(1), "demo");
    let encoder = publish::ffmpeg(stack.path(), &file, &stack.publish_url("demo"))?;
    let (first, second) = tokio::try_join!(first.watch(), second.watch())?;
    drop(encoder);
    check(stack.path(), &source, &first, &["360p", "270p", "180p"]).await?;
    broadcasts::same_bytes(&first, &second)
}

#[tokio::test]
async fn rtmp2sink_is_shown_frame_by_frame() -> Result<()> {
    let stack = Plan::default().start().await?;
    let source = Source { b_frames: 0, seconds: 6, ..Source::default() };
    let file = source.make(stack.path(), "source").await?;
    let encoder = publish::gstreamer(stack.path(), &file, &stack.publish_url("demo"))?;
    let shown = Player::new(&stack.origin(0), "demo").watch().await?;
    drop(encoder);
    check(stack.path(), &source, &shown, &["360p", "270p", "180p"]).await
}

/// Everything that the source held was shown, once, in order, in every rendition, and sound and picture agree.
async fn check(directory: &Path, source: &Source, shown: &Shown, renditions: &[&str]) -> Result<()> {
    let names: Vec<_> = shown.renditions.keys().map(String::as_str).collect();
    for name in renditions.iter().chain(&["audio"]) {
        ensure!(names.contains(name), "{name} is not among {names:?}");
    }
    let audio = &shown.renditions["audio"];
    let sound = content::write(directory, "audio", &audio.segments.values().collect::<Vec<_>>())?;
    let beeps = content::beeps(&sound).await?;
    for name in renditions {
        let rendition = &shown.renditions[*name];
        ensure!(rendition.segments.keys().eq(audio.segments.keys()), "{name} and audio have other numbers");
        let file = content::write(directory, name, &rendition.segments.values().collect::<Vec<_>>())?;
        let pictures = content::pictures(&file).await.with_context(|| format!("rendition {name}"))?;
        let numbers: Vec<_> = pictures.iter().map(|picture| picture.number).collect();
        let sent: Vec<_> = (0..source.frames() as u32).collect();
        ensure!(numbers == sent, "{name} shows {numbers:?}");
        in_sync(&pictures, &beeps).with_context(|| format!("rendition {name}"))?;
    }
    aligned(shown, renditions)
}

fn in_sync(pictures: &[content::Picture], beeps: &[f64]) -> Result<()> {
    let flashes = content::flashes(pictures);
    ensure!(flashes.len() >= 3, "too few flashes: {flashes:?}");
    let offsets = content::offsets(&flashes, beeps);
    ensure!(offsets.iter().all(|offset| offset.abs() < LIP_SYNC), "sound is off by {offsets:?}");
    Ok(())
}

/// All renditions cut their segments at the same media times.
fn aligned(shown: &Shown, renditions: &[&str]) -> Result<()> {
    let cuts = |name: &str| shown.renditions[name].segments.values().map(|s| s.duration).collect::<Vec<_>>();
    let first = cuts(renditions[0]);
    for name in renditions {
        ensure!(cuts(name) == first, "{name} is cut at {:?}, {} at {first:?}", cuts(name), renditions[0]);
    }
    let sound = cuts("audio");
    for (number, (video, audio)) in first.iter().zip(&sound).enumerate() {
        let last = number + 1 == first.len();
        ensure!(last || (video - audio).abs() < 0.045, "segment {number}: video {video}, audio {audio}");
    }
    Ok(())
}

#[tokio::test]
async fn the_multivariant_playlist_tells_the_truth() -> Result<()> {
    let stack = Plan::default().start().await?;
    let source = Source { seconds: 8, ..Source::default() };
    let file = source.make(stack.path(), "source").await?;
    let _encoder = publish::ffmpeg(stack.path(), &file, &stack.publish_url("demo"))?;
    let shown = Player::new(&stack.origin(0), "demo").watch().await?;
    let audio_peak = peak(&shown, "audio");
    for variant in &shown.multivariant.variants {
        let (name, _) = variant.uri.split_once('/').context("a rendition")?;
        let attribute =
            |key: &str| variant.attributes.get(key).with_context(|| format!("{name} has no {key}"));
        let bandwidth: f64 = attribute("BANDWIDTH")?.parse()?;
        let average: f64 = attribute("AVERAGE-BANDWIDTH")?.parse()?;
        ensure!(
            bandwidth >= peak(&shown, name) + audio_peak - 1.0,
            "{name}: BANDWIDTH {bandwidth} is below a segment"
        );
        ensure!(average <= bandwidth && average > 0.0, "{name}: AVERAGE-BANDWIDTH {average} of {bandwidth}");
        let height: u32 = name.trim_end_matches('p').parse()?;
        ensure!(attribute("RESOLUTION")?.ends_with(&format!("x{height}")), "{:?}", variant.attributes);
        ensure!(attribute("FRAME-RATE")?.parse::<f64>()? == 30.0, "{:?}", variant.attributes);
        let codecs = attribute("CODECS")?;
        ensure!(codecs == &real_codecs(stack.path(), &shown, name).await?, "{name}: CODECS={codecs}");
    }
    Ok(())
}

/// Bits a second of the largest segment.
fn peak(shown: &Shown, name: &str) -> f64 {
    let segments = shown.renditions[name].segments.values();
    // The last segment may be so short that its rate says nothing (RFC 8216bis §4.4.6.2 leaves it out too).
    let whole = segments.filter(|segment| segment.duration > 1.0);
    whole.map(|segment| segment.bytes.len() as f64 * 8.0 / segment.duration).fold(0.0, f64::max)
}

/// The RFC 6381 names of what a rendition really holds, by its sequence parameter set.
async fn real_codecs(directory: &Path, shown: &Shown, name: &str) -> Result<String> {
    let segments: Vec<_> = shown.renditions[name].segments.values().collect();
    let file = content::write(directory, &format!("codecs-{name}"), &segments)?;
    let entries = "stream=profile,level";
    let arguments = ["-v", "error", "-show_entries", entries, "-of", "csv=p=0", &file.to_string_lossy()];
    let text = String::from_utf8(headwater_tests::process::run("ffprobe", &arguments).await?)?;
    let (profile, level) = text.trim().split_once(',').context("a profile and a level")?;
    let (idc, constraints) = match profile {
        "High" => (100, 0),
        "Main" => (77, 0x40),
        "Constrained Baseline" => (66, 0xc0),
        other => anyhow::bail!("unexpected profile {other}"),
    };
    Ok(format!("avc1.{idc:02x}{constraints:02x}{:02x},mp4a.40.2", level.parse::<u8>()?))
}

#[tokio::test]
async fn a_viewer_who_comes_first_sees_the_stream_start() -> Result<()> {
    let stack = Plan::default().start().await?;
    let url = format!("{}/demo/live.m3u8", stack.origin(0));
    let early = headwater_tests::http::get(&url).await?;
    ensure!(early.status == 404, "{}", early.status);
    ensure!(early.header("content-type") == Some("application/problem+json"), "{:?}", early.headers);
    ensure!(early.header("access-control-allow-origin") == Some("*"), "{:?}", early.headers);
    let source = Source { seconds: 4, ..Source::default() };
    let file = source.make(stack.path(), "source").await?;
    let _encoder = publish::ffmpeg(stack.path(), &file, &stack.publish_url("demo"))?;
    Player::new(&stack.origin(0), "demo").wait_live(Duration::from_secs(10)).await?;
    Ok(())
}
