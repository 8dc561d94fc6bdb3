//! Init segments, segments and parts: bytes from memory.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use headwater_hls::cmaf::END_SEGMENT;
use headwater_hls::window::Timed;
use headwater_hls::{LiveObject, LiveWindow, Object};
use headwater_media::{MediaSequence, PartIndex, Rendition, RenditionId};
use http::Method;
use http::header::RANGE;
use http::request::Parts;
use tokio::time::sleep;

use super::partial_segment::{self, SEGMENT_LIMIT};
use crate::http::response::answer::Answer;
use crate::http::response::cache::Cache;
use crate::http::response::problem::Problem;
use crate::mirror::{Mirror, Scope, Shown, View};

/// An object of the live window. One that is about to be made is waited for: a part that a playlist hints at
/// (RFC 8216bis §6.2.6), or anything that another origin, a moment ahead of this one, has listed already. A segment whose
/// first part is there is sent as it is made, unless it is asked for in a way that needs its length.
pub(crate) async fn object(
    mirror: Arc<Mirror>,
    rendition: &RenditionId,
    live: LiveObject,
    request: &Parts,
) -> Result<Answer, Problem> {
    let limit = match live.object {
        Object::Segment(_) | Object::Timed(..) => SEGMENT_LIMIT,
        Object::Init(_) | Object::Part(..) => mirror.blocked_limit(),
    };
    let grows = request.method == Method::GET && !request.headers.contains_key(RANGE);
    let look = |shown: &Shown| look(shown, rendition, live, grows);
    let found = mirror.wait_for_shown(Scope::Rendition(rendition), limit, look).await;
    let in_vain =
        |mirror: &Mirror| mirror.look(|view| view.window().map_or(Problem::NotReady, |_| Problem::Late));
    match found.unwrap_or_else(|| Err(in_vain(&mirror)))? {
        Found::Whole(content_type, pieces) => Ok(Answer::media(content_type, &pieces)),
        Found::Begun(content_type, sequence) => {
            let parts = partial_segment::parts(mirror, live.broadcast, rendition.clone(), sequence);
            Ok(Answer::partial_segment(content_type, parts))
        }
        Found::End(content_type, past) => {
            if past > 0 {
                sleep(segment_length(&mirror)).await;
            }
            Ok(Answer::new(content_type, END_CACHE, Bytes::from_static(&END_SEGMENT)))
        }
    }
}

/// Segments behind the last one that players of DASH may still ask for, one after the other, before they have read that it
/// is over: they read the presentation again every few seconds. Further numbers were never announced.
const MAX_PAST_END: u64 = 10;
/// The broadcast may go on after all, under a higher epoch, and have a segment of this number.
const END_CACHE: Cache = Cache::Seconds(1);

/// How often a player that goes on counting gets an answer.
fn segment_length(mirror: &Mirror) -> Duration {
    let length = |view: &View| Some(view.window()?.opening().settings.segment_ms);
    Duration::from_millis(mirror.look(length).unwrap_or_default().into())
}

