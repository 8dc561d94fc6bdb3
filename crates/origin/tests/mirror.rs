//! Tests of mirrors: a single watch for all viewers, and windows that outlive their servers.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use headwater_media::{Epoch, MediaEvent, StreamId};
use headwater_registry::{
    Claim, Handoff, MemoryRegistry, Ownership, Registry, RegistryError, ServerId, ServerRecord, ViewerReport,
    Watch,
};
use http::StatusCode;
use support::broadcast::{self, AUDIO, FIRST, PARTS, VIDEO};
use support::client::Viewer;
use support::server::TestServer;
use support::{TestOrigin, eventually, own, registry, stream};
use tokio::net::TcpListener;

/// Puts two whole segments on air.
async fn go_on_air(registry: &MemoryRegistry, server: &TestServer, nth: u8, by: &str) -> Epoch {
    let epoch = own(registry, server.address, broadcast::id(nth)).await;
    server.open(broadcast::opening(broadcast::id(nth), epoch, FIRST), [broadcast::period(FIRST)]);
    server.play(broadcast::segments(FIRST..FIRST + 2, by));
    epoch
}

/// Asks until the playlist says it.
async fn playlist_has(viewer: &Viewer, what: &str) {
    eventually(what, async || viewer.text("/demo/720p/index.m3u8").await.contains(what).then_some(())).await;
}

