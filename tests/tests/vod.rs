//! Tests of stored media as real players read it: going back while it is live, and the recording after.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use headwater_tests::broadcasts::tiny;
use headwater_tests::content::{HEIGHT, WIDTH};
use headwater_tests::http::get;
use headwater_tests::player::segment_number;
use headwater_tests::process::Process;
use headwater_tests::stack::{Plan, Stack};
use headwater_tests::{content, publish, wait};
use serde_json::Value;

const LIVE: Duration = Duration::from_secs(30);
/// The reconnect window is over by then, and the recording finished.
const FINISHED: Duration = Duration::from_secs(30);

struct Vod {
    stack: Stack,
    store: tempfile::TempDir,
}

impl Vod {
    /// Two origins, and a live window that is much shorter than what is sent.
    async fn start() -> Result<Self> {
        let store = tempfile::tempdir()?;
        let plan = Plan::tiny()
            .origins(2)
            .set("STORE_URL", &format!("file://{}", store.path().display()))
            .set("HLS_WINDOW_SEGMENTS", "3")
            .set("SERVER_RECONNECT_WINDOW", "5s");
        Ok(Self { stack: plan.start().await?, store })
    }

    fn url(&self, origin: usize, path: &str) -> String {
        format!("{}/demo/{path}", self.stack.origin(origin))
    }

    /// The file names of the media segments that a playlist lists.
    async fn listed_files(&self, origin: usize, path: &str) -> Result<Vec<String>> {
        let url = self.url(origin, path);
        let answer = get(&url).await?.ok(&url)?;
        Ok(answer.text().lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect())
    }

    /// Their numbers.
    async fn listed(&self, origin: usize, path: &str) -> Result<Vec<u64>> {
        let files = self.listed_files(origin, path).await?;
        files.iter().map(|file| segment_number(file).with_context(|| file.clone())).collect()
    }

    /// The only recording, once it is complete.
    async fn complete(&self, origin: usize) -> Result<Value> {
        wait::until("the recording to be complete", FINISHED, || async {
            let list = get(&self.url(origin, "recordings.json")).await.ok()?;
            let list: Vec<Value> = serde_json::from_slice(&list.body).ok()?;
            list.into_iter().next().filter(|recording| recording["state"] == "complete")
        })
        .await
    }

    /// Frame numbers that GStreamer shows of it, by a demuxer of its own choice.
    async fn gstreamer(&self, origin: usize, path: &str, demuxer: &str) -> Result<Vec<u32>> {
        let url = self.url(origin, path);
        let file = self.stack.path().join(format!("{demuxer}.grey"));
        let pipeline = format!(
            "-q souphttpsrc location={url} ! {demuxer} ! decodebin ! videoconvert ! videoscale add-borders=false ! \
             video/x-raw,format=GRAY8,width={WIDTH},height={HEIGHT} ! filesink location={}",
            file.display()
        );
        let program = Path::new("gst-launch-1.0");
        let mut player =
            Process::start(self.stack.path(), demuxer, program, pipeline.split_whitespace(), &[])?;
        let status = player.wait(FINISHED).await?;
        ensure!(status.success(), "{demuxer}: {status}: {}", player.output());
        content::written(&file)
    }

    /// Frame numbers that ffmpeg shows of it.
    async fn pictures(&self, origin: usize, path: &str) -> Result<Vec<u32>> {
        let url = self.url(origin, path);
        let pictures = content::pictures(Path::new(&url)).await.with_context(|| url.clone())?;
        Ok(pictures.iter().map(|picture| picture.number).collect())
    }
}

#[tokio::test]
async fn a_broadcast_can_be_gone_back_in_and_watched_and_downloaded_afterwards() -> Result<()> {
    let vod = Vod::start().await?;
    let source = tiny(22);
    let file = source.make(vod.stack.path(), "source").await?;
    let publish = |name| {
        let url = vod.stack.publish_url("demo");
        publish::ffmpeg_named(vod.stack.path(), name, &file, &url)
    };
    let mut encoder = publish("one")?;
    // Ten segments: the first ones have left every window, and only the store has them.
    let history = wait::until("a list that goes back", LIVE, || async {
        vod.listed(0, "180p/dvr.m3u8").await.ok().filter(|listed| listed.len() >= 10)
    });
    let history = history.await?;
    ensure!(history.windows(2).all(|pair| pair[1] == pair[0] + 1), "{history:?}");
    let live = vod.listed(0, "180p/index.m3u8").await?;
    ensure!(live[0] > history[0] + 4, "the window is {live:?} of {history:?}");
    for (origin, rendition) in [(0, "180p"), (0, "audio"), (1, "90p")] {
        let listed = vod.listed_files(origin, &format!("{rendition}/dvr.m3u8")).await?;
        let first = &listed[0];
        ensure!(segment_number(first) == Some(history[0]), "origin {origin} begins {rendition} with {first}");
        let url = vod.url(origin, &format!("{rendition}/{first}"));
        ensure!(get(&url).await?.ok(&url)?.body.get(4..8) == Some(b"moof"), "{url} is no segment");
    }
    ensure!(encoder.wait(LIVE).await?.success(), "{}", encoder.output());
    // It comes back: a second period with a clock of its own.
    let mut encoder = publish("two")?;
    ensure!(encoder.wait(LIVE).await?.success(), "{}", encoder.output());

    let recording = vod.complete(1).await?;
    let sent: Vec<u32> = (0..source.frames() as u32).collect();
    let twice = [sent.clone(), sent].concat();
    let id = recording["broadcast"].as_str().context("an id")?;
    let mp4 = recording["mp4"].as_str().context("a path")?;
    let small = format!("{mp4}?rendition=90p");
    // ffmpeg 5.1 shows a playlist's second period without its first segment; that the objects hold it is shown elsewhere.
    for path in [mp4, &small] {
        let shown = vod.pictures(1, path).await?;
        ensure!(shown == twice, "{path} shows {shown:?}");
    }
    for (kind, demuxer) in [("playlist", "hlsdemux"), ("mp4", "qtdemux")] {
        let shown = vod.gstreamer(0, recording[kind].as_str().context("a path")?, demuxer).await?;
        ensure!(shown == twice, "{demuxer} shows {shown:?}");
    }
    let playlist = vod.url(0, &format!("{id}/180p/index.m3u8"));
    let text = get(&playlist).await?.ok(&playlist)?;
    ensure!(
        text.text().contains("#EXT-X-ENDLIST") && text.text().matches("#EXT-X-DISCONTINUITY\n").count() == 1,
        "{}",
        text.text()
    );
    one_storyboard(&vod, id).await
}

/// Checks that origins read a storyboard that another one has made: the second one could not make it any more.
async fn one_storyboard(vod: &Vod, id: &str) -> Result<()> {
    let sheet = format!("{id}/storyboard/0.jpg");
    let first = get(&vod.url(0, &sheet)).await?.ok(&sheet)?;
    let recording = vod.store.path().join("demo").join(id);
    for rendition in ["180p", "90p"] {
        std::fs::remove_dir_all(recording.join(rendition))?;
    }
    let second = get(&vod.url(1, &sheet)).await?.ok(&sheet)?;
    ensure!(first.body == second.body && first.header("etag") == second.header("etag"), "two sheets differ");
    let metrics = get(&vod.stack.origins[1].operations("metrics")).await?;
    ensure!(
        !metrics
            .text()
            .lines()
            .any(|line| { line.starts_with("headwater_origin_stills_total") && !line.ends_with(" 0") }),
        "the second origin has made a picture: {}",
        metrics.text()
    );
    Ok(())
}
