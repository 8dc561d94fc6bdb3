//! The end of an origin. Alone in its process, because metrics are the process's.

mod support;

use std::sync::Arc;

use support::broadcast::{self, FIRST};
use support::client::Viewer;
use support::metrics::Metrics;
use support::server::TestServer;
use support::{DEADLINE, TestOrigin, eventually, own, registry};
use tokio::net::TcpStream;

#[tokio::test]
async fn what_is_under_way_is_answered() {
    let metrics = Metrics::start();
    let registry = registry();
    let server = TestServer::start().await;
    let epoch = own(&registry, server.address, broadcast::id(0)).await;
    server.open(broadcast::opening(broadcast::id(0), epoch, FIRST), [broadcast::period(FIRST)]);
    server.play(broadcast::segments(FIRST..FIRST + 2, "a"));
    let TestOrigin { address, served, drain } = TestOrigin::start(Arc::new(registry)).await;
    let idle = Viewer::new(address);
    idle.text("/demo/720p/a0a0a0a0-101.m4s").await;
    let viewer = Viewer::new(address);
    let blocked = tokio::spawn(async move { viewer.text("/demo/720p/index.m3u8?_HLS_msn=102").await });
    metrics.reach("headwater_origin_blocked_requests", 1.0).await;

    drop(drain);
    eventually("the listener is closed", async || TcpStream::connect(address).await.err()).await;
    metrics.reach("headwater_origin_connections", 1.0).await;
    server.play(broadcast::segments(102..103, "a"));
    assert!(blocked.await.unwrap().contains("102.m4s"));
    tokio::time::timeout(DEADLINE, served).await.unwrap().unwrap().unwrap();
    assert_eq!(metrics.value("headwater_origin_upstream_watches"), 0.0);
}
