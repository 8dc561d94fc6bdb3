//! How far apart the tracks of a period arrive, and when one of them has stopped.

use std::time::Duration;

use headwater_media::timeline::{MAX_COMPOSITION, MAX_TRACK_DISTANCE};
use headwater_media::{Period, SegmentSettings, SourceTime, Tag};

/// How much longer than usual a track may keep the other one waiting before it goes on without its source: less than a
/// player has in store.
const STALL_MARGIN: Duration = Duration::from_secs(1);
/// Least usual lag of a track that has not come yet beside the other one.
const UNKNOWN_LAG: Duration = Duration::from_secs(2);
/// Window of the lag's measurement: a lag is remembered for one to two of these.
const WINDOW_US: u64 = 2_000_000;
/// The largest step ahead of all before it that a tag can make: a gap is no longer than the longest segment, and the
/// tracks are no farther apart than the timeline lets them be. Twice of that leaves room for what a proxy has lost.
pub(crate) const MAX_STEP: Duration = Duration::from_millis(
    2 * (SegmentSettings::MAX_SEGMENT_MS as u64
        + MAX_TRACK_DISTANCE.as_millis() as u64
        + MAX_COMPOSITION.as_millis() as u64),
);

/// The newest presentation time of each track, and what it is usually behind the other one.
#[derive(Debug)]
pub(crate) struct Interleaving {
    first: Option<SourceTime>,
    video: Arrivals,
    audio: Arrivals,
}

/// Of one track.
#[derive(Debug)]
struct Arrivals {
    newest: Option<SourceTime>,
    lag: Lag,
}

/// Usual lag of a track behind the other one.
#[derive(Debug)]
enum Lag {
    /// It has not come yet beside the other one, which was so far ahead when it was first seen.
    Unknown { ahead: Duration },
    /// The period does not have it.
    Absent,
    /// The most that it was behind in the window with this number, and in the one before it.
    Known { window: u64, most: Duration, before: Duration },
}

impl Interleaving {
    pub(crate) fn new(period: &Period) -> Self {
        Self {
            first: None,
            video: Arrivals::expect_track(period.video().is_some()),
            audio: Arrivals::expect_track(period.audio().is_some()),
        }
    }

    /// How far the time is beyond all before it; none for the first one.
    pub(crate) fn time_step(&self, time: SourceTime) -> Option<Duration> {
        self.first.max(self.video.newest).max(self.audio.newest).map(|newest| time.since(newest))
    }

    pub(crate) fn observe_tag(&mut self, tag: &Tag) {
        let time = tag.presentation_time();
        self.first.get_or_insert(time);
        let (track, other) = if tag.is_video() {
            (&mut self.video, &mut self.audio)
        } else {
            (&mut self.audio, &mut self.video)
        };
        if let Some(there) = other.newest {
            if let (None, Lag::Unknown { ahead }) = (track.newest, &mut other.lag) {
                *ahead = time.since(there).min(MAX_TRACK_DISTANCE);
            }
            track.lag.add_delay(time, there.since(time));
        }
        track.newest = track.newest.max(Some(time));
    }

    pub(crate) fn newest_sound(&self) -> Option<SourceTime> {
        self.audio.newest
    }

    /// Up to where the sound must go on by itself.
    pub(crate) fn sound_left_behind(&self) -> Option<SourceTime> {
        self.left_behind(&self.audio, &self.video)
    }

    /// Up to where the picture must go on by itself.
    pub(crate) fn picture_left_behind(&self) -> Option<SourceTime> {
        self.left_behind(&self.video, &self.audio)
    }

    fn left_behind(&self, track: &Arrivals, other: &Arrivals) -> Option<SourceTime> {
        let other = other.newest?;
        let newest = track.newest.or(self.first)?;
        let allowed = track.lag.usual_lag() + STALL_MARGIN;
        (other.since(newest) > allowed).then(|| other.offset_us(-(allowed.as_micros() as i64)))
    }
}

impl Arrivals {
    fn expect_track(is_expected: bool) -> Self {
        Self {
            newest: None,
            lag: if is_expected { Lag::Unknown { ahead: Duration::ZERO } } else { Lag::Absent },
        }
    }
}

