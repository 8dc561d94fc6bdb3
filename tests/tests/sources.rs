//! Publishers as they really are: without sound, without a picture, upright, odd, coming back as something else.

use anyhow::{Context, Result, ensure};
use headwater_tests::content;
use headwater_tests::player::{Player, Shown};
use headwater_tests::publish::{self, Source};
use headwater_tests::stack::{Plan, Stack};

async fn show(stack: &Stack, source: &Source) -> Result<Shown> {
    let file = source.make(stack.path(), "source").await?;
    let _encoder = publish::ffmpeg(stack.path(), &file, &stack.publish_url("demo"))?;
    Player::new(&stack.origin(0), "demo").watch().await
}

async fn numbers(stack: &Stack, shown: &Shown, rendition: &str) -> Result<Vec<u32>> {
    let rendition = shown.renditions.get(rendition).with_context(|| format!("no rendition {rendition}"))?;
    let mut numbers = Vec::new();
    for (index, timeline) in content::timelines(rendition).iter().enumerate() {
        let file = content::write(stack.path(), &format!("timeline-{index}"), timeline)?;
        numbers.extend(content::pictures(&file).await?.iter().map(|picture| picture.number));
    }
    Ok(numbers)
}

fn counted(source: &Source) -> Vec<u32> {
    (0..source.frames() as u32).collect()
}

#[tokio::test]
async fn a_source_without_sound() -> Result<()> {
    let stack = Plan::default().start().await?;
    let source = Source { audio: false, seconds: 5, ..Source::default() };
    let shown = show(&stack, &source).await?;
    ensure!(!shown.renditions.contains_key("audio"));
    ensure!(numbers(&stack, &shown, "360p").await? == counted(&source));
    let codecs = &shown.multivariant.variants[0].attributes["CODECS"];
    ensure!(!codecs.contains("mp4a"), "{codecs}");
    Ok(())
}

#[tokio::test]
async fn a_source_without_a_picture() -> Result<()> {
    let stack = Plan::default().start().await?;
    let source = Source { video: false, seconds: 6, ..Source::default() };
    let shown = show(&stack, &source).await?;
    ensure!(shown.renditions.keys().eq(["audio"]), "{:?}", shown.renditions.keys());
    let segments: Vec<_> = shown.renditions["audio"].segments.values().collect();
    let beeps = content::beeps(&content::write(stack.path(), "sound", &segments)?).await?;
    let steps: Vec<_> = beeps.windows(2).map(|pair| pair[1] - pair[0]).collect();
    ensure!(steps.len() >= 4 && steps.iter().all(|step| (step - 1.0).abs() < 0.01), "beeps at {beeps:?}");
    Ok(())
}

#[tokio::test]
async fn an_upright_picture_stays_upright() -> Result<()> {
    let stack = Plan::default().start().await?;
    let source = Source { width: 360, height: 640, seconds: 4, ..Source::default() };
    let shown = show(&stack, &source).await?;
    let sizes: Vec<_> =
        shown.multivariant.variants.iter().map(|v| v.attributes["RESOLUTION"].as_str()).collect();
    ensure!(sizes == ["360x640", "270x480", "180x320"], "{sizes:?}");
    ensure!(numbers(&stack, &shown, "360p").await? == counted(&source));
    Ok(())
}

#[tokio::test]
async fn odd_sizes_and_full_chroma() -> Result<()> {
    let stack = Plan::default().start().await?;
    let source = Source { width: 853, height: 479, pixel_format: "yuv444p", seconds: 4, ..Source::default() };
    let shown = show(&stack, &source).await?;
    for variant in &shown.multivariant.variants {
        let size = &variant.attributes["RESOLUTION"];
        let (width, height) = size.split_once('x').context("a size")?;
        ensure!(width.parse::<u32>()? % 2 == 0 && height.parse::<u32>()? % 2 == 0, "{size}");
        let name = variant.uri.split('/').next().context("a name")?;
        ensure!(numbers(&stack, &shown, name).await? == counted(&source), "{name}");
    }
    Ok(())
}

/// A publisher that comes back with another picture size: one broadcast, two periods, a discontinuity between them.
#[tokio::test]
async fn a_publisher_that_comes_back_is_a_new_period() -> Result<()> {
    let stack =
        Plan::default().set("SERVER_RECONNECT_WINDOW", "4s").set("HLS_WINDOW_SEGMENTS", "30").start().await?;
    let first = Source { seconds: 5, ..Source::default() };
    let second = Source { width: 480, height: 270, seconds: 5, ..Source::default() };
    let files = (first.make(stack.path(), "first").await?, second.make(stack.path(), "second").await?);
    let player = Player::new(&stack.origin(0), "demo");
    let publish = async {
        for file in [&files.0, &files.1] {
            let mut encoder = publish::ffmpeg(stack.path(), file, &stack.publish_url("demo"))?;
            encoder.wait(std::time::Duration::from_secs(30)).await?;
        }
        anyhow::Ok(())
    };
    let (shown, ()) = tokio::try_join!(player.watch(), publish)?;
    let rendition = &shown.renditions["180p"];
    let breaks: Vec<_> = rendition.segments.values().map(|segment| segment.discontinuity).collect();
    ensure!(breaks.iter().filter(|is| **is).count() == 1, "{breaks:?}");
    let expected: Vec<_> = counted(&first).into_iter().chain(counted(&second)).collect();
    let shown = numbers(&stack, &shown, "180p").await?;
    ensure!(shown == expected, "{shown:?}");
    Ok(())
}
