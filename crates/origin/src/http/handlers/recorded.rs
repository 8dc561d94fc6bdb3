//! Recordings, and what viewers of a live broadcast go back to.

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use headwater_control::Recording;
use headwater_hls::{Archive, LiveObject, LiveWindow, Object};
use headwater_media::{BroadcastTag, MediaSequence, Rendition, RenditionId, StreamId};
use headwater_recordings::Layout;
use http::header::LOCATION;
use http::request::Parts;
use http::{HeaderValue, StatusCode};

use super::archived::SegmentSource;
use super::media as live;
use super::mp4;
use super::playlist::{self, DASH_TYPE, HLS_TYPE};
use crate::http::response::answer::Answer;
use crate::http::response::cache::Cache;
use crate::http::response::downloads::Downloads;
use crate::http::response::problem::Problem;
use crate::library::{Library, Recorded, Unread};
use crate::mirror::{Mirror, PlaylistKind};

/// How long caches may keep what does not change any more: it can only be deleted.
const COMPLETE_SECONDS: u32 = 60;
const GROWING_SECONDS: u32 = 1;

/// Resource of a recording.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Resource {
    Multivariant,
    /// The presentation for DASH players.
    Presentation,
    /// All of it in one file.
    Mp4,
    Playlist(RenditionId),
    Init(RenditionId, MediaSequence),
    Segment(RenditionId, MediaSequence),
}

impl From<Unread> for Problem {
    fn from(unread: Unread) -> Self {
        match unread {
            Unread::NoStore | Unread::Missing => Self::NoRecording,
            Unread::Away => Self::StoreAway,
        }
    }
}

/// Something of a recording. `place` is where the viewer is counted among the downloads.
pub(crate) async fn answer(
    library: &Arc<Library>,
    place: (&Downloads, IpAddr),
    layout: &Layout,
    resource: Resource,
    request: &Parts,
) -> Result<Answer, Problem> {
    let recorded = library.recording(layout).await?;
    let text = |content_type, kind| -> Result<Answer, Problem> {
        let text = recorded.playlist(kind).ok_or(Problem::NoRecording)?;
        let seconds = if recorded.is_complete() { COMPLETE_SECONDS } else { GROWING_SECONDS };
        Ok(playlist::answer(content_type, &text, Cache::Seconds(seconds), &request.headers))
    };
    if resource == Resource::Multivariant
        && recorded.is_complete()
        && recorded.lost.is_empty()
        && let Some(url) = library.public_url(&layout.multivariant())
    {
        // The playlists in the store are relative to each other: from there on, a CDN gives everything. They don't know of
        // losses.
        return Ok(redirect(url));
    }
    match resource {
        Resource::Multivariant => text(HLS_TYPE, PlaylistKind::Multivariant),
        Resource::Presentation => text(DASH_TYPE, PlaylistKind::Presentation),
        Resource::Playlist(rendition) => text(HLS_TYPE, PlaylistKind::Whole(rendition)),
        Resource::Init(rendition, first) => {
            let init = recorded.archive.init(&rendition, first).ok_or(Problem::NoRecording)?;
            Ok(media(&recorded.archive, &rendition, init.clone()))
        }
        Resource::Segment(rendition, sequence) => {
            let object = listed_segment(library, layout, &recorded, (sequence, rendition.clone())).await?;
            Ok(media(&recorded.archive, &rendition, object))
        }
        Resource::Mp4 => mp4::answer(library, place, layout, &recorded, request).await,
    }
}

/// A segment that the recording lists, or that the store had lost.
async fn listed_segment(
    library: &Library,
    layout: &Layout,
    recorded: &Recorded,
    name: (MediaSequence, RenditionId),
) -> Result<Bytes, Problem> {
    let is_lost = recorded.lost.contains(&name);
    let size = recorded.archive.segment(name.0).and_then(|segment| segment.size(&name.1));
    if size.is_none() && !is_lost {
        return Err(Problem::NoRecording);
    }
    let object = library.object(&layout.segment(&name.1, name.0), async { None }).await;
    match &object {
        Ok(_) if is_lost => library.note_found(layout, &name).await,
        Err(Unread::Missing) if recorded.is_complete() => library.note_losses(layout, [name]).await,
        _ => {}
    }
    Ok(object?)
}

