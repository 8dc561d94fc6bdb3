//! Pictures of a broadcast while it is live: the right frame, of the right size, made once.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use headwater_tests::broadcasts::tiny;
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
    let numbers = numbers(stack.path(), &format!("{origin}/demo/360p"), &playlist, &segment).await?;

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

/// While the store is away, what has left the live window is with the server only.
#[tokio::test]
async fn what_waits_for_the_store_has_pictures_too() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let [store, away, spool] = ["store", "away", "spool"].map(|name| directory.path().join(name));
    std::fs::create_dir(&store)?;
    let plan = Plan::tiny()
        .set("STORE_URL", &format!("file://{}", store.display()))
        .set("RECORDING_SPOOL", &spool.to_string_lossy())
        .set("HLS_WINDOW_SEGMENTS", "3");
    let stack = plan.start().await?;
    let file = tiny(60).make(stack.path(), "source").await?;
    let _encoder = publish::ffmpeg(stack.path(), &file, &stack.publish_url("demo"))?;
    let demo = format!("{}/demo", stack.origin(0));
    let listed = async |name: &str, count: usize| {
        let url = format!("{demo}/180p/{name}");
        wait::until("segments", Duration::from_secs(50), || async {
            let playlist = http::get(&url).await.ok()?.ok(&url).ok()?.text().to_owned();
            (dated(&playlist)?.len() >= count).then_some(playlist)
        })
        .await
    };
    listed("dvr.m3u8", 2).await?;
    std::fs::rename(&store, &away)?;
    // Where a file is in the way nothing can be made, and a directory has none of what it had.
    std::fs::write(&store, b"")?;
    let stored = dated(&listed("dvr.m3u8", 2).await?).context("dates")?.len();
    // Windows keep what players may still ask for, some 20 s here.
    let history = listed("dvr.m3u8", stored + 18).await?;
    let past = dated(&history).context("dates")?;
    let (date, segment) = &past[stored + 2];
    let is_stored = segments(&away).iter().any(|path| path.ends_with(segment));
    ensure!(!is_stored, "{segment} is in the store");
    let numbers = numbers(stack.path(), &format!("{demo}/180p"), &history, segment).await?;
    let moment = *date + FRAME / 2;
    let url = format!("{demo}/thumbnail.jpg?time={}.{:03}", moment.as_secs(), moment.subsec_millis());
    let got = picture(stack.path(), &url).await?;
    ensure!(got == numbers[0], "the first frame of {segment} is {}, not {got}", numbers[0]);

    let vtt = http::get(&format!("{demo}/storyboard.vtt")).await?;
    let sheet =
        vtt.text().lines().rfind(|line| line.contains(".jpg")).and_then(|line| line.split('#').next());
    let url = format!("{demo}/{}", sheet.context("no sheet")?);
    let max_age = async || {
        let answer = http::get(&url).await?.ok(&url)?;
        anyhow::Ok(answer.header("cache-control").unwrap_or_default().to_owned())
    };
    let cache = max_age().await?;
    ensure!(cache.contains("max-age=5"), "the first tiles can't be had, and the sheet may be kept: {cache}");
    std::fs::remove_file(&store)?;
    std::fs::rename(&away, &store)?;
    let cache = max_age().await?;
    ensure!(cache.contains("max-age=3600"), "the sheet has all its tiles, and is not to be kept: {cache}");
    Ok(())
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

/// All segments below a directory.
fn segments(directory: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(directory) else { return Vec::new() };
    let paths = entries.flatten().map(|entry| entry.path());
    paths.flat_map(|path| if path.is_dir() { segments(&path) } else { vec![path] }).collect()
}

/// When the last whole segment of a playlist was on air, from the Unix epoch on, and its name.
fn newest(playlist: &str) -> Option<(Duration, String)> {
    dated(playlist)?.pop()
}

/// The same of all whole segments.
fn dated(playlist: &str) -> Option<Vec<(Duration, String)>> {
    let mut found = Vec::new();
    let mut date = None;
    let mut duration = Duration::ZERO;
    for line in playlist.lines() {
        if let Some(text) = line.strip_prefix("#EXT-X-PROGRAM-DATE-TIME:") {
            let moment: jiff::Timestamp = text.parse().ok()?;
            date = Some(Duration::from_millis(moment.as_millisecond().try_into().ok()?));
        } else if let Some(text) = line.strip_prefix("#EXTINF:") {
            duration = Duration::from_secs_f64(text.trim_end_matches(',').split(',').next()?.parse().ok()?);
        } else if line.ends_with(".m4s") && !line.starts_with('#') {
            found.push((date?, line.to_owned()));
            date = date.map(|date| date + duration);
        }
    }
    Some(found)
}

/// The numbers of the pictures of a segment of a rendition.
async fn numbers(directory: &Path, rendition: &str, playlist: &str, segment: &str) -> Result<Vec<u32>> {
    let map = playlist.split("#EXT-X-MAP:URI=\"").nth(1).and_then(|rest| rest.split('"').next());
    let mut bytes = Vec::new();
    for name in [map.context("no init segment")?, segment] {
        let url = format!("{rendition}/{name}");
        bytes.extend_from_slice(&http::get(&url).await?.ok(&url)?.body);
    }
    let file = directory.join("segment.mp4");
    std::fs::write(&file, bytes)?;
    Ok(content::pictures(&file).await?.iter().map(|picture| picture.number).collect())
}

/// The number in a JPEG.
async fn picture(directory: &Path, url: &str) -> Result<u32> {
    let answer = http::get(url).await?.ok(url)?;
    let jpeg = directory.join("picture.jpg");
    let raw = directory.join("picture.raw");
    std::fs::write(&jpeg, &answer.body)?;
    let scale = format!("scale={}:{}:flags=area,format=gray", content::WIDTH, content::HEIGHT);
    let from = jpeg.to_string_lossy();
    let to = raw.to_string_lossy();
    process::run("ffmpeg", &["-v", "error", "-y", "-i", &from, "-vf", &scale, "-f", "rawvideo", &to]).await?;
    content::written(&raw)?.first().copied().context("no picture")
}
