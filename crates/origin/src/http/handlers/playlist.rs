//! Playlists: when they are due, and how long they may be kept (RFC 8216bis §6.2.5 and Appendix B.1).

use std::time::Duration;

use headwater_hls::playlist::{self, MediaOptions};
use headwater_hls::{Directives, LiveWindow, Readiness, Skip, Until};
use headwater_media::{PartIndex, RenditionId};
use headwater_runtime::http::query;
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, VARY};
use http::request::Parts;
use http::{HeaderMap, HeaderValue};
use tokio::time::Instant;

use crate::http::response::answer::Answer;
use crate::http::response::cache::Cache;
use crate::http::response::conditions::text;
use crate::http::response::problem::Problem;
use crate::mirror::{Listed, Mirror, PlaylistKind, START_LIMIT, Scope, Text, View};
use crate::representation::encoding::accepts_gzip;

/// RFC 8216bis §10 and ISO/IEC 23009-1 §C.2.
pub(crate) const HLS_TYPE: &str = "application/vnd.apple.mpegurl";
pub(crate) const DASH_TYPE: &str = "application/dash+xml";

/// Query of a page that waits for a broadcast: the request is answered when there is one, so the page need not ask often.
const AWAIT_QUERY: (&str, &str) = ("await", "live");
/// But after this time in any case: proxies on the way give up requests that are not answered for long, and an origin
/// that stops waits for its answers.
const AIR_LIMIT: Duration = Duration::from_secs(5);
/// Target durations that caches may keep the answer to a request that names what it waits for.
const NAMED_TARGETS: u32 = 6;
/// And that of a broadcast that has ended: nothing changes in it, until the next one replaces it.
const ENDED_TARGETS: u32 = 2;
/// The same where the broadcast is not shown any more, and the next one may begin in any moment.
const LEFT_SECONDS: u32 = 4;

/// How far back a media playlist reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PlaylistScope {
    /// The live window.
    Window,
    /// The stored segments before the live window, too.
    Dvr,
}

/// Until when a stream that is not live is waited for, where the query says [`AWAIT_QUERY`].
pub(crate) fn awaited(request: &Parts) -> Option<Instant> {
    let (name, live) = AWAIT_QUERY;
    let asked = query::value(request.uri.query().unwrap_or_default(), name);
    (asked.as_deref() == Some(live)).then(|| Instant::now() + AIR_LIMIT)
}

/// The multivariant playlist, or the presentation for DASH players, once every rendition has its first
/// part; after [`START_LIMIT`] any is enough. A stream that is not live is waited for until the moment `awaited`.
pub(crate) async fn multivariant(
    mirror: &Mirror,
    kind: PlaylistKind,
    awaited: Option<Instant>,
    headers: &HeaderMap,
) -> Result<Answer, Problem> {
    let content_type = content_type(&kind);
    if let Some(until) = awaited {
        let on_air = |view: &View| view.window().map(drop);
        mirror.wait_for_view(Scope::Anything, until.saturating_duration_since(Instant::now()), on_air).await;
    }
    let complete = |window: &LiveWindow| window.renditions().all(|r| has_begun(window, &r.id));
    let some = |window: &LiveWindow| window.renditions().any(|r| has_begun(window, &r.id));
    let due = mirror
        .wait_for_view(Scope::Anything, START_LIMIT, |view| due(view, |window| begun(window, &complete)))
        .await;
    let cache = match due {
        Some(due) => due?,
        None => mirror.look(|view| due_at_last(view, |window| begun(window, &some)))?,
    };
    if matches!(kind, PlaylistKind::DvrMultivariant | PlaylistKind::DvrPresentation) && !mirror.has_history()
    {
        return Err(Problem::NoDvr);
    }
    let text = mirror.playlist(kind, render).ok_or(Problem::NotReady)?;
    Ok(answer(content_type, &text, cache, headers))
}

/// The media playlist of a rendition, once it has what the query names.
pub(crate) async fn media(
    mirror: &Mirror,
    rendition: RenditionId,
    scope: PlaylistScope,
    request: &Parts,
) -> Result<Answer, Problem> {
    let directives = Directives::parse(request.uri.query().unwrap_or_default());
    let directives = directives.map_err(|error| Problem::Directive(error.to_string()))?;
    let limit = if directives.until.is_some() { mirror.blocked_limit() } else { START_LIMIT };
    let state = |view: &View| due(view, |window| media_due(window, &rendition, &directives));
    let due = mirror.wait_for_view(Scope::Rendition(&rendition), limit, state).await;
    let cache = due.unwrap_or_else(|| mirror.look(|view| due_at_last(view, |_| None)))?;
    let kind = match (scope, directives.skip) {
        (PlaylistScope::Window, None) => PlaylistKind::Whole(rendition),
        (PlaylistScope::Window, Some(_)) => PlaylistKind::Delta(rendition),
        (PlaylistScope::Dvr, _) if !mirror.has_history() => return Err(Problem::NoDvr),
        (PlaylistScope::Dvr, None) => PlaylistKind::Dvr(rendition),
        (PlaylistScope::Dvr, Some(_)) => PlaylistKind::DvrDelta(rendition),
    };
    let text = mirror.playlist(kind, render).ok_or(Problem::NotReady)?;
    Ok(answer(HLS_TYPE, &text, cache, &request.headers))
}

/// The last list of a broadcast that has ended and is not shown any more, with what is stored of it, for those who are
/// behind its end.
pub(crate) fn left(mirror: &Mirror, kind: PlaylistKind, headers: &HeaderMap) -> Option<Answer> {
    let content_type = content_type(&kind);
    let text = mirror.left_playlist(kind, |archive, kind| match kind {
        PlaylistKind::DvrMultivariant => playlist::ended_multivariant(archive),
        PlaylistKind::DvrPresentation => playlist::dash::ended(archive),
        PlaylistKind::Dvr(rendition) => playlist::ended_media(archive, rendition),
        _ => None,
    })?;
    Some(answer(content_type, &text, Cache::Seconds(LEFT_SECONDS), headers))
}