fn redirect(url: String) -> Answer {
    let location = HeaderValue::try_from(url).expect("URLs of the configuration are visible ASCII");
    let answer = Answer::new(HLS_TYPE, Cache::Seconds(COMPLETE_SECONDS), Bytes::new());
    answer.status(StatusCode::TEMPORARY_REDIRECT).headers([(LOCATION, location)])
}

fn media(archive: &Archive, rendition: &RenditionId, bytes: Bytes) -> Answer {
    Answer::media(media_type(archive, rendition), &[bytes])
}

fn media_type(archive: &Archive, rendition: &RenditionId) -> &'static str {
    archive.rendition(rendition).map_or("video/mp4", Rendition::media_type)
}

/// Something that has left the live window.
pub(crate) async fn archived_object(
    source: SegmentSource<'_>,
    mirror: &Mirror,
    rendition: &RenditionId,
    wanted: LiveObject,
    otherwise: Problem,
) -> Result<Answer, Problem> {
    let LiveObject { broadcast: tag, object } = wanted;
    if let Some(answer) = mirror.left_window(tag, |window| live::whole(window, rendition, object)) {
        return Ok(answer);
    }
    let sequence = match object {
        Object::Init(first) => {
            let init =
                |archive: &Archive| Some(media(archive, rendition, archive.init(rendition, first)?.clone()));
            return in_history(mirror, tag, init).ok_or(otherwise);
        }
        Object::Segment(sequence) => sequence,
        Object::Timed(first, ticks) => {
            let timed = |archive: &Archive| archive.timed(rendition, first, ticks);
            match in_history(mirror, tag, timed) {
                Some(sequence) => sequence,
                None => return Err(otherwise),
            }
        }
        Object::Part(..) => return Err(otherwise),
    };
    let stored = |archive: &Archive| {
        archive.segment(sequence)?.size(rendition)?;
        Some((archive.broadcast(), media_type(archive, rendition)))
    };
    let (broadcast, media_type) = in_history(mirror, tag, stored).ok_or(otherwise)?;
    let layout = Layout { stream: mirror.stream().clone(), broadcast };
    let bytes = source.segment(&layout, rendition, sequence).await?;
    Ok(Answer::media(media_type, &[bytes]))
}

/// Looks at what is stored of the broadcast with this tag, where it is the one that is shown, or was shown before.
fn in_history<T>(mirror: &Mirror, tag: BroadcastTag, at: impl Fn(&Archive) -> Option<T>) -> Option<T> {
    let is_shown = |archive: &&Archive| archive.broadcast().tag() == tag;
    let shown =
        mirror.history(|_: &LiveWindow, archive: &Archive| Some(archive).filter(is_shown).and_then(&at));
    shown.flatten().or_else(|| mirror.left_history(tag, &at))
}

/// The newest recordings of a stream, newest first.
pub(crate) async fn list(library: &Library, stream: &StreamId) -> Result<Answer, Problem> {
    let list = match library.list(stream).await {
        Ok(list) => list,
        // Where nothing is stored, there is nothing to list.
        Err(Unread::NoStore | Unread::Missing) => Default::default(),
        Err(Unread::Away) => return Err(Problem::StoreAway),
    };
    let recordings: Vec<_> = list.iter().map(|summary| Recording::new(summary, "")).collect();
    let body = serde_json::to_string(&recordings).expect("names, texts and numbers are JSON");
    Ok(Answer::new("application/json", Cache::Seconds(GROWING_SECONDS), body.into()))
}

#[cfg(test)]
mod tests {
    use headwater_media::{
        BroadcastId, Epoch, MediaSequence, MediaTime, PeriodNumber, PeriodStart, Piece, Record,
        RenditionKind, SegmentSettings, StoredSegment, UnixMillis,
    };
    use headwater_platform::store::testing::{Fault, MemoryStore};
    use headwater_platform::store::{Key, ObjectStore as _};
    use headwater_recordings::{JournalWriter, State, Summary};
    use http::{HeaderMap, Method, Request, Response};
    use http_body_util::BodyExt as _;

    use super::*;
    use crate::http::response::body::Body;
    use crate::metrics::Metrics;

    const SETTINGS: SegmentSettings = SegmentSettings { segment_ms: 2_000, part_ms: 334 };
    const SEGMENTS: std::ops::Range<u64> = 7..10;

    struct Stored {
        store: MemoryStore,
        library: Arc<Library>,
        layout: Layout,
    }

