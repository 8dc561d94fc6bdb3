//! The sample tables of a recording: a file for download is planned by them, without reading its media.

use std::collections::HashMap;

use bytes::Bytes;
use futures::future::try_join_all;
use headwater_hls::Object;
use headwater_hls::cmaf::read::Placed;
use headwater_hls::cmaf::table;
use headwater_media::{MediaSequence, RenditionId};
use headwater_platform::store::{ObjectStore, StoreError};

use crate::journal::Blocks;
use crate::pages::all_below;
use crate::{Layout, fold};

/// The sample tables of some renditions, as far as they were written down: a recording of an older server has none.
#[derive(Debug, Default)]
pub struct Samples(HashMap<(MediaSequence, RenditionId), Bytes>);

impl Samples {
    /// Reads them out of the index of a recording that is complete.
    ///
    /// # Errors
    /// When the store does not give it.
    pub async fn load(
        store: &dyn ObjectStore,
        layout: &Layout,
        renditions: &[RenditionId],
    ) -> Result<Self, StoreError> {
        let folded = renditions.iter().map(|id| fold::read_tables(store, layout, id));
        let mut tables = HashMap::new();
        let mut others = Vec::new();
        for (id, folded) in renditions.iter().zip(try_join_all(folded).await?) {
            let Some(folded) = folded else {
                others.push(id);
                continue;
            };
            tables.extend(folded.into_iter().map(|(sequence, id, table)| ((sequence, id), table)));
        }
        if !others.is_empty() {
            let blocks = Blocks::read_all(store, layout).await?;
            let of_others = blocks.sample_tables().filter(|(_, id, _)| others.contains(id));
            tables.extend(of_others.map(|(sequence, id, table)| ((sequence, id.clone()), table.clone())));
        }
        Ok(Self(tables))
    }

    /// The samples of a segment, whose object has so many bytes; none where it has no table. The table of another copy of the
    /// segment is none: the first copy in the store counts, whichever server has made it.
    pub fn samples_of(
        &self,
        rendition: &RenditionId,
        sequence: MediaSequence,
        size: u64,
    ) -> Option<Vec<Placed>> {
        table::read_table(self.0.get(&(sequence, rendition.clone()))?, size).ok()
    }
}

/// The segments of a rendition that are in the store, with their bytes.
///
/// # Errors
/// When the store does not say.
pub async fn segments_there(
    store: &dyn ObjectStore,
    layout: &Layout,
    rendition: &RenditionId,
) -> Result<HashMap<MediaSequence, u64>, StoreError> {
    let entries = all_below(store, &layout.rendition(rendition)).await?;
    let segments = entries.iter().filter_map(|entry| match Object::parse(entry.key.name())? {
        Object::Segment(sequence) => Some((sequence, entry.size)),
        Object::Init(_) | Object::Part(..) | Object::Timed(..) => None,
    });
    Ok(segments.collect())
}
