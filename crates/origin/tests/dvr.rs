//! Going back: what has left the live window comes from the object store, or from the server that is about to store it.
#![allow(clippy::unwrap_used, reason = "only tests do")]

mod support;

use std::sync::Arc;

use bytes::Bytes;
use headwater_hls::LiveObject;
use headwater_media::{BroadcastId, Epoch, MediaEvent, MediaSequence, MediaTime, Record};
use headwater_platform::store::{self, ObjectStore, StoreSettings};
use headwater_recordings::Layout;
use headwater_registry::{MemoryRegistry, Registry as _};
use http::{Method, StatusCode};
use support::broadcast::{FIRST, VIDEO, id, opening, period, rendition, segments, stored};
use support::client::{Got, Viewer};
use support::server::TestServer;
use support::{TestOrigin, eventually, own, registry, stream};

const NOW: u64 = FIRST + 20;

struct Rewound {
    viewer: Viewer,
    server: TestServer,
    store: Arc<dyn ObjectStore>,
    layout: Layout,
    registry: MemoryRegistry,
    epoch: Epoch,
    _origin: TestOrigin,
    _folder: tempfile::TempDir,
}

impl Rewound {
    /// A broadcast of twenty segments; the window has the last four, the others are stored.
    async fn start() -> Self {
        Self::start_set(&[]).await
    }

    async fn start_set(settings: &[(&str, &str)]) -> Self {
        Self::start_reaching_back(None, settings).await
    }

    /// The same; the server says how far viewers can go back.
    async fn start_reaching_back(dvr_window: Option<MediaTime>, settings: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let registry = registry();
        let server = TestServer::start().await;
        let epoch = own(&registry, server.address, id(0)).await;
        server.store_reaching_back(dvr_window, records(FIRST..NOW - 4));
        let window = [period(FIRST)].into_iter().chain(segments(NOW - 4..NOW, "a"));
        server.open(opening(id(0), epoch, NOW - 4), window);
        let url = format!("file://{}", folder.path().display());
        let origin = TestOrigin::start_set(
            Arc::new(registry.clone()),
            &[&[("STORE_URL", url.as_str())], settings].concat(),
        )
        .await;
        let store = store::open(&StoreSettings::Directory(folder.path().into())).await.unwrap();
        let layout = Layout { stream: stream(), broadcast: id(0) };
        let viewer = Viewer::new(origin.address);
        Self { viewer, server, store, layout, registry, epoch, _origin: origin, _folder: folder }
    }

    /// Ends the broadcast, and waits until it is not shown as live any more.
    async fn end(&self) {
        self.server.play([MediaEvent::BroadcastEnd]);
        eventually("the end is told", async || {
            self.playlist("/demo/720p/dvr.m3u8").await.contains("#EXT-X-ENDLIST").then_some(())
        })
        .await;
        let owner = self.registry.owner(&stream()).await.unwrap().expect("it is still on air").server;
        self.registry.release(&stream(), &owner, self.epoch).await.unwrap();
        self.server.die();
        eventually("the stream is not live any more", async || {
            (self.get("/demo/live.m3u8").await.status == StatusCode::NOT_FOUND).then_some(())
        })
        .await;
    }

    async fn put(&self, sequence: u64, bytes: &'static str) {
        let key = self.layout.segment(&rendition(VIDEO), MediaSequence(sequence));
        self.store.put(&key, Bytes::from_static(bytes.as_bytes()), "video/mp4").await.unwrap();
    }

    async fn get(&self, path: &str) -> Got {
        self.viewer.get(path).await
    }

    async fn playlist(&self, path: &str) -> String {
        self.viewer.text(path).await
    }
}

/// The index of these segments, from the beginning of their period.
fn records(sequences: std::ops::Range<u64>) -> Vec<Record> {
    let MediaEvent::PeriodStart(start) = period(FIRST) else { unreachable!() };
    std::iter::once(Record::Period(start)).chain(sequences.map(stored)).collect()
}

fn numbers(playlist: &str) -> Vec<u64> {
    let files = playlist.lines().filter_map(LiveObject::parse);
    files.map(|file| file.object.sequence().0).collect()
}

