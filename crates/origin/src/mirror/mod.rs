//! One stream as this origin shows it.

mod dvr;
mod follow;
mod lookups;
mod mirrors;
mod rendered;
mod signals;

use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use headwater_hls::{Archive, Change, LiveWindow, MediaEvent, Opening, WindowError};
use headwater_media::{MediaTime, StreamId};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

pub(crate) use mirrors::{Mirrors, NoMirror, Settings};
pub(crate) use rendered::{Rendered, Text, Which};
pub(crate) use signals::Scope;

use crate::metrics::Metrics;
use signals::Signals;

/// The mirror of one stream: one for all its viewers, written by one follower.
pub(crate) struct Mirror {
    stream: StreamId,
    shown: RwLock<Shown>,
    signals: Signals,
    rendered: Rendered,
    /// When somebody last asked for something of the stream.
    used: Mutex<Instant>,
    /// Says that the stream's owner may be another one now.
    poke: Notify,
    /// How far viewers can go back; zero for not beyond the live window.
    dvr_window: MediaTime,
    metrics: Arc<Metrics>,
}

struct Shown {
    /// Grows with every change.
    version: u64,
    view: View,
    /// What is stored of the broadcast that is shown, where it is stored.
    archive: Option<Archive>,
}

/// What there is to show.
pub(crate) enum View {
    /// It is not known yet whether the stream is on air, or its window is on the way.
    Seeking,
    /// Nobody publishes it.
    NotLive,
    /// On air, or lately so.
    Showing(LiveWindow),
}

impl View {
    pub(crate) fn window(&self) -> Option<&LiveWindow> {
        match self {
            Self::Showing(window) => Some(window),
            Self::Seeking | Self::NotLive => None,
        }
    }
}

impl Mirror {
    fn new(stream: StreamId, dvr_window: MediaTime, metrics: Arc<Metrics>) -> Self {
        Self {
            stream,
            shown: RwLock::new(Shown { version: 0, view: View::Seeking, archive: None }),
            signals: Signals::new(),
            rendered: Rendered::default(),
            used: Mutex::new(Instant::now()),
            poke: Notify::new(),
            dvr_window,
            metrics,
        }
    }

    pub(crate) fn stream(&self) -> &StreamId {
        &self.stream
    }

    /// Looks at the present state; never for long, the follower waits meanwhile.
    pub(crate) fn look<T>(&self, at: impl FnOnce(&View) -> T) -> T {
        self.look_at(|shown| at(&shown.view))
    }

    fn look_at<T>(&self, at: impl FnOnce(&Shown) -> T) -> T {
        at(&self.shown.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Looks again at every change within `scope` until `at` finds something; nothing when `limit` has passed before.
    pub(crate) async fn wait<T>(
        &self,
        scope: Scope<'_>,
        limit: Duration,
        at: impl Fn(&View) -> Option<T>,
    ) -> Option<T> {
        if let Some(found) = self.look(&at) {
            return Some(found);
        }
        let deadline = Instant::now() + limit;
        let _blocked = self.metrics.blocked.enter();
        let mut changes = self.signals.subscribe(scope);
        loop {
            // A change between this look and the one before has gone unseen, so it looks before it waits.
            if let Some(found) = self.look(&at) {
                return Some(found);
            }
            timeout_at(deadline, changes.changed()).await.ok()?.ok()?;
        }
    }

    /// A playlist of the window, and of what is stored before it, as they are now.
    pub(crate) fn playlist(
        &self,
        which: Which,
        render: impl FnOnce(&LiveWindow, Option<&Archive>, &Which) -> Option<String>,
    ) -> Option<Arc<Text>> {
        let shown = self.shown.read().unwrap_or_else(PoisonError::into_inner);
        let window = shown.view.window()?;
        self.rendered
            .get(which, shown.version, &self.metrics, |which| render(window, shown.archive.as_ref(), which))
    }

    /// Whether a request waits for a change.
    fn is_awaited(&self) -> bool {
        self.signals.is_awaited()
    }

    fn touch(&self) {
        *self.used.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    fn last_used(&self) -> Instant {
        *self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Replaces everything.
    fn show(&self, view: View, archive: Option<Archive>) {
        self.change(|shown| (shown.view, shown.archive) = (view, archive));
        self.signals.wake(Scope::Anything);
    }

    /// Goes on with the window that is shown; see [`LiveWindow::adopt`]. False when none is shown.
    fn adopt(&self, opening: &Opening) -> Result<bool, WindowError> {
        self.change(|shown| match &mut shown.view {
            View::Showing(window) => window.adopt(opening).map(|()| true),
            View::Seeking | View::NotLive => Ok(false),
        })
    }

    /// Applies an event to the window that is shown.
    fn apply(&self, event: &MediaEvent) -> Result<Change, WindowError> {
        let change = self.change(|shown| match &mut shown.view {
            View::Showing(window) => {
                let change = window.apply(event)?;
                if change == Change::Segment {
                    shown.remember(self.dvr_window);
                }
                Ok(change)
            }
            View::Seeking | View::NotLive => Ok(Change::Nothing),
        })?;
        match (change, event) {
            (Change::Nothing, _) => {}
            (_, MediaEvent::Part { rendition, .. } | MediaEvent::SegmentEnd { rendition, .. }) => {
                self.signals.wake(Scope::Rendition(rendition));
            }
            _ => self.signals.wake(Scope::Anything),
        }
        Ok(change)
    }

    fn change<T>(&self, how: impl FnOnce(&mut Shown) -> T) -> T {
        let mut shown = self.shown.write().unwrap_or_else(PoisonError::into_inner);
        shown.version += 1;
        how(&mut shown)
    }
}
