//! The live window of a broadcast, its DVR history, and the origins that follow both.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use headwater_hls::{Archive, LiveWindow, Segment, WholeSegment, WindowError};
use headwater_media::broadcast::Policy;
use headwater_media::lock::MutexExt;
use headwater_media::{
    Epoch, MediaEvent, MediaSequence, Opening, PeriodNumber, Record, RenditionId, ResumePoint,
    SegmentSettings, StoredSegment,
};
use tokio::sync::{broadcast, watch};

use super::history::{History, Taken};
use crate::recording::DvrHistory;

/// Events that a follower may be behind before it must start again from the window. About 40 s of a ladder of four
/// renditions.
const FOLLOWER_BACKLOG: usize = 512;

/// The media of a broadcast that viewers can get: the live window, and the history of what is stored.
pub struct LiveFeed {
    window: Mutex<LiveWindow>,
    history: Mutex<History>,
    /// The first segment that was not given to be stored.
    unrecorded: AtomicU64,
    /// The point at which another server had to leave the broadcast, if one did.
    taken_over: Option<ResumePoint>,
    policy: Policy,
    /// The epoch under which this server owns the stream.
    epochs: watch::Sender<Epoch>,
    events: broadcast::Sender<FeedEvent>,
}

/// Event that followers are told.
#[derive(Clone, Debug)]
pub enum FeedEvent {
    Media(MediaEvent),
    /// The next record of what is stored.
    Stored(Record),
    /// All that is stored, from the start.
    History(Arc<Archive>),
}

/// Result of publishing an event.
#[derive(Debug, Default)]
pub struct Published {
    /// The point at which another server would go on, when a segment became whole in every rendition.
    pub committed: Option<ResumePoint>,
    /// Segments that are whole since the last time.
    pub whole: Vec<WholeSegment>,
}

/// The window as it is and what follows, without a gap between the two.
pub struct Subscription {
    pub opening: Opening,
    /// The segments that are stored; none where viewers can't go back.
    pub history: Option<Archive>,
    pub window: Vec<MediaEvent>,
    pub events: broadcast::Receiver<FeedEvent>,
}

impl LiveFeed {
    /// `dvr_window` is how far viewers can go back: as long as the policy says where this server has a store.
    pub fn new(
        opening: Opening,
        taken_over: Option<ResumePoint>,
        policy: Policy,
        dvr_window: Duration,
    ) -> Self {
        let empty = Archive::new(opening.broadcast, opening.settings, opening.discontinuity_sequence);
        let history = History::new(dvr_window.into(), empty, opening.first_sequence, taken_over.is_none());
        Self {
            unrecorded: AtomicU64::new(opening.first_sequence.0),
            epochs: watch::Sender::new(opening.epoch),
            window: Mutex::new(LiveWindow::new(opening)),
            history: Mutex::new(history),
            taken_over: taken_over.map(|point| ResumePoint { policy: Some(policy.clone()), ..point }),
            policy,
            events: broadcast::Sender::new(FOLLOWER_BACKLOG),
        }
    }

    /// Puts an event into the window and sends it to all followers.
    pub fn publish_event(&self, event: MediaEvent) -> Result<Published, WindowError> {
        let mut window = self.lock_window();
        let before = window.committed();
        window.apply(&event)?;
        // Without a follower there is nobody to tell.
        let _ = self.events.send(FeedEvent::Media(event));
        let is_committed = window.committed() != before;
        let committed = is_committed.then(|| self.with_policy(window.resume_point()).begun());
        let whole = if is_committed || window.ended() { self.take_whole(&window) } else { Vec::new() };
        Ok(Published { committed, whole })
    }

    fn take_whole(&self, window: &LiveWindow) -> Vec<WholeSegment> {
        let whole = window.whole_from(MediaSequence(self.unrecorded.load(Ordering::Relaxed)));
        if let Some(last) = whole.last() {
            self.unrecorded.store(last.sequence.next().0, Ordering::Relaxed);
        }
        whole
    }

    /// Begins to follow the broadcast.
    pub fn subscribe(&self) -> Subscription {
        let window = self.lock_window();
        let history = self.lock_history();
        Subscription {
            opening: window.opening().clone(),
            history: history.archive().cloned(),
            window: window.events(),
            events: self.events.subscribe(),
        }
    }

    /// A segment that the window holds, once it is whole.
    pub fn find_segment(&self, rendition: &RenditionId, sequence: MediaSequence) -> Option<Arc<Segment>> {
        self.lock_window().segment(rendition, sequence).cloned()
    }

    /// The epoch under which this server owns the stream.
    pub fn epoch(&self) -> Epoch {
        self.lock_window().opening().epoch
    }

    /// Raises the epoch, as the stream was claimed anew for this server: followers that come from now on are told the new one.
    /// An older one changes nothing.
    pub fn raise_epoch(&self, epoch: Epoch) {
        let mut window = self.lock_window();
        let opening = Opening { epoch, ..window.opening().clone() };
        // Only an older epoch can be refused: it is the same broadcast in everything else.
        let _ = window.adopt(&opening);
        self.epochs.send_replace(window.opening().epoch);
    }

    /// The epoch, and when it is raised.
    pub fn epochs(&self) -> watch::Receiver<Epoch> {
        self.epochs.subscribe()
    }

