//! Recordings, and what viewers of a live broadcast go back to.

use std::sync::Arc;

use bytes::Bytes;
use headwater_hls::RenditionKind;
use headwater_media::{RenditionId, StreamId, UnixMillis};
use headwater_recordings::{Layout, State, Summary};
use headwater_wire::broadcast_bytes;
use headwater_wire::v1::FetchRequest;
use http::Request;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::answer::{Answer, Cache};
use super::mp4;
use super::playlist::{self, DASH, HLS};
use super::problem::Problem;
use super::route::{Object, Recorded as What};
use crate::library::{Library, Recorded, Unread};
use crate::mirror::{Mirror, Mirrors, Stored, Which};

/// How long caches may keep what does not change any more: it can only be deleted.
const COMPLETE_SECONDS: u32 = 60;
const GROWING_SECONDS: u32 = 1;

impl From<Unread> for Problem {
    fn from(unread: Unread) -> Self {
        match unread {
            Unread::NoStore | Unread::Missing => Self::NoRecording,
            Unread::Away => Self::StoreAway,
        }
    }
}

/// Something of a recording.
pub(super) async fn answer<B>(
    library: &Arc<Library>,
    layout: &Layout,
    what: What,
    request: &Request<B>,
) -> Result<Answer, Problem> {
    let recorded = library.recording(layout).await?;
    let text = |content_type, which| -> Result<Answer, Problem> {
        let text = recorded.playlist(which).ok_or(Problem::NoRecording)?;
        let seconds = if recorded.is_complete() { COMPLETE_SECONDS } else { GROWING_SECONDS };
        Ok(playlist::answer(content_type, &text, Cache::Seconds(seconds), request.headers()))
    };
    match what {
        What::Multivariant => text(HLS, Which::Multivariant),
        What::Presentation => text(DASH, Which::Presentation),
        What::Playlist(rendition) => text(HLS, Which::Whole(rendition)),
        What::Init(rendition, first) => {
            let init = recorded.archive.init(&rendition, first).ok_or(Problem::NoRecording)?;
            Ok(media(&recorded, &rendition, init.clone()))
        }
        What::Segment(rendition, sequence) => {
            let segment = recorded.archive.segment(sequence).and_then(|segment| segment.size(&rendition));
            segment.ok_or(Problem::NoRecording)?;
            let object = library.object(&layout.segment(&rendition, sequence), async { None }).await?;
            Ok(media(&recorded, &rendition, object.bytes).etag(object.etag))
        }
        What::Mp4 => mp4::answer(library, layout, &recorded, request).await,
    }
}

fn media(recorded: &Recorded, rendition: &RenditionId, bytes: Bytes) -> Answer {
    let renditions = recorded.archive.renditions();
    let kind = renditions.iter().find(|r| r.id == *rendition).map(|r| &r.kind);
    Answer::media(content_type(kind), &[bytes])
}

fn content_type(kind: Option<&RenditionKind>) -> &'static str {
    match kind {
        Some(RenditionKind::Audio { .. }) => "audio/mp4",
        Some(RenditionKind::Video { .. }) | None => "video/mp4",
    }
}

/// Something that has left the live window.
pub(super) async fn past(
    library: &Library,
    mirrors: &Mirrors,
    mirror: &Mirror,
    rendition: &RenditionId,
    object: Object,
) -> Result<Answer, Problem> {
    let stored = match object {
        Object::Init(first) => mirror.stored_init(rendition, first),
        Object::Segment(sequence) => mirror.stored_segment(rendition, sequence),
        Object::Part(..) => None,
    };
    let kind = mirror.history(|window, _| {
        window.renditions().find(|r| r.id == *rendition).map(|rendition| content_type(Some(&rendition.kind)))
    });
    let content_type = kind.flatten().unwrap_or("video/mp4");
    match stored.ok_or(Problem::NoObject)? {
        Stored::Init(init) => Ok(Answer::media(content_type, &[init])),
        Stored::Segment(broadcast) => {
            let layout = Layout { stream: mirror.stream().clone(), broadcast };
            let sequence = object.sequence();
            // The server has what has not come to the store yet.
            let elsewhere = mirrors.fetch(FetchRequest {
                stream: layout.stream.to_string(),
                broadcast: broadcast_bytes(broadcast),
                rendition: rendition.to_string(),
                sequence: sequence.0,
            });
            let object = library.object(&layout.segment(rendition, sequence), elsewhere).await?;
            Ok(Answer::media(content_type, std::slice::from_ref(&object.bytes)))
        }
    }
}

/// The newest recordings of a stream, newest first.
pub(super) async fn list(library: &Library, stream: &StreamId) -> Result<Answer, Problem> {
    let list = match library.list(stream).await {
        Ok(list) => list,
        // Where nothing is stored, there is nothing to list.
        Err(Unread::NoStore | Unread::Missing) => Default::default(),
        Err(Unread::Away) => return Err(Problem::StoreAway),
    };
    let entries: Vec<_> = list.iter().map(|summary| entry(summary, "")).collect();
    let body = Value::from(entries).to_string();
    Ok(Answer::new("application/json", Cache::Seconds(GROWING_SECONDS), body.into()))
}

/// A recording as pages show it. `folder` is what stands before the addresses of the stream's own folder.
pub(crate) fn entry(summary: &Summary, folder: &str) -> Value {
    let id = &summary.broadcast;
    let state = match summary.state {
        State::Live => "live",
        State::Complete => "complete",
        State::Interrupted => "interrupted",
    };
    json!({
        "broadcast": id,
        "start": rfc3339(UnixMillis(summary.start_unix_ms)),
        "duration_seconds": summary.duration_ms as f64 / 1e3,
        "size_bytes": summary.bytes,
        "state": state,
        "playlist": format!("{folder}vod-{id}.m3u8"),
        "presentation": format!("{folder}vod-{id}.mpd"),
        "mp4": format!("{folder}vod-{id}.mp4"),
        "thumbnail": format!("{folder}{id}/thumbnail.jpg"),
    })
}

fn rfc3339(time: UnixMillis) -> Option<String> {
    let time = Timestamp::from_millisecond(i64::try_from(time.0).ok()?).ok()?;
    Some(format!("{time:.3}"))
}
