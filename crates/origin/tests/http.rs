//! Tests of all that every viewer may rely on, over real connections.

mod support;

use std::io::Read as _;
use std::sync::Arc;

use http::{Method, StatusCode, Version};
use support::broadcast::{self, AUDIO, FIRST, VIDEO};
use support::client::{Got, Viewer};
use support::server::TestServer;
use support::{TestOrigin, own, registry};

/// An origin with one stream on air: two whole segments and one part of the third.
struct OnAir {
    viewer: Viewer,
    origin: TestOrigin,
    server: TestServer,
}

async fn on_air() -> OnAir {
    let registry = registry();
    let server = TestServer::start().await;
    let epoch = own(&registry, server.address, broadcast::id(0)).await;
    server.open(broadcast::opening(broadcast::id(0), epoch, FIRST), [broadcast::period(FIRST)]);
    server.play(broadcast::segments(FIRST..FIRST + 2, "a"));
    server.play([VIDEO, AUDIO].map(|id| broadcast::part(id, FIRST + 2, 0, "a")));
    let origin = TestOrigin::start(Arc::new(registry)).await;
    OnAir { viewer: Viewer::new(origin.address), origin, server }
}

fn assert_common(got: &Got) {
    assert_eq!(got.header("access-control-allow-origin"), "*");
    assert!(got.header("access-control-expose-headers").contains("Content-Range"));
    assert_eq!(got.header("timing-allow-origin"), "*");
    assert_eq!(got.header("x-content-type-options"), "nosniff");
    assert!(got.headers.contains_key("date"));
}

fn segment(id: &str, sequence: u64) -> String {
    let parts = (0..broadcast::PARTS).map(|index| broadcast::bytes(id, sequence, index, "a"));
    parts.map(|part| String::from_utf8_lossy(&part).into_owned()).collect()
}

#[tokio::test]
async fn playlists_are_live_and_compressed_on_demand() {
    let OnAir { viewer, origin: _origin, .. } = on_air().await;
    for path in ["/demo/live.m3u8", "/demo/720p/index.m3u8"] {
        let plain = viewer.get(path).await;
        assert_common(&plain);
        assert_eq!(plain.header("content-type"), "application/vnd.apple.mpegurl");
        assert_eq!(plain.header("cache-control"), "public, max-age=1");
        assert_eq!(plain.header("vary"), "Accept-Encoding");
        assert!(plain.text().starts_with("#EXTM3U"));
        let zipped = viewer.ask(Method::GET, path, &[("accept-encoding", "gzip, deflate")]).await;
        assert_eq!(zipped.header("content-encoding"), "gzip");
        assert_ne!(zipped.header("etag"), plain.header("etag"));
        let mut text = String::new();
        flate2::read::GzDecoder::new(&zipped.body[..]).read_to_string(&mut text).unwrap();
        assert_eq!(text, plain.text());
    }
}

#[tokio::test]
async fn whoever_holds_it_gets_304() {
    let OnAir { viewer, origin: _origin, .. } = on_air().await;
    for path in ["/demo/live.m3u8", "/demo/720p/index.m3u8", "/demo/720p/a0a0a0a0-100.m4s", "/"] {
        let first = viewer.get(path).await;
        let etag = first.header("etag");
        let again = viewer.ask(Method::GET, path, &[("if-none-match", etag)]).await;
        assert_eq!(again.status, StatusCode::NOT_MODIFIED, "{path}");
        assert_common(&again);
        assert_eq!((again.header("etag"), again.body.len()), (etag, 0));
        assert_eq!(again.header("cache-control"), first.header("cache-control"));
        let other = viewer.ask(Method::GET, path, &[("if-none-match", "\"other\"")]).await;
        assert_eq!(other.status, StatusCode::OK);
    }
}

