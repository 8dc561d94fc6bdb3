//! The frame that stands for a moment, in the live window or in what is stored.

use std::sync::Arc;

use bytes::Bytes;
use headwater_hls::{Archive, LiveWindow, Part, Segment};
use headwater_media::{
    MediaSequence, MediaTime, PeriodStart, Rendition, RenditionId, RenditionKind, StoredSegment, UnixMillis,
};
use headwater_wire::v2::StillRequest;
use headwater_wire::v2::still_request::Picture;

use super::{Frames, Key, TimeQuery};

/// A moment so many milliseconds after the newest frame is answered with that frame: clocks differ, and pictures take a
/// moment to get here.
const LEEWAY_MS: u64 = 15_000;

/// A frame, and the media that has to be decoded for it.
#[derive(Clone, Debug)]
pub(crate) struct Frame {
    pub(crate) key: Key,
    /// Whether media that comes later can't change which frame is meant.
    pub(crate) is_settled: bool,
    init: Bytes,
    media: Media,
    /// Microseconds from the first frame of `media`.
    offset: u64,
    height: u32,
}

#[derive(Clone, Debug)]
enum Media {
    /// Parts that follow each other.
    Held(Vec<Bytes>),
    /// A whole segment, which is in the store.
    Stored(RenditionId, MediaSequence),
}

impl Frame {
    /// The segment that has to be fetched first.
    pub(crate) fn stored(&self) -> Option<(&RenditionId, MediaSequence)> {
        match &self.media {
            Media::Held(_) => None,
            Media::Stored(rendition, sequence) => Some((rendition, *sequence)),
        }
    }

    /// When the frames of the media are shown that is here already.
    pub(crate) fn frames(&self) -> Option<Frames> {
        match &self.media {
            Media::Held(parts) => Frames::of(parts.iter().map(|part| &part[..])),
            Media::Stored(..) => None,
        }
    }

    /// Knows its frame by these frames of the media: all moments within one have the same key.
    pub(crate) fn of(mut self, frames: &Frames) -> Self {
        if let Key::Frame { shown, .. } = &mut self.key {
            *shown = frames.at(self.offset);
        }
        self
    }

    /// `fetched` is the segment of [`Frame::stored`].
    pub(crate) fn request(&self, fetched: Option<Bytes>) -> StillRequest {
        let media = match &self.media {
            Media::Held(parts) => parts.concat().into(),
            Media::Stored(..) => fetched.unwrap_or_default(),
        };
        let picture = Picture { init: self.init.clone(), media, offset_us: self.offset };
        StillRequest { pictures: vec![picture], columns: 1, rows: 1, height: self.height, width: 0 }
    }
}

/// Why there is no such frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Missed {
    /// The broadcast has no pictures, or none yet.
    NoPictures,
    /// Before the first one that is kept, which was on air then.
    Before(UnixMillis),
    /// It has not happened yet; the newest one was on air then.
    Ahead(UnixMillis),
}

/// The frame of the window that was on air at a moment, in the rendition that is best for this height.
pub(crate) fn newest_or_at(window: &LiveWindow, when: TimeQuery, height: u32) -> Result<Frame, Missed> {
    let track = Track::of(window, rendition_for(window, height).ok_or(Missed::NoPictures)?);
    let newest = track.newest().ok_or(Missed::NoPictures)?;
    let moment = match when {
        TimeQuery::Newest => return Ok(track.frame_at(&newest, 0, height, false)),
        TimeQuery::At(moment) => moment.0.saturating_mul(1_000),
        TimeQuery::Ago(ago) => newest.ends.saturating_sub(ago.saturating_mul(1_000)),
        TimeQuery::After(after) => track.starts().0.saturating_add(after).saturating_mul(1_000),
    };
    if moment > newest.ends.saturating_add(LEEWAY_MS * 1_000) {
        return Err(Missed::Ahead(UnixMillis(newest.ends / 1_000)));
    }
    let take = track.at(moment).ok_or_else(|| Missed::Before(track.starts()))?;
    let is_settled = matches!(when, TimeQuery::At(_)) && moment < newest.ends;
    Ok(track.frame_at(&take, moment.min(take.ends.saturating_sub(1)) - take.begins, height, is_settled))
}

/// When the newest frame of the window ends.
pub(crate) fn newest_end(window: &LiveWindow) -> Result<UnixMillis, Missed> {
    let rendition = rendition_for(window, 0).ok_or(Missed::NoPictures)?;
    let newest = Track::of(window, rendition).newest().ok_or(Missed::NoPictures)?;
    Ok(UnixMillis(newest.ends / 1_000))
}

