//! The matrix of failures (`headwater_tests::matrix`), each row with real services: two proxies, two servers, two origins, a
//! Redis and a store. Something fails in the middle of a broadcast whose pictures are numbered, and what came out of each
//! column is counted.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use headwater_tests::broadcasts::{TINY_RENDITIONS, tiny};
use headwater_tests::dash::Presentation;
use headwater_tests::matrix::{self, Encoder, Live, Row};
use headwater_tests::network::Place;
use headwater_tests::player::{Player, ShownRendition};
use headwater_tests::process::Process;
use headwater_tests::publish::{self, IN_HAND};
use headwater_tests::recorded::Recorded;
use headwater_tests::relay::Relay;
use headwater_tests::stack::{Plan, Service, Stack};
use headwater_tests::{content, wait, workers};
use tempfile::TempDir;
use tokio::time::Instant;

const LIVE: Duration = Duration::from_secs(25);
/// Time by which a recording is finished: the reconnect window is over, or another server has taken care of it.
const FINISHED: Duration = Duration::from_secs(150);
/// Of the first encoder, which is left before its end where it has to connect again.
const FIRST: u32 = 24;
const SECOND: u32 = 7;
/// How long something is frozen or cut off that comes back.
const AWAY: Duration = Duration::from_secs(4);

/// Services, and a broadcast on them.
struct Scene {
    stack: Stack,
    store: TempDir,
    /// Between Redis and the server that is started first.
    relay: Relay,
    files: [PathBuf; 2],
    encoder: Process,
    /// Whether the encoder hangs, and so keeps its connection when its successor comes.
    is_frozen: bool,
    /// Services that are frozen until the end of the test.
    frozen: Vec<Service>,
}

impl Scene {
    async fn start() -> Result<Self> {
        let store = tempfile::tempdir()?;
        let plan = Plan::tiny().proxies(2).servers(0).origins(2);
        let plan = plan
            .set("STORE_URL", &format!("file://{}", store.path().join("objects").display()))
            .set("RECORDING_SPOOL", &store.path().join("spool").to_string_lossy())
            .set("HLS_WINDOW_SEGMENTS", "20")
            .set("SERVER_RECONNECT_WINDOW", "8s")
            .set("SERVER_WORKER_STALL_TIMEOUT", "2s")
            .set("REGISTRY_LEASE", "3s");
        let mut stack = plan.start().await?;
        let relay = Relay::start(stack.redis.address()).await?;
        let registry = Some(format!("redis://127.0.0.1:{}", relay.port()));
        stack.add_server_at(&Place { registry, ..Place::default() }).await?;
        let [first, second] = [FIRST, SECOND].map(tiny);
        let files = [first.make(stack.path(), "first").await?, second.make(stack.path(), "second").await?];
        let encoder = publish::ffmpeg_named(stack.path(), "first", &files[0], &stack.publish_url("demo"))?;
        Ok(Self { stack, store, relay, files, encoder, is_frozen: false, frozen: Vec::new() })
    }

    /// Waits until both origins show the broadcast. It is on the server that was started first; the other one is added now.
    async fn wait_live(&mut self) -> Result<()> {
        for origin in [0, 1] {
            Player::new(&self.stack.origin(origin), "demo").wait_segments("90p", 2, LIVE).await?;
        }
        self.stack.add_server().await
    }

    fn objects(&self) -> PathBuf {
        self.store.path().join("objects")
    }

    async fn kill_proxy(&mut self) -> Result<()> {
        self.stack.proxies[0].process.kill().await
    }

    /// The server of the broadcast.
    fn owner(&mut self) -> Service {
        self.stack.servers.remove(0)
    }

    async fn kill_owner(&mut self) -> Result<()> {
        self.owner().process.kill().await
    }

    async fn kill_origin(&mut self) -> Result<()> {
        self.stack.origins[0].process.kill().await
    }

