//! Windows and archives that a mirror no longer shows, and viewers may still fetch from: a server takes nothing away that a
//! playlist has just listed (RFC 8216bis §6.2.2), whatever has become of the broadcast.

use std::sync::Arc;
use std::time::Duration;

use headwater_hls::playlist::lists_before;
use headwater_hls::{Archive, LiveWindow};
use headwater_media::{BroadcastTag, MediaEvent, MediaTime};
use tokio::time::Instant;

use super::{Mirror, PlaylistKind, Shown, Text, View};

/// Windows whose media is kept at most: more follow each other within a minute only where something is badly wrong.
const MAX_WINDOWS: usize = 4;
/// Broadcasts whose index is kept at most. One takes its reconnect window at least to end, and together they are no longer
/// than the time for which they are kept.
const MAX_LEFT: usize = 128;

/// The window of another broadcast, whose viewers go on with the one that is shown.
pub(super) struct Before {
    pub(super) window: Arc<LiveWindow>,
    /// Until when it may be asked for; none as long as playlists list something of it.
    until: Option<Instant>,
}

impl Before {
    pub(super) fn new(window: Arc<LiveWindow>) -> Self {
        Self { window, until: None }
    }

    /// The fate by now; the same where nothing has changed.
    fn now(&self, shown: Option<&LiveWindow>) -> Fate {
        let now = Instant::now();
        match self.until {
            Some(until) if until <= now => Fate::Over,
            None if shown.is_some_and(|shown| !lists_before(&self.window, shown)) => {
                let longest = Duration::from_micros(self.window.outlives_playlists_by().0);
                Fate::OverAt(now + longest)
            }
            _ => Fate::AsBefore,
        }
    }
}

enum Fate {
    AsBefore,
    /// No playlist lists it any more.
    OverAt(Instant),
    Over,
}

/// A window that was shown, and what is stored of its broadcast.
pub(super) struct FormerWindow {
    window: Arc<LiveWindow>,
    window_until: Instant,
    archive: Option<Arc<Archive>>,
    /// Until when its last list is given to those who come.
    listed_until: Instant,
    /// Until when somebody may play that.
    archive_until: Instant,
}

impl FormerWindow {
    /// `dvr_window` is how far viewers could go back, where the server has not said it: the last list is given for as long.
    fn new(window: Arc<LiveWindow>, archive: Option<Arc<Archive>>, dvr_window: MediaTime) -> Self {
        let now = Instant::now();
        let dvr_window = archive.as_ref().and_then(|archive| archive.dvr_window()).unwrap_or(dvr_window);
        let longest = Duration::from_micros(window.outlives_playlists_by().0);
        let listed =
            archive.as_ref().map(|archive| Duration::from_micros(archive.duration().0)).unwrap_or_default();
        let listed_until = now + longest.max(Duration::from_micros(dvr_window.0));
        Self {
            window,
            window_until: now + longest,
            archive,
            listed_until,
            archive_until: listed_until + listed,
        }
    }

    fn forget_media(&mut self) {
        self.window = Arc::new(LiveWindow::new(self.window.opening().clone()));
    }

    fn until(&self) -> Instant {
        let archive_until = self.archive.as_ref().map(|_| self.archive_until);
        archive_until.unwrap_or(self.window_until).max(self.window_until)
    }
}

impl Shown {
    /// Moves the shown window among the ones that were left; `broken_off` replaces it where it broke off and is listed so.
    pub(super) fn leave(&mut self, broken_off: Option<Arc<LiveWindow>>, dvr_window: MediaTime) {
        let now = Instant::now();
        self.left.retain(|left| left.until() > now);
        let before = self.before.take().filter(|before| before.until.is_none_or(|until| until > now));
        self.left.extend(before.map(|before| FormerWindow::new(before.window, None, MediaTime::ZERO)));
        if let View::Showing(window) = std::mem::replace(&mut self.view, View::Seeking) {
            self.left.push(FormerWindow::new(broken_off.unwrap_or(window), self.archive.take(), dvr_window));
        }
        let too_many = self.left.len().saturating_sub(MAX_LEFT);
        self.left.drain(..too_many);
        let too_many = self.left.len().saturating_sub(MAX_WINDOWS);
        self.left[..too_many].iter_mut().for_each(FormerWindow::forget_media);
    }

