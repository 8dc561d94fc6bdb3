//! A recording as one file: planned once, then sent piece by piece from the store.

use std::net::IpAddr;
use std::ops::Range;
use std::sync::{Arc, Weak};

use bytes::Bytes;
use futures::future::try_join_all;
use futures::{StreamExt, TryStreamExt, stream};
use headwater_hls::Archive;
use headwater_hls::cmaf::read::{Placed, samples};
use headwater_hls::mp4::{Mp4, Piece, Plan};
use headwater_media::{MediaSequence, MediaTime, Rendition, RenditionId, RenditionKind};
use headwater_platform::store::ObjectStore;
use headwater_recordings::{Layout, Samples, segments_there};
use headwater_runtime::http::query;
use http::HeaderValue;
use http::header::CONTENT_DISPOSITION;
use http::request::Parts;
use tracing::warn;

use crate::http::response::answer::Answer;
use crate::http::response::body::{Interrupted, Pieces};
use crate::http::response::cache::Cache;
use crate::http::response::downloads::{Downloads, Share};
use crate::http::response::problem::Problem;
use crate::library::{self, Library, Lost, Recorded, Unread, unread};
use crate::representation::etag;

/// Segments that are read ahead while sending: a slow store is not asked one after the other, and little is held.
const SEGMENTS_AHEAD: usize = 4;
/// The same while planning, where a recording has no sample tables: one of an hour, in a store that takes 100 ms, is planned
/// in 23 s.
const PLAN_SEGMENTS_AHEAD: usize = 16;

/// How long caches may keep the file: it can only be deleted.
const COMPLETE_SECONDS: u32 = 60;

/// All of a recording that is complete, or a range of it: the best picture or that of `?rendition=`, and its sound.
pub(crate) async fn answer(
    library: &Arc<Library>,
    (downloads, from): (&Downloads, IpAddr),
    layout: &Layout,
    recorded: &Arc<Recorded>,
    request: &Parts,
) -> Result<Answer, Problem> {
    if !recorded.is_complete() {
        return Err(Problem::Growing);
    }
    let wanted = query::value(request.uri.query().unwrap_or_default(), "rendition");
    let tracks = tracks(recorded, wanted.as_deref()).ok_or(Problem::NoRecording)?;
    let store = library.store()?.clone();
    let make = || plan((store, Arc::downgrade(library)), layout.clone(), recorded.clone(), tracks.clone());
    let planned = library.plan(layout, &tracks, from, make).await?;
    let name = format!("attachment; filename=\"{}-{}.mp4\"", layout.stream, layout.broadcast);
    let disposition = HeaderValue::try_from(name).expect("names of streams are visible ASCII");
    let library = library.clone();
    let layout = layout.clone();
    let share = downloads.share(from);
    // All that is in the file follows from its tables.
    let length = planned.length;
    let etag = etag::of_text(&planned.head);
    let watched = downloads.clone();
    let read = move |range| watched.watch(body(library, layout, tracks, planned, share, range));
    Ok(Answer::read("video/mp4", Cache::Seconds(COMPLETE_SECONDS), length, Box::new(read))
        .etag(etag)
        .headers([(CONTENT_DISPOSITION, disposition)]))
}

/// The renditions that make the file: one picture and one sound, as far as there are.
fn tracks(recorded: &Recorded, wanted: Option<&str>) -> Option<Vec<RenditionId>> {
    let renditions = recorded.archive.renditions();
    let is_picture = |r: &&&Rendition| matches!(r.kind, RenditionKind::Video { .. });
    let picture = match wanted {
        Some(wanted) => Some(*renditions.iter().find(|r| r.id.as_str() == wanted)?),
        None => renditions.iter().find(is_picture).copied(),
    };
    let sound = renditions.iter().find(|r| !is_picture(r)).copied();
    let sound = sound.filter(|sound| picture.is_none_or(|picture| picture.id != sound.id));
    let tracks: Vec<_> = picture.into_iter().chain(sound).map(|r| r.id.clone()).collect();
    (!tracks.is_empty()).then_some(tracks)
}

/// A segment of a track that a file is made of.
struct Wanted {
    sequence: MediaSequence,
    start: MediaTime,
    duration: MediaTime,
    /// The number of the track.
    nth: usize,
    /// Bytes of its object; none where there is none.
    size: Option<u64>,
}

/// Plans by the sample tables that stand in the recording's index. Segments without one are read, each once.
async fn plan(
    (store, library): (Arc<dyn ObjectStore>, Weak<Library>),
    layout: Layout,
    recorded: Arc<Recorded>,
    tracks: Vec<RenditionId>,
) -> Result<Mp4, Unread> {
    let archive = &recorded.archive;
    let renditions = archive.renditions();
    let of = |id: &RenditionId| renditions.iter().find(|r| r.id == *id).copied();
    let known: Vec<_> = tracks.iter().filter_map(of).collect();
    let mut plan = Plan::new(&known);
    let tables = Samples::load(store.as_ref(), &layout, &tracks).await;
    let tables = &tables.map_err(|error| unread(&layout.folder(), error))?;
    let (wanted, lost) = wanted_segments(store.as_ref(), &layout, archive, &tracks).await?;
    if !lost.is_empty()
        && let Some(library) = library.upgrade()
    {
        library.note_losses(&layout, lost).await;
    }
    let store = store.as_ref();
    let layout = &layout;
    let read = |wanted: Wanted| {
        let id = &tracks[wanted.nth];
        async move { Ok::<_, Unread>((samples_of(store, layout, id, tables, &wanted).await?, wanted)) }
    };
    let mut read = stream::iter(wanted).map(read).buffered(PLAN_SEGMENTS_AHEAD).boxed();
    let mut period = None;
    let mut is_empty = true;
    while let Some((samples, wanted)) = read.try_next().await? {
        let about = archive.period_of(wanted.sequence).ok_or(Unread::Missing)?;
        if period != Some(about.number) {
            let init = |id: &RenditionId| archive.init(id, about.first_sequence).map(Bytes::as_ref);
            let inits: Vec<_> = tracks.iter().map(init).collect();
            plan.period(&inits).map_err(|error| damaged(layout, &error))?;
            period = Some(about.number);
        }
        if samples.is_empty() {
            plan.add_gap(wanted.start, wanted.duration);
            continue;
        }
        is_empty = false;
        let planned = plan.segment(wanted.nth, wanted.sequence, wanted.start, &samples);
        planned.map_err(|error| damaged(layout, &error))?;
    }
    if is_empty { Err(Unread::Missing) } else { Ok(plan.finish()) }
}