/// The frame of a moment of what is stored. Moments before the first one are before it, those after the last one are the
/// last one.
pub(crate) fn stored_at(archive: &Archive, when: TimeQuery, height: u32) -> Result<Frame, Missed> {
    let (segment, within) = moment(archive, when).ok_or(Missed::NoPictures)?;
    if let (TimeQuery::At(wanted), Some(first)) = (when, archive.started_at())
        && wanted < first
    {
        return Err(Missed::Before(first));
    }
    let period = archive.period_of(segment.sequence).ok_or(Missed::NoPictures)?;
    let stored = period.renditions.iter().filter(|(rendition, _)| segment.size(&rendition.id).is_some());
    let rendition = best_for(height, stored.map(|(rendition, _)| rendition)).ok_or(Missed::NoPictures)?;
    let init = archive.init(&rendition, period.first_sequence).cloned().unwrap_or_default();
    Ok(Frame {
        key: Key::Frame {
            broadcast: archive.broadcast(),
            rendition: rendition.clone(),
            sequence: segment.sequence,
            shown: within.0,
            height,
        },
        is_settled: true,
        init,
        media: Media::Stored(rendition, segment.sequence),
        offset: within.0,
        height,
    })
}

/// The segment of a moment, and how far into it that is. Where nobody says which one, it is one that shows what the
/// recording is about: a tenth of it has passed, but not more than half a minute.
fn moment(archive: &Archive, when: TimeQuery) -> Option<(&Arc<StoredSegment>, MediaTime)> {
    let length = archive.duration();
    match when {
        TimeQuery::Newest => archive.at(MediaTime((length.0 / 10).min(30_000_000))),
        TimeQuery::After(after) => archive.at(MediaTime::from_millis(after)),
        TimeQuery::Ago(ago) => archive.at(length.saturating_sub(MediaTime::from_millis(ago))),
        TimeQuery::At(wanted) => {
            let started =
                |segment: &&Arc<StoredSegment>| archive.wall_clock(segment).is_some_and(|at| at <= wanted);
            let segment = archive.segments().rev().find(started).or_else(|| archive.segments().next())?;
            let since = archive.wall_clock(segment).map_or(0, |at| wanted.0.saturating_sub(at.0));
            let last = segment.duration().saturating_sub(MediaTime(1));
            Some((segment, MediaTime::from_millis(since).min(last)))
        }
    }
}

fn rendition_for(window: &LiveWindow, height: u32) -> Option<RenditionId> {
    best_for(height, window.renditions())
}

/// The smallest rendition that need not be enlarged; the best one where all are smaller.
fn best_for<'a>(height: u32, renditions: impl Iterator<Item = &'a Rendition>) -> Option<RenditionId> {
    let lines = |rendition: &Rendition| match rendition.kind {
        RenditionKind::Video { height, .. } => Some((height, rendition.id.clone())),
        RenditionKind::Audio { .. } => None,
    };
    let mut pictures: Vec<_> = renditions.filter_map(lines).collect();
    pictures.sort();
    let large_enough = pictures.iter().find(|(lines, _)| *lines >= height);
    large_enough.or(pictures.last()).map(|(_, id)| id.clone())
}

/// The pictures of one rendition, by when they were on air: microseconds from the Unix epoch.
struct Track<'a> {
    window: &'a LiveWindow,
    rendition: RenditionId,
}

/// A run of parts of a segment, from a keyframe on.
struct Take<'a> {
    period: &'a Arc<PeriodStart>,
    sequence: MediaSequence,
    segment: &'a Segment,
    parts: &'a [Part],
    begins: u64,
    ends: u64,
}

impl<'a> Track<'a> {
    fn of(window: &'a LiveWindow, rendition: RenditionId) -> Self {
        Self { window, rendition }
    }