    /// Whether the broadcast with this tag was shown before the present one, and may still be asked for.
    pub(crate) fn was_shown_before(&self, broadcast: BroadcastTag) -> bool {
        let before = self.before.iter().map(|before| &before.window);
        let mut windows = before.chain(self.left.iter().map(|left| &left.window));
        windows.any(|window| window.opening().broadcast.tag() == broadcast)
    }

    fn fate_of_before(&self) -> Fate {
        self.before.as_ref().map_or(Fate::AsBefore, |before| before.now(self.view.window()))
    }

    /// Forgets the broadcast before when no playlist that anybody holds lists something of it.
    fn forget_before(&mut self) {
        match (self.fate_of_before(), &mut self.before) {
            (Fate::Over, before) => *before = None,
            (Fate::OverAt(until), Some(before)) => before.until = Some(until),
            (Fate::OverAt(_), None) | (Fate::AsBefore, _) => {}
        }
    }

    /// The window that is shown, as it is left, where this one is of another broadcast and comes instead of its end.
    pub(super) fn interrupted(&self, next: &LiveWindow) -> Option<Arc<LiveWindow>> {
        let window = self.view.window().filter(|window| !window.ended())?;
        if window.opening().broadcast == next.opening().broadcast {
            return None;
        }
        let mut left = window.clone();
        // The end of everything that is open; it can't fail.
        let _ = left.apply(&MediaEvent::BroadcastEnd);
        Some(Arc::new(left))
    }
}

impl Mirror {
    /// Looks at a broadcast's windows that were shown before, and may still be asked for: the one that playlists list, and
    /// then the newest first.
    pub(crate) fn left_window<T>(
        &self,
        broadcast: BroadcastTag,
        at: impl Fn(&LiveWindow) -> Option<T>,
    ) -> Option<T> {
        let now = Instant::now();
        self.look_at(|shown| {
            let left = shown.left.iter().rev().filter(|left| left.window_until > now);
            let listed = shown.before.iter().map(|before| &before.window);
            let windows = listed.chain(left.map(|left| &left.window));
            let mut of_broadcast = windows.filter(|window| window.opening().broadcast.tag() == broadcast);
            of_broadcast.find_map(|window| at(window))
        })
    }

    /// Looks at what is stored of a broadcast that was shown before.
    pub(crate) fn left_history<T>(
        &self,
        broadcast: BroadcastTag,
        at: impl Fn(&Archive) -> Option<T>,
    ) -> Option<T> {
        let now = Instant::now();
        self.look_at(|shown| {
            let archives = shown.left.iter().rev().filter(|left| left.archive_until > now);
            let archives = archives.filter_map(|left| left.archive.as_ref());
            let mut of_broadcast = archives.filter(|archive| archive.broadcast().tag() == broadcast);
            of_broadcast.find_map(|archive| at(archive))
        })
    }

    /// The last list of the broadcast that was shown last, where viewers could go back in it. It is made of a copy.
    pub(crate) fn left_playlist(
        &self,
        kind: PlaylistKind,
        render: impl FnOnce(&Archive, &PlaylistKind) -> Option<String>,
    ) -> Option<Arc<Text>> {
        let now = Instant::now();
        let (version, archive) = self.look_at(|shown| {
            let mut listed = shown.left.iter().rev().filter(|left| left.listed_until > now);
            Some((shown.version, listed.find_map(|left| left.archive.clone())?))
        })?;
        self.rendered.get(kind, version, &self.metrics, |kind| render(&archive, kind))
    }

    /// Whether there is anything of that kind.
    pub(super) fn has_left(&self) -> bool {
        let now = Instant::now();
        self.look_at(|shown| shown.left.iter().any(|left| left.until() > now))
    }

