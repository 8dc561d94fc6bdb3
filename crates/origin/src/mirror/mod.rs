//! The mirror of a stream: the stream's live window as this origin shows it.

mod dvr;
mod follow;
mod left;
mod limits;
mod lookups;
mod mirrors;
mod rendered;
mod signals;

use std::sync::{Arc, Mutex, RwLock};
use std::time::Duration;

use headwater_hls::{Archive, Change, LiveWindow, WindowError};
use headwater_media::lock::{MutexExt, RwLockExt};
use headwater_media::{MediaEvent, MediaTime, Opening, StreamId};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

pub(crate) use limits::START_LIMIT;
pub(crate) use mirrors::{Mirrors, NoMirror, Settings};
pub(crate) use rendered::{PlaylistKind, Rendered, Text};
pub(crate) use signals::Scope;

use crate::metrics::Metrics;
use left::{Before, FormerWindow};
use mirrors::NOT_LIVE_LINGER;
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
    recheck: Notify,
    /// How far viewers can go back; zero for not beyond the live window.
    dvr_window: MediaTime,
    metrics: Arc<Metrics>,
}

/// Everything that viewers may ask a mirror for.
pub(crate) struct Shown {
    /// Grows with every change.
    version: u64,
    view: View,
    before: Option<Before>,
    /// Index of the stored segments of the broadcast that is shown; none where it is not stored.
    archive: Option<Arc<Archive>>,
    /// Windows and archives that were shown before, oldest first.
    left: Vec<FormerWindow>,
}

/// State of a stream as viewers see it.
pub(crate) enum View {
    /// It is not known yet whether the stream is on air, or its window is on the way.
    Seeking,
    /// Nobody publishes it.
    NotLive,
    /// On air, or lately so.
    Showing(Arc<LiveWindow>),
}

/// Parts of a mirror that a playlist is made of.
pub(crate) struct Listed {
    pub(crate) window: Arc<LiveWindow>,
    /// Another broadcast that the window follows.
    pub(crate) before: Option<Arc<LiveWindow>>,
    pub(crate) archive: Option<Arc<Archive>>,
}

impl Shown {
    /// State of the stream.
    pub(crate) fn view(&self) -> &View {
        &self.view
    }