    async fn signal_worker(&mut self, signal: &str) -> Result<()> {
        let ids = workers::of(&self.stack.servers[0])?;
        ensure!(ids.len() == 1, "{ids:?}");
        workers::signal(ids.into_iter().next().context("a worker")?, signal).await
    }

    /// The encoder has lost its connection, or is taken away; its user starts it again, on the other proxy.
    async fn connect_again(&mut self) -> Result<(usize, Process)> {
        if self.encoder.is_running() && !self.is_frozen {
            self.encoder.kill().await?;
        }
        let sent = publish::sent(self.stack.path(), "first")?;
        let url = self.stack.publish_url_at(1, "demo");
        Ok((sent, publish::ffmpeg_named(self.stack.path(), "second", &self.files[1], &url)?))
    }
}

/// Something fails, and what may come of it comes of it.
async fn fails(failure: &str, happens: impl AsyncFnOnce(&mut Scene) -> Result<()>) -> Result<()> {
    let row = matrix::row(failure).context("a row of the matrix")?;
    let mut scene = Scene::start().await?;
    let origins = [0, 1].map(|origin| scene.stack.origin(origin));
    let player = Player::balanced(&origins, "demo").patient();
    let dash = format!("{}/demo/live.mpd", origins[1]);
    let all_sent = AtomicBool::new(false);
    let broadcast = async {
        scene.wait_live().await?;
        scene.encoder.must_run().context("the encoder was done before anything failed")?;
        happens(&mut scene).await?;
        let sent = match row.encoder {
            Encoder::Stays => {
                scene.encoder.must_run().context("the encoder was done before the failure was over")?;
                ensure!(
                    scene.encoder.wait(LIVE).await?.success(),
                    "the encoder noticed: {}",
                    scene.encoder.output()
                );
                vec![tiny(FIRST).frames()]
            }
            Encoder::ConnectsAgain => {
                let (sent, mut second) = scene.connect_again().await?;
                ensure!(second.wait(LIVE).await?.success(), "it was refused: {}", second.output());
                vec![sent, tiny(SECOND).frames()]
            }
        };
        all_sent.store(true, Relaxed);
        Ok(sent)
    };
    let (shown, dash_standstill, sent) =
        tokio::try_join!(player.watch(), standstill(&dash, &all_sent), broadcast)?;
    let dvr = Presentation::get(&format!("{}/demo/dvr.mpd", origins[1])).await?;
    ensure!(!dvr.is_dynamic, "the presentation has not ended with its broadcast");
    let dvr = dvr.fetch(&format!("{}/demo/", origins[1])).await?;
    let recorded = wait::until("the recording to be finished", FINISHED, || async {
        if row.recording > IN_HAND {
            Recorded::finished_with_gaps(&scene.objects(), "demo").ok().flatten()
        } else {
            Recorded::finished(&scene.objects(), "demo").ok().flatten()
        }
    })
    .await
    .with_context(|| scene.stack.servers.iter().map(|server| server.process.output()).collect::<String>())?;
    let longest = shown.renditions.values().map(|rendition| rendition.longest_wait).max().unwrap_or_default();
    let mut costs = Costs { row, scene: &scene, sent: &sent };
    for name in TINY_RENDITIONS {
        costs.live("HLS", &row.hls, &shown.renditions[name], longest, name).await?;
        costs.live("DASH", &row.dash, &dvr[name], dash_standstill, name).await?;
        costs.stored("the DVR window", row.dvr, &dvr[name], name).await?;
        costs.stored("the recording", row.recording, &recorded.renditions[name], name).await?;
    }
    Ok(())
}

/// The longest time for which a presentation announces nothing new, until everything is sent: then the last segment waits for
/// the end of the reconnect window.
async fn standstill(url: &str, all_sent: &AtomicBool) -> Result<Duration> {
    wait::until("a presentation", LIVE, || async { Presentation::get(url).await.ok() }).await?;
    let mut newest = None;
    let mut since = Instant::now();
    let mut longest = Duration::ZERO;
    loop {
        let found = Presentation::get(url).await?;
        let now = Instant::now();
        if found.newest() != newest.as_ref() {
            longest = longest.max(if newest.is_some() { now - since } else { Duration::ZERO });
            (newest, since) = (found.newest().cloned(), now);
        }
        if all_sent.load(Relaxed) {
            return Ok(longest.max(now - since));
        }
        tokio::time::sleep(POLL).await;
    }
}

