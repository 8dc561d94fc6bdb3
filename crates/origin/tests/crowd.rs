//! Many viewers cost what one costs. Alone in its process, because metrics are the process's.

mod support;

use std::sync::Arc;

use support::broadcast::{self, AUDIO, FIRST, VIDEO};
use support::client::Viewer;
use support::metrics::Metrics;
use support::server::TestServer;
use support::{TestOrigin, own, registry};
use tokio::task::JoinSet;

const VIEWERS: usize = 500;

#[tokio::test]
async fn one_part_releases_five_hundred_and_one_watch_serves_them_all() {
    let metrics = Metrics::start();
    let registry = registry();
    let server = TestServer::start().await;
    let epoch = own(&registry, server.address, broadcast::id(0)).await;
    server.open(broadcast::opening(broadcast::id(0), epoch, FIRST), [broadcast::period(FIRST)]);
    server.play(broadcast::segments(FIRST..FIRST + 2, "a"));
    let origin = TestOrigin::start(Arc::new(registry)).await;
    let viewer = Viewer::http2(origin.address);
    viewer.text("/demo/720p/index.m3u8").await;
    viewer.text("/demo/audio/index.m3u8").await;
    let rendered = metrics.value("headwater_origin_playlist_renders_total");

    let mut blocked = JoinSet::new();
    for _ in 0..VIEWERS {
        let viewer = Viewer::new(origin.address);
        blocked.spawn(async move { viewer.text("/demo/720p/index.m3u8?_HLS_msn=102&_HLS_part=0").await });
    }
    let all = VIEWERS as f64;
    metrics.reach("headwater_origin_blocked_requests", all).await;
    // What another rendition gets releases nobody.
    server.play([broadcast::part(AUDIO, 102, 0, "a")]);
    viewer.text("/demo/audio/a0a0a0a0-102.0.m4s").await;
    assert_eq!(metrics.value("headwater_origin_blocked_requests"), all);

    server.play([broadcast::part(VIDEO, 102, 0, "a")]);
    let mut answers = blocked.join_all().await;
    assert!(answers[0].contains("URI=\"a0a0a0a0-102.0.m4s\""), "{}", answers[0]);
    answers.dedup();
    assert_eq!((answers.len(), server.watches()), (1, 1));
    assert_eq!(metrics.value("headwater_origin_playlist_renders_total"), rendered + 1.0);
    assert_eq!(metrics.value("headwater_origin_blocked_requests"), 0.0);
    assert_eq!(metrics.value("headwater_origin_upstream_watches"), 1.0);
}