    fn listed(&self) -> Option<Listed> {
        let View::Showing(window) = &self.view else { return None };
        let before = self.before.as_ref().map(|before| before.window.clone());
        let window = window.clone();
        let archive = self.archive.clone();
        Some(Listed { window, before, archive })
    }
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
            shown: RwLock::new(Shown {
                version: 0,
                view: View::Seeking,
                before: None,
                archive: None,
                left: Vec::new(),
            }),
            signals: Signals::new(),
            rendered: Rendered::default(),
            used: Mutex::new(Instant::now()),
            recheck: Notify::new(),
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
        at(&self.shown.read_ignoring_poison())
    }

    /// Looks again at every change within `scope` until `at` finds something; nothing when `limit` has passed before.
    pub(crate) async fn wait_for_view<T>(
        &self,
        scope: Scope<'_>,
        limit: Duration,
        at: impl Fn(&View) -> Option<T>,
    ) -> Option<T> {
        self.wait_for_shown(scope, limit, |shown| at(&shown.view)).await
    }

    /// [`Self::wait_for_view`] with a look at what was shown before, too.
    pub(crate) async fn wait_for_shown<T>(
        &self,
        scope: Scope<'_>,
        limit: Duration,
        at: impl Fn(&Shown) -> Option<T>,
    ) -> Option<T> {
        if let Some(found) = self.look_at(&at) {
            return Some(found);
        }
        let deadline = Instant::now() + limit;
        let _blocked = self.metrics.blocked.enter();
        let mut changes = self.signals.subscribe(scope);
        loop {
            // A change between this look and the one before has gone unseen, so it looks before it waits.
            if let Some(found) = self.look_at(&at) {
                return Some(found);
            }
            timeout_at(deadline, changes.changed()).await.ok()?.ok()?;
        }
    }

    /// A playlist of what is shown now. It is made of a copy, as the list of an hour takes a while, and media waits for
    /// nobody's list.
    pub(crate) fn playlist(
        &self,
        kind: PlaylistKind,
        render: impl FnOnce(&Listed, &PlaylistKind) -> Option<String>,
    ) -> Option<Arc<Text>> {
        let (version, listed) = self.look_at(|shown| Some((shown.version, shown.listed()?)))?;
        self.rendered.get(kind, version, &self.metrics, |kind| render(&listed, kind))
    }

    /// Whether a request waits for a change.
    fn is_awaited(&self) -> bool {
        self.signals.is_awaited()
    }

    fn touch(&self) {
        let mut used = self.used.lock_ignoring_poison();
        let before = std::mem::replace(&mut *used, Instant::now());
        if before.elapsed() >= NOT_LIVE_LINGER {
            // Its follower may have nobody to look for the owner for.
            self.recheck.notify_one();
        }
    }

    /// Whether nobody waits for the stream to go on air: then the registry's word is enough.
    fn is_idle(&self) -> bool {
        let is_off_air = self.look(|view| matches!(view, View::NotLive));
        is_off_air && !self.is_awaited() && self.last_used().elapsed() >= NOT_LIVE_LINGER
    }

    fn last_used(&self) -> Instant {
        *self.used.lock_ignoring_poison()
    }

    /// Replaces everything. What was shown can be fetched for as long as somebody may hold a playlist of it.
    fn show(&self, view: View, archive: Option<Archive>) {
        self.change(|shown| {
            shown.leave(None, self.dvr_window);
            (shown.view, shown.archive) = (view, archive.map(Arc::new));
        });
        self.signals.wake(Scope::Anything);
    }

    /// Shows a window that does not join on to what was shown. Another broadcast follows behind a discontinuity, for those
    /// who have not seen the end of the one before.
    fn show_next(&self, mut window: LiveWindow, mut archive: Option<Archive>) {
        self.change(|shown| {
            let before = shown.interrupted(&window);
            match (&before, shown.view.window()) {
                (Some(before), _) => window.follow(before),
                (None, Some(same)) if same.opening().broadcast == window.opening().broadcast => {
                    window.replace(same);
                }
                (None, _) => {}
            }
            if let Some(archive) = &mut archive {
                archive.follow_discontinuities(window.opening().discontinuity_sequence);
            }
            shown.leave(before.clone(), self.dvr_window);
            shown.before = before.map(Before::new);
            (shown.view, shown.archive) = (View::Showing(Arc::new(window)), archive.map(Arc::new));
        });
        self.signals.wake(Scope::Anything);
    }

    /// Goes on with the window that is shown; see [`LiveWindow::adopt`]. False when none is shown.
    fn adopt(&self, opening: &Opening) -> Result<bool, WindowError> {
        self.change(|shown| match &mut shown.view {
            View::Showing(window) => Arc::make_mut(window).adopt(opening).map(|()| true),
            View::Seeking | View::NotLive => Ok(false),
        })
    }

    /// Applies an event to the window that is shown.
    fn apply(&self, event: &MediaEvent) -> Result<Change, WindowError> {
        let change = self.change(|shown| match &mut shown.view {
            View::Showing(window) => {
                let change = Arc::make_mut(window).apply(event)?;
                if matches!(change, Change::Segment | Change::End) {
                    shown.remember(self.dvr_window);
                }
                Ok(change)
            }
            View::Seeking | View::NotLive => Ok(Change::Nothing),
        })?;
        match (change, event) {
            (Change::Nothing | Change::Drift, _) => {}
            (_, MediaEvent::Part { rendition, .. } | MediaEvent::SegmentEnd { rendition, .. }) => {
                self.signals.wake(Scope::Rendition(rendition));
            }
            _ => self.signals.wake(Scope::Anything),
        }
        Ok(change)
    }

    fn change<T>(&self, how: impl FnOnce(&mut Shown) -> T) -> T {
        let mut shown = self.shown.write_ignoring_poison();
        shown.version += 1;
        how(&mut shown)
    }
}