#[tokio::test]
async fn media_is_what_was_made_and_never_changes() {
    let OnAir { viewer, origin: _origin, .. } = on_air().await;
    for (path, content_type, text) in [
        ("/demo/720p/a0a0a0a0-init-100.mp4", "video/mp4", "init of 720p".to_owned()),
        ("/demo/audio/a0a0a0a0-init-100.mp4", "audio/mp4", "init of audio".to_owned()),
        ("/demo/720p/a0a0a0a0-101.m4s", "video/mp4", segment(VIDEO, 101)),
        ("/demo/audio/a0a0a0a0-101.m4s", "audio/mp4", segment(AUDIO, 101)),
        ("/demo/720p/a0a0a0a0-101.3.m4s", "video/mp4", "<720p 101.3 of a>".to_owned()),
        ("/demo/720p/a0a0a0a0-102.0.m4s", "video/mp4", "<720p 102.0 of a>".to_owned()),
    ] {
        let got = viewer.get(path).await;
        assert_common(&got);
        assert_eq!(got.text(), text);
        assert_eq!(got.header("content-type"), content_type);
        assert_eq!(got.header("cache-control"), "public, max-age=31536000, immutable");
        assert_eq!(got.header("accept-ranges"), "bytes");
        assert_eq!(got.header("content-length"), text.len().to_string());
    }
}

#[tokio::test]
async fn ranges_cross_parts() {
    let OnAir { viewer, origin: _origin, .. } = on_air().await;
    let path = "/demo/720p/a0a0a0a0-100.m4s";
    let whole = segment(VIDEO, 100);
    let length = whole.len();
    let etag = viewer.get(path).await.header("etag").to_owned();
    let ranged = async |headers: &[(&str, &str)]| viewer.ask(Method::GET, path, headers).await;

    let middle = ranged(&[("range", "bytes=10-40")]).await;
    assert_eq!((middle.status, middle.text()), (StatusCode::PARTIAL_CONTENT, whole[10..=40].to_owned()));
    assert_eq!(middle.header("content-range"), format!("bytes 10-40/{length}"));
    assert_eq!(middle.header("content-length"), "31");
    assert_common(&middle);

    let meant = ranged(&[("range", "bytes=-5"), ("if-range", &etag)]).await;
    assert_eq!((meant.status, meant.text()), (StatusCode::PARTIAL_CONTENT, whole[length - 5..].to_owned()));
    let changed = ranged(&[("range", "bytes=-5"), ("if-range", "\"other\"")]).await;
    assert_eq!((changed.status, changed.text()), (StatusCode::OK, whole.clone()));
    let several = ranged(&[("range", "bytes=0-1,3-4")]).await;
    assert_eq!(several.status, StatusCode::OK);

    let behind = ranged(&[("range", "bytes=1000-")]).await;
    assert_eq!(behind.status, StatusCode::RANGE_NOT_SATISFIABLE);
    assert_eq!(behind.header("content-range"), format!("bytes */{length}"));
    assert_eq!(behind.header("content-type"), "application/problem+json");
    assert_common(&behind);
}

#[tokio::test]
async fn head_is_get_without_the_body() {
    let OnAir { viewer, origin: _origin, .. } = on_air().await;
    for path in [
        "/demo/live.m3u8",
        "/demo/audio/index.m3u8",
        "/demo/720p/a0a0a0a0-100.m4s",
        "/demo",
        "/nobody/live.m3u8",
    ] {
        let mut get = viewer.get(path).await;
        let mut head = viewer.ask(Method::HEAD, path, &[]).await;
        assert_eq!((head.status, head.body.len()), (get.status, 0), "{path}");
        assert_eq!(head.header("content-length"), get.body.len().to_string(), "{path}");
        get.headers.remove("date");
        head.headers.remove("date");
        assert_eq!(head.headers, get.headers, "{path}");
    }
}