    impl Stored {
        /// Some segments of one picture, and what its summary says of it.
        async fn new(state: State, public_url: Option<&str>) -> Self {
            let store = MemoryStore::new();
            let public_url = public_url.map(str::to_owned);
            let library = Library::new(Some(Arc::new(store.clone())), public_url, Arc::new(Metrics::new()));
            let broadcast = BroadcastId::new(UnixMillis(1_800_000_000_000), &[7; 10]);
            let layout = Layout { stream: "demo".parse().unwrap(), broadcast };
            let stored = Self { store, library: Arc::new(library), layout };
            stored.record(state).await;
            stored
        }

        async fn record(&self, state: State) {
            let kind = RenditionKind::Video { width: 1280, height: 720, frame_rate: 30.0 };
            let id: RenditionId = "720p".parse().unwrap();
            let rendition =
                Rendition { id: id.clone(), kind, codecs: "avc1.64001f".into(), declared_bitrate: 1 };
            let mut journal = JournalWriter::new(self.layout.clone(), Epoch(1), SETTINGS, None);
            journal.append(Record::Period(PeriodStart {
                number: PeriodNumber(0),
                first_sequence: MediaSequence(7),
                origin: MediaTime::ZERO,
                wall_clock: UnixMillis(1_800_000_000_000),
                renditions: vec![(rendition, Bytes::from_static(b"init"))],
                ladder: None,
            }));
            for sequence in SEGMENTS {
                let piece = Piece {
                    rendition: id.clone(),
                    start: MediaTime::from_millis((sequence - SEGMENTS.start) * 2_000),
                    duration: MediaTime::from_millis(2_000),
                    size: Some(12),
                };
                let sequence = MediaSequence(sequence);
                journal.append(Record::Segment(StoredSegment { sequence, pieces: vec![piece], drift: 0 }));
                self.put(&self.layout.segment(&id, sequence), Bytes::from_static(b"the segment!")).await;
            }
            let (key, block) = journal.block();
            self.put(&key, block).await;
            let summary = Summary { state, ..Summary::begun(&self.layout.stream, self.layout.broadcast) };
            self.put(&self.layout.summary(), summary.encode()).await;
        }

        async fn put(&self, key: &Key, bytes: Bytes) {
            self.store.put(key, bytes, "").await.unwrap();
        }

        async fn ask(&self, resource: Resource) -> Response<Body> {
            let (request, ()) = Request::get("/").body(()).unwrap().into_parts();
            let downloads = Downloads::default();
            let place = (&downloads, IpAddr::from([192, 0, 2, 1]));
            let answer = answer(&self.library, place, &self.layout, resource, &request).await;
            answer.unwrap_or_else(Answer::from).respond(&Method::GET, HeaderMap::new())
        }

        async fn text(&self, resource: Resource) -> String {
            let response = self.ask(resource).await;
            assert_eq!(response.status(), StatusCode::OK);
            String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
        }
    }

    fn playlist() -> Resource {
        Resource::Playlist("720p".parse().unwrap())
    }

    fn segment(sequence: u64) -> Resource {
        Resource::Segment("720p".parse().unwrap(), MediaSequence(sequence))
    }

    #[tokio::test]
    async fn a_recording_that_grows_is_open_and_a_complete_one_is_closed() {
        let growing = Stored::new(State::Live, None).await;
        let text = growing.text(playlist()).await;
        assert!(text.contains("EVENT") && !text.contains("ENDLIST"), "{text}");
        assert_eq!(growing.ask(Resource::Mp4).await.status(), StatusCode::CONFLICT);
        let complete = Stored::new(State::Complete, None).await;
        let text = complete.text(playlist()).await;
        assert!(text.contains("VOD") && text.ends_with("9.m4s\n#EXT-X-ENDLIST\n"), "{text}");
        assert!(complete.text(Resource::Multivariant).await.contains("/720p/index.m3u8"));
        assert!(complete.text(Resource::Presentation).await.contains("type=\"static\""));
    }

    #[tokio::test]
    async fn media_never_changes_and_what_is_not_listed_is_not_there() {
        let stored = Stored::new(State::Complete, None).await;
        assert_eq!(stored.text(segment(7)).await, "the segment!");
        assert_eq!(stored.text(Resource::Init("720p".parse().unwrap(), MediaSequence(7))).await, "init");
        let cache = stored.ask(segment(7)).await.headers()["cache-control"].clone();
        assert_eq!(cache, "public, max-age=31536000, immutable");
        for resource in [segment(10), Resource::Playlist("90p".parse().unwrap())] {
            assert_eq!(stored.ask(resource).await.status(), StatusCode::NOT_FOUND);
        }
    }