/// How often a DASH player of the test looks for something new.
const POLL: Duration = Duration::from_millis(200);

/// Costs of a row, column by column.
struct Costs<'a> {
    row: &'a Row,
    scene: &'a Scene,
    /// By each encoder.
    sent: &'a [usize],
}

impl Costs<'_> {
    async fn live(
        &mut self,
        column: &str,
        allowed: &Live,
        shown: &ShownRendition,
        standstill: Duration,
        name: &str,
    ) -> Result<()> {
        self.stored(column, allowed.pictures, shown, name).await?;
        let most = Duration::from_millis(allowed.standstill_ms);
        ensure!(standstill <= most, "{}: {column} stood still for {standstill:?}", self.row.failure);
        Ok(())
    }

    /// Every picture that was sent is shown once, in order, but for as many as are allowed to be missing at the end of what
    /// the first encoder has sent.
    async fn stored(
        &mut self,
        column: &str,
        allowed: usize,
        shown: &ShownRendition,
        name: &str,
    ) -> Result<()> {
        let label = format!("{}-{name}", column.replace(' ', "-"));
        let numbers = content::numbers(self.scene.stack.path(), &label, shown).await?;
        let counts: Vec<_> = numbers.iter().map(Vec::len).collect();
        let at = || format!("{}: {column} of {name} has {counts:?} of {:?}", self.row.failure, self.sent);
        ensure!(numbers.len() == self.sent.len(), "{}", at());
        for (shown, sent) in numbers.iter().zip(self.sent) {
            ensure!(shown.iter().copied().eq(0..shown.len() as u32), "{}: {shown:?}", at());
            let missing = sent.saturating_sub(shown.len());
            ensure!(missing <= allowed, "{}: {missing} are missing", at());
        }
        let last = numbers.last().map(Vec::len);
        ensure!(last == self.sent.last().copied(), "{}: the last encoder's are all there", at());
        Ok(())
    }
}

#[tokio::test]
async fn encoder_killed() -> Result<()> {
    fails("encoder killed", async |scene| scene.encoder.kill().await).await
}

#[tokio::test]
async fn encoder_frozen() -> Result<()> {
    fails("encoder frozen", async |scene| {
        scene.is_frozen = true;
        scene.encoder.signal("STOP").await
    })
    .await
}

#[tokio::test]
async fn proxy_killed() -> Result<()> {
    fails("proxy killed", async |scene| scene.kill_proxy().await).await
}

#[tokio::test]
async fn proxy_frozen() -> Result<()> {
    fails("proxy frozen", async |scene| scene.stack.proxies[0].process.signal("STOP").await).await
}

#[tokio::test]
async fn server_killed() -> Result<()> {
    fails("server killed", async |scene| scene.kill_owner().await).await
}

