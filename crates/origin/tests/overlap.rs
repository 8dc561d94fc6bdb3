//! Two broadcasts of one stream that have numbers in common: the first one's media ran ahead of the clock. No URL has media of
//! both, as caches keep it for a year.
#![allow(clippy::unwrap_used, reason = "only tests do")]

mod support;

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use headwater_media::{MediaEvent, MediaSequence, Record};
use headwater_platform::store::{self, StoreSettings};
use headwater_recordings::Layout;
use headwater_registry::MemoryRegistry;
use http::StatusCode;
use http_body_util::BodyExt as _;
use support::broadcast::{self, FIRST, VIDEO, end, id, opening, part, period, rendition, segments};
use support::client::Viewer;
use support::server::TestServer;
use support::{TestOrigin, eventually, own, registry};

/// Numbers of the first broadcast, and of the second one.
const NUMBERS: [Range<u64>; 2] = [FIRST..FIRST + 9, FIRST + 4..FIRST + 9];

struct Stream {
    registry: MemoryRegistry,
    server: TestServer,
    viewer: Viewer,
    _origin: TestOrigin,
}

impl Stream {
    async fn start(store: &str) -> Self {
        let registry = registry();
        let server = TestServer::start().await;
        let origin = TestOrigin::start_with(Arc::new(registry.clone()), store).await;
        let viewer = Viewer::new(origin.address);
        Self { registry, server, viewer, _origin: origin }
    }

    /// Puts the first or second broadcast on air, instead of what was. Its media says which one it is of.
    async fn air(&self, nth: u8) {
        let Range { start, end: next } = NUMBERS[usize::from(nth)].clone();
        let by = ["a", "b"][usize::from(nth)];
        self.server.die();
        let epoch = own(&self.registry, self.server.address, id(nth)).await;
        self.server.open(opening(id(nth), epoch, start), [period_of(nth)]);
        self.server.play(segments(start..next, by));
        self.server.play([part(VIDEO, next, 0, by)]);
        let newest = format!("a{nth}a{nth}a{nth}a{nth}-{next}.0.m4s");
        eventually(&newest, async || self.list("index.m3u8").await.contains(&newest).then_some(())).await;
    }

    async fn list(&self, file: &str) -> String {
        self.viewer.text(&format!("/demo/720p/{file}")).await
    }

    /// Bytes of all media that the list names, by their URLs; none of what is not there.
    async fn fetch_listed(&self, list: &str) -> BTreeMap<String, Option<String>> {
        let is_media = |word: &&str| word.ends_with(".m4s") || word.ends_with(".mp4");
        let hint = list.split_once("#EXT-X-PRELOAD-HINT").map_or(list, |(before, _)| before);
        let mut found = BTreeMap::new();
        for file in hint.split(['\n', '"']).filter(is_media) {
            found.insert(file.to_owned(), self.fetch(file).await);
        }
        found
    }

    async fn fetch(&self, file: &str) -> Option<String> {
        let got = self.viewer.get(&format!("/demo/720p/{file}")).await;
        match got.status {
            StatusCode::OK => Some(got.text()),
            status => {
                assert_eq!(status, StatusCode::NOT_FOUND, "{file}: {}", got.text());
                assert_eq!(got.header("cache-control"), "public, max-age=1");
                None
            }
        }
    }
}

/// The period of a broadcast, with init segments of its own.
fn period_of(nth: u8) -> MediaEvent {
    let MediaEvent::PeriodStart(mut start) = period(NUMBERS[usize::from(nth)].start) else { unreachable!() };
    for (of, init) in &mut start.renditions {
        *init = Bytes::from(format!("init of {} of {nth}", of.id));
    }
    MediaEvent::PeriodStart(start)
}

#[tokio::test]
async fn a_url_of_the_first_broadcast_is_never_the_second_ones_media() {
    let stream = Stream::start("none").await;
    stream.air(0).await;
    let old = stream.fetch_listed(&stream.list("index.m3u8").await).await;
    assert!(old.len() > 15 && old.values().all(Option::is_some), "{old:?}");
    stream.air(1).await;
    let new = stream.fetch_listed(&stream.list("index.m3u8").await).await;
    assert!(new.len() > 15 && new.values().all(Option::is_some), "{new:?}");
    assert!(new.keys().all(|file| !old.contains_key(file)), "{old:?} and {new:?}");
    for (file, bytes) in &old {
        let now = stream.fetch(file).await;
        assert_eq!(&now, bytes, "{file} is kept for those who hold the first one's playlist");
    }
    for number in NUMBERS[1].clone() {
        let never = stream.fetch(&format!("a0a0a0a0-{number}.9.m4s")).await;
        assert_eq!(never, None, "no such part, and no other broadcast's either");
        assert_eq!(stream.fetch(&format!("{number}.m4s")).await, None, "no broadcast's");
    }
}