    /// The number that the next period's first segment gets.
    pub fn next_sequence(&self) -> MediaSequence {
        self.lock_window().next_sequence()
    }

    /// The point at which another server would go on.
    pub fn resume_point(&self) -> ResumePoint {
        self.with_policy(self.lock_window().resume_point())
    }

    /// Policy of the broadcast.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// The lengths of segments and parts.
    pub fn segment_settings(&self) -> SegmentSettings {
        self.lock_window().opening().settings
    }

    /// The first segment that is not whole in every rendition.
    pub fn next_uncommitted(&self) -> MediaSequence {
        self.lock_window().next_uncommitted()
    }

    /// The point at which a publisher begins that comes now.
    pub fn starting_point(&self) -> ResumePoint {
        self.new_period_start(&self.lock_window())
    }

    /// The point at which a publisher goes on that was interrupted at this one; none where it can't.
    pub fn resume_at(&self, point: &ResumePoint) -> Option<ResumePoint> {
        let window = self.lock_window();
        let is_it =
            |known: &ResumePoint| (known.period, known.next_sequence) == (point.period, point.next_sequence);
        let known = self
            .takeover_point(&window)
            .cloned()
            .into_iter()
            .chain([self.new_period_start(&window)])
            .find(is_it);
        let rejoined = || window.rejoin(point).filter(|_| self.takeover_point(&window).is_none());
        known.or_else(|| rejoined().map(|point| self.with_policy(point)))
    }

    /// The point of a publisher whose next media is lost: a new period behind the last segment that any viewer may hold. None
    /// where another server must have made segments since.
    pub fn skip_lost(&self, point: &ResumePoint) -> Option<ResumePoint> {
        let window = self.lock_window();
        let anew = self.new_period_start(&window);
        let most = MediaSequence(window.next_sequence().0 + window.most_left_out());
        let is_new = point.start.is_none() && point.period >= anew.period;
        let fits = is_new && (anew.next_sequence..=most).contains(&point.next_sequence);
        let period = point.period;
        let next_sequence = point.next_sequence;
        fits.then_some(ResumePoint { period, next_sequence, free: next_sequence, ..anew })
    }

    /// Whether a publisher goes on with this broadcast behind the segments of this server, so that another one has made those
    /// between.
    pub fn is_behind(&self, point: &ResumePoint) -> bool {
        let here = self.resume_point();
        point.broadcast == here.broadcast
            && (point.period, point.next_sequence) > (here.period, here.next_sequence)
            && self.resume_at(point).is_none()
    }

    /// The newest period, and the drift of its clock that viewers know.
    pub fn known_drift(&self) -> Option<(PeriodNumber, i32)> {
        let window = self.lock_window();
        let newest = window.next_period().0.checked_sub(1)?;
        Some((PeriodNumber(newest), window.drift()))
    }

    /// The number of the period that begins next.
    pub fn next_period(&self) -> PeriodNumber {
        self.lock_window().next_period()
    }

    /// Whether nobody has seen anything of the broadcast, here or elsewhere.
    pub fn is_new(&self) -> bool {
        self.taken_over.is_none() && self.count_renditions() == 0
    }

    /// Number of the renditions.
    pub fn count_renditions(&self) -> usize {
        self.lock_window().renditions().count()
    }

    /// Whether nothing will come any more.
    pub fn has_ended(&self) -> bool {
        self.lock_window().ended()
    }

    /// The point at which a new period begins: behind all that viewers may have, from here or from the server before.
    fn new_period_start(&self, window: &LiveWindow) -> ResumePoint {
        let starting_point = || self.with_policy(window.starting_point());
        let Some(taken_over) = &self.taken_over else { return starting_point() };
        let point = match self.takeover_point(window) {
            Some(untouched) => untouched.clone().left_out(untouched.period.next()),
            None => starting_point(),
        };
        let next_sequence = point.next_sequence.max(taken_over.free);
        ResumePoint { next_sequence, free: next_sequence, ..point }
    }

    /// A point of the window, which does not know the policy.
    fn with_policy(&self, point: ResumePoint) -> ResumePoint {
        ResumePoint { policy: Some(self.policy.clone()), ..point }
    }

    /// The point at which the broadcast was taken over, as long as no media has come since.
    fn takeover_point(&self, window: &LiveWindow) -> Option<&ResumePoint> {
        self.taken_over.as_ref().filter(|_| window.renditions().next().is_none())
    }

    fn lock_window(&self) -> MutexGuard<'_, LiveWindow> {
        self.window.lock_ignoring_poison()
    }

    fn lock_history(&self) -> MutexGuard<'_, History> {
        self.history.lock_ignoring_poison()
    }
}

impl DvrHistory for LiveFeed {
    fn add_record(&self, record: &Record) -> Vec<Arc<StoredSegment>> {
        let mut history = self.lock_history();
        let Taken { is_news, dropped } = history.take(record);
        if is_news {
            let _ = self.events.send(FeedEvent::Stored(record.clone()));
        }
        dropped
    }

    fn load_history(&self, before: Option<Archive>) -> Vec<Arc<StoredSegment>> {
        let mut history = self.lock_history();
        let Taken { is_news, dropped } = history.load_before(before);
        if is_news && let Some(archive) = history.archive() {
            let _ = self.events.send(FeedEvent::History(Arc::new(archive.clone())));
        }
        dropped
    }
}
