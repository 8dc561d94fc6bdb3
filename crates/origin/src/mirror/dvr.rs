//! The DVR window of a mirror: stored segments of the broadcast that viewers can go back to.

use std::sync::Arc;

use headwater_hls::{Archive, LiveWindow};
use headwater_media::{MediaTime, Opening, Record};
use headwater_wire::WatchMessage;
use tracing::debug;

use super::{Mirror, Shown, View};

/// Adds a server's message about stored segments to the known ones. `archive` is empty until the server says that
/// it stores the broadcast.
pub(super) fn learn(archive: &mut Option<Archive>, opening: &Opening, message: WatchMessage) {
    match message {
        // What is known already reaches back further than what a later server tells.
        WatchMessage::StoredFrom { .. } if archive.as_ref().is_some_and(|held| !held.is_empty()) => {}
        WatchMessage::StoredFrom { discontinuity_sequence, dvr_window } => {
            let empty = Archive::new(opening.broadcast, opening.settings, discontinuity_sequence);
            *archive = Some(empty.reaching_back(dvr_window));
        }
        WatchMessage::Stored(record) => {
            if let Some(Err(error)) = archive.as_mut().map(|archive| archive.apply(&record)) {
                debug!(%error, "what the server says to be stored does not fit what is known");
            }
        }
        WatchMessage::Opening(_) | WatchMessage::Event(_) | WatchMessage::CaughtUp => {}
    }
}

impl Shown {
    /// Notes what has become whole in the window: it can be fetched when it has left it, as the server stores it or
    /// still has it. `dvr_window` is how far viewers can go back where the server does not say it.
    pub(super) fn remember(&mut self, dvr_window: MediaTime) {
        let (View::Showing(window), Some(archive)) = (&self.view, &mut self.archive) else { return };
        let archive = Arc::make_mut(archive);
        archive.follow(window);
        archive.trim(archive.dvr_window().unwrap_or(dvr_window));
    }
}

impl Mirror {
    /// Takes what its server tells of stored segments.
    pub(super) fn learn(&self, message: WatchMessage) {
        // A segment that is only confirmed changes nothing that viewers see.
        let confirms = |shown: &Shown| match (&message, &shown.archive) {
            (WatchMessage::Stored(Record::Segment(segment)), Some(archive)) => {
                archive.segment(segment.sequence).is_some_and(|held| held.as_ref() == segment)
            }
            _ => false,
        };
        if self.look_at(confirms) {
            return;
        }
        self.change(|shown| {
            let View::Showing(window) = &shown.view else { return };
            let opening = window.opening().clone();
            let mut archive = shown.archive.take().map(Arc::unwrap_or_clone);
            learn(&mut archive, &opening, message);
            shown.archive = archive.filter(|archive| self.goes_back(archive)).map(Arc::new);
            shown.remember(self.dvr_window);
        });
    }

    /// Whether viewers can go back in a broadcast that is stored: as its server says, or else as the configuration does.
    pub(super) fn goes_back(&self, archive: &Archive) -> bool {
        archive.dvr_window().unwrap_or(self.dvr_window) > MediaTime::ZERO
    }

    /// Whether the broadcast that is shown can be gone back in.
    pub(crate) fn has_history(&self) -> bool {
        self.look_at(|shown| shown.archive.is_some())
    }

    /// Looks at what is stored.
    pub(crate) fn history<T>(&self, at: impl FnOnce(&LiveWindow, &Archive) -> T) -> Option<T> {
        self.look_at(|shown| Some(at(shown.view.window()?, shown.archive.as_deref()?)))
    }
}