#[tokio::test]
async fn segments_by_their_time_are_of_the_broadcast_that_is_named() {
    let stream = Stream::start("none").await;
    stream.air(0).await;
    let ticks = |number: u64| (480 + (number - FIRST) * 2_000) * 90;
    let shared = FIRST + 6;
    let old = format!("a0a0a0a0-{FIRST}-{}.m4s", ticks(shared - 1));
    let before = stream.fetch(&old).await.unwrap();
    stream.air(1).await;
    let mpd = stream.viewer.text("/demo/live.mpd").await;
    let first = NUMBERS[1].start;
    assert!(mpd.contains(&format!("/a1a1a1a1-{first}-$Time$.m4s\"")), "{mpd}");
    assert!(mpd.contains(&format!("/a1a1a1a1-init-{first}.mp4\"")), "{mpd}");
    assert_eq!(stream.fetch(&old).await, Some(before));
    assert_eq!(stream.fetch(&format!("a0a0a0a0-init-{first}.mp4")).await, None);
    assert_eq!(stream.fetch(&format!("a1a1a1a1-init-{first}.mp4")).await.unwrap(), "init of 720p of 1");
    assert_eq!(stream.fetch(&format!("a1a1a1a1-init-{FIRST}.mp4")).await, None);
}

#[tokio::test]
async fn what_is_stored_is_given_for_its_own_broadcast_only() {
    let folder = tempfile::tempdir().unwrap();
    let stream = Stream::start(&format!("file://{}", folder.path().display())).await;
    let objects = store::open(&StoreSettings::Directory(folder.path().into())).await.unwrap();
    for (nth, bytes) in [(0, "media of the first one"), (1, "media of the second one")] {
        let layout = Layout { stream: support::stream(), broadcast: id(nth) };
        let key = layout.segment(&rendition(VIDEO), MediaSequence(FIRST + 4));
        objects.put(&key, Bytes::from_static(bytes.as_bytes()), "video/mp4").await.unwrap();
    }
    let wanted = FIRST + 4;
    let files = [format!("a0a0a0a0-{wanted}.m4s"), format!("a1a1a1a1-{wanted}.m4s")];
    for nth in [0, 1] {
        let numbers = NUMBERS[usize::from(nth)].clone();
        let by = ["a", "b"][usize::from(nth)];
        stream.server.die();
        let MediaEvent::PeriodStart(start) = period_of(nth) else { unreachable!() };
        let records = numbers.clone().map(broadcast::stored);
        stream.server.store(std::iter::once(Record::Period(start)).chain(records));
        let epoch = own(&stream.registry, stream.server.address, id(nth)).await;
        stream.server.open(opening(id(nth), epoch, numbers.end), [period_of(nth)]);
        stream.server.play(segments(numbers.end..numbers.end + 4, by));
        let file = &files[usize::from(nth)];
        eventually(file, async || {
            let list = stream.viewer.get("/demo/720p/dvr.m3u8").await.text();
            list.lines().any(|line| line == file).then_some(())
        })
        .await;
    }
    assert_eq!(stream.fetch(&files[0]).await.unwrap(), "media of the first one");
    assert_eq!(stream.fetch(&files[1]).await.unwrap(), "media of the second one");
}

/// Another origin shows the next broadcast a moment earlier, and viewers of one playlist ask any of them.
#[tokio::test]
async fn media_of_a_broadcast_that_is_about_to_be_shown_is_waited_for() {
    let stream = Stream::start("none").await;
    let epoch = own(&stream.registry, stream.server.address, id(0)).await;
    stream.server.open(opening(id(0), epoch, FIRST), [period_of(0)]);
    stream.server.play(segments(FIRST..FIRST + 2, "a"));
    stream.list("index.m3u8").await;
    let viewer = stream.viewer.clone();
    let next = NUMBERS[1].start;
    let early = tokio::spawn(async move { viewer.text(&format!("/demo/720p/a1a1a1a1-{next}.0.m4s")).await });
    // A broadcast of the past has no number above those that are shown.
    assert_eq!(stream.fetch(&format!("a9a9a9a9-{}.0.m4s", FIRST + 1)).await, None, "it is not waited for");
    assert!(!early.is_finished());
    stream.air(1).await;
    assert_eq!(early.await.unwrap(), format!("<720p {next}.0 of b>"));
}

/// The second broadcast has a segment of the number that is being sent.
#[tokio::test]
async fn a_segment_that_is_being_sent_does_not_go_on_with_another_broadcasts() {
    let stream = Stream::start("none").await;
    stream.air(0).await;
    let number = NUMBERS[0].end;
    let mut body = stream.viewer.open(&format!("/demo/720p/a0a0a0a0-{number}.m4s")).await.into_body();
    let begun = body.frame().await.unwrap().unwrap().into_data().unwrap();
    assert_eq!(begun, format!("<720p {number}.0 of a>"));
    stream.air(1).await;
    stream.server.play([part(VIDEO, number, 1, "b"), end(VIDEO, number)]);
    let rest = tokio::time::timeout(support::DEADLINE, body.frame()).await.expect("it is broken off");
    assert!(rest.is_some_and(|frame| frame.is_err()), "and not ended as if it were whole");
}