#[tokio::test]
async fn the_list_goes_back_to_the_first_segment_and_on_with_the_live_ones() {
    let rewound = Rewound::start().await;
    let list = rewound.playlist("/demo/720p/dvr.m3u8").await;
    assert_eq!(numbers(&list), (FIRST..NOW).collect::<Vec<_>>());
    assert!(
        list.contains(&format!("#EXT-X-MEDIA-SEQUENCE:{FIRST}\n")) && list.contains("#EXT-X-PRELOAD-HINT")
    );
    assert!(rewound.playlist("/demo/dvr.m3u8").await.contains("720p/dvr.m3u8"));
    assert_eq!(numbers(&rewound.playlist("/demo/720p/index.m3u8").await), (NOW - 4..NOW).collect::<Vec<_>>());
    // What is made from here on is listed as well, with nothing lost when it leaves the window.
    rewound.server.play(segments(NOW..NOW + 6, "a"));
    let all: Vec<_> = (FIRST..NOW + 6).collect();
    eventually("the new segments are listed", async || {
        (numbers(&rewound.playlist("/demo/720p/dvr.m3u8").await) == all).then_some(())
    })
    .await;
    let delta = rewound.playlist("/demo/720p/dvr.m3u8?_HLS_skip=YES").await;
    let skip = delta.lines().find_map(|line| line.strip_prefix("#EXT-X-SKIP:SKIPPED-SEGMENTS=")).unwrap();
    assert_eq!(numbers(&delta), all[skip.parse::<usize>().unwrap()..]);
}

