//! `thumbnail.jpg?time=&height=`: one frame as a JPEG.

use std::sync::Arc;

use headwater_hls::{Archive, LiveWindow};
use headwater_media::{StreamId, UnixMillis};
use headwater_recordings::Layout;
use headwater_runtime::clock::rfc3339;
use headwater_runtime::http::query;

use super::archived::SegmentSource;
use crate::http::response::answer::Answer;
use crate::http::response::cache::Cache;
use crate::http::response::problem::Problem;
use crate::mirror::{Mirror, START_LIMIT, Scope, View};
use crate::thumbnails::{Asked, Frame, Missed, Thumbnails, TimeQuery, newest_end, newest_or_at, stored_at};

/// Pixels. What is asked for is rounded up to one of these, so that a picture is made in a few sizes only.
const HEIGHTS_PX: [u32; 5] = [90, 180, 360, 540, 720];
const MIN_HEIGHT_PX: u32 = 16;
const DEFAULT_HEIGHT_PX: u32 = 360;
/// A moment that is named has one picture for ever; but a cache need not keep it when the broadcast is gone.
const SETTLED_SECONDS: u32 = 3_600;
/// The same of a recording that still grows.
const GROWING_SECONDS: u32 = 30;

/// Frame and size that a query asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Wanted {
    when: TimeQuery,
    /// Height in pixels, one of [`HEIGHTS_PX`].
    height: u32,
}

impl Wanted {
    fn parse(query: &str) -> Result<Self, Problem> {
        Self::with(query, |value| TimeQuery::parse(value).ok_or_else(|| Problem::Query(LIVE_TIME.into())))
    }

    fn parse_recorded(query: &str) -> Result<Self, Problem> {
        Self::with(query, |value| {
            TimeQuery::parse_recorded(value).ok_or_else(|| Problem::Query(RECORDED_TIME.into()))
        })
    }

    fn with(query: &str, time: impl Fn(&str) -> Result<TimeQuery, Problem>) -> Result<Self, Problem> {
        let mut wanted = Self { when: TimeQuery::Newest, height: DEFAULT_HEIGHT_PX };
        for (name, value) in query::pairs(query) {
            match &*name {
                "time" if !value.is_empty() => wanted.when = time(&value)?,
                "height" => wanted.height = height(&value)?,
                _ => {}
            }
        }
        Ok(wanted)
    }
}

const LIVE_TIME: &str = "`time` is a moment as in 2026-11-21T09:20:00Z, seconds from the Unix epoch as in 1795252800, \
    seconds ago as in -30, or time from the beginning as in 5m2s.";
const RECORDED_TIME: &str = "`time` is seconds from the beginning as in 75.5 or 1m15s, seconds from the end as in -30, or a moment as in \
    2026-11-21T09:20:00Z.";

fn height(value: &str) -> Result<u32, Problem> {
    let most = HEIGHTS_PX[HEIGHTS_PX.len() - 1];
    let asked = value.parse().ok().filter(|height: &u32| (MIN_HEIGHT_PX..=most).contains(height));
    let rounded = asked.and_then(|asked| HEIGHTS_PX.into_iter().find(|height| *height >= asked));
    rounded.ok_or_else(|| {
        Problem::Query(format!("`height` is a number of pixels from {MIN_HEIGHT_PX} to {most}."))
    })
}

/// A frame of what is on air now, or was lately, or of what can be gone back to.
pub(crate) async fn live(
    mirror: &Mirror,
    source: SegmentSource<'_>,
    asked: Asked<'_>,
    query: &str,
) -> Result<Answer, Problem> {
    let named = Wanted::parse(query)?;
    let wanted = Wanted { when: moment_on_air(mirror, named.when), ..named };
    let found = mirror.wait_for_view(Scope::Anything, START_LIMIT, |view| look(view, wanted)).await;
    let Found { frame, target } = found.unwrap_or(Err(Problem::NotReady))?;
    let frame = match frame {
        Err(Missed::Before(first)) => {
            let earlier = mirror.history(|window, archive| earlier(window, archive, wanted));
            earlier.unwrap_or(Err(Missed::Before(first)))
        }
        frame => frame,
    }?;
    // The beginning is another moment when the next broadcast begins.
    let is_settled = frame.is_settled && !matches!(named.when, TimeQuery::After(_));
    let cache = if is_settled { SETTLED_SECONDS } else { target };
    answer(source, asked, mirror.stream(), frame, cache).await
}

/// The moment as one of the clock, where it is counted from the beginning and that has left the live window.
fn moment_on_air(mirror: &Mirror, when: TimeQuery) -> TimeQuery {
    let started = || mirror.history(|_, archive| archive.started_at()).flatten();
    match when {
        TimeQuery::After(after) => {
            started().map_or(when, |start| TimeQuery::At(UnixMillis(start.0.saturating_add(after))))
        }
        when => when,
    }
}