    /// Forgets the media of what was left for long.
    pub(super) fn forget_left(&self) {
        let now = Instant::now();
        let is_over =
            |left: &FormerWindow| left.until() <= now || left.window_until <= now && left.window.bytes() > 0;
        let is_due = |shown: &Shown| {
            shown.left.iter().any(is_over) || !matches!(shown.fate_of_before(), Fate::AsBefore)
        };
        if !self.look_at(is_due) {
            return;
        }
        self.change(|shown| {
            shown.forget_before();
            shown.left.retain(|left| left.until() > now);
            for left in shown.left.iter_mut().filter(|left| left.window_until <= now) {
                left.forget_media();
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use headwater_media::{
        BroadcastId, Epoch, MediaSequence, MediaTime, Opening, PartIndex, PeriodNumber, PeriodStart,
        Rendition, RenditionKind, SegmentSettings, UnixMillis,
    };

    use super::*;
    use crate::metrics::Metrics;

    fn id(nth: u64) -> BroadcastId {
        BroadcastId::new(UnixMillis(1_800_000_000_000 + nth), &[nth as u8; 10])
    }

    /// A broadcast of one rendition, and whole segments of two seconds from `first` on.
    fn window(nth: u64, first: u64, segments: u64) -> LiveWindow {
        let wall_clock = id(nth).made_at();
        let kind = RenditionKind::Video { width: 1280, height: 720, frame_rate: 30.0 };
        let rendition = Rendition {
            id: "720p".parse().unwrap(),
            kind,
            codecs: "avc1.64001f".into(),
            declared_bitrate: 1,
        };
        let mut window = LiveWindow::new(Opening {
            broadcast: id(nth),
            epoch: Epoch(nth),
            settings: SegmentSettings { segment_ms: 2_000, part_ms: 500 },
            window_segments: 4,
            first_sequence: MediaSequence(first),
            discontinuity_sequence: 0,
        });
        let period = PeriodStart {
            number: PeriodNumber(0),
            first_sequence: MediaSequence(first),
            origin: MediaTime(0),
            wall_clock,
            renditions: vec![(rendition, "init".into())],
            ladder: None,
        };
        window.apply(&MediaEvent::PeriodStart(period)).unwrap();
        for event in (first..first + segments).flat_map(|sequence| segment(first, sequence)) {
            window.apply(&event).unwrap();
        }
        window
    }

    fn segment(first: u64, sequence: u64) -> [MediaEvent; 2] {
        let rendition = "720p".parse().unwrap();
        let n = sequence - first;
        let (start, duration) = if n == 0 { (0, 480) } else { (480 + (n - 1) * 2_000, 2_000) };
        let part = MediaEvent::Part {
            rendition,
            sequence: MediaSequence(sequence),
            index: PartIndex(0),
            start: MediaTime::from_millis(start),
            duration: MediaTime::from_millis(duration),
            independent: true,
            bytes: "media".into(),
        };
        let rendition = "720p".parse().unwrap();
        [part, MediaEvent::SegmentEnd { rendition, sequence: MediaSequence(sequence) }]
    }

    /// The next one's publisher is slow, or away as soon as it has begun.
    #[tokio::test(start_paused = true)]
    async fn what_is_listed_of_the_broadcast_before_stays_until_it_is_listed_no_more() {
        let mirror = Mirror::new("demo".parse().unwrap(), MediaTime::ZERO, Arc::new(Metrics::new()));
        mirror.show(View::Showing(Arc::new(window(1, 100, 5))), None);
        mirror.show_next(window(2, 107, 2), None);
        let longest = Duration::from_micros(window(1, 100, 5).outlives_playlists_by().0);
        let is_there = |sequence| {
            let sequence = MediaSequence(sequence);
            let find = |window: &LiveWindow| window.segment(&"720p".parse().unwrap(), sequence).map(drop);
            mirror.left_window(id(1).tag(), find).is_some()
        };
        for _ in 0..4 {
            tokio::time::advance(longest).await;
            mirror.forget_left();
            assert!([103, 104].map(is_there).into_iter().all(|there| there), "it is listed");
            let init =
                |window: &LiveWindow| window.init(&"720p".parse().unwrap(), MediaSequence(100)).cloned();
            assert_eq!(mirror.left_window(id(1).tag(), init), Some("init".into()));
        }
        for event in (109..111).flat_map(|sequence| segment(107, sequence)) {
            mirror.apply(&event).unwrap();
        }
        mirror.forget_left();
        tokio::time::advance(longest - Duration::from_millis(1)).await;
        mirror.forget_left();
        assert!(is_there(104), "somebody may hold the playlist that listed it");
        tokio::time::advance(Duration::from_millis(1)).await;
        mirror.forget_left();
        assert!(!is_there(104) && mirror.look_at(|shown| shown.before.is_none()), "nothing holds it");
    }

    /// A mirror of a stream that viewers can go back in for this long, and whose broadcasts have ended; each is of five
    /// segments, and they follow each other by a minute.
    async fn ended(dvr_window: Duration, broadcasts: u64) -> Mirror {
        let dvr_window = MediaTime(dvr_window.as_micros() as u64);
        let mirror = Mirror::new("demo".parse().unwrap(), dvr_window, Arc::new(Metrics::new()));
        for nth in 0..broadcasts {
            let mut window = window(nth, 100 * (1 + nth), 5);
            window.apply(&MediaEvent::BroadcastEnd).unwrap();
            let mut archive = Archive::new(window.opening().broadcast, window.opening().settings, 0);
            archive.follow(&window);
            mirror.show(View::Showing(Arc::new(window)), Some(archive));
            mirror.show(View::NotLive, None);
            tokio::time::advance(Duration::from_secs(60)).await;
            mirror.forget_left();
        }
        mirror
    }

    fn names(mirror: &Mirror, sequence: u64) -> bool {
        let named = |archive: &Archive| archive.segment(MediaSequence(sequence)).map(drop);
        mirror.left_history(id(sequence / 100 - 1).tag(), named).is_some()
    }

    /// RFC 8216bis §6.2.2: the list is taken away first, and what it names when it has been played.
    #[tokio::test(start_paused = true)]
    async fn the_last_list_is_given_for_a_dvr_window_and_what_it_names_for_as_long_as_it_plays() {
        let hour = Duration::from_secs(3_600);
        let mirror = ended(hour, 1).await;
        let list = |mirror: &Mirror| {
            let render = |archive: &Archive, _: &PlaylistKind| Some(archive.segments().len().to_string());
            let text = mirror.left_playlist(PlaylistKind::DvrPresentation, render)?;
            Some(text.plain().bytes.clone())
        };
        assert_eq!(list(&mirror), Some("5".into()));
        tokio::time::advance(hour - Duration::from_secs(61)).await;
        mirror.forget_left();
        assert!(list(&mirror).is_some() && mirror.has_left(), "a second before the hour is over");
        tokio::time::advance(Duration::from_secs(1)).await;
        mirror.forget_left();
        assert!(list(&mirror).is_none() && names(&mirror, 100), "somebody may have got it a moment ago");
        tokio::time::advance(Duration::from_millis(8_480)).await;
        mirror.forget_left();
        assert!(!names(&mirror, 100) && !mirror.has_left());
    }

    #[tokio::test(start_paused = true)]
    async fn each_broadcast_of_the_last_hour_can_be_played_to_its_end() {
        let mirror = ended(Duration::from_secs(3_600), 40).await;
        assert!((1..=40).all(|nth| names(&mirror, 100 * nth + 4)));
        let held = mirror.look_at(|shown| shown.left.iter().filter(|left| left.window.bytes() > 0).count());
        assert!(held <= MAX_WINDOWS, "the media of {held} windows");
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_listed_of_two_broadcasts_stays_when_a_third_one_comes() {
        let mirror = Mirror::new("demo".parse().unwrap(), MediaTime::ZERO, Arc::new(Metrics::new()));
        mirror.show(View::Showing(Arc::new(window(1, 100, 5))), None);
        mirror.show_next(window(2, 107, 2), None);
        tokio::time::advance(Duration::from_secs(600)).await;
        mirror.forget_left();
        mirror.show_next(window(3, 407, 2), None);
        for (nth, sequence) in [(1, 104), (2, 107)] {
            let find = |window: &LiveWindow| {
                window.segment(&"720p".parse().unwrap(), MediaSequence(sequence)).map(drop)
            };
            assert!(mirror.left_window(id(nth).tag(), find).is_some(), "{sequence}");
        }
    }
}
