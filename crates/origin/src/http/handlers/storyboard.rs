//! `storyboard.vtt` and its sheets.

use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use headwater_hls::LiveWindow;
use headwater_media::BroadcastId;
use headwater_platform::store::Key as StoreKey;
use headwater_recordings::Layout;
use headwater_runtime::http::query;
use headwater_wire::v2::StillRequest;
use headwater_wire::v2::still_request::Picture;
use http::HeaderValue;
use tracing::debug;

use super::archived::SegmentSource;
use crate::http::response::answer::Answer;
use crate::http::response::cache::Cache;
use crate::http::response::problem::Problem;
use crate::library::{Library, Recorded, Unread};
use crate::mirror::{Mirror, START_LIMIT, Scope, View};
use crate::representation::etag;
use crate::thumbnails::{Asked, Clock, Key, SHEET_COLUMNS, SHEET_ROWS, Sheet, Still, Storyboard, Tile};

const VTT_TYPE: &str = "text/vtt; charset=utf-8";
/// The index of a live broadcast grows by a tile in ten seconds.
const LIVE_SECONDS: u32 = 5;
/// A sheet with so many tiles stays what it is.
const SHEET_SECONDS: u32 = 3_600;
/// And that of a recording that is complete.
const COMPLETE_SECONDS: u32 = 60;
/// Segments of a sheet that are fetched at the same time.
const CONCURRENT_FETCHES: usize = 8;
/// So much of a segment is fetched: a keyframe of the smallest rendition, many times over.
const FIRST_BYTES: u64 = 256 << 10;

/// The index of what is on air, and of what can be gone back to.
pub(crate) async fn live(mirror: &Mirror) -> Result<Answer, Problem> {
    let board = board(mirror, None).await?;
    let vtt = board.vtt(&format!("{}/", board.broadcast));
    Ok(index(vtt, Cache::Seconds(LIVE_SECONDS)))
}

/// The index of a recording.
pub(crate) async fn recorded(library: &Library, layout: &Layout) -> Result<Answer, Problem> {
    let recorded = library.recording(layout).await?;
    let board = recorded_board(&recorded)?;
    let cache = if recorded.is_complete() { COMPLETE_SECONDS } else { LIVE_SECONDS };
    Ok(index(board.vtt(""), Cache::Seconds(cache)))
}

fn index(vtt: String, cache: Cache) -> Answer {
    let etag = etag::of_text(vtt.as_bytes());
    Answer::new(VTT_TYPE, cache, vtt.into()).etag(etag)
}

/// A sheet, of what is on air or of a recording.
pub(crate) async fn sheet(
    source: SegmentSource<'_>,
    asked: Asked<'_>,
    layout: &Layout,
    (number, query): (u32, &str),
) -> Result<Answer, Problem> {
    let wanted = tiles(query)?;
    let kept = layout.storyboard(number);
    // One that was made before is the same wherever it is asked for; asking for it costs less than an index.
    if wanted.is_none()
        && let Ok(object) = source.library.object(&kept, async { None }).await
    {
        let etag = etag::of_text(&object);
        return Ok(jpeg(object, etag, SHEET_SECONDS));
    }
    let (board, is_final) = board_of(source, layout).await?;
    let sheet = board.sheet(number, wanted).ok_or_else(|| Problem::NoPicture(NO_SHEET.into()))?;
    let count = sheet.tiles.len() as u64;
    let key = Key::Sheet { broadcast: layout.broadcast, number, first: first(&sheet), count };
    let still = asked.get(key, request(source, layout, &sheet)).await?;
    // Where a live broadcast has no picture for a place, there may be one that this origin does not know of yet.
    let has_all = still.is_whole && (is_final || sheet.tiles.iter().all(Option::is_some));
    if sheet.is_complete && wanted.is_none() && first(&sheet) == 0 && has_all {
        keep(source.library, &kept, &still).await;
    }
    let is_settled = still.is_whole && (sheet.is_complete || wanted == Some(count));
    Ok(jpeg(still.bytes, still.etag, if is_settled { SHEET_SECONDS } else { LIVE_SECONDS }))
}

fn jpeg(bytes: Bytes, etag: HeaderValue, seconds: u32) -> Answer {
    Answer::new("image/jpeg", Cache::Seconds(seconds), bytes).etag(etag)
}

/// Beside the recording. Where that fails, it is made once more.
async fn keep(library: &Library, key: &StoreKey, still: &Still) {
    let Ok(store) = library.store() else { return };
    if let Err(error) = store.put_new(key, still.bytes.clone(), "image/jpeg").await {
        debug!(%key, %error, "a sheet of the storyboard could not be kept");
    }
}