/// Something of this type.
enum Found {
    Whole(&'static str, Vec<Bytes>),
    /// A segment that is being made.
    Begun(&'static str, MediaSequence),
    /// A segment that a presentation announced before it was known that nothing follows, so many numbers behind the first
    /// one that is not there. Players of DASH take an error for fatal before they have read that it is over.
    End(&'static str, u64),
}

/// Result of a look at a window; `None` while the object may still come.
type Look = Option<Result<Found, Problem>>;

fn look(shown: &Shown, rendition: &RenditionId, live: LiveObject, grows: bool) -> Look {
    match shown.view() {
        View::Seeking => None,
        View::NotLive => Some(Err(Problem::NotLive)),
        View::Showing(window) if window.opening().broadcast.tag() == live.broadcast => {
            look_in(window, rendition, live.object, grows)
        }
        View::Showing(window) if may_be_newer(shown, window, live) => None,
        View::Showing(_) => Some(Err(Problem::NoObject)),
    }
}

/// Whether an object of another broadcast may be one of the stream's next broadcast, which another origin shows already: its
/// number is above those of the broadcast that this origin shows, and its tag is not that of a broadcast before.
fn may_be_newer(shown: &Shown, window: &LiveWindow, live: LiveObject) -> bool {
    live.object.sequence() >= window.next_sequence() && !shown.was_shown_before(live.broadcast)
}

fn look_in(window: &LiveWindow, rendition: &RenditionId, object: Object, grows: bool) -> Look {
    let content_type = content_type(window, rendition);
    let object = match object {
        Object::Timed(first, ticks) => match window.timed(rendition, first, ticks) {
            Some(Timed::Segment(sequence)) => Object::Segment(sequence),
            Some(Timed::Never(past)) if past < MAX_PAST_END => {
                return Some(Ok(Found::End(content_type, past)));
            }
            // Another origin, a moment ahead of this one, may have a period already that is about to begin here.
            None if begins_next(window, rendition, first) => return None,
            Some(Timed::Never(_)) | None => return Some(Err(Problem::NoObject)),
        },
        object => object,
    };
    match find(window, rendition, object) {
        Some(pieces) => Some(Ok(Found::Whole(content_type, pieces))),
        None if grows && has_begun(window, rendition, object) => {
            Some(Ok(Found::Begun(content_type, object.sequence())))
        }
        None if may_come(window, rendition, object) => None,
        None if let Some(past) = past_end(window, rendition, object) => {
            Some(Ok(Found::End(content_type, past)))
        }
        None if window.has_rendition(rendition) => Some(Err(Problem::NoObject)),
        None => Some(Err(Problem::NoRendition)),
    }
}

/// Whether a period may begin with this number that the window does not have yet.
fn begins_next(window: &LiveWindow, rendition: &RenditionId, first: MediaSequence) -> bool {
    window.init(rendition, first).is_none() && may_come(window, rendition, Object::Segment(first))
}

fn has_begun(window: &LiveWindow, rendition: &RenditionId, object: Object) -> bool {
    matches!(object, Object::Segment(sequence) if window.begun(rendition, sequence).is_some())
}

fn past_end(window: &LiveWindow, rendition: &RenditionId, object: Object) -> Option<u64> {
    match object {
        Object::Segment(sequence) => window.past_end(rendition, sequence).filter(|past| *past < MAX_PAST_END),
        Object::Init(_) | Object::Part(..) | Object::Timed(..) => None,
    }
}

/// An object that a window holds whole.
pub(crate) fn whole(window: &LiveWindow, rendition: &RenditionId, object: Object) -> Option<Answer> {
    find(window, rendition, object).map(|pieces| Answer::media(content_type(window, rendition), &pieces))
}

fn find(window: &LiveWindow, rendition: &RenditionId, object: Object) -> Option<Vec<Bytes>> {
    match object {
        Object::Init(first) => window.init(rendition, first).map(|init| vec![init.clone()]),
        Object::Part(sequence, index) => {
            window.part(rendition, sequence, index).map(|part| vec![part.bytes.clone()])
        }
        Object::Segment(sequence) => window
            .segment(rendition, sequence)
            .map(|segment| segment.parts().iter().map(|part| part.bytes.clone()).collect()),
        Object::Timed(first, ticks) => match window.timed(rendition, first, ticks)? {
            Timed::Segment(sequence) => find(window, rendition, Object::Segment(sequence)),
            Timed::Never(_) => None,
        },
    }
}

/// Whether the object belongs to what is made now or next.
fn may_come(window: &LiveWindow, rendition: &RenditionId, object: Object) -> bool {
    if window.renditions().next().is_none() {
        return !window.ended();
    }
    let of_next = |(next, index): (MediaSequence, PartIndex)| match object {
        Object::Init(first) => (next..=next.next()).contains(&first),
        Object::Segment(sequence) => window.expects(rendition, sequence),
        Object::Part(sequence, part) => (sequence, part) >= (next, index) && sequence <= next.next(),
        Object::Timed(..) => false,
    };
    window.next_part(rendition).is_some_and(of_next)
}

fn content_type(window: &LiveWindow, rendition: &RenditionId) -> &'static str {
    window.renditions().find(|r| r.id == *rendition).map_or("video/mp4", Rendition::media_type)
}