#[tokio::test]
async fn the_list_goes_back_as_far_as_the_server_says_whatever_the_origins_own_setting_is() {
    for own in ["2h", "4s", "0s"] {
        let settings = [("RECORDING_DVR_WINDOW", own)];
        let told = Some(MediaTime::from_millis(20_000));
        let rewound = Rewound::start_reaching_back(told, &settings).await;
        // A server tells no more than that; this one does.
        assert_eq!(numbers(&rewound.playlist("/demo/720p/dvr.m3u8").await), (FIRST..NOW).collect::<Vec<_>>());
        rewound.server.play(segments(NOW..NOW + 6, "a"));
        let last_ten: Vec<_> = (NOW - 4..NOW + 6).collect();
        eventually("the last 20 s are listed", async || {
            (numbers(&rewound.playlist("/demo/720p/dvr.m3u8").await) == last_ten).then_some(())
        })
        .await;
    }
    let none = Some(MediaTime::ZERO);
    let rewound = Rewound::start_reaching_back(none, &[]).await;
    assert_eq!(rewound.get("/demo/720p/dvr.m3u8").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn the_presentation_goes_back_to_the_first_segment_too() {
    let rewound = Rewound::start().await;
    let answer = rewound.get("/demo/dvr.mpd").await;
    assert_eq!((answer.status, answer.header("content-type")), (StatusCode::OK, "application/dash+xml"));
    let first = |text: &str| -> u64 {
        let time = text.split_once("<S t=\"").unwrap().1;
        time.split_once('"').unwrap().0.parse().unwrap()
    };
    assert_eq!(first(&answer.text()), 0);
    assert!(
        answer.text().contains("type=\"dynamic\"") && answer.text().contains("timeShiftBufferDepth=\"PT40")
    );
    let live = first(&rewound.playlist("/demo/live.mpd").await);
    assert_eq!(live, ((NOW - 4 - FIRST) * 2_000 + 480) * 90, "in ticks");
    rewound.put(FIRST, "stored segment").await;
    // By its number, and by its period and time.
    for name in ["100", "100-0"] {
        assert_eq!(rewound.get(&format!("/demo/720p/a0a0a0a0-{name}.m4s")).await.text(), "stored segment");
    }
}

#[tokio::test]
async fn what_has_left_the_window_comes_from_the_store_or_from_its_server() {
    let rewound = Rewound::start().await;
    rewound.playlist("/demo/720p/dvr.m3u8").await;
    rewound.put(FIRST + 3, "stored segment").await;
    rewound.server.hold(VIDEO, FIRST + 9, Bytes::from_static(b"still on its way"));
    let stored = rewound.get("/demo/720p/a0a0a0a0-103.m4s").await;
    assert_eq!((stored.status, stored.text()), (StatusCode::OK, "stored segment".into()));
    assert_eq!(stored.header("cache-control"), "public, max-age=31536000, immutable");
    let part =
        rewound.viewer.ask(Method::GET, "/demo/720p/a0a0a0a0-103.m4s", &[("range", "bytes=7-13")]).await;
    assert_eq!((part.status, part.text()), (StatusCode::PARTIAL_CONTENT, "segment".into()));
    assert_eq!(rewound.get("/demo/720p/a0a0a0a0-109.m4s").await.text(), "still on its way");
    assert_eq!(rewound.get("/demo/720p/a0a0a0a0-init-100.mp4").await.text(), "init of 720p");
    // Neither has it; and a number that never was.
    assert_eq!(rewound.get("/demo/720p/a0a0a0a0-110.m4s").await.status, StatusCode::NOT_FOUND);
    assert_eq!(rewound.get("/demo/720p/a0a0a0a0-99.m4s").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_stream_that_is_not_stored_has_no_past() {
    let registry = registry();
    let server = TestServer::start().await;
    let epoch = own(&registry, server.address, id(0)).await;
    server.open(
        opening(id(0), epoch, FIRST),
        [period(FIRST)].into_iter().chain(segments(FIRST..FIRST + 2, "a")),
    );
    let origin = TestOrigin::start(Arc::new(registry)).await;
    let viewer = Viewer::new(origin.address);
    assert_eq!(viewer.get("/demo/live.m3u8").await.status, StatusCode::OK);
    for path in ["/demo/dvr.m3u8", "/demo/720p/dvr.m3u8", "/demo/dvr.mpd"] {
        let answer = viewer.get(path).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{path}");
        assert!(answer.text().contains("urn:headwater:problem:no-dvr"), "{}", answer.text());
    }
    assert_eq!(viewer.get("/demo/recordings.json").await.text(), "[]");
    let recording = format!("/demo/vod-{}.m3u8", BroadcastId::from_bytes([7; 16]));
    assert_eq!(viewer.get(&recording).await.status, StatusCode::NOT_FOUND);
}

/// The last list that viewers have names an hour, and stays good for as long (RFC 8216bis §6.2.2).
#[tokio::test]
async fn who_is_behind_the_live_window_can_go_on_after_the_end() {
    let rewound = Rewound::start().await;
    rewound.put(FIRST + 3, "stored segment").await;
    rewound.playlist("/demo/720p/dvr.m3u8").await;
    rewound.end().await;
    assert_eq!(rewound.get("/demo/720p/index.m3u8").await.status, StatusCode::NOT_FOUND);
    assert_eq!(rewound.playlist("/demo/720p/a0a0a0a0-103.m4s").await, "stored segment");
    assert_eq!(rewound.playlist("/demo/720p/a0a0a0a0-init-100.mp4").await, "init of 720p");
    let last = format!("/demo/720p/a0a0a0a0-{}.0.m4s", NOW - 1);
    assert_eq!(rewound.playlist(&last).await, format!("<720p {}.0 of a>", NOW - 1));
    let list = rewound.playlist("/demo/720p/dvr.m3u8").await;
    assert_eq!(numbers(&list), (FIRST..NOW).collect::<Vec<_>>());
    assert!(list.contains("#EXT-X-ENDLIST"), "{list}");
    assert_eq!(rewound.get("/demo/720p/a0a0a0a0-99.m4s").await.status, StatusCode::NOT_FOUND);
    // Somebody who comes now begins with these.
    let multivariant = rewound.get("/demo/dvr.m3u8").await;
    assert_eq!(
        (multivariant.status, multivariant.header("content-type")),
        (StatusCode::OK, "application/vnd.apple.mpegurl")
    );
    assert!(multivariant.text().contains("\n720p/dvr.m3u8\n"), "{}", multivariant.text());
    let mpd = rewound.get("/demo/dvr.mpd").await;
    assert_eq!((mpd.status, mpd.header("content-type")), (StatusCode::OK, "application/dash+xml"));
    assert!(
        mpd.text().contains("type=\"static\"") && mpd.text().contains("/a0a0a0a0-100-$Time$.m4s"),
        "{}",
        mpd.text()
    );
    assert_eq!(rewound.playlist("/demo/720p/a0a0a0a0-100-540000.m4s").await, "stored segment");
    assert_eq!(rewound.get("/demo/live.mpd").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn after_the_dvr_window_the_end_is_over() {
    let rewound = Rewound::start_set(&[("RECORDING_DVR_WINDOW", "6s")]).await;
    let all = ["/demo/dvr.m3u8", "/demo/dvr.mpd", "/demo/720p/dvr.m3u8"];
    for path in all {
        assert_eq!(rewound.get(path).await.status, StatusCode::OK, "{path}");
    }
    rewound.end().await;
    rewound.put(NOW - 1, "stored segment").await;
    let newest = format!("/demo/720p/a0a0a0a0-{}.m4s", NOW - 1);
    eventually("its lists are over", async || {
        let mut given = Vec::new();
        for path in all {
            let answer = rewound.get(path).await;
            if answer.status != StatusCode::OK {
                assert_eq!(answer.status, StatusCode::NOT_FOUND, "{path}");
                assert!(answer.text().contains("urn:headwater:problem:not-live"), "{}", answer.text());
                // Somebody may have got the list a moment ago.
                assert_eq!(rewound.get(&newest).await.status, StatusCode::OK);
            }
            given.push(answer.status);
        }
        given.iter().all(|status| *status == StatusCode::NOT_FOUND).then_some(())
    })
    .await;
}