impl Lag {
    fn add_delay(&mut self, time: SourceTime, behind: Duration) {
        let now = time.0 / WINDOW_US;
        *self = match *self {
            Self::Known { window, most, before } if now <= window => {
                Self::Known { window, most: most.max(behind), before }
            }
            Self::Known { window, most, .. } if now == window + 1 => {
                Self::Known { window: now, most: behind, before: most }
            }
            _ => Self::Known { window: now, most: behind, before: Duration::ZERO },
        };
    }

    fn usual_lag(&self) -> Duration {
        match *self {
            Self::Unknown { ahead } => ahead.max(UNKNOWN_LAG),
            Self::Absent => Duration::ZERO,
            Self::Known { most, before, .. } => most.max(before),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use headwater_media::{PeriodNumber, TagKind, UnixMillis};

    fn tracks(video: bool, audio: bool) -> Interleaving {
        let config = |is_there: bool| is_there.then(Bytes::new);
        Interleaving::new(&Period {
            number: PeriodNumber(0),
            first_sequence: None,
            origin: SourceTime(0),
            wall_clock: UnixMillis(0),
            tracks: Period::tracks_of(config(video), config(audio)),
        })
    }

    impl Interleaving {
        fn at(&mut self, kind: TagKind, millis: u64) {
            self.observe_tag(&Tag {
                track: Period::VIDEO_TRACK,
                kind,
                time: SourceTime::from_millis(millis),
                composition_offset_us: 0,
                drift: 0,
                payload: Bytes::new(),
            });
        }

        fn picture(&mut self, millis: u64) {
            self.at(TagKind::Video { keyframe: false }, millis);
        }

        fn sound(&mut self, millis: u64) {
            self.at(TagKind::Audio, millis);
        }
    }

    #[test]
    fn a_steady_skew_is_no_stall() {
        for skew in [0, 1_500, 4_900] {
            let mut tracks = tracks(true, true);
            tracks.picture(0);
            for time in (40..20_000).step_by(40) {
                tracks.sound(time + skew);
                assert_eq!(tracks.picture_left_behind(), None, "{skew} at {time}");
                tracks.picture(time);
            }
        }
    }

    /// Sound that was held for the first picture comes right behind it, all at once.
    #[test]
    fn sound_that_was_held_for_the_picture_does_not_leave_it_behind() {
        let mut tracks = tracks(true, true);
        tracks.picture(0);
        for time in (0..2_500).step_by(20) {
            tracks.sound(time);
            assert_eq!(tracks.picture_left_behind(), None, "{time}");
        }
        (2_500..3_100).step_by(20).for_each(|time| tracks.sound(time));
        assert!(tracks.picture_left_behind().is_some(), "it has stopped");
    }

    #[test]
    fn a_track_that_stops_is_left_behind_by_a_second_more_than_usual() {
        for skew in [0, 1_500] {
            let mut tracks = tracks(true, true);
            for time in (0..10_000).step_by(40) {
                tracks.picture(time + skew);
                tracks.sound(time);
            }
            let until = (10_000 + skew..20_000).step_by(40).map(|time| {
                tracks.picture(time);
                tracks.sound_left_behind().map(|until| (time, until.as_millis()))
            });
            let (time, until) = until.flatten().next().unwrap();
            assert!((10_000..10_100).contains(&until), "{until}");
            assert!((1_000..1_100).contains(&(time - skew - 10_000)), "{time}");
        }
    }

    #[test]
    fn what_was_usual_is_forgotten() {
        let mut tracks = tracks(true, true);
        for time in (0..20_000).step_by(40) {
            tracks.picture(time + if time < 5_000 { 3_000 } else { 0 });
            tracks.sound(time);
        }
        tracks.picture(21_100);
        assert!(tracks.sound_left_behind().is_some());
    }

    #[test]
    fn what_the_period_does_not_have_is_not_waited_for() {
        let mut tracks = tracks(false, true);
        (0..1_100).step_by(20).for_each(|time| tracks.sound(time));
        assert!(tracks.picture_left_behind().is_some());
    }
}
