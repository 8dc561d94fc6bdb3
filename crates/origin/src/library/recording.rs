//! One recording as the origin shows it.

use std::sync::Arc;

use headwater_hls::Archive;
use headwater_hls::playlist::{self, Stage};
use headwater_platform::store::{ObjectStore, StoreError};
use headwater_recordings::{Layout, Recording, State};

use crate::metrics::Metrics;
use crate::mirror::{Rendered, Text, Which};

/// The index of a recording, and its playlists as far as somebody has asked for them.
pub(crate) struct Recorded {
    /// What the recording keeps.
    pub(crate) archive: Archive,
    pub(crate) state: State,
    rendered: Rendered,
    metrics: Arc<Metrics>,
}

impl Recorded {
    /// None where there is no such recording, or nothing of it yet.
    pub(super) async fn load(
        store: &dyn ObjectStore,
        layout: &Layout,
        metrics: &Arc<Metrics>,
    ) -> Result<Option<Arc<Self>>, StoreError> {
        // Whether it is live is asked first: what is complete then is read as a whole.
        let Some(summary) = headwater_recordings::describe(store, layout).await? else { return Ok(None) };
        let Some(recording) = Recording::load(store, layout).await? else { return Ok(None) };
        Ok(Some(Arc::new(Self::new(recording.kept(), summary.state, metrics.clone()))))
    }

    pub(crate) fn new(archive: Archive, state: State, metrics: Arc<Metrics>) -> Self {
        Self { archive, state, rendered: Rendered::default(), metrics }
    }

    /// Whether nothing will change in it.
    pub(crate) fn is_complete(&self) -> bool {
        self.state.stage() == Stage::Complete
    }

    /// One of its playlists; none where it has no such rendition.
    pub(crate) fn playlist(&self, which: Which) -> Option<Arc<Text>> {
        self.rendered.get(which, 0, &self.metrics, |which| match which {
            Which::Multivariant => playlist::vod_multivariant(&self.archive),
            Which::Presentation => playlist::dash::stored(&self.archive),
            Which::Whole(rendition) => playlist::vod_media(&self.archive, rendition, self.state.stage()),
            _ => None,
        })
    }
}