#[tokio::test]
async fn errors_are_problems_that_other_sites_can_read() {
    let OnAir { viewer, origin: _origin, .. } = on_air().await;
    for (path, status, name, cached) in [
        ("/nobody/live.m3u8", 404, "not-live", "public, max-age=1"),
        ("/nobody/720p/index.m3u8", 404, "not-live", "public, max-age=1"),
        ("/demo/1080p/index.m3u8", 404, "no-rendition", "public, max-age=1"),
        ("/demo/1080p/a0a0a0a0-100.m4s", 404, "no-rendition", "public, max-age=1"),
        ("/demo/720p/a0a0a0a0-99.m4s", 404, "no-object", "public, max-age=1"),
        ("/demo/720p/a0a0a0a0-900.m4s", 404, "no-object", "public, max-age=1"),
        ("/demo/720p/a0a0a0a0-101.4.m4s", 404, "no-object", "public, max-age=1"),
        ("/demo/720p/a0a0a0a0-init-101.mp4", 404, "no-object", "public, max-age=1"),
        ("/demo/720p/a0a0a0a0-x.m4s", 404, "no-route", "public, max-age=1"),
        ("/demo/live.mp4", 404, "no-route", "public, max-age=1"),
        ("/assets/none.js", 404, "no-route", "public, max-age=1"),
        ("/demo/720p/index.m3u8?_HLS_msn=200", 400, "directive", "public, max-age=1"),
        ("/demo/720p/index.m3u8?_HLS_msn=x", 400, "directive", "public, max-age=1"),
        ("/demo/720p/index.m3u8?_HLS_part=1", 400, "directive", "public, max-age=1"),
        ("/demo/720p/index.m3u8?_HLS_skip=maybe", 400, "directive", "public, max-age=1"),
    ] {
        let got = viewer.get(path).await;
        assert_common(&got);
        let problem = got.json();
        assert_eq!(
            (got.status.as_u16(), problem["status"].as_u64()),
            (status, Some(status.into())),
            "{path}"
        );
        assert_eq!(problem["type"], format!("urn:headwater:problem:{name}"), "{path}");
        assert_eq!(got.header("content-type"), "application/problem+json");
        assert_eq!(got.header("cache-control"), cached, "{path}");
        assert!(!problem["detail"].as_str().unwrap().is_empty());
    }
    assert_eq!(viewer.get("/nobody/live.m3u8").await.header("retry-after"), "1");
}

