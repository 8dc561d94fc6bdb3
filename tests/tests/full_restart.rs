//! A full restart: `headwater up` is killed with all that it has in its memory, and the store knows where its broadcast goes on.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use headwater_tests::broadcasts::{TINY_RENDITIONS, tiny};
use headwater_tests::player::segment_number;
use headwater_tests::process::{Process, binary};
use headwater_tests::recorded::Recorded;
use headwater_tests::stack::free_port;
use headwater_tests::{http, publish, wait};
use tempfile::TempDir;

const LIVE: Duration = Duration::from_secs(30);
/// Time by which the reconnect window is over, and the recording is finished.
const FINISHED: Duration = Duration::from_secs(60);

/// A process with all services, and the directory that outlives it.
struct Alone {
    directory: TempDir,
    environment: Vec<(String, String)>,
    rtmp: u16,
    http: u16,
    metrics: u16,
}

impl Alone {
    fn new() -> Result<Self> {
        let directory = tempfile::tempdir()?;
        let [rtmp, http, metrics] = [free_port()?, free_port()?, free_port()?];
        let below = |name: &str| directory.path().join(name).display().to_string();
        let environment = [
            ("PROXY_RTMP_LISTEN", format!("127.0.0.1:{rtmp}")),
            ("ORIGIN_HTTP_LISTEN", format!("127.0.0.1:{http}")),
            ("SERVER_GRPC_LISTEN", format!("127.0.0.1:{}", free_port()?)),
            ("UP_METRICS_LISTEN", format!("127.0.0.1:{metrics}")),
            ("STORE_URL", format!("file://{}", below("objects"))),
            ("RECORDING_SPOOL", below("spool")),
            ("LADDER_RUNGS", "320x180@300k,160x90@150k".into()),
            ("LADDER_PRESET", "ultrafast".into()),
            ("SERVER_RECONNECT_WINDOW", "15s".into()),
        ];
        let environment = environment.map(|(name, value)| (format!("HEADWATER_{name}"), value)).into();
        Ok(Self { directory, environment, rtmp, http, metrics })
    }

    async fn start(&self, name: &str) -> Result<Process> {
        let program = binary("headwater")?;
        let process = Process::start(self.directory.path(), name, &program, ["up"], &self.environment)?;
        let url = format!("http://127.0.0.1:{}/readyz", self.metrics);
        wait::until("the process to be ready", LIVE, || async {
            http::get(&url).await.ok().filter(|answer| answer.status == 200)
        })
        .await
        .with_context(|| process.output())?;
        Ok(process)
    }

    async fn publish(&self, name: &str, seconds: u32) -> Result<Process> {
        let file = tiny(seconds).make(self.directory.path(), name).await?;
        let url = format!("rtmp://127.0.0.1:{}/live/demo", self.rtmp);
        publish::ffmpeg_named(self.directory.path(), name, &file, &url)
    }

    /// A live playlist that lists a whole segment at least.
    async fn playlist(&self) -> Result<Playlist> {
        let url = format!("http://127.0.0.1:{}/demo/90p/index.m3u8", self.http);
        wait::until("a segment", LIVE, || async {
            let answer = http::get(&url).await.ok().filter(|answer| answer.status == 200)?;
            Some(Playlist::read(answer.text())).filter(|playlist| !playlist.segments.is_empty())
        })
        .await
    }
}

/// The segments of a media playlist that are there: their discontinuity sequences and numbers.
#[derive(Debug)]
struct Playlist {
    segments: Vec<(u64, u64)>,
}

impl Playlist {
    fn read(text: &str) -> Self {
        let mut discontinuity = 0;
        let mut is_gap = false;
        let mut segments = Vec::new();
        for line in text.lines() {
            if let Some(first) = line.strip_prefix("#EXT-X-DISCONTINUITY-SEQUENCE:") {
                discontinuity = first.parse().unwrap_or_default();
            } else if line == "#EXT-X-DISCONTINUITY" {
                discontinuity += 1;
            } else if line == "#EXT-X-GAP" {
                is_gap = true;
            } else if let Some(number) = segment_number(line).filter(|_| !line.starts_with('#')) {
                segments.extend((!is_gap).then_some((discontinuity, number)));
                is_gap = false;
            }
        }
        Self { segments }
    }
}

#[tokio::test]
async fn a_broadcast_goes_on_when_all_of_it_was_killed_and_started_again() -> Result<()> {
    let alone = Alone::new()?;
    let mut up = alone.start("first").await?;
    let mut first = alone.publish("one", 20).await?;
    let before = wait::until("three segments", LIVE, || async {
        alone.playlist().await.ok().filter(|playlist| playlist.segments.len() >= 3)
    })
    .await?;
    up.kill().await?;
    first.kill().await?;
    let up = alone.start("second").await?;
    let mut second = alone.publish("two", 7).await?;
    let after = alone.playlist().await.with_context(|| up.output())?;
    ensure!(before.segments.iter().all(|(discontinuity, _)| *discontinuity == 0), "{before:?}");
    ensure!(after.segments.iter().all(|(discontinuity, _)| *discontinuity == 1), "{after:?}");
    let last = before.segments.last().context("segments")?.1;
    let next = after.segments[0].1;
    ensure!((last + 1..last + 15).contains(&next), "{next} comes after {last}");
    ensure!(second.wait(LIVE).await?.success(), "{}", second.output());
    let objects = alone.directory.path().join("objects");
    let recorded = wait::until("the recording to be finished", FINISHED, || async {
        Recorded::finished_with_gaps(&objects, "demo").ok().flatten()
    })
    .await
    .with_context(|| up.output())?;
    for name in TINY_RENDITIONS {
        let numbers = recorded.numbers(alone.directory.path(), name).await?;
        let counts: Vec<_> = numbers.iter().map(Vec::len).collect();
        let are_whole = numbers.iter().all(|shown| shown.iter().copied().eq(0..shown.len() as u32));
        ensure!(are_whole && counts.len() == 2, "{name} holds {numbers:?}");
        ensure!(counts[0] >= 60 * before.segments.len() - 60 && counts[1] == tiny(7).frames(), "{counts:?}");
    }
    Ok(())
}