const NO_SHEET: &str = "There is no such sheet: read storyboard.vtt again.";

/// Number of tiles that the query's `tiles` says a sheet has.
fn tiles(query: &str) -> Result<Option<u64>, Problem> {
    let named = query::value(query, "tiles");
    let most = u64::from(SHEET_COLUMNS * SHEET_ROWS);
    let parse = |text: &str| text.parse().ok().filter(|count| (1..=most).contains(count));
    let wrong =
        || Problem::Query(format!("`tiles` is a number from 1 to {most}: read storyboard.vtt again."));
    named.map(|text| parse(&text).ok_or_else(wrong)).transpose()
}

fn recorded_board(recorded: &Recorded) -> Result<Storyboard, Problem> {
    let board =
        Storyboard::of(Some(&recorded.archive), None, Clock::Recording).ok_or(Problem::NoRecording)?;
    Ok(if recorded.is_complete() { board } else { board.growing(&recorded.archive) })
}

/// The board of a broadcast, and whether it is final. What is on air here is the newest; the mirror of a stream that this
/// origin does not show is only begun where no recording says that the broadcast is over.
async fn board_of(source: SegmentSource<'_>, layout: &Layout) -> Result<(Storyboard, bool), Problem> {
    let live = async |mirror: &Mirror| board(mirror, Some(layout.broadcast)).await;
    if let Some(mirror) = source.mirrors.held(&layout.stream)
        && let Ok(board) = live(&mirror).await
    {
        return Ok((board, false));
    }
    let recorded = source.library.recording(layout).await;
    if let Ok(recorded) = &recorded
        && recorded.is_complete()
    {
        return Ok((recorded_board(recorded)?, true));
    }
    if let Ok(mirror) = source.mirrors.find(&layout.stream).await
        && let Ok(board) = live(&mirror).await
    {
        return Ok((board, false));
    }
    Ok((recorded_board(&*recorded?)?, false))
}

async fn board(mirror: &Mirror, broadcast: Option<BroadcastId>) -> Result<Storyboard, Problem> {
    let look = |view: &View| match view {
        View::Seeking => None,
        View::NotLive => Some(Err(Problem::NotLive)),
        View::Showing(window) => found(window, broadcast),
    };
    let board =
        mirror.wait_for_view(Scope::Anything, START_LIMIT, look).await.unwrap_or(Err(Problem::NotReady))?;
    let with_history = mirror.history(|window, archive| {
        let is_same = window.opening().broadcast == board.broadcast && archive.broadcast() == board.broadcast;
        is_same.then(|| Storyboard::of(Some(archive), Some(window), Clock::Live)).flatten()
    });
    Ok(with_history.flatten().unwrap_or(board))
}

/// The storyboard of a window; `None` while the window may still have pictures.
fn found(window: &LiveWindow, broadcast: Option<BroadcastId>) -> Option<Result<Storyboard, Problem>> {
    if broadcast.is_some_and(|broadcast| broadcast != window.opening().broadcast) {
        return Some(Err(Problem::NoPicture(NO_SHEET.into())));
    }
    Storyboard::of(None, Some(window), Clock::Live).map(Ok)
}

/// The first place that has a picture.
fn first(sheet: &Sheet) -> u64 {
    sheet.tiles.iter().position(Option::is_some).unwrap_or_default() as u64
}

async fn request(source: SegmentSource<'_>, layout: &Layout, sheet: &Sheet) -> Result<StillRequest, Problem> {
    let (width, height) = sheet.size;
    let fetches: Vec<_> = sheet.tiles.iter().map(|tile| picture(source, layout, tile.as_ref())).collect();
    let pictures = stream::iter(fetches).buffered(CONCURRENT_FETCHES).try_collect().await?;
    Ok(StillRequest { pictures, columns: SHEET_COLUMNS, rows: SHEET_ROWS, height, width })
}

/// Without media where there is none at the moment: its place stays black.
async fn picture(
    source: SegmentSource<'_>,
    layout: &Layout,
    tile: Option<&Tile>,
) -> Result<Picture, Problem> {
    let Some(tile) = tile else { return Ok(Picture::default()) };
    let media = match &tile.media {
        Some(media) => media.clone(),
        None => match source.beginning(layout, &tile.rendition, tile.sequence, FIRST_BYTES).await {
            Err(Unread::Missing | Unread::NoStore) => Bytes::new(),
            read => read?,
        },
    };
    Ok(Picture { init: tile.init.clone(), media, offset_us: 0 })
}

#[cfg(test)]
mod tests;
