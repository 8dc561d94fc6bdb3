//! A recording as the origin shows it.

use std::sync::Arc;

use headwater_hls::Archive;
use headwater_hls::playlist::{self, Stage};
use headwater_media::Record;
use headwater_platform::store::{ObjectStore, StoreError};
use headwater_recordings::{Layout, Recording, State};

use super::Lost;
use crate::metrics::Metrics;
use crate::mirror::{PlaylistKind, Rendered, Text};

/// The index of a recording, and its playlists as far as somebody has asked for them.
pub(crate) struct Recorded {
    /// Index of the stored segments.
    pub(crate) archive: Archive,
    pub(crate) state: State,
    /// Segments that the index names and the store has lost: gaps, in the archive.
    pub(crate) lost: Arc<Lost>,
    rendered: Rendered,
    metrics: Arc<Metrics>,
}

impl Recorded {
    /// None where there is no such recording, or nothing of it yet.
    pub(super) async fn load(
        store: &dyn ObjectStore,
        layout: &Layout,
        lost: Arc<Lost>,
        metrics: &Arc<Metrics>,
    ) -> Result<Option<Arc<Self>>, StoreError> {
        // Whether it is live is asked first: what is complete then is read as a whole.
        let Some(summary) = headwater_recordings::describe(store, layout).await? else { return Ok(None) };
        let recording = match summary.state.stage() {
            Stage::Growing => Recording::load(store, layout).await?,
            Stage::Complete => Recording::load_finished(store, layout).await?,
        };
        let Some(recording) = recording else { return Ok(None) };
        let recorded = Self::new(recording.kept(), summary.state, metrics.clone());
        Ok(Some(Arc::new(recorded.without_lost(lost))))
    }

    pub(crate) fn new(archive: Archive, state: State, metrics: Arc<Metrics>) -> Self {
        Self { archive, state, lost: Arc::default(), rendered: Rendered::default(), metrics }
    }

    /// The same where the store has lost something.
    fn without_lost(mut self, lost: Arc<Lost>) -> Self {
        for (sequence, rendition) in lost.iter() {
            let Some(mut segment) = self.archive.segment(*sequence).map(|s| s.as_ref().clone()) else {
                continue;
            };
            let pieces = segment.pieces.iter_mut().filter(|piece| piece.rendition == *rendition);
            pieces.for_each(|piece| piece.size = None);
            // The newest word on a segment counts.
            let _ = self.archive.apply(&Record::Segment(segment));
        }
        Self { lost, ..self }
    }

    /// Whether nothing will change in it.
    pub(crate) fn is_complete(&self) -> bool {
        self.state.stage() == Stage::Complete
    }

    /// A playlist of the recording; none where it has no such rendition.
    pub(crate) fn playlist(&self, kind: PlaylistKind) -> Option<Arc<Text>> {
        self.rendered.get(kind, 0, &self.metrics, |kind| match kind {
            PlaylistKind::Multivariant => playlist::vod_multivariant(&self.archive),
            PlaylistKind::Presentation => playlist::dash::stored(&self.archive),
            PlaylistKind::Whole(rendition) => {
                playlist::vod_media(&self.archive, rendition, self.state.stage())
            }
            _ => None,
        })
    }
}