fn content_type(kind: &PlaylistKind) -> &'static str {
    match kind {
        PlaylistKind::Presentation | PlaylistKind::DvrPresentation => DASH_TYPE,
        _ => HLS_TYPE,
    }
}

fn render(listed: &Listed, kind: &PlaylistKind) -> Option<String> {
    let Listed { window, before, archive } = listed;
    let window = window.as_ref();
    let before = before.as_deref();
    let archive = archive.as_deref();
    let live = |rendition, options| match before {
        Some(before) => playlist::media_after(before, window, rendition, options),
        None => playlist::media(window, rendition, options),
    };
    const DELTA: MediaOptions = MediaOptions { skip: Some(Skip::Segments), low_latency: true };
    match kind {
        PlaylistKind::Multivariant => playlist::multivariant(window),
        PlaylistKind::Presentation => playlist::dash::live(window),
        PlaylistKind::Whole(rendition) => live(rendition, MediaOptions::default()),
        PlaylistKind::Delta(rendition) => live(rendition, DELTA),
        PlaylistKind::DvrMultivariant => playlist::dvr_multivariant(window),
        PlaylistKind::DvrPresentation => playlist::dash::dvr(archive?, window),
        PlaylistKind::Dvr(rendition) => playlist::dvr(archive?, window, rendition, MediaOptions::default()),
        PlaylistKind::DvrDelta(rendition) => playlist::dvr(archive?, window, rendition, DELTA),
    }
}

/// Whether a playlist is due, and how long it may be kept; `None` while it is worth waiting.
type Due = Option<Result<Cache, Problem>>;

fn due(view: &View, shown: impl FnOnce(&LiveWindow) -> Due) -> Due {
    match view {
        View::Seeking => None,
        View::NotLive => Some(Err(Problem::NotLive)),
        View::Showing(window) => shown(window),
    }
}

/// When the time to wait is over.
fn due_at_last(view: &View, shown: impl FnOnce(&LiveWindow) -> Due) -> Result<Cache, Problem> {
    let on_air = view.window().is_some_and(|window| window.renditions().any(|r| has_begun(window, &r.id)));
    let problem = if on_air { Problem::Late } else { Problem::NotReady };
    due(view, shown).unwrap_or(Err(problem))
}

fn begun(window: &LiveWindow, enough: &dyn Fn(&LiveWindow) -> bool) -> Due {
    let is_due = window.ended() || window.renditions().next().is_some() && enough(window);
    is_due.then(|| Ok(unnamed_cache(window)))
}

fn media_due(window: &LiveWindow, rendition: &RenditionId, directives: &Directives) -> Due {
    if !window.has_rendition(rendition) {
        let known = window.ended() || window.renditions().next().is_some();
        return known.then_some(Err(Problem::NoRendition));
    }
    if !has_begun(window, rendition) {
        return None;
    }
    match window.readiness(rendition, directives) {
        Readiness::Ready if directives.until.is_some_and(|until| is_newest(window, rendition, until)) => {
            Some(Ok(Cache::Seconds(target(window) * NAMED_TARGETS)))
        }
        Readiness::Ready => Some(Ok(unnamed_cache(window))),
        Readiness::Wait => None,
        Readiness::TooFarAhead => {
            Some(Err(Problem::Directive("_HLS_msn and _HLS_part are too far ahead of the broadcast".into())))
        }
    }
}

/// Whether what a request names is the last that there is: the answer to it is what everybody gets who waits for it. What
/// names something of the past is answered with the present playlist, another one the next time.
fn is_newest(window: &LiveWindow, rendition: &RenditionId, until: Until) -> bool {
    let parts = |sequence| window.segment(rendition, sequence).map(|segment| segment.parts().len() as u64);
    let behind = match until {
        Until::Segment(sequence) => (sequence.next(), 0),
        Until::Part(sequence, part) => match parts(sequence) {
            // A part beyond the end of its segment is the first one of the next.
            Some(all) if u64::from(part.0) >= all => (sequence.next(), 1),
            Some(all) if u64::from(part.0) + 1 == all => (sequence.next(), 0),
            Some(_) | None => (sequence, part.0.saturating_add(1)),
        },
    };
    let next = window.next_part(rendition).map(|(sequence, part)| (sequence, part.0));
    !window.ended() && next == Some(behind)
}

/// Whether a rendition's playlist has anything to list.
fn has_begun(window: &LiveWindow, rendition: &RenditionId) -> bool {
    window.next_part(rendition) != Some((window.opening().first_sequence, PartIndex(0)))
}

fn unnamed_cache(window: &LiveWindow) -> Cache {
    let target = target(window);
    Cache::Seconds(if window.ended() { target * ENDED_TARGETS } else { (target / 2).max(1) })
}

fn target(window: &LiveWindow) -> u32 {
    window.opening().settings.target_duration()
}

pub(crate) fn answer(
    content_type: &'static str,
    text_of: &Text,
    cache: Cache,
    headers: &HeaderMap,
) -> Answer {
    let gzip = text(headers, ACCEPT_ENCODING).is_some_and(accepts_gzip);
    let tagged = if gzip { text_of.gzip() } else { text_of.plain() };
    let answer = Answer::new(content_type, cache, tagged.bytes.clone()).etag(tagged.etag.clone());
    let encoding = gzip.then_some((CONTENT_ENCODING, HeaderValue::from_static("gzip")));
    answer.headers([(VARY, HeaderValue::from_static("Accept-Encoding"))]).headers(encoding)
}