#[tokio::test]
async fn other_methods_and_preflights() {
    let OnAir { viewer, origin: _origin, .. } = on_air().await;
    for method in [Method::POST, Method::PUT, Method::DELETE] {
        let got = viewer.ask(method, "/demo/live.m3u8", &[]).await;
        assert_eq!(got.status, StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(got.header("allow"), "GET, HEAD, OPTIONS");
        assert_common(&got);
    }
    let got = viewer
        .ask(Method::OPTIONS, "/demo/720p/a0a0a0a0-100.m4s", &[("origin", "https://example.org")])
        .await;
    assert_eq!((got.status, got.body.len()), (StatusCode::NO_CONTENT, 0));
    assert_eq!(got.header("access-control-allow-methods"), "GET, HEAD, OPTIONS");
    assert!(got.header("access-control-allow-headers").contains("Range"));
    assert_common(&got);
}

#[tokio::test]
async fn http2_needs_no_upgrade() {
    let OnAir { origin, .. } = on_air().await;
    let viewer = Viewer::http2(origin.address);
    let got = viewer.get("/demo/720p/a0a0a0a0-100.m4s").await;
    assert_eq!((got.version, got.text()), (Version::HTTP_2, segment(VIDEO, 100)));
    let head = viewer.ask(Method::HEAD, "/demo/720p/a0a0a0a0-100.m4s", &[]).await;
    assert_eq!(head.header("content-length"), segment(VIDEO, 100).len().to_string());
}

#[tokio::test]
async fn the_page_may_be_embedded() {
    let OnAir { viewer, origin: _origin, .. } = on_air().await;
    let page = viewer.get("/demo").await;
    assert_eq!(page.status, StatusCode::OK);
    assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
    let policy = page.header("content-security-policy");
    // No `frame-ancestors`: its `*` would leave out pages that are no URL of a network, such as those of an app.
    assert!(!policy.contains("frame-ancestors") && policy.contains("media-src 'self' blob:"), "{policy}");
    assert!(!page.headers.contains_key("x-frame-options"));
    let slashed = viewer.get("/demo/").await;
    assert_eq!((slashed.status, slashed.header("location")), (StatusCode::PERMANENT_REDIRECT, "../demo"));
    let with_query = viewer.get("/demo/?muted=1&autoplay=0").await;
    assert_eq!(with_query.header("location"), "../demo?muted=1&autoplay=0");
    assert!(viewer.text("/").await.contains("Headwater"));
}

#[tokio::test]
async fn names_of_cloudflare_lead_to_the_resources() {
    let OnAir { viewer, origin: _origin, .. } = on_air().await;
    for (path, location) in [
        ("/demo/iframe?muted=true", "../demo?muted=true"),
        ("/demo/manifest/video.m3u8", "../live.m3u8"),
        ("/demo/manifest/video.mpd", "../live.mpd"),
        ("/demo/thumbnails/thumbnail.jpg?height=320&time=2s", "../thumbnail.jpg?height=320&time=2s"),
    ] {
        let answer = viewer.get(path).await;
        assert_eq!((answer.status, answer.header("location")), (StatusCode::PERMANENT_REDIRECT, location));
        assert_eq!(answer.header("cache-control"), "public, max-age=60");
        assert_eq!(answer.header("access-control-allow-origin"), "*", "players of other sites follow it");
    }
}

/// The page of a name that was never on air says so, and waits all the same.
#[tokio::test]
async fn the_page_of_an_unknown_name_is_not_kept() {
    let OnAir { viewer, origin: _origin, .. } = on_air().await;
    let page = viewer.get("/demo").await;
    let unknown = viewer.get("/nobody").await;
    assert_eq!(unknown.status, StatusCode::NOT_FOUND);
    assert_eq!(unknown.header("cache-control"), "public, max-age=1");
    assert_eq!(unknown.header("content-type"), page.header("content-type"));
    assert_eq!(unknown.text().replacen("data-unknown ", "", 1), page.text());
}

#[tokio::test]
async fn who_mistypes_an_address_gets_a_page() {
    let OnAir { viewer, origin: _origin, .. } = on_air().await;
    let browser = [("accept", "text/html,application/xhtml+xml,*/*;q=0.8")];
    for path in ["/live/demo", "/a%20b", "/%ED%95%9C%EA%B8%80", "/demo/nothing", "/nobody/live.m3u8"] {
        let got = viewer.ask(Method::GET, path, &browser).await;
        assert_common(&got);
        assert_eq!(got.status, StatusCode::NOT_FOUND, "{path}");
        assert_eq!(got.header("content-type"), "text/html; charset=utf-8", "{path}");
        assert_eq!(got.header("vary"), "Accept");
        assert!(got.text().contains("<h1>"), "{path}: {}", got.text());
        assert_eq!(viewer.get(path).await.header("content-type"), "application/problem+json", "{path}");
    }
    let publishing = viewer.ask(Method::GET, "/live/demo", &browser).await;
    assert!(publishing.text().contains("<a href=\"../demo\">demo</a>"), "{}", publishing.text());
}

#[tokio::test]
async fn a_playlist_that_is_named_may_be_kept_longer_and_an_ended_one_says_so() {
    let OnAir { viewer, server, origin: _origin } = on_air().await;
    let named = viewer.get("/demo/720p/index.m3u8?_HLS_msn=102&_HLS_part=0&_HLS_skip=YES").await;
    assert_eq!((named.status, named.header("cache-control")), (StatusCode::OK, "public, max-age=12"));
    // What is asked for is there for long, so the answer is the present playlist, which changes.
    for past in ["_HLS_msn=100", "_HLS_msn=101&_HLS_part=0", "_HLS_msn=101"] {
        let named = viewer.get(&format!("/demo/720p/index.m3u8?{past}")).await;
        assert_eq!(named.header("cache-control"), "public, max-age=1", "{past}");
    }
    server.play([headwater_media::MediaEvent::BroadcastEnd]);
    let ended = viewer.get("/demo/720p/index.m3u8?_HLS_msn=103").await;
    assert!(ended.text().contains("#EXT-X-ENDLIST"), "{}", ended.text());
    assert_eq!(ended.header("cache-control"), "public, max-age=4");
    assert_eq!(viewer.text("/demo/720p/a0a0a0a0-102.m4s").await, "<720p 102.0 of a>");
}