/// The segments of the file, in its order, and those that are lost. Each is looked for in the lists of the store: a file that is
/// being sent can't leave one out any more.
async fn wanted_segments(
    store: &dyn ObjectStore,
    layout: &Layout,
    archive: &Archive,
    tracks: &[RenditionId],
) -> Result<(Vec<Wanted>, Lost), Unread> {
    let there = tracks.iter().map(|id| segments_there(store, layout, id));
    let there = try_join_all(there).await.map_err(|error| unread(&layout.folder(), error))?;
    let mut wanted = Vec::new();
    let mut lost = Lost::new();
    for segment in archive.segments() {
        for (nth, id) in tracks.iter().enumerate() {
            let Some(piece) = segment.piece(id) else { continue };
            let size = piece.size.and_then(|_| there[nth].get(&segment.sequence)).copied();
            if piece.size.is_some() && size.is_none() {
                lost.insert((segment.sequence, id.clone()));
            }
            wanted.push(Wanted {
                sequence: segment.sequence,
                start: segment.start(),
                duration: piece.duration,
                nth,
                size,
            });
        }
    }
    Ok((wanted, lost))
}

/// The samples of a segment; none where it can't be had: the picture before it is shown for longer.
async fn samples_of(
    store: &dyn ObjectStore,
    layout: &Layout,
    id: &RenditionId,
    tables: &Samples,
    wanted: &Wanted,
) -> Result<Vec<Placed>, Unread> {
    let Some(size) = wanted.size else { return Ok(Vec::new()) };
    if let Some(samples) = tables.samples_of(id, wanted.sequence, size) {
        // Nothing else waits here, and there may be many thousands.
        tokio::task::yield_now().await;
        return Ok(samples);
    }
    let key = layout.segment(id, wanted.sequence);
    let bytes = match library::read(store, &key).await {
        Err(Unread::Missing) => {
            warn!(%key, "a stored segment is missing, and left out of the file");
            return Ok(Vec::new());
        }
        read => read?,
    };
    Ok(samples(&bytes).unwrap_or_else(|error| {
        warn!(%key, %error, "a stored segment is damaged, and left out of the file");
        Vec::new()
    }))
}

fn damaged(layout: &Layout, error: &headwater_hls::mp4::PlanError) -> Unread {
    warn!(broadcast = %layout.broadcast, %error, "a recording can't be made one file");
    Unread::Missing
}

/// The bytes of a range of the file, as they are read.
fn body(
    library: Arc<Library>,
    layout: Layout,
    tracks: Vec<RenditionId>,
    planned: Arc<Mp4>,
    share: Share,
    range: Range<u64>,
) -> Pieces {
    let within = |at: u64| at.min(planned.head.len() as u64) as usize;
    let head = planned.head.slice(within(range.start)..within(range.end));
    let mut needed: Vec<(Piece, Range<u64>)> = Vec::new();
    needed.extend(planned.needed(range).map(|(piece, part)| (piece.clone(), part)));
    // Pieces of one segment are read together.
    let together = |one: &(Piece, Range<u64>), next: &(Piece, Range<u64>)| {
        (one.0.track, one.0.sequence) == (next.0.track, next.0.sequence)
    };
    let segments: Vec<_> = needed.chunk_by(together).map(<[_]>::to_vec).collect();
    let read = move |pieces: Vec<(Piece, Range<u64>)>| {
        let library = library.clone();
        let layout = layout.clone();
        let tracks = tracks.clone();
        let share = share.clone();
        async move {
            let first = &pieces[0].0;
            let whole = pieces[0].1.start..pieces[pieces.len() - 1].1.end;
            let key = layout.segment(&tracks[first.track], first.sequence);
            let room = share.room(whole.end - whole.start).await?;
            let bytes = match library.read_range(&key, whole.clone()).await {
                Ok(bytes) => bytes,
                Err(unread) => {
                    if unread == Unread::Missing {
                        library.note_losses(&layout, [(first.sequence, tracks[first.track].clone())]).await;
                    }
                    return Err(Interrupted::Unread);
                }
            };
            let bytes = room.hold(bytes);
            let cut = |(_, part): &(Piece, Range<u64>)| {
                let part = (part.start - whole.start) as usize..(part.end - whole.start) as usize;
                (part.end <= bytes.len()).then(|| bytes.slice(part))
            };
            pieces.iter().map(|piece| cut(piece).ok_or(Interrupted::Unread)).collect::<Result<Vec<_>, _>>()
        }
    };
    let media = stream::iter(segments).map(read).buffered(SEGMENTS_AHEAD);
    let media = media.map_ok(|pieces| stream::iter(pieces.into_iter().map(Ok))).try_flatten();
    stream::iter((!head.is_empty()).then_some(Ok(head))).chain(media).boxed()
}

#[cfg(test)]
mod tests;