/// A frame of what has left the live window.
fn earlier(window: &LiveWindow, archive: &Archive, wanted: Wanted) -> Result<Frame, Missed> {
    let when = match wanted.when {
        TimeQuery::Ago(ago) => TimeQuery::At(UnixMillis(newest_end(window)?.0.saturating_sub(ago))),
        when => when,
    };
    let mut frame = stored_at(archive, when, wanted.height)?;
    frame.is_settled = matches!(wanted.when, TimeQuery::At(_));
    Ok(frame)
}

/// A frame of a recording.
pub(crate) async fn recorded(
    source: SegmentSource<'_>,
    layout: &Layout,
    asked: Asked<'_>,
    query: &str,
) -> Result<Answer, Problem> {
    let wanted = Wanted::parse_recorded(query)?;
    let recorded = source.library.recording(layout).await?;
    let frame = stored_at(&recorded.archive, wanted.when, wanted.height)?;
    let cache = if recorded.is_complete() { SETTLED_SECONDS } else { GROWING_SECONDS };
    answer(source, asked, &layout.stream, frame, cache).await
}

async fn answer(
    source: SegmentSource<'_>,
    asked: Asked<'_>,
    stream: &StreamId,
    frame: Frame,
    cache: u32,
) -> Result<Answer, Problem> {
    let layout = Layout { stream: stream.clone(), broadcast: frame.key.broadcast() };
    let frame = snap_to_frame(source, asked.thumbnails, &layout, frame).await?;
    let request = async {
        let fetched = match frame.stored() {
            Some((rendition, sequence)) => Some(source.segment(&layout, rendition, sequence).await?),
            None => None,
        };
        Ok::<_, Problem>(frame.request(fetched))
    };
    let still = asked.get(frame.key.clone(), request).await?;
    Ok(Answer::new("image/jpeg", Cache::Seconds(cache), still.bytes).etag(still.etag))
}

/// The same picture for all moments within its frame.
async fn snap_to_frame(
    source: SegmentSource<'_>,
    thumbnails: &Thumbnails,
    layout: &Layout,
    frame: Frame,
) -> Result<Frame, Problem> {
    let frames = match frame.stored() {
        None => frame.frames().map(Arc::new),
        Some((rendition, sequence)) => {
            let key = (layout.broadcast, rendition.clone(), sequence);
            thumbnails.frames(key, source.segment(layout, rendition, sequence)).await?
        }
    };
    Ok(match frames {
        Some(frames) => frame.of(&frames),
        None => frame,
    })
}

/// Frame of a moment, as a window has it.
struct Found {
    frame: Result<Frame, Missed>,
    /// Target duration, in seconds.
    target: u32,
}

/// The frame of a view; `None` while its first picture may still come.
fn look(view: &View, wanted: Wanted) -> Option<Result<Found, Problem>> {
    match view {
        View::Seeking => None,
        View::NotLive => Some(Err(Problem::NotLive)),
        View::Showing(window) => match newest_or_at(window, wanted.when, wanted.height) {
            Err(Missed::NoPictures) if may_have_pictures(window) => None,
            frame => Some(Ok(Found { frame, target: window.opening().settings.target_duration() })),
        },
    }
}

/// It has only begun.
fn may_have_pictures(window: &LiveWindow) -> bool {
    !window.ended() && window.committed().is_none()
}

impl From<Missed> for Problem {
    fn from(missed: Missed) -> Self {
        Self::NoPicture(match missed {
            Missed::NoPictures => "This broadcast has no pictures, only sound.".into(),
            Missed::Before(first) => {
                format!("That moment is no longer kept: the first one was on air at {}.", date(first))
            }
            Missed::Ahead(last) => {
                format!("That moment is still to come: the newest one was on air at {}.", date(last))
            }
        })
    }
}

fn date(moment: UnixMillis) -> String {
    rfc3339(moment).unwrap_or_else(|| "an unknown time".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_bounded() {
        let of = |query: &str| Wanted::parse(query).map(|wanted| (wanted.when, wanted.height));
        assert_eq!(of(""), Ok((TimeQuery::Newest, 360)));
        assert_eq!(of("time=&x=y"), Ok((TimeQuery::Newest, 360)));
        assert_eq!(of("time=-10&height=16"), Ok((TimeQuery::Ago(10_000), 90)));
        assert_eq!(of("height=181"), Ok((TimeQuery::Newest, 360)));
        let moment = UnixMillis(1_795_252_800_000);
        for time in ["2026-11-21T10%3A20%3A00%2B01:00", "2026-11-21T10:20:00+01:00", "1795252800"] {
            assert_eq!(of(&format!("time={time}&height=720")), Ok((TimeQuery::At(moment), 720)), "{time}");
        }
        for query in ["height=15", "height=721", "height=x", "height=", "time=yesterday", "height=-90"] {
            assert!(matches!(of(query), Err(Problem::Query(_))), "{query}");
        }
        assert_eq!(date(moment), "2026-11-21T09:20:00.000Z");
    }
}
