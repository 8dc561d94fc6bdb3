//! The live window of a broadcast, and everybody who follows it.

use std::sync::{Mutex, MutexGuard, PoisonError};

use headwater_hls::{LiveWindow, MediaEvent, Opening, ResumePoint, WindowError};
use headwater_media::{Epoch, MediaSequence, SegmentSettings};
use tokio::sync::broadcast;

/// Events that a follower may be behind before it must start again from the window. About 40 s of a ladder of four
/// renditions.
const FOLLOWER_BACKLOG: usize = 512;

pub struct Feed {
    window: Mutex<LiveWindow>,
    /// Where another server had to leave the broadcast, if one did.
    taken_over: Option<ResumePoint>,
    events: broadcast::Sender<MediaEvent>,
}

/// The window as it is and what follows, without a gap between the two.
pub struct Subscription {
    pub opening: Opening,
    pub window: Vec<MediaEvent>,
    pub events: broadcast::Receiver<MediaEvent>,
}

impl Feed {
    pub fn new(opening: Opening, taken_over: Option<ResumePoint>) -> Self {
        Self {
            window: Mutex::new(LiveWindow::new(opening)),
            taken_over,
            events: broadcast::Sender::new(FOLLOWER_BACKLOG),
        }
    }

    /// Puts an event into the window and sends it to all followers. When it made a segment whole in every rendition, it
    /// tells where another server would go on from here.
    pub fn publish(&self, event: MediaEvent) -> Result<Option<ResumePoint>, WindowError> {
        let mut window = self.window();
        let before = window.committed();
        window.apply(&event)?;
        // Without a follower there is nobody to tell.
        let _ = self.events.send(event);
        Ok((window.committed() != before).then(|| window.resume_point().begun()))
    }

    pub fn subscribe(&self) -> Subscription {
        let window = self.window();
        Subscription {
            opening: window.opening().clone(),
            window: window.events(),
            events: self.events.subscribe(),
        }
    }

    /// The epoch under which this server owns the stream.
    pub fn epoch(&self) -> Epoch {
        self.window().opening().epoch
    }

    /// The stream was claimed anew for this server: whoever follows from now on is told the new epoch. An older one
    /// changes nothing.
    pub fn raise(&self, epoch: Epoch) {
        let mut window = self.window();
        let opening = Opening { epoch, ..window.opening().clone() };
        // Only an older epoch can be refused: it is the same broadcast in everything else.
        let _ = window.adopt(&opening);
    }

    /// The number that the next period's first segment gets.
    pub fn next_sequence(&self) -> MediaSequence {
        self.window().next_sequence()
    }

    /// Where another server would go on.
    pub fn resume_point(&self) -> ResumePoint {
        self.window().resume_point()
    }

    pub fn settings(&self) -> SegmentSettings {
        self.window().opening().settings
    }

    /// The first segment that is not whole in every rendition.
    pub fn next_uncommitted(&self) -> MediaSequence {
        self.window().next_uncommitted()
    }

    /// Where a publisher begins who comes now.
    pub fn starting_point(&self) -> ResumePoint {
        self.anew(&self.window())
    }

    /// Where a publisher goes on that was interrupted at this point; none where it can't.
    pub fn rejoin(&self, point: &ResumePoint) -> Option<ResumePoint> {
        let window = self.window();
        let is_it =
            |known: &ResumePoint| (known.period, known.next_sequence) == (point.period, point.next_sequence);
        let known = self.untouched(&window).cloned().into_iter().chain([self.anew(&window)]).find(is_it);
        known.or_else(|| window.rejoin(point).filter(|_| self.untouched(&window).is_none()))
    }

    /// Whether somebody goes on with this broadcast behind what has been made here, so that another server made what is
    /// between.
    pub fn is_behind(&self, point: &ResumePoint) -> bool {
        let here = self.resume_point();
        point.broadcast == here.broadcast
            && (point.period, point.next_sequence) > (here.period, here.next_sequence)
            && self.rejoin(point).is_none()
    }

    /// How many renditions there are.
    pub fn renditions(&self) -> usize {
        self.window().renditions().count()
    }

    /// Whether nothing will come any more.
    pub fn ended(&self) -> bool {
        self.window().ended()
    }

    /// Where a new period begins: behind all that viewers may have, from here or from the server before.
    fn anew(&self, window: &LiveWindow) -> ResumePoint {
        let Some(taken_over) = &self.taken_over else { return window.starting_point() };
        let point = match self.untouched(window) {
            Some(untouched) => {
                ResumePoint { period: untouched.period.next(), start: None, ..untouched.clone() }
            }
            None => window.starting_point(),
        };
        let next_sequence = point.next_sequence.max(taken_over.free);
        ResumePoint { next_sequence, free: next_sequence, ..point }
    }

    /// Where the broadcast was taken over, as long as nothing has come since.
    fn untouched(&self, window: &LiveWindow) -> Option<&ResumePoint> {
        self.taken_over.as_ref().filter(|_| window.renditions().next().is_none())
    }

    fn window(&self) -> MutexGuard<'_, LiveWindow> {
        self.window.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
