//! What a mirror shows no more, and what viewers may still fetch of it: a server takes nothing away that a playlist has just
//! listed (RFC 8216bis §6.2.2), whatever has become of the broadcast.

use std::sync::Arc;
use std::time::Duration;

use headwater_hls::{Archive, LiveWindow, MediaEvent};
use tokio::time::Instant;

use super::{Mirror, Shown, View};

/// Broadcasts, and windows of one, at most: more follow each other within a minute only where something is badly wrong.
const MOST: usize = 4;

/// A window that was shown, and what is stored of its broadcast.
pub(super) struct Left {
    window: Arc<LiveWindow>,
    window_until: Instant,
    archive: Option<Arc<Archive>>,
    archive_until: Instant,
}

impl Left {
    fn new(window: Arc<LiveWindow>, archive: Option<Arc<Archive>>) -> Self {
        let (now, longest) = (Instant::now(), Duration::from_micros(window.outlives_playlists_by().0));
        let listed =
            archive.as_ref().map(|archive| Duration::from_micros(archive.duration().0)).unwrap_or_default();
        Self { window, window_until: now + longest, archive, archive_until: now + longest + listed }
    }

    fn until(&self) -> Instant {
        let archive_until = self.archive.as_ref().map(|_| self.archive_until);
        archive_until.unwrap_or(self.window_until).max(self.window_until)
    }
}

impl Shown {
    /// What is shown is left, if it is something; as this, where it broke off and is listed so.
    pub(super) fn leave(&mut self, broken_off: Option<Arc<LiveWindow>>) {
        let now = Instant::now();
        self.before = None;
        self.left.retain(|left| left.until() > now);
        if let View::Showing(window) = std::mem::replace(&mut self.view, View::Seeking) {
            self.left.push(Left::new(broken_off.unwrap_or(window), self.archive.take()));
        }
        let too_many = self.left.len().saturating_sub(MOST);
        self.left.drain(..too_many);
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
    /// Looks at the windows that were shown before, and may still be asked for; the newest first.
    pub(crate) fn left_window<T>(&self, at: impl Fn(&LiveWindow) -> Option<T>) -> Option<T> {
        let now = Instant::now();
        self.look_at(|shown| {
            let windows = shown.left.iter().rev().filter(|left| left.window_until > now);
            windows.map(|left| &left.window).find_map(|window| at(window))
        })
    }

    /// Looks at what is stored of the broadcasts that were shown before.
    pub(crate) fn left_history<T>(&self, at: impl Fn(&Archive) -> Option<T>) -> Option<T> {
        let now = Instant::now();
        self.look_at(|shown| {
            let archives = shown.left.iter().rev().filter(|left| left.archive_until > now);
            archives.filter_map(|left| left.archive.as_ref()).find_map(|archive| at(archive))
        })
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
            |left: &Left| left.until() <= now || left.window_until <= now && left.window.bytes() > 0;
        if !self.look_at(|shown| shown.left.iter().any(is_over)) {
            return;
        }
        self.change(|shown| {
            shown.left.retain(|left| left.until() > now);
            for left in shown.left.iter_mut().filter(|left| left.window_until <= now) {
                left.window = Arc::new(LiveWindow::new(left.window.opening().clone()));
            }
        });
    }
}