#[tokio::test]
async fn a_hinted_part_is_waited_for() {
    let registry = registry();
    let server = TestServer::start().await;
    go_on_air(&registry, &server, 0, "a").await;
    let origin = TestOrigin::start(Arc::new(registry)).await;
    let viewer = Viewer::new(origin.address);
    let playlist = viewer.text("/demo/720p/index.m3u8").await;
    assert!(playlist.contains("#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"a0a0a0a0-102.0.m4s\""), "{playlist}");
    let hinted = tokio::spawn(async move { viewer.text("/demo/720p/a0a0a0a0-102.0.m4s").await });
    server.play([broadcast::part(VIDEO, 102, 0, "a")]);
    assert_eq!(hinted.await.unwrap(), "<720p 102.0 of a>");
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_left_as_soon_as_another_one_has_the_stream() {
    let registry = registry();
    let second = TestServer::start().await;
    let frozen = TcpListener::bind("127.0.0.1:0").await.unwrap();
    own(&registry, frozen.local_addr().unwrap(), broadcast::id(0)).await;
    let origin = TestOrigin::start(Arc::new(registry.clone())).await;
    let viewer = Viewer::new(origin.address);
    let waiting = tokio::spawn(async move { viewer.text("/demo/720p/index.m3u8").await });
    let _silent = frozen.accept().await.unwrap();

    go_on_air(&registry, &second, 0, "b").await;
    // Sooner than the keepalive of the connection finds out.
    let playlist = tokio::time::timeout(Duration::from_secs(1), waiting).await.expect("at once").unwrap();
    assert!(playlist.contains("101.m4s"), "{playlist}");
}

#[tokio::test]
async fn a_stream_that_moves_keeps_its_bytes() {
    let registry = registry();
    let first = TestServer::start().await;
    let second = TestServer::start().await;
    go_on_air(&registry, &first, 0, "a").await;
    first.play((0..2).map(|index| broadcast::part(VIDEO, 102, index, "a")));
    let origin = TestOrigin::start(Arc::new(registry.clone())).await;
    let viewer = Viewer::new(origin.address);
    playlist_has(&viewer, "102.1.m4s").await;
    let waiting = tokio::spawn({
        let viewer = viewer.clone();
        async move { viewer.text("/demo/720p/a0a0a0a0-102.2.m4s").await }
    });

    first.die();
    assert!(viewer.text("/demo/720p/index.m3u8").await.contains("102.1.m4s"), "the window stays served");
    // The next server makes the broken segment anew, from its start.
    let epoch = own(&registry, second.address, broadcast::id(0)).await;
    second.open(broadcast::opening(broadcast::id(0), epoch, 102), [broadcast::period(FIRST)]);
    second.play(broadcast::segments(102..104, "b"));

    assert_eq!(waiting.await.unwrap(), "<720p 102.2 of b>");
    let whole = "<720p 102.0 of a><720p 102.1 of a><720p 102.2 of b><720p 102.3 of b>";
    assert_eq!(viewer.text("/demo/720p/a0a0a0a0-102.m4s").await, whole);
    assert_eq!(viewer.text("/demo/720p/a0a0a0a0-101.3.m4s").await, "<720p 101.3 of a>");
    let playlist = viewer.text("/demo/720p/index.m3u8?_HLS_msn=103").await;
    assert!(
        playlist.contains("#EXT-X-MEDIA-SEQUENCE:100") && !playlist.contains("DISCONTINUITY\n"),
        "{playlist}"
    );
    assert_eq!((first.watches(), second.watches()), (1, 1));
}

/// Its proxy has given it up, and it does not know yet: it may go on for as long as it has its lease.
#[tokio::test]
async fn the_next_owner_is_watched_though_the_one_before_still_speaks() {
    let registry = registry();
    let first = TestServer::start().await;
    let second = TestServer::start().await;
    go_on_air(&registry, &first, 0, "a").await;
    first.play((0..2).map(|index| broadcast::part(VIDEO, 102, index, "a")));
    let origin = TestOrigin::start(Arc::new(registry.clone())).await;
    let viewer = Viewer::new(origin.address);
    playlist_has(&viewer, "102.1.m4s").await;

    let epoch = own(&registry, second.address, broadcast::id(0)).await;
    second.open(broadcast::opening(broadcast::id(0), epoch, 102), [broadcast::period(FIRST)]);
    second.play(broadcast::segments(102..104, "b"));
    assert_eq!(viewer.text("/demo/720p/a0a0a0a0-102.2.m4s").await, "<720p 102.2 of b>");
    assert_eq!(viewer.text("/demo/720p/a0a0a0a0-102.1.m4s").await, "<720p 102.1 of a>");
    first.play((2..4).map(|index| broadcast::part(VIDEO, 102, index, "a")));
    playlist_has(&viewer, "103.m4s").await;
    assert_eq!(viewer.text("/demo/720p/a0a0a0a0-102.3.m4s").await, "<720p 102.3 of b>");
}

#[tokio::test]
async fn what_only_the_owner_before_has_is_taken_from_it_first() {
    let registry = registry();
    let first = TestServer::start().await;
    let second = TestServer::start().await;
    go_on_air(&registry, &first, 0, "a").await;
    first.play((0..2).map(|index| broadcast::part(VIDEO, 102, index, "a")));
    let origin = TestOrigin::start(Arc::new(registry.clone())).await;
    let viewer = Viewer::new(origin.address);
    playlist_has(&viewer, "102.1.m4s").await;

    let epoch = own(&registry, second.address, broadcast::id(0)).await;
    second.open(broadcast::opening(broadcast::id(0), epoch, 103), [broadcast::period(FIRST)]);
    second.play(broadcast::segments(103..104, "b"));
    eventually("the next owner is watched", async || (second.watches() > 0).then_some(())).await;
    first.play(broadcast::segments(102..103, "a").into_iter().skip_while(|event| {
        matches!(event, MediaEvent::Part { rendition, index, .. } if rendition.as_str() == VIDEO && index.0 < 2)
    }));
    playlist_has(&viewer, "103.m4s").await;
    let playlist = viewer.text("/demo/720p/index.m3u8").await;
    assert!(!playlist.contains("EXT-X-GAP"), "{playlist}");
    assert_eq!(viewer.text("/demo/720p/a0a0a0a0-102.3.m4s").await, "<720p 102.3 of a>");
    assert_eq!(viewer.text("/demo/720p/a0a0a0a0-103.0.m4s").await, "<720p 103.0 of b>");
}

#[tokio::test]
async fn an_owner_of_the_past_is_refused() {
    let registry = registry();
    let server = TestServer::start().await;
    let zombie = TestServer::start().await;
    let old = go_on_air(&registry, &zombie, 0, "z").await;
    let new = go_on_air(&registry, &server, 0, "a").await;
    assert!(new > old);
    let origin = TestOrigin::start(Arc::new(registry.clone())).await;
    let viewer = Viewer::new(origin.address);
    playlist_has(&viewer, "101.m4s").await;
    // The zombie goes on, and somehow has the stream in the registry again, but not its epoch.
    zombie.play(broadcast::segments(102..103, "z"));
    server.die();
    own(&registry, zombie.address, broadcast::id(0)).await;
    eventually("the zombie is asked", async || (zombie.watches() > 0).then_some(())).await;
    eventually("and again", async || (zombie.watches() > 1).then_some(())).await;
    let playlist = viewer.text("/demo/720p/index.m3u8").await;
    assert!(!playlist.contains("102.m4s"), "{playlist}");
    assert_eq!(viewer.text("/demo/720p/a0a0a0a0-101.0.m4s").await, "<720p 101.0 of a>");
}

#[tokio::test]
async fn a_stream_may_start_while_a_viewer_waits() {
    let registry = registry();
    let server = TestServer::start().await;
    let origin = TestOrigin::start(Arc::new(registry.clone())).await;
    let viewer = Viewer::new(origin.address);
    assert_eq!(viewer.get("/demo/live.m3u8").await.status, StatusCode::NOT_FOUND);
    // Claimed: from now on it is worth waiting.
    let id: ServerId = "server".parse().unwrap();
    let address = server.address.to_string();
    let claim = registry.claim(&stream(), &id, &address, None).await.unwrap();
    let Claim::Granted(ownership) = claim else { panic!("{claim:?}") };
    eventually("the origin asks the server", async || (server.watches() > 0).then_some(())).await;
    let waiting = tokio::spawn(async move { viewer.text("/demo/live.m3u8").await });
    let opening = broadcast::opening(broadcast::id(0), ownership.epoch, FIRST);
    server.open(opening, [broadcast::period(FIRST), broadcast::part(VIDEO, FIRST, 0, "a")]);
    server.play([broadcast::part(AUDIO, FIRST, 0, "a")]);
    let ownership = Ownership { broadcast: Some(broadcast::id(0)), ..ownership };
    registry.renew(&stream(), &ownership).await.unwrap();
    assert!(waiting.await.unwrap().contains("720p/index.m3u8"));
}

#[tokio::test]
async fn a_page_that_waits_is_answered_when_the_broadcast_begins() {
    let registry = registry();
    let server = TestServer::start().await;
    let origin = TestOrigin::start(Arc::new(registry.clone())).await;
    let viewer = Viewer::new(origin.address);
    assert_eq!(
        viewer.get("/demo/live.m3u8").await.status,
        StatusCode::NOT_FOUND,
        "not live, and known to be so"
    );
    let waiting = tokio::spawn(async move { viewer.get("/demo/live.m3u8?await=live").await });
    go_on_air(&registry, &server, 0, "a").await;
    let answer = waiting.await.unwrap();
    assert_eq!(answer.status, StatusCode::OK);
    assert!(answer.text().contains("720p/index.m3u8"));
}

#[tokio::test]
async fn a_page_that_waits_in_vain_is_told_so() {
    let origin = TestOrigin::start(Arc::new(registry())).await;
    let viewer = Viewer::new(origin.address);
    let began = std::time::Instant::now();
    assert_eq!(viewer.get("/demo/live.m3u8?await=live").await.status, StatusCode::NOT_FOUND);
    let waited = began.elapsed();
    assert!((Duration::from_secs(3)..Duration::from_secs(9)).contains(&waited), "{waited:?}");
}

/// An origin that has shown a broadcast to its end, and a viewer of it. The stream is free again.
async fn seen_to_its_end(registry: &MemoryRegistry, server: &TestServer) -> (TestOrigin, Viewer) {
    let epoch = go_on_air(registry, server, 0, "a").await;
    let origin = TestOrigin::start(Arc::new(registry.clone())).await;
    let viewer = Viewer::new(origin.address);
    playlist_has(&viewer, "101.m4s").await;
    server.play([MediaEvent::BroadcastEnd]);
    playlist_has(&viewer, "#EXT-X-ENDLIST").await;
    let owner = registry.owner(&stream()).await.expect("the registry is in memory");
    let id = owner.expect("it is still on air").server;
    registry.release(&stream(), &id, epoch).await.expect("the registry is in memory");
    (origin, viewer)
}

#[tokio::test]
async fn the_next_broadcast_replaces_one_that_has_ended() {
    let registry = registry();
    let server = TestServer::start().await;
    let (_origin, viewer) = seen_to_its_end(&registry, &server).await;
    server.die();

    let epoch = own(&registry, server.address, broadcast::id(1)).await;
    server.open(broadcast::opening(broadcast::id(1), epoch, 500), [broadcast::period(500)]);
    server.play(broadcast::segments(500..502, "b"));
    playlist_has(&viewer, "#EXT-X-MEDIA-SEQUENCE:500").await;
    assert_eq!(viewer.text("/demo/720p/a1a1a1a1-500.0.m4s").await, "<720p 500.0 of b>");
}

#[tokio::test]
async fn a_mirror_that_comes_late_begins_at_the_live_edge() {
    let registry = registry();
    let server = TestServer::start().await;
    go_on_air(&registry, &server, 0, "a").await;
    server.play(broadcast::segments(102..140, "a"));
    server.play([broadcast::part(VIDEO, 140, 0, "a")]);
    let origin = TestOrigin::start(Arc::new(registry)).await;
    let playlist = Viewer::new(origin.address).text("/demo/720p/index.m3u8").await;
    assert!(playlist.contains("URI=\"a0a0a0a0-140.0.m4s\""), "{playlist}");
    assert!(playlist.contains("#EXT-X-MEDIA-SEQUENCE:136"), "{playlist}");
}

#[tokio::test]
async fn without_the_registry_servers_are_asked() {
    let memory = registry();
    let server = TestServer::start().await;
    let epoch = go_on_air(&memory, &server, 0, "a").await;
    let registry = Arc::new(Outage { memory, away: AtomicBool::new(false) });
    let origin = TestOrigin::start(registry.clone()).await;
    let viewer = Viewer::new(origin.address);
    playlist_has(&viewer, "101.m4s").await;
    registry.away.store(true, Ordering::SeqCst);
    // The watch breaks, and the server is found again by asking it.
    server.die();
    server.open(broadcast::opening(broadcast::id(0), epoch, FIRST), [broadcast::period(FIRST)]);
    server.play(broadcast::segments(FIRST..FIRST + 3, "a"));
    playlist_has(&viewer, "102.m4s").await;
    assert_eq!(
        viewer.text(&format!("/demo/audio/a0a0a0a0-102.{}.m4s", PARTS - 1)).await,
        "<audio 102.3 of a>"
    );
}

#[tokio::test]
async fn a_server_that_only_the_registry_misses_is_asked() {
    let registry = registry();
    let server = TestServer::start().await;
    let origin = TestOrigin::start(Arc::new(registry.clone())).await;
    let epoch = go_on_air(&registry, &server, 0, "a").await;
    let viewer = Viewer::new(origin.address);
    playlist_has(&viewer, "101.m4s").await;
    // It is cut off from the registry, where its lease and its record expire; then the watch breaks, too.
    let id = registry.owner(&stream()).await.unwrap().unwrap().server;
    registry.release(&stream(), &id, epoch).await.unwrap();
    registry.unregister_server(&id).await.unwrap();
    server.die();
    server.open(broadcast::opening(broadcast::id(0), epoch, FIRST), [broadcast::period(FIRST)]);
    server.play(broadcast::segments(FIRST..FIRST + 3, "a"));
    playlist_has(&viewer, "102.m4s").await;
    // Once somebody else has the stream, the registry is right again.
    let other = TestServer::start().await;
    let epoch = own(&registry, other.address, broadcast::id(0)).await;
    other.open(broadcast::opening(broadcast::id(0), epoch, 103), [broadcast::period(FIRST)]);
    other.play(broadcast::segments(103..104, "b"));
    server.die();
    playlist_has(&viewer, "103.m4s").await;
}

#[tokio::test]
async fn a_broadcast_that_was_ended_goes_on_under_a_higher_epoch() {
    let registry = registry();
    let server = TestServer::start().await;
    let (_origin, viewer) = seen_to_its_end(&registry, &server).await;

    // A proxy that was cut off for long knows nothing of the end, and goes on at another server.
    let other = TestServer::start().await;
    let epoch = own(&registry, other.address, broadcast::id(0)).await;
    other.open(broadcast::opening(broadcast::id(0), epoch, 102), [broadcast::period(FIRST)]);
    other.play(broadcast::segments(102..104, "b"));
    playlist_has(&viewer, "103.m4s").await;
    let playlist = viewer.text("/demo/720p/index.m3u8").await;
    assert!(!playlist.contains("ENDLIST") && playlist.contains("#EXT-X-MEDIA-SEQUENCE:102"), "{playlist}");
}

/// A registry that can be away.
struct Outage {
    memory: MemoryRegistry,
    away: AtomicBool,
}

impl Outage {
    fn check(&self) -> Result<&MemoryRegistry, RegistryError> {
        if self.away.load(Ordering::SeqCst) {
            Err(RegistryError::Unavailable { backend: "test".into(), cause: "an outage".into() })
        } else {
            Ok(&self.memory)
        }
    }
}

#[async_trait]
impl Registry for Outage {
    async fn claim(
        &self,
        stream: &StreamId,
        server: &ServerId,
        address: &str,
        expected: Option<Epoch>,
    ) -> Result<Claim, RegistryError> {
        self.check()?.claim(stream, server, address, expected).await
    }
    async fn renew(&self, stream: &StreamId, ownership: &Ownership) -> Result<(), RegistryError> {
        self.check()?.renew(stream, ownership).await
    }
    async fn next_turn(&self, stream: &StreamId, ownership: &Ownership) -> Result<Epoch, RegistryError> {
        self.check()?.next_turn(stream, ownership).await
    }
    async fn release(&self, stream: &StreamId, server: &ServerId, epoch: Epoch) -> Result<(), RegistryError> {
        self.check()?.release(stream, server, epoch).await
    }
    async fn hand_off(
        &self,
        stream: &StreamId,
        ownership: &Ownership,
        handoff: Option<&Handoff>,
    ) -> Result<(), RegistryError> {
        self.check()?.hand_off(stream, ownership, handoff).await
    }

    async fn handoff(&self, stream: &StreamId) -> Result<Option<Handoff>, RegistryError> {
        self.check()?.handoff(stream).await
    }

    async fn owner(&self, stream: &StreamId) -> Result<Option<Ownership>, RegistryError> {
        self.check()?.owner(stream).await
    }
    async fn register_server(&self, record: &ServerRecord) -> Result<(), RegistryError> {
        self.check()?.register_server(record).await
    }
    async fn unregister_server(&self, server: &ServerId) -> Result<(), RegistryError> {
        self.check()?.unregister_server(server).await
    }
    async fn servers(&self) -> Result<Vec<ServerRecord>, RegistryError> {
        self.check()?.servers().await
    }
    async fn report_viewers(&self, report: &ViewerReport) -> Result<(), RegistryError> {
        self.check()?.report_viewers(report).await
    }
    async fn viewers(&self, streams: &[StreamId]) -> Result<Vec<Option<u64>>, RegistryError> {
        self.check()?.viewers(streams).await
    }
    async fn announce_input(&self, uid: &StreamId) -> Result<(), RegistryError> {
        self.check()?.announce_input(uid).await
    }
    fn watch(&self) -> Watch {
        self.memory.watch()
    }
    fn is_shared(&self) -> bool {
        self.memory.is_shared()
    }

    async fn ready(&self) -> Result<(), RegistryError> {
        self.check()?.ready().await
    }
}

fn lines(playlist: &str) -> Vec<&str> {
    let is_told =
        |line: &&str| !line.starts_with('#') || ["#EXT-X-DISCONTINUITY", "#EXT-X-GAP"].contains(line);
    playlist.lines().filter(is_told).collect()
}

/// Its server and its proxy are gone, and whoever took the encoder knows nothing of the broadcast. It begins with this
/// number.
async fn followed_by(next: u64) -> (TestOrigin, Viewer, TestServer) {
    let registry = registry();
    let first = TestServer::start().await;
    let second = TestServer::start().await;
    go_on_air(&registry, &first, 0, "a").await;
    first.play([broadcast::part(VIDEO, 102, 0, "a")]);
    let origin = TestOrigin::start(Arc::new(registry.clone())).await;
    let viewer = Viewer::new(origin.address);
    playlist_has(&viewer, "102.0.m4s").await;
    first.die();
    let epoch = own(&registry, second.address, broadcast::id(1)).await;
    second.open(broadcast::opening(broadcast::id(1), epoch, next), [broadcast::period(next)]);
    second.play(broadcast::segments(next..next + 2, "b"));
    playlist_has(&viewer, &format!("{}.m4s", next + 1)).await;
    (origin, viewer, second)
}

/// Asserts that viewers can fetch media of both broadcasts.
async fn both_are_there(viewer: &Viewer, next: u64) {
    let second = [format!("/demo/720p/a1a1a1a1-{next}.0.m4s"), format!("<720p {next}.0 of b>")];
    for (path, expected) in [
        ("/demo/720p/a0a0a0a0-100.0.m4s", "<720p 100.0 of a>"),
        ("/demo/720p/a0a0a0a0-102.0.m4s", "<720p 102.0 of a>"),
        ("/demo/720p/a0a0a0a0-102.m4s", "<720p 102.0 of a>"),
        (&second[0], &second[1]),
        ("/demo/720p/a0a0a0a0-init-100.mp4", "init of 720p"),
    ] {
        assert_eq!(viewer.text(path).await, expected, "{path}");
    }
}

#[tokio::test]
async fn another_broadcast_follows_what_viewers_have_behind_a_discontinuity() {
    let (_origin, viewer, second) = followed_by(106).await;
    let last = "a0a0a0a0-102.m4s";
    for (rendition, last) in [("720p", vec![last]), ("audio", vec!["#EXT-X-GAP", last])] {
        let playlist = viewer.text(&format!("/demo/{rendition}/index.m3u8")).await;
        let between = ["a0a0a0a0-103.m4s", "a0a0a0a0-104.m4s", "a0a0a0a0-105.m4s"];
        let between = between.into_iter().flat_map(|gap| ["#EXT-X-GAP", gap]).collect();
        let then = vec!["#EXT-X-DISCONTINUITY", "a1a1a1a1-106.m4s", "a1a1a1a1-107.m4s"];
        assert_eq!(lines(&playlist), [vec!["a0a0a0a0-101.m4s"], last, between, then].concat(), "{playlist}");
        // Every number is the one that players know the segment by.
        let [sequence, discontinuity] = ["MEDIA-SEQUENCE:101", "DISCONTINUITY-SEQUENCE:0"];
        assert!(playlist.contains(sequence) && playlist.contains(discontinuity), "{playlist}");
    }
    second.play(broadcast::segments(108..110, "b"));
    playlist_has(&viewer, "109.m4s").await;
    let playlist = viewer.text("/demo/720p/index.m3u8").await;
    assert_eq!(lines(&playlist), [106, 107, 108, 109].map(|n| format!("a1a1a1a1-{n}.m4s")), "{playlist}");
    let [sequence, discontinuity] = ["MEDIA-SEQUENCE:106", "DISCONTINUITY-SEQUENCE:1"];
    assert!(playlist.contains(sequence) && playlist.contains(discontinuity), "{playlist}");
    both_are_there(&viewer, 106).await;
}

/// Its numbers are too far away for the list to go on.
#[tokio::test]
async fn a_broadcast_that_begins_long_after_is_listed_alone() {
    let (_origin, viewer, _second) = followed_by(500).await;
    let playlist = viewer.text("/demo/720p/index.m3u8").await;
    assert_eq!(lines(&playlist), ["a1a1a1a1-500.m4s", "a1a1a1a1-501.m4s"], "{playlist}");
    let [sequence, discontinuity] = ["MEDIA-SEQUENCE:500", "DISCONTINUITY-SEQUENCE:1"];
    assert!(playlist.contains(sequence) && playlist.contains(discontinuity), "{playlist}");
    both_are_there(&viewer, 500).await;
}

/// The next server makes something else of the period than viewers know: it has a rendition more.
#[tokio::test]
async fn what_does_not_fit_takes_nothing_away() {
    let registry = registry();
    let first = TestServer::start().await;
    let second = TestServer::start().await;
    go_on_air(&registry, &first, 0, "a").await;
    let origin = TestOrigin::start(Arc::new(registry.clone())).await;
    let viewer = Viewer::new(origin.address);
    playlist_has(&viewer, "101.m4s").await;
    first.die();
    let epoch = own(&registry, second.address, broadcast::id(0)).await;
    let MediaEvent::PeriodStart(mut period) = broadcast::period(FIRST) else { unreachable!() };
    let (mut more, init) = period.renditions[0].clone();
    more.id = "480p".parse().unwrap();
    period.renditions.insert(1, (more, init));
    second.open(
        broadcast::opening(broadcast::id(0), epoch, 102),
        [MediaEvent::PeriodStart(period), broadcast::part("480p", 102, 0, "b")],
    );
    second.play(broadcast::segments(102..104, "b"));
    playlist_has(&viewer, "103.m4s").await;
    assert_eq!(viewer.text("/demo/480p/a0a0a0a0-102.0.m4s").await, "<480p 102.0 of b>");
    assert_eq!(viewer.text("/demo/720p/a0a0a0a0-100.0.m4s").await, "<720p 100.0 of a>");
    assert_eq!(viewer.text("/demo/audio/a0a0a0a0-101.3.m4s").await, "<audio 101.3 of a>");
}

/// A far origin: the beginning of the window is there a while before the rest of it.
#[tokio::test]
async fn a_window_is_shown_when_all_of_it_has_come() {
    let registry = registry();
    let server = TestServer::start().await;
    go_on_air(&registry, &server, 0, "a").await;
    server.play(broadcast::segments(102..104, "a"));
    let way = server.slow_down();
    let origin = TestOrigin::start(Arc::new(registry)).await;
    let viewer = Viewer::new(origin.address);
    let waiting = tokio::spawn(async move { viewer.text("/demo/720p/index.m3u8").await });
    eventually("the window is on its way", async || (server.watches() > 0).then_some(())).await;
    // Far longer than the messages of a near one are apart, and far less than somebody waits.
    tokio::time::sleep(Duration::from_millis(300)).await;
    way.notify_one();
    let playlist = waiting.await.unwrap();
    assert_eq!(lines(&playlist), [100, 101, 102, 103].map(|n| format!("a0a0a0a0-{n}.m4s")), "{playlist}");
}
