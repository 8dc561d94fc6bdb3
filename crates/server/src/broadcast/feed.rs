//! The live window of a broadcast, and everybody who follows it.

use std::sync::{Mutex, MutexGuard, PoisonError};

use headwater_hls::{LiveWindow, MediaEvent, Opening, Rendition, WindowError};
use headwater_media::{Epoch, MediaSequence, MediaTime, PeriodNumber};
use tokio::sync::broadcast;

/// Events that a follower may be behind before it must start again from the window. About 40 s of a ladder of four
/// renditions.
const FOLLOWER_BACKLOG: usize = 512;

/// Everything before `end` of this period is whole in every rendition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Committed {
    pub period: PeriodNumber,
    pub sequence: MediaSequence,
    pub end: MediaTime,
}

pub struct Feed {
    window: Mutex<LiveWindow>,
    events: broadcast::Sender<MediaEvent>,
}

/// The window as it is and what follows, without a gap between the two.
pub struct Subscription {
    pub opening: Opening,
    pub window: Vec<MediaEvent>,
    pub events: broadcast::Receiver<MediaEvent>,
}

impl Feed {
    pub fn new(opening: Opening) -> Self {
        Self {
            window: Mutex::new(LiveWindow::new(opening)),
            events: broadcast::Sender::new(FOLLOWER_BACKLOG),
        }
    }

    /// Puts an event into the window and sends it to all followers; tells when it made a segment whole in every
    /// rendition.
    pub fn publish(&self, event: MediaEvent) -> Result<Option<Committed>, WindowError> {
        let mut window = self.window();
        let before = window.committed();
        window.apply(&event)?;
        let newly = window.committed().filter(|now| Some(*now) != before);
        // Without a follower there is nobody to tell.
        let _ = self.events.send(event);
        let Some(sequence) = newly else { return Ok(None) };
        let end = window.committed_end();
        Ok(end.map(|(period, end)| Committed { period, sequence, end }))
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

    /// What viewers know: every rendition that the window has had.
    pub fn renditions(&self) -> Vec<Rendition> {
        self.window().renditions().cloned().collect()
    }

    pub fn next_period(&self) -> PeriodNumber {
        self.window().next_period()
    }

    fn window(&self) -> MutexGuard<'_, LiveWindow> {
        self.window.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
