//! Tests of all that DASH players rely on, over real connections.

mod support;

use std::io::Read as _;
use std::sync::Arc;

use bytes::Bytes;
use headwater_registry::MemoryRegistry;
use http::{Method, StatusCode};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use support::broadcast::{self, AUDIO, FIRST, PARTS, VIDEO};
use support::client::Viewer;
use support::server::TestServer;
use support::{DEADLINE, TestOrigin, own, registry};

/// An origin with one stream on air: two whole segments and one part of the third.
struct OnAir {
    viewer: Viewer,
    _origin: TestOrigin,
    server: TestServer,
    registry: Arc<MemoryRegistry>,
}

async fn on_air() -> OnAir {
    on_air_in(FIRST).await
}

/// The same in a period whose first segment has this number.
async fn on_air_in(period: u64) -> OnAir {
    let registry = Arc::new(registry());
    let server = TestServer::start().await;
    let epoch = own(&registry, server.address, broadcast::id(0)).await;
    server.open(broadcast::opening(broadcast::id(0), epoch, FIRST), [broadcast::period(period)]);
    server.play(broadcast::segments(FIRST..FIRST + 2, "a"));
    server.play([VIDEO, AUDIO].map(|id| broadcast::part(id, FIRST + 2, 0, "a")));
    let origin = TestOrigin::start(registry.clone()).await;
    OnAir { viewer: Viewer::new(origin.address), _origin: origin, server, registry }
}

