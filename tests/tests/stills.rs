//! Pictures of a broadcast while it is live: the right frame, of the right size, made once.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use headwater_tests::publish::{self, Source};
use headwater_tests::stack::Plan;
use headwater_tests::{content, http, process, wait};

const FRAME: Duration = Duration::from_nanos(1_000_000_000 / 30);

#[tokio::test]
async fn thumbnails_show_the_frame_of_the_moment() -> Result<()> {
    let stack = Plan::default().set("LADDER_RUNGS", "640x360@800k,320x180@300k").start().await?;
    let source = Source { seconds: 40, ..Source::default() };
    let file = source.make(stack.path(), "source").await?;
    let origin = stack.origin(0);
    let missing = http::get(&format!("{origin}/demo/thumbnail.jpg")).await?;
    ensure!(missing.status == 404 && missing.text().contains("not-live"), "{}", missing.text());
    let _encoder = publish::ffmpeg(stack.path(), &file, &stack.publish_url("demo"))?;

    let url = format!("{origin}/demo/360p/index.m3u8");
    let playlist = wait::until("three whole segments", Duration::from_secs(40), || async {
        let playlist = http::get(&url).await.ok()?.ok(&url).ok()?.text().to_owned();
        (playlist.matches("#EXTINF").count() >= 3).then_some(playlist)
    })
    .await?;
    let (date, segment) = newest(&playlist).context("no dated segment")?;
    let numbers = numbers(stack.path(), &origin, &playlist, &segment).await?;

    for nth in [0, 1, 15, numbers.len() - 1] {
        let moment = date + FRAME * nth as u32 + FRAME / 2;
        let seconds = format!("{}.{:03}", moment.as_secs(), moment.subsec_millis());
        let got = picture(stack.path(), &format!("{origin}/demo/thumbnail.jpg?time={seconds}")).await?;
        ensure!(got == numbers[nth], "frame {nth} of {segment} is {}, not {got}", numbers[nth]);
    }
    sizes(&origin).await?;
    let newest = picture(stack.path(), &format!("{origin}/demo/thumbnail.jpg")).await?;
    ensure!(newest >= numbers[0], "the newest picture is {newest}, older than {}", numbers[0]);
    let ago = picture(stack.path(), &format!("{origin}/demo/thumbnail.jpg?time=-2")).await?;
    ensure!(ago.abs_diff(newest) <= 120, "two seconds before {newest} is {ago}");
    problems(&origin).await?;
    made_once(&stack.origins[0].operations("metrics"), &origin).await
}

async fn sizes(origin: &str) -> Result<()> {
    for (height, lines) in [("16", 90), ("181", 360), ("720", 360)] {
        let url = format!("{origin}/demo/thumbnail.jpg?time=-1&height={height}");
        let answer = http::get(&url).await?.ok(&url)?;
        ensure!(answer.header("content-type") == Some("image/jpeg"), "{:?}", answer.headers);
        ensure!(frame_lines(&answer.body) == Some(lines), "{height}: {:?}", frame_lines(&answer.body));
        let tag = answer.header("etag").context("no ETag")?;
        ensure!(answer.header("cache-control").is_some_and(|cache| cache.contains("max-age=")));
        let held = http::send("GET", &url, &[("if-none-match", tag)]).await?;
        ensure!(held.status == 304 || held.status == 200, "{}", held.status);
    }
    Ok(())
}

/// A JPEG's height, from its frame header (ITU-T T.81 §B.2.2).
fn frame_lines(jpeg: &[u8]) -> Option<u16> {
    let header = jpeg.windows(2).position(|marker| marker == [0xFF, 0xC0])?;
    Some(u16::from_be_bytes(*jpeg.get(header + 5..)?.first_chunk()?))
}

async fn problems(origin: &str) -> Result<()> {
    for (query, status, name) in [
        ("height=10000", 400, "query"),
        ("time=yesterday", 400, "query"),
        ("time=1000000000", 404, "no-picture"),
        ("time=9999999999", 404, "no-picture"),
    ] {
        let answer = http::get(&format!("{origin}/demo/thumbnail.jpg?{query}")).await?;
        let is_right = answer.status.as_u16() == status && answer.text().contains(name);
        ensure!(is_right, "{query}: {} {}", answer.status, answer.text());
    }
    Ok(())
}

/// A crowd that asks for one moment has it decoded once. Nothing else asks for this height.
async fn made_once(metrics: &str, origin: &str) -> Result<()> {
    let made = async || {
        let text = http::get(metrics).await?.text().to_owned();
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix("headwater_origin_stills_total{result=\"made\"} "));
        anyhow::Ok(line.context("no metric")?.parse::<u64>()?)
    };
    let before = made().await?;
    let answer = http::get(&format!("{origin}/demo/360p/index.m3u8")).await?;
    let (date, _) = newest(answer.text()).context("no dated segment")?;
    let url = format!("{origin}/demo/thumbnail.jpg?height=540&time={}", date.as_secs_f64());
    let answers = futures::future::join_all((0..20).map(|_| http::get(&url))).await;
    for answer in answers {
        answer?.ok(&url)?;
    }
    let after = made().await?;
    ensure!(after == before + 1, "{before} were made, and then {after}, for {url}");
    Ok(())
}

/// When the last whole segment of a playlist was on air, from the Unix epoch on, and its name.
fn newest(playlist: &str) -> Option<(Duration, String)> {
    let mut found = None;
    let mut date = None;
    let mut duration = Duration::ZERO;
    for line in playlist.lines() {
        if let Some(text) = line.strip_prefix("#EXT-X-PROGRAM-DATE-TIME:") {
            let moment: jiff::Timestamp = text.parse().ok()?;
            date = Some(Duration::from_millis(moment.as_millisecond().try_into().ok()?));
        } else if let Some(text) = line.strip_prefix("#EXTINF:") {
            duration = Duration::from_secs_f64(text.trim_end_matches(',').split(',').next()?.parse().ok()?);
        } else if line.ends_with(".m4s") && !line.starts_with('#') {
            found = Some((date?, line.to_owned()));
            date = date.map(|date| date + duration);
        }
    }
    found
}

/// The numbers of the pictures of a segment.
async fn numbers(directory: &Path, origin: &str, playlist: &str, segment: &str) -> Result<Vec<u32>> {
    let map = playlist.split("#EXT-X-MAP:URI=\"").nth(1).and_then(|rest| rest.split('"').next());
    let mut bytes = Vec::new();
    for name in [map.context("no init segment")?, segment] {
        let url = format!("{origin}/demo/360p/{name}");
        bytes.extend_from_slice(&http::get(&url).await?.ok(&url)?.body);
    }
    let file = directory.join("segment.mp4");
    std::fs::write(&file, bytes)?;
    Ok(content::pictures(&file).await?.iter().map(|picture| picture.number).collect())
}

/// The number in a JPEG.
async fn picture(directory: &Path, url: &str) -> Result<u32> {
    let answer = http::get(url).await?.ok(url)?;
    let (jpeg, raw) = (directory.join("picture.jpg"), directory.join("picture.raw"));
    std::fs::write(&jpeg, &answer.body)?;
    let scale = format!("scale={}:{}:flags=area,format=gray", content::WIDTH, content::HEIGHT);
    let (from, to) = (jpeg.to_string_lossy(), raw.to_string_lossy());
    process::run("ffmpeg", &["-v", "error", "-y", "-i", &from, "-vf", &scale, "-f", "rawvideo", &to]).await?;
    content::written(&raw)?.first().copied().context("no picture")
}
