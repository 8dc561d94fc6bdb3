//! Playlists as they are sent: rendered and compressed once for all viewers who ask for the same one at the same time.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use bytes::Bytes;
use headwater_media::RenditionId;
use http::HeaderValue;

use crate::http::{encoding, etag};
use crate::metrics::Metrics;

/// One playlist of a stream.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Which {
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
    fn new(text: String) -> Self {
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

/// The newest rendering of every playlist of one stream, or of one recording.
#[derive(Default)]
pub(crate) struct Rendered(Mutex<HashMap<Which, (u64, Arc<Text>)>>);

impl Rendered {
    /// The playlist at this version of the window; `render` is called when nobody has asked for it yet. Nothing when
    /// there is no such playlist, and nothing is kept of it.
    pub(crate) fn get(
        &self,
        which: Which,
        version: u64,
        metrics: &Metrics,
        render: impl FnOnce(&Which) -> Option<String>,
    ) -> Option<Arc<Text>> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, text)) = kept.get(&which).filter(|(rendered_at, _)| *rendered_at >= version) {
            metrics.playlist_hits.increment(1);
            return Some(text.clone());
        }
        let text = Arc::new(Text::new(render(&which)?));
        metrics.playlist_renders.increment(1);
        kept.insert(which, (version, text.clone()));
        Some(text)
    }
}