    /// Newest first; segments without media are left out.
    fn takes(&self) -> impl Iterator<Item = Take<'a>> {
        let segments: Vec<_> = self.window.kept(&self.rendition).collect();
        let window = self.window;
        segments.into_iter().rev().flat_map(move |(sequence, segment)| {
            let parts = segment.parts();
            let keyframes = (0..parts.len()).rev().filter(|at| parts[*at].independent);
            keyframes.filter_map(move |first| {
                let period = window.period_of(sequence)?;
                let after = parts[first + 1..].iter().position(|part| part.independent);
                let parts = &parts[first..after.map_or(parts.len(), |after| first + 1 + after)];
                let begins = on_air(period, parts.first()?.start, window.drift_of(period, segment.start()));
                let length: u64 = parts.iter().map(|part| part.duration.0).sum();
                Some(Take { period, sequence, segment, parts, begins, ends: begins + length })
            })
        })
    }

    fn newest(&self) -> Option<Take<'a>> {
        self.takes().next()
    }

    fn at(&self, moment: u64) -> Option<Take<'a>> {
        self.takes().find(|take| take.begins <= moment)
    }

    fn starts(&self) -> UnixMillis {
        UnixMillis(self.takes().last().map_or(0, |take| take.begins / 1_000))
    }

    fn frame_at(&self, take: &Take<'_>, offset: u64, height: u32, is_settled: bool) -> Frame {
        let first = take.parts[0].start;
        let needed = take.parts.iter().take_while(|part| (part.start.saturating_sub(first)).0 <= offset);
        let init = take.period.renditions.iter().find(|(known, _)| known.id == self.rendition);
        Frame {
            key: Key::Frame {
                broadcast: self.window.opening().broadcast,
                rendition: self.rendition.clone(),
                sequence: take.sequence,
                shown: first.saturating_sub(take.segment.start()).0 + offset,
                height,
            },
            is_settled,
            init: init.map(|(_, init)| init.clone()).unwrap_or_default(),
            media: Media::Held(needed.map(|part| part.bytes.clone()).collect()),
            offset,
            height,
        }
    }
}

/// When media time was on air, in microseconds from the Unix epoch. The drift is that at the beginning of its segment.
pub(super) fn on_air(period: &PeriodStart, time: MediaTime, drift: i32) -> u64 {
    let origin = period.wall_clock_at(period.origin, drift);
    (origin.0 * 1_000).saturating_add(time.saturating_sub(period.origin).0)
}

#[cfg(test)]
mod tests {
    use headwater_media::{
        BroadcastId, Epoch, MediaEvent, Opening, PartIndex, PeriodNumber, Piece, Record, SegmentSettings,
    };

    use super::*;

    const START: u64 = 1_800_000_000_000;

    /// Segments 7 and 8 of 2 s in four parts, and half of segment 9. The second one has a keyframe in its third part too.
    fn window() -> LiveWindow {
        let settings = SegmentSettings { segment_ms: 2_000, part_ms: 500 };
        let mut window = LiveWindow::new(Opening {
            broadcast: BroadcastId::from_bytes([7; 16]),
            epoch: Epoch(1),
            settings,
            window_segments: 4,
            first_sequence: MediaSequence(7),
            discontinuity_sequence: 0,
        });
        let rendition = |id: &str, width, height| {
            let kind = RenditionKind::Video { width, height, frame_rate: 25.0 };
            let id: RenditionId = id.parse().unwrap();
            let init = Bytes::from(format!("init {id}"));
            (Rendition { id, kind, codecs: "avc1".into(), declared_bitrate: 1 }, init)
        };
        let mut apply = |event| window.apply(&event).map(drop).unwrap();
        apply(MediaEvent::PeriodStart(PeriodStart {
            number: PeriodNumber(0),
            first_sequence: MediaSequence(7),
            origin: MediaTime::from_millis(5_000),
            wall_clock: UnixMillis(START),
            renditions: vec![rendition("720p", 1280, 720), rendition("360p", 640, 360)],
            ladder: None,
        }));
        for (sequence, index) in (0..10).map(|nth| (7 + nth / 4, nth % 4)) {
            for id in ["720p", "360p"] {
                apply(MediaEvent::Part {
                    rendition: id.parse().unwrap(),
                    sequence: MediaSequence(sequence),
                    index: PartIndex(index as u32),
                    start: MediaTime::from_millis(5_000 + (sequence - 7) * 2_000 + index * 500),
                    duration: MediaTime::from_millis(500),
                    independent: index == 0 || (sequence, index) == (8, 2),
                    bytes: Bytes::from(format!("<{id} {sequence}.{index}>")),
                });
                if index == 3 {
                    let rendition = id.parse().unwrap();
                    apply(MediaEvent::SegmentEnd { rendition, sequence: MediaSequence(sequence) });
                }
            }
        }
        window
    }

    fn media(when: TimeQuery) -> (String, u64, bool) {
        let frame = newest_or_at(&window(), when, 360).unwrap();
        let is_settled = frame.is_settled;
        let picture = &frame.request(None).pictures[0];
        let media = String::from_utf8(picture.media.to_vec()).unwrap();
        (media, picture.offset_us / 1_000, is_settled)
    }

