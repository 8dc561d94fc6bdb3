//! Media presentation descriptions (ISO/IEC 23009-1, "MPD") of the same segments, under the same addresses.
//!
//! **Time.** A period's media time is the source's, as the segments carry it in `tfdt`: `S@t` equals it, and
//! `presentationTimeOffset` is where the period begins, so that a period's own time starts at zero (§5.3.9.6). In a live
//! presentation `Period@start` follows from the wall clock; in a stored one, periods follow each other.
//!
//! **Names.** In a stored presentation `$Number$` is the media sequence: `startNumber` is the first one listed. A number is
//! counted by its place in the timeline, and few players know `S@n`; so a timeline has no holes. Of a live period with a
//! gap in it, the segments after the last gap are listed; a stored one becomes several.
//!
//! In a live one, segments are named by their period and `$Time$` (see [`LiveWindow::timed`]): ffmpeg counts numbers from
//! the beginning of each MPD that it reads, and would begin anew with each. Such a name tells the period that a player
//! means, too, where another one has begun instead of what was announced. Before it stands the broadcast's tag.
//!
//! [`LiveWindow::timed`]: crate::LiveWindow::timed
//!
//! **The beginning.** A period's first segment is a short one. A live presentation leaves it out once a whole one follows
//! it: ffmpeg finds its place in an MPD that it reads again by the second in which a segment begins.
//!
//! **The live edge.** The grid of a period says where segments are going to begin (see `SegmentSettings`), so the segment
//! that is being made and [`ANNOUNCED_SEGMENTS`](crate::window::ANNOUNCED_SEGMENTS) after it are listed, right but for less than a frame.
//! What is listed follows from what was made, never from a clock: an encoder that is slow or fast takes the edge with
//! it. (`r="-1"` would announce as much as a clock allows; VLC 3.0 reads it as 2^32 segments.) Whoever asks for a
//! segment that is being made gets its parts as they come (`availabilityTimeOffset`, §5.3.5.3; DASH-IF IOP part 9 / CR
//! Low-Latency Live §9.X.4), and whoever asks for one that is announced is held until it begins. That nothing more comes
//! is known after it was announced: players are told by a static MPD, at the latest after `minimumUpdatePeriod`, and
//! whoever has asked by then gets [`END_SEGMENT`](crate::cmaf::END_SEGMENT).
//!
//! **The clock.** `UTCTiming` names the clock beside the MPD; the one that counts for players that read only the last
//! element, and do not resolve addresses against the MPD's (ExoPlayer), is in the MPD itself: the time that the media
//! has reached.

mod live;
mod stored;
mod timeline;
mod write;

use headwater_media::{
    BroadcastId, MediaTime, PeriodStart, Rendition, RenditionKind, SegmentSettings, UnixMillis,
};

pub use live::{dvr, live};
pub use stored::{ended, stored};

use timeline::Timeline;

use crate::object::NamePrefix;

/// A moment as an MPD writes it (`xs:dateTime`); what the clock that an MPD names answers with.
pub fn moment(time: UnixMillis) -> String {
    write::Moment(time).to_string()
}

/// `availabilityStartTime`: the same for a whole broadcast, whatever its window still holds, and before its first
/// period's wall clock by some margin: that is taken elsewhere, by another clock, and before there is an id where a
/// publisher has to wait for a server.
fn zero(broadcast: BroadcastId) -> UnixMillis {
    UnixMillis(broadcast.made_at().0.saturating_sub(MARGIN_MS))
}

const MARGIN_MS: u64 = 60_000;

/// Start of a period on the time of a presentation that goes by the wall clock.
fn start(about: &PeriodStart, zero: UnixMillis) -> MediaTime {
    MediaTime::from_millis(about.wall_clock.0.saturating_sub(zero.0))
}

struct Presentation<'a> {
    settings: SegmentSettings,
    state: State,
    /// Path from the MPD to the directories of the renditions.
    base: String,
    names: NamePrefix,
    periods: Vec<Period<'a>>,
}

enum State {
    Dynamic {
        zero: UnixMillis,
        /// The wall clock of the newest frame.
        reached: UnixMillis,
        /// `publishTime`: the wall clock of the end of what is listed, so it follows from that alone.
        published: UnixMillis,
        /// `timeShiftBufferDepth`.
        depth: MediaTime,
    },
    /// A presentation that was live, with the wall clock's time between its periods.
    Ended { duration: MediaTime },
    /// A recording: each period right after the other.
    Stored { duration: MediaTime },
}

struct Period<'a> {
    id: String,
    /// On the presentation's time: since `availabilityStartTime` where there is one.
    start: MediaTime,
    /// Start on the source's time.
    from: MediaTime,
    about: &'a PeriodStart,
    tracks: Vec<Track<'a>>,
}

struct Track<'a> {
    rendition: &'a Rendition,
    /// Bits a second.
    bandwidth: u64,
    timeline: Timeline,
}

impl Period<'_> {
    /// Of what is there.
    fn length(&self) -> MediaTime {
        let ends = self.tracks.iter().map(|track| track.timeline.end());
        ends.max().unwrap_or_default().saturating_sub(self.from)
    }
}

impl Track<'_> {
    fn is_video(&self) -> bool {
        matches!(self.rendition.kind, RenditionKind::Video { .. })
    }
}
