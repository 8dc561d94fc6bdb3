//! Tests that recordings have all that was sent: every picture, whatever happens to servers, to publishers and to the store.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use headwater_tests::broadcasts::{TINY_RENDITIONS, owner, tiny};
use headwater_tests::player::Player;
use headwater_tests::process::Process;
use headwater_tests::publish::{self, Source};
use headwater_tests::recorded::Recorded;
use headwater_tests::stack::{Plan, Stack};
use headwater_tests::wait;

const LIVE: Duration = Duration::from_secs(20);
/// Servers look twice a minute for what nobody has; and then nothing may have been written for the reconnect window and 30 s.
const FINISHED: Duration = Duration::from_secs(100);

/// Services that record into a directory.
struct Recording {
    stack: Stack,
    store: PathBuf,
}

impl Recording {
    async fn start(servers: usize) -> Result<Self> {
        Self::with(Plan::tiny().servers(servers), tempfile::tempdir()?.keep()).await
    }

    async fn with(plan: Plan, store: PathBuf) -> Result<Self> {
        let spool = store.with_extension("spool");
        let plan = plan
            .set("STORE_URL", &format!("file://{}", store.display()))
            .set("RECORDING_SPOOL", &spool.to_string_lossy())
            .set("SERVER_RECONNECT_WINDOW", "4s")
            .set("REGISTRY_LEASE", "3s");
        Ok(Self { stack: plan.start().await?, store })
    }

    async fn publish(&self, name: &str, source: &Source) -> Result<Process> {
        let file = source.make(self.stack.path(), name).await?;
        publish::ffmpeg_named(self.stack.path(), name, &file, &self.stack.publish_url("demo"))
    }

    fn player(&self) -> Player {
        Player::new(&self.stack.origin(0), "demo")
    }

    /// Waits until the only recording is finished.
    async fn finished(&self) -> Result<Recorded> {
        let store = &self.store;
        wait::until("the recording to be finished", FINISHED, || async {
            Recorded::finished(store, "demo").ok().flatten()
        })
        .await
        .with_context(|| self.stack.servers.iter().map(|server| server.process.output()).collect::<String>())
    }

    /// The recording has exactly these timelines, counted from zero each, in every rendition.
    async fn holds(&self, timelines: &[usize], state: &str) -> Result<()> {
        let recorded = self.finished().await?;
        ensure!(recorded.state == state, "it is {}", recorded.state);
        ensure!(
            recorded.renditions.keys().map(String::as_str).eq(["180p", "90p", "audio"]),
            "{:?}",
            recorded.renditions.keys()
        );
        for name in TINY_RENDITIONS {
            let numbers = recorded.numbers(self.stack.path(), name).await?;
            let expected: Vec<Vec<u32>> = timelines.iter().map(|sent| (0..*sent as u32).collect()).collect();
            ensure!(numbers == expected, "{name} holds {numbers:?}");
        }
        recorded.everything_is_whole()?;
        recorded.nothing_else(&self.store)
    }

    /// Waits until so many segments of a rendition are in the store.
    async fn stored(&self, count: usize) -> Result<()> {
        wait::until("segments in the store", LIVE, || async {
            (segments(&self.store).len() >= count * 3).then_some(())
        })
        .await
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.store);
        let _ = std::fs::remove_dir_all(self.store.with_extension("spool"));
    }
}

/// The names of all segments below a directory.
fn segments(directory: &Path) -> BTreeSet<PathBuf> {
    let Ok(entries) = std::fs::read_dir(directory) else { return BTreeSet::new() };
    let paths = entries.flatten().map(|entry| entry.path());
    paths
        .flat_map(|path| {
            if path.is_dir() {
                segments(&path)
            } else {
                BTreeSet::from_iter(path.extension().is_some_and(|end| end == "m4s").then_some(path))
            }
        })
        .collect()
}

#[tokio::test]
async fn a_recording_holds_every_picture_that_was_sent() -> Result<()> {
    let recording = Recording::start(1).await?;
    let source = tiny(10);
    let mut encoder = recording.publish("one", &source).await?;
    recording.stored(2).await?;
    let growing = wait::until("a playlist in the store", LIVE, || async {
        Recorded::playlists(&recording.store, "demo").ok().filter(|playlists| playlists.len() == 4)
    });
    for (name, text) in growing.await? {
        ensure!(!text.contains("ENDLIST"), "{name} has ended while it is live: {text}");
    }
    ensure!(encoder.wait(LIVE).await?.success(), "{}", encoder.output());
    recording.holds(&[source.frames()], "complete").await
}

#[tokio::test]
async fn a_publisher_that_comes_back_goes_on_in_its_recording() -> Result<()> {
    let recording = Recording::start(1).await?;
    let source = tiny(5);
    let file = source.make(recording.stack.path(), "source").await?;
    for name in ["one", "two"] {
        let path = recording.stack.path();
        let url = recording.stack.publish_url("demo");
        let mut encoder = publish::ffmpeg_named(path, name, &file, &url)?;
        ensure!(encoder.wait(LIVE).await?.success(), "{}", encoder.output());
    }
    recording.holds(&[source.frames(), source.frames()], "complete").await
}

#[tokio::test]
async fn a_server_that_is_killed_leaves_no_hole() -> Result<()> {
    let mut recording = Recording::start(2).await?;
    let source = tiny(14);
    let mut encoder = recording.publish("one", &source).await?;
    recording.player().wait_segments("180p", 3, LIVE).await?;
    let registry = recording.stack.registry()?;
    let address = owner(registry.as_ref(), "demo", LIVE).await?.address;
    let mut server = recording.stack.take_server(&address)?;
    server.process.kill().await?;
    ensure!(encoder.wait(LIVE).await?.success(), "{}", encoder.output());
    recording.holds(&[source.frames()], "complete").await
}