#[tokio::test]
async fn the_presentation_is_served_as_playlists_are() {
    let OnAir { viewer, server, _origin, .. } = on_air().await;
    let plain = viewer.get("/demo/live.mpd").await;
    assert_eq!(plain.status, StatusCode::OK);
    assert_eq!(plain.header("content-type"), "application/dash+xml");
    assert_eq!(plain.header("cache-control"), "public, max-age=1");
    assert_eq!(plain.header("vary"), "Accept-Encoding");
    assert_eq!(plain.header("access-control-allow-origin"), "*");
    assert!(plain.text().contains("type=\"dynamic\"") && plain.text().contains("/a0a0a0a0-100-$Time$.m4s\""));
    let zipped = viewer.ask(Method::GET, "/demo/live.mpd", &[("accept-encoding", "gzip")]).await;
    let mut text = String::new();
    flate2::read::GzDecoder::new(&zipped.body[..]).read_to_string(&mut text).unwrap();
    assert_eq!(text, plain.text());
    let held = [("if-none-match", plain.header("etag"))];
    let again = viewer.ask(Method::GET, "/demo/live.mpd", &held).await;
    assert_eq!(again.status, StatusCode::NOT_MODIFIED);

    server.play([headwater_media::MediaEvent::BroadcastEnd]);
    let ended = async {
        while !viewer.text("/demo/live.mpd").await.contains("type=\"static\"") {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(DEADLINE, ended).await.expect("the end is said");
    let nobody = viewer.get("/nobody/live.mpd").await;
    assert_eq!(
        (nobody.status, nobody.header("content-type")),
        (StatusCode::NOT_FOUND, "application/problem+json")
    );
}

#[tokio::test]
async fn it_says_what_time_it_is() {
    let OnAir { viewer, _origin, .. } = on_air().await;
    let time = viewer.get("/demo/time").await;
    assert_eq!((time.header("cache-control"), time.header("access-control-allow-origin")), ("no-store", "*"));
    let text = time.text();
    assert!(text.len() == 24 && text.starts_with("20") && text.ends_with('Z'), "{text}");
}

async fn next(body: &mut Incoming) -> Option<Result<Bytes, hyper::Error>> {
    let frame = tokio::time::timeout(DEADLINE, body.frame()).await.expect("something comes");
    frame.map(|frame| frame.map(|frame| frame.into_data().expect("there are no trailers")))
}

#[tokio::test]
async fn a_segment_is_sent_while_it_is_made() {
    let OnAir { viewer, server, _origin, .. } = on_air().await;
    let response = viewer.open("/demo/720p/a0a0a0a0-102.m4s").await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.headers()["content-type"], "video/mp4");
    assert_eq!(response.headers()["cache-control"], "public, max-age=31536000, immutable");
    assert!(!response.headers().contains_key("content-length"));
    let mut body = response.into_body();
    for index in 0..PARTS {
        let part = next(&mut body).await.unwrap().unwrap();
        assert_eq!(part, broadcast::bytes(VIDEO, 102, index, "a"));
        if index + 1 < PARTS {
            server.play([broadcast::part(VIDEO, 102, index + 1, "a")]);
        }
    }
    server.play([broadcast::end(VIDEO, 102)]);
    assert!(next(&mut body).await.is_none(), "and then it is over");
    let whole = viewer.get("/demo/720p/a0a0a0a0-102.m4s").await;
    let length: usize = (0..PARTS).map(|index| broadcast::bytes(VIDEO, 102, index, "a").len()).sum();
    assert_eq!(whole.header("content-length"), length.to_string());
}

#[tokio::test]
async fn the_next_segment_is_waited_for_and_then_sent_while_it_is_made() {
    let OnAir { viewer, server, _origin, .. } = on_air().await;
    let asked = tokio::spawn(async move { viewer.open("/demo/720p/a0a0a0a0-103.m4s").await });
    server.play((1..PARTS).map(|index| broadcast::part(VIDEO, 102, index, "a")));
    server.play([broadcast::end(VIDEO, 102), broadcast::part(VIDEO, 103, 0, "a")]);
    let mut body = asked.await.unwrap().into_body();
    assert_eq!(next(&mut body).await.unwrap().unwrap(), broadcast::bytes(VIDEO, 103, 0, "a"));
}

#[tokio::test]
async fn all_that_was_announced_is_waited_for_and_nothing_else() {
    let OnAir { viewer, server, _origin, .. } = on_air().await;
    // Numbers 102, 103 and 104 are announced, and another origin may be a segment ahead.
    let mpd = viewer.text("/demo/live.mpd").await;
    assert!(mpd.contains("/a0a0a0a0-100-$Time$.m4s\"") && !mpd.contains("r=\"-1\""), "{mpd}");
    assert_eq!(viewer.get("/demo/720p/a0a0a0a0-106.m4s").await.status, StatusCode::NOT_FOUND);
    let asked = [103, 104, 105].map(|number| {
        let viewer = viewer.clone();
        tokio::spawn(async move { viewer.text(&format!("/demo/720p/a0a0a0a0-{number}.m4s")).await })
    });
    server.play((1..PARTS).flat_map(|part| [VIDEO, AUDIO].map(|id| broadcast::part(id, 102, part, "a"))));
    server.play([VIDEO, AUDIO].map(|id| broadcast::end(id, 102)));
    server.play(broadcast::segments(FIRST + 3..FIRST + 6, "a"));
    for (number, asked) in (103..).zip(asked) {
        let parts = (0..PARTS).map(|index| format!("<{VIDEO} {number}.{index} of a>"));
        assert_eq!(asked.await.unwrap(), parts.collect::<String>());
    }
}

#[tokio::test]
async fn a_segment_is_named_by_its_time_too() {
    let OnAir { viewer, server, _origin, .. } = on_air_in(FIRST - 1).await;
    let mpd = viewer.text("/demo/live.mpd").await;
    assert!(mpd.contains("/a0a0a0a0-99-$Time$.m4s\"") && mpd.contains("<S t=\"43200\" "), "{mpd}");
    let whole = viewer.text("/demo/720p/a0a0a0a0-99-43200.m4s").await;
    assert_eq!(whole, viewer.text("/demo/720p/a0a0a0a0-100.m4s").await);
    assert_eq!(
        viewer.get("/demo/720p/a0a0a0a0-100-43200.m4s").await.status,
        StatusCode::NOT_FOUND,
        "no such period"
    );
    // What was announced is not what another period has instead.
    let announced = viewer.clone();
    let announced = tokio::spawn(async move { announced.get("/demo/720p/a0a0a0a0-99-583200.m4s").await });
    server.play((1..PARTS).flat_map(|part| [VIDEO, AUDIO].map(|id| broadcast::part(id, 102, part, "a"))));
    server.play([VIDEO, AUDIO].map(|id| broadcast::end(id, 102)));
    let headwater_media::MediaEvent::PeriodStart(period) = broadcast::period(FIRST + 3) else {
        unreachable!()
    };
    let second = headwater_media::PeriodStart { number: headwater_media::PeriodNumber(1), ..period };
    server.play([headwater_media::MediaEvent::PeriodStart(second), broadcast::part(VIDEO, 103, 0, "b")]);
    assert_eq!(announced.await.unwrap().body[..], headwater_hls::cmaf::END_SEGMENT);
}

/// Another origin has shown its viewers the beginning of a period that this one is about to hear of.
#[tokio::test]
async fn the_beginning_of_a_period_that_is_not_there_yet_is_waited_for() {
    let OnAir { viewer, server, _origin, .. } = on_air().await;
    let early = viewer.clone();
    let mut early = tokio::spawn(async move { early.text("/demo/720p/a0a0a0a0-103-583200.m4s").await });
    let held = tokio::time::timeout(std::time::Duration::from_millis(300), &mut early).await;
    assert!(held.is_err(), "it is told something: {held:?}");
    let far = viewer.get("/demo/720p/a0a0a0a0-180-583200.m4s").await;
    assert_eq!(far.status, StatusCode::NOT_FOUND, "nothing is announced so far ahead");
    let headwater_media::MediaEvent::PeriodStart(period) = broadcast::period(FIRST + 3) else {
        unreachable!()
    };
    let number = headwater_media::PeriodNumber(1);
    let origin = headwater_media::MediaTime(6_480_000);
    let second = headwater_media::PeriodStart { number, origin, ..period };
    server.play([headwater_media::MediaEvent::PeriodStart(second), broadcast::part(VIDEO, 103, 0, "b")]);
    server.play([broadcast::end(VIDEO, 103)]);
    assert_eq!(early.await.unwrap(), "<720p 103.0 of b>");
}

#[tokio::test]
async fn the_clock_is_as_slow_as_the_encoder() {
    let OnAir { viewer, server, _origin, .. } = on_air().await;
    let drift = |drift| headwater_media::MediaEvent::Drift {
        period: headwater_media::PeriodNumber(0),
        from: headwater_media::MediaTime(u64::try_from(drift).unwrap()),
        drift,
    };
    let hour_ago = jiff::Timestamp::now() - jiff::SignedDuration::from_hours(1);
    server.play([drift(3_600_000)]);
    let told = async {
        while viewer.text("/demo/time").await.parse::<jiff::Timestamp>().unwrap()
            > jiff::Timestamp::now() - jiff::SignedDuration::from_mins(59)
        {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(DEADLINE, told).await.expect("it is an hour slow");
    let time: jiff::Timestamp = viewer.text("/demo/time").await.parse().unwrap();
    // Both sides of the answer; it has whole milliseconds.
    let until = jiff::Timestamp::now() - jiff::SignedDuration::from_hours(1);
    assert!(hour_ago - jiff::SignedDuration::from_millis(1) <= time && time <= until, "{time}");
}

#[tokio::test]
async fn a_segment_that_was_announced_and_never_came_is_empty_and_says_so() {
    let OnAir { viewer, server, _origin, .. } = on_air().await;
    let waiting = viewer.clone();
    let waiting = tokio::spawn(async move { waiting.get("/demo/720p/a0a0a0a0-103.m4s").await });
    server.play((1..PARTS).map(|index| broadcast::part(VIDEO, 102, index, "a")));
    server.play([broadcast::end(VIDEO, 102), headwater_media::MediaEvent::BroadcastEnd]);
    let announced = waiting.await.unwrap();
    let is_end = |got: &support::client::Got| {
        got.status == StatusCode::OK && got.body[..] == headwater_hls::cmaf::END_SEGMENT
    };
    assert!(is_end(&announced), "{}", announced.status);
    assert_eq!(announced.header("content-type"), "video/mp4");
    assert_eq!(announced.header("cache-control"), "public, max-age=1", "the next broadcast may have it");
    let began = std::time::Instant::now();
    assert!(is_end(&viewer.get("/demo/720p/a0a0a0a0-104.m4s").await));
    assert!(began.elapsed().as_secs() >= 2, "a player that goes on counting does so once a segment");
    // Nobody counts so far.
    assert_eq!(viewer.get("/demo/720p/a0a0a0a0-999999.m4s").await.status, StatusCode::NOT_FOUND);
    // What is no whole segment was not announced.
    assert_eq!(viewer.get("/demo/720p/a0a0a0a0-103.0.m4s").await.status, StatusCode::NOT_FOUND);
    assert_eq!(viewer.get("/demo/720p/a0a0a0a0-99.m4s").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn whoever_needs_its_length_waits_for_the_whole_segment() {
    let OnAir { viewer, server, _origin, .. } = on_air().await;
    let ranged = viewer.clone();
    let ranged = async move {
        ranged.ask(Method::GET, "/demo/720p/a0a0a0a0-102.m4s", &[("range", "bytes=0-3")]).await
    };
    let head = async move { viewer.ask(Method::HEAD, "/demo/720p/a0a0a0a0-102.m4s", &[]).await };
    let ranged = tokio::spawn(ranged);
    let head = tokio::spawn(head);
    server.play((1..PARTS).map(|index| broadcast::part(VIDEO, 102, index, "a")));
    server.play([broadcast::end(VIDEO, 102)]);
    assert_eq!(ranged.await.unwrap().text(), "<720");
    assert!(head.await.unwrap().headers.contains_key("content-length"));
}

#[tokio::test]
async fn a_segment_that_will_never_be_whole_is_broken_off() {
    let OnAir { viewer, server, registry, _origin } = on_air().await;
    let mut body = viewer.open("/demo/720p/a0a0a0a0-102.m4s").await.into_body();
    next(&mut body).await.unwrap().unwrap();
    // Another broadcast takes its place.
    let other = TestServer::start().await;
    let epoch = own(&registry, other.address, broadcast::id(1)).await;
    other.open(broadcast::opening(broadcast::id(1), epoch, FIRST + 50), [broadcast::period(FIRST + 50)]);
    server.die();
    assert!(next(&mut body).await.unwrap().is_err(), "nobody may take it for whole");
}
