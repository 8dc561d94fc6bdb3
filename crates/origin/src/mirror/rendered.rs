//! Playlists as they are sent: rendered and compressed once for all viewers who ask for the same one at the same time.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};

use bytes::Bytes;
use headwater_media::RenditionId;
use headwater_media::lock::MutexExt;
use http::HeaderValue;

use crate::metrics::Metrics;
use crate::representation::{encoding, etag};

/// A playlist of a stream.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum PlaylistKind {
    Multivariant,
    /// The presentation for DASH players.
    Presentation,
    Whole(RenditionId),
    /// A delta update (RFC 8216bis §6.2.5.1).
    Delta(RenditionId),
    /// The same four with what is stored before the live window.
    DvrMultivariant,
    DvrPresentation,
    Dvr(RenditionId),
    DvrDelta(RenditionId),
}

/// A playlist's bytes.
pub(crate) struct Text {
    plain: Tagged,
    /// Made when the first client asks for it.
    gzip: OnceLock<Tagged>,
}

/// Bytes and the entity tag that stands for them.
#[derive(Clone)]
pub(crate) struct Tagged {
    pub(crate) bytes: Bytes,
    pub(crate) etag: HeaderValue,
}

impl Text {
    pub(crate) fn new(text: String) -> Self {
        Self { plain: Tagged::new(text.into()), gzip: OnceLock::new() }
    }

    pub(crate) fn plain(&self) -> &Tagged {
        &self.plain
    }

    pub(crate) fn gzip(&self) -> &Tagged {
        self.gzip.get_or_init(|| Tagged::new(encoding::gzip(&self.plain.bytes)))
    }
}

impl Tagged {
    fn new(bytes: Bytes) -> Self {
        Self { etag: etag::of_text(&bytes), bytes }
    }
}

/// The newest rendering of every playlist of one stream, or of one recording. Each playlist has a lock of its own: who asks
/// for one does not wait for another one to be made.
#[derive(Default)]
pub(crate) struct Rendered(Mutex<HashMap<PlaylistKind, Arc<Slot>>>);

type Slot = Mutex<Option<(u64, Arc<Text>)>>;

impl Rendered {
    /// The playlist at this version of the window; `render` is called when nobody has asked for it yet. Nothing when
    /// there is no such playlist, and nothing is kept of it.
    pub(crate) fn get(
        &self,
        kind: PlaylistKind,
        version: u64,
        metrics: &Metrics,
        render: impl FnOnce(&PlaylistKind) -> Option<String>,
    ) -> Option<Arc<Text>> {
        let slot = self.slot(&kind);
        let mut kept = slot.lock_ignoring_poison();
        if let Some((_, text)) = kept.as_ref().filter(|(rendered_at, _)| *rendered_at >= version) {
            metrics.playlist_hits.increment(1);
            return Some(text.clone());
        }
        let Some(text) = render(&kind) else {
            self.slots().remove(&kind);
            return None;
        };
        let text = Arc::new(Text::new(text));
        metrics.playlist_renders.increment(1);
        *kept = Some((version, text.clone()));
        Some(text)
    }

    fn slot(&self, kind: &PlaylistKind) -> Arc<Slot> {
        let mut slots = self.slots();
        match slots.get(kind) {
            Some(slot) => slot.clone(),
            None => slots.entry(kind.clone()).or_default().clone(),
        }
    }

    fn slots(&self) -> MutexGuard<'_, HashMap<PlaylistKind, Arc<Slot>>> {
        self.0.lock_ignoring_poison()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dvr(rendition: &str) -> PlaylistKind {
        PlaylistKind::Dvr(rendition.parse().unwrap())
    }

    #[test]
    fn a_playlist_that_takes_long_keeps_no_other_one_waiting() {
        let rendered = Rendered::default();
        let metrics = Metrics::new();
        let long = |_: &PlaylistKind| {
            let short = rendered.get(dvr("360p"), 1, &metrics, |_| Some("short".into()));
            assert_eq!(short.unwrap().plain().bytes, "short");
            Some("long".into())
        };
        assert_eq!(rendered.get(dvr("720p"), 1, &metrics, long).unwrap().plain().bytes, "long");
    }

    #[test]
    fn names_that_nothing_has_take_no_memory() {
        let rendered = Rendered::default();
        let metrics = Metrics::new();
        assert!(rendered.get(dvr("4k"), 1, &metrics, |_| None).is_none());
        assert!(rendered.slots().is_empty());
    }
}