    fn at(millis: u64) -> TimeQuery {
        TimeQuery::At(UnixMillis(START + millis))
    }

    #[test]
    fn a_moment_is_decoded_from_its_keyframe_on() {
        assert_eq!(media(at(0)), ("<360p 7.0>".into(), 0, true));
        assert_eq!(media(at(1_200)), ("<360p 7.0><360p 7.1><360p 7.2>".into(), 1_200, true));
        assert_eq!(media(at(2_600)), ("<360p 8.0><360p 8.1>".into(), 600, true));
        assert_eq!(media(at(3_600)), ("<360p 8.2><360p 8.3>".into(), 600, true));
        assert_eq!(media(TimeQuery::Ago(4_900)), ("<360p 7.0>".into(), 100, false));
    }

    #[test]
    fn the_newest_one_is_a_keyframe_and_what_comes_soon_is_the_last_frame() {
        assert_eq!(media(TimeQuery::Newest), ("<360p 9.0>".into(), 0, false));
        assert_eq!(media(at(5_400)), ("<360p 9.0><360p 9.1>".into(), 999, false));
    }

    #[test]
    fn what_is_not_there_is_missed() {
        let missed = |when| newest_or_at(&window(), when, 360).unwrap_err();
        assert_eq!(missed(TimeQuery::At(UnixMillis(START - 1))), Missed::Before(UnixMillis(START)));
        assert_eq!(missed(TimeQuery::Ago(6_000)), Missed::Before(UnixMillis(START)));
        assert_eq!(missed(at(60_000)), Missed::Ahead(UnixMillis(START + 5_000)));
    }

    #[test]
    fn the_rendition_fits_the_height() {
        let of = |height| rendition_for(&window(), height).unwrap().to_string();
        assert_eq!([90, 360, 361, 720, 2_000].map(of), ["360p", "360p", "720p", "720p", "720p"]);
    }

    #[test]
    fn two_moments_have_two_keys_also_within_a_segment() {
        let key = |millis| newest_or_at(&window(), at(millis), 360).unwrap().key;
        assert_ne!(key(2_600), key(3_600));
        assert_eq!(key(3_600), key(3_600));
    }

    /// Two minutes, of which the smaller rendition is kept in the second one only.
    fn archive() -> Archive {
        let window = window();
        let mut archive = Archive::new(window.opening().broadcast, window.opening().settings, 0);
        let period = window.period_of(MediaSequence(7)).unwrap();
        archive.apply(&Record::Period(period.as_ref().clone())).unwrap();
        for nth in 0..60 {
            let piece = |id: &str| Piece {
                rendition: id.parse().unwrap(),
                start: MediaTime::from_millis(5_000 + nth * 2_000),
                duration: MediaTime::from_millis(2_000),
                size: (id == "720p" || nth >= 30).then_some(1_000),
            };
            let pieces = vec![piece("720p"), piece("360p")];
            archive
                .apply(&Record::Segment(StoredSegment { sequence: MediaSequence(7 + nth), pieces, drift: 0 }))
                .unwrap();
        }
        archive
    }

    fn stored(when: TimeQuery) -> (String, u64, u64) {
        let frame = stored_at(&archive(), when, 180).unwrap();
        let Media::Stored(rendition, sequence) = frame.media else { panic!("it is not here") };
        assert_eq!(frame.init, format!("init {rendition}"));
        (rendition.to_string(), sequence.0, frame.offset / 1_000)
    }

    #[test]
    fn a_moment_of_a_recording_is_found_by_its_time_and_by_the_clock() {
        assert_eq!(stored(TimeQuery::After(0)), ("720p".into(), 7, 0));
        assert_eq!(stored(TimeQuery::After(61_500)), ("360p".into(), 37, 1_500));
        assert_eq!(stored(at(61_500)), ("360p".into(), 37, 1_500));
        assert_eq!(stored(TimeQuery::Ago(1_000)), ("360p".into(), 66, 1_000));
        assert_eq!(stored(TimeQuery::Newest), ("720p".into(), 13, 0));
        assert_eq!(stored(TimeQuery::After(9_999_999)).1, 66);
        assert_eq!(stored(at(9_999_999)), ("360p".into(), 66, 1_999));
        let early = stored_at(&archive(), TimeQuery::At(UnixMillis(START - 1)), 180).unwrap_err();
        assert_eq!(early, Missed::Before(UnixMillis(START)));
    }
}