#[tokio::test]
async fn server_frozen() -> Result<()> {
    fails("server frozen", async |scene| {
        let server = scene.owner();
        server.process.signal("STOP").await?;
        scene.frozen.push(server);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn server_told_to_stop() -> Result<()> {
    fails("server told to stop", async |scene| scene.owner().stop().await).await
}

#[tokio::test]
async fn server_cut_off_from_redis() -> Result<()> {
    fails("server cut off from Redis", async |scene| {
        scene.relay.cut();
        tokio::time::sleep(AWAY * 2).await;
        scene.relay.heal();
        Ok(())
    })
    .await
}

#[tokio::test]
async fn worker_killed() -> Result<()> {
    fails("worker killed", async |scene| scene.signal_worker("KILL").await).await
}

#[tokio::test]
async fn worker_frozen() -> Result<()> {
    fails("worker frozen", async |scene| scene.signal_worker("STOP").await).await
}

#[tokio::test]
async fn origin_killed() -> Result<()> {
    fails("origin killed", async |scene| scene.kill_origin().await).await
}

#[tokio::test]
async fn redis_killed_and_back_empty() -> Result<()> {
    fails("Redis killed, and back empty", async |scene| {
        scene.stack.redis.kill();
        tokio::time::sleep(AWAY).await;
        scene.stack.redis.restart();
        Ok(())
    })
    .await
}

#[tokio::test]
async fn redis_frozen() -> Result<()> {
    fails("Redis frozen", async |scene| {
        scene.stack.redis.freeze();
        tokio::time::sleep(AWAY).await;
        scene.stack.redis.thaw();
        Ok(())
    })
    .await
}

/// Cuts the store off: nothing can be made where a file is in the way.
#[tokio::test]
async fn store_cut_off() -> Result<()> {
    fails("store cut off", async |scene| {
        let objects = scene.objects();
        let away = scene.store.path().join("away");
        std::fs::rename(&objects, &away)?;
        std::fs::write(&objects, b"")?;
        tokio::time::sleep(AWAY).await;
        std::fs::remove_file(&objects)?;
        Ok(std::fs::rename(&away, &objects)?)
    })
    .await
}

#[tokio::test]
async fn server_and_origin_killed() -> Result<()> {
    fails("server and origin killed", async |scene| {
        scene.kill_owner().await?;
        scene.kill_origin().await
    })
    .await
}

#[tokio::test]
async fn proxy_and_origin_killed() -> Result<()> {
    fails("proxy and origin killed", async |scene| {
        scene.kill_proxy().await?;
        scene.kill_origin().await
    })
    .await
}

#[tokio::test]
async fn proxy_and_server_killed() -> Result<()> {
    fails("proxy and server killed", async |scene| {
        scene.kill_owner().await?;
        scene.kill_proxy().await
    })
    .await
}

#[tokio::test]
async fn proxy_server_and_origin_killed() -> Result<()> {
    fails("proxy, server and origin killed", async |scene| {
        scene.kill_owner().await?;
        scene.kill_proxy().await?;
        scene.kill_origin().await
    })
    .await
}

/// Only the store knows of the broadcast. The encoder comes back when the server that is left has registered itself again: until
/// then a proxy asks it to try again.
#[tokio::test]
async fn proxy_and_server_killed_and_redis_back_empty() -> Result<()> {
    fails("proxy and server killed, Redis back empty", async |scene| {
        scene.kill_owner().await?;
        scene.kill_proxy().await?;
        scene.stack.redis.kill();
        scene.stack.redis.restart();
        let registry = scene.stack.registry()?;
        wait::until("a server in the registry", LIVE, || async {
            registry.servers().await.ok().filter(|servers| !servers.is_empty())
        })
        .await?;
        Ok(())
    })
    .await
}

#[test]
fn every_row_is_tried() {
    let own = include_str!("matrix.rs");
    for row in matrix::ROWS {
        assert!(own.contains(&format!("fails(\"{}\",", row.failure)), "{} has no test", row.failure);
    }
}

/// `UPDATE=1 cargo test -p headwater-tests --test matrix the_table` writes it.
#[test]
fn the_table_in_the_docs_is_this_one() {
    const BEGIN: &str = "<!-- matrix: begin (tests/src/matrix.rs) -->\n\n";
    const END: &str = "<!-- matrix: end -->";
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/failover.md");
    let text = std::fs::read_to_string(path).unwrap();
    let (before, rest) = text.split_once(BEGIN).unwrap();
    let (table, after) = rest.split_once(END).unwrap();
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(path, format!("{before}{BEGIN}{}\n{END}{after}", matrix::table())).unwrap();
    } else {
        assert_eq!(table.trim_end(), matrix::table().trim_end());
    }
}