    #[tokio::test]
    async fn a_store_that_is_away_is_said_to_be() {
        let stored = Stored::new(State::Complete, None).await;
        stored.store.set(Fault::Away);
        assert_eq!(stored.ask(playlist()).await.status(), StatusCode::SERVICE_UNAVAILABLE);
        stored.store.set(Fault::None);
        assert_eq!(stored.ask(playlist()).await.status(), StatusCode::OK, "it is not remembered");
    }

    #[tokio::test]
    async fn a_segment_that_the_store_has_lost_is_a_gap_from_then_on() {
        let stored = Stored::new(State::Complete, None).await;
        let listed = stored.text(playlist()).await;
        let key = stored.layout.segment(&"720p".parse().unwrap(), MediaSequence(8));
        let seconds = "#EXTINF:2.000000,\n";
        stored.store.delete(std::slice::from_ref(&key)).await.unwrap();
        assert_eq!(stored.text(playlist()).await, listed, "nobody has noticed");
        assert_eq!(stored.ask(segment(8)).await.status(), StatusCode::NOT_FOUND);
        let with_gap = stored.text(playlist()).await;
        assert_eq!(
            with_gap,
            listed.replace(&format!("{seconds}8.m4s"), &format!("#EXT-X-GAP\n{seconds}8.m4s"))
        );
        let presentation = stored.text(Resource::Presentation).await;
        assert_eq!(presentation.matches("<Period").count(), 2, "{presentation}");
        assert_eq!(stored.text(segment(9)).await, "the segment!");
        assert_eq!(stored.ask(segment(8)).await.status(), StatusCode::NOT_FOUND);
        stored.put(&key, Bytes::from_static(b"the segment!")).await;
        assert_eq!(stored.text(segment(8)).await, "the segment!", "somebody has brought it back");
        assert_eq!(stored.text(playlist()).await, listed);
    }

    #[tokio::test]
    async fn a_store_that_has_nothing_any_more_is_no_reason_to_list_gaps() {
        let stored = Stored::new(State::Complete, None).await;
        let listed = stored.text(playlist()).await;
        let lost =
            [stored.layout.segment(&"720p".parse().unwrap(), MediaSequence(8)), stored.layout.summary()];
        stored.store.delete(&lost).await.unwrap();
        assert_eq!(stored.ask(segment(8)).await.status(), StatusCode::NOT_FOUND);
        assert_eq!(stored.text(playlist()).await, listed);
    }

    #[tokio::test]
    async fn a_segment_that_is_on_its_way_to_the_store_is_no_gap() {
        let stored = Stored::new(State::Live, None).await;
        let lost = stored.layout.segment(&"720p".parse().unwrap(), MediaSequence(8));
        stored.store.delete(&[lost]).await.unwrap();
        assert_eq!(stored.ask(segment(8)).await.status(), StatusCode::NOT_FOUND);
        assert!(!stored.text(playlist()).await.contains("EXT-X-GAP"));
    }

    #[tokio::test]
    async fn a_recording_with_losses_is_not_left_to_the_cdn() {
        let stored = Stored::new(State::Complete, Some("https://cdn.example/recordings")).await;
        let lost = stored.layout.segment(&"720p".parse().unwrap(), MediaSequence(8));
        stored.store.delete(&[lost]).await.unwrap();
        assert_eq!(stored.ask(Resource::Multivariant).await.status(), StatusCode::TEMPORARY_REDIRECT);
        assert_eq!(stored.ask(segment(8)).await.status(), StatusCode::NOT_FOUND);
        assert!(stored.text(Resource::Multivariant).await.contains("/720p/index.m3u8"));
    }

    #[tokio::test]
    async fn a_complete_recording_is_left_to_the_cdn() {
        let url = "https://cdn.example/recordings";
        let complete = Stored::new(State::Complete, Some(url)).await;
        let answer = complete.ask(Resource::Multivariant).await;
        assert_eq!(answer.status(), StatusCode::TEMPORARY_REDIRECT);
        assert_eq!(answer.headers()["location"], format!("{url}/{}", complete.layout.multivariant()));
        let growing = Stored::new(State::Live, Some(url)).await;
        assert_eq!(growing.ask(Resource::Multivariant).await.status(), StatusCode::OK);
    }
}