#[tokio::test]
async fn a_server_that_is_told_to_stop_leaves_no_hole() -> Result<()> {
    let mut recording = Recording::start(2).await?;
    let source = tiny(14);
    let mut encoder = recording.publish("one", &source).await?;
    recording.player().wait_segments("180p", 3, LIVE).await?;
    let registry = recording.stack.registry()?;
    let address = owner(registry.as_ref(), "demo", LIVE).await?.address;
    let mut server = recording.stack.take_server(&address)?;
    server.stop().await?;
    ensure!(encoder.wait(LIVE).await?.success(), "{}", encoder.output());
    recording.holds(&[source.frames()], "complete").await
}

/// Everything dies in the middle of it. The next server that starts, on whatever machine, finishes what is there.
#[tokio::test]
async fn what_nobody_goes_on_with_is_finished_by_the_next_server() -> Result<()> {
    let mut recording = Recording::start(1).await?;
    let source = tiny(20);
    let mut encoder = recording.publish("one", &source).await?;
    recording.stored(3).await?;
    encoder.kill().await?;
    let mut server = recording.stack.servers.remove(0);
    server.process.kill().await?;
    recording.stack.proxies[0].process.kill().await?;
    recording.stack.add_server().await?;
    let recorded = recording.finished().await?;
    ensure!(recorded.state == "interrupted", "it is {}", recorded.state);
    for name in TINY_RENDITIONS {
        let numbers = recorded.numbers(recording.stack.path(), name).await?;
        ensure!(numbers.len() == 1, "{name} holds {} timelines", numbers.len());
        let count = numbers[0].len();
        ensure!(numbers[0] == (0..count as u32).collect::<Vec<_>>(), "{name} holds {:?}", numbers[0]);
        // The first segment has a third of a second, the others two.
        ensure!(count >= 120, "{name} holds {count} pictures only");
    }
    recorded.everything_is_whole()
}

/// The directory is read-only for a while: everything waits in the spool, viewers notice nothing, and in the end it is all there.
#[tokio::test]
async fn a_store_that_is_away_for_a_minute_costs_nothing() -> Result<()> {
    let recording = Recording::start(1).await?;
    let source = tiny(75);
    let mut encoder = recording.publish("one", &source).await?;
    recording.stored(2).await?;
    let away = recording.store.with_extension("away");
    std::fs::rename(&recording.store, &away)?;
    // Nothing can be made where a file is in the way.
    std::fs::write(&recording.store, b"")?;
    let outage = async {
        tokio::time::sleep(Duration::from_secs(60)).await;
        std::fs::remove_file(&recording.store)?;
        std::fs::rename(&away, &recording.store)?;
        anyhow::Ok(())
    };
    let player = recording.player();
    let (shown, ()) = tokio::try_join!(player.watch(), outage)?;
    headwater_tests::broadcasts::shown_in_one_go(&recording.stack, &shown, source.frames()).await?;
    ensure!(encoder.wait(LIVE).await?.success(), "{}", encoder.output());
    recording.holds(&[source.frames()], "complete").await
}

/// A recording of a minute that ended so long ago, as far as the store shows. Its files.
fn put_recording(store: &Path, age: Duration) -> Result<Vec<PathBuf>> {
    let ended = SystemTime::now().duration_since(UNIX_EPOCH)? - age;
    let begun = (ended - Duration::from_secs(60)).as_millis();
    // UUIDs of version 7 begin with the time (RFC 9562 §5.7).
    let id = format!("{:08x}-{:04x}-7000-8000-000000000001", begun >> 16, begun & 0xFFFF);
    let summary = format!(
        r#"{{"stream":"demo","broadcast":"{id}","state":"complete","start_unix_ms":{begun},"duration_ms":60000,"bytes":9,"renditions":[]}}"#
    );
    let files = [
        (format!("vod-{id}.m3u8"), "#EXTM3U\n"),
        (format!("{id}/recording.json"), summary.as_str()),
        (format!("{id}/180p/7.m4s"), "a segment"),
        (format!("{id}/storyboard/0.jpg"), "a picture"),
    ];
    let written = files.map(|(name, text)| {
        let path = store.join("demo").join(name);
        std::fs::create_dir_all(path.parent().context("a folder")?)?;
        std::fs::write(&path, text)?;
        Ok(path)
    });
    written.into_iter().collect()
}

/// Recordings are kept for a day. A server at work deletes the old one, and leaves the young one and what is on air.
#[tokio::test]
async fn recordings_that_are_old_enough_are_deleted_and_no_others() -> Result<()> {
    const DAY: Duration = Duration::from_secs(24 * 60 * 60);
    let store = tempfile::tempdir()?.keep();
    let old = put_recording(&store, DAY * 3)?;
    let young = put_recording(&store, DAY / 2)?;
    let plan = Plan::tiny().set("RECORDING_RETENTION", "1d");
    let recording = Recording::with(plan, store).await?;
    let mut encoder = recording.publish("one", &tiny(110)).await?;
    recording.stored(2).await?;
    // A server looks for the first time after a minute.
    let gone = || async { (!old.iter().any(|file| file.exists())).then_some(()) };
    wait::until("the old recording to be deleted", Duration::from_secs(90), gone).await?;
    ensure!(young.iter().all(|file| file.exists()), "some of the young one is gone");
    ensure!(encoder.is_running(), "{}", encoder.output());
    let own = segments(&recording.store);
    ensure!(own.len() > 3 * 20, "of what is on air there is {own:?}");
    encoder.kill().await
}
