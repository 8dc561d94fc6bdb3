//! Folding the journal of a recording that is finished into one object, so that a viewer's first request costs the origin one
//! read however long the recording is.
//!
//! The index holds the blocks as they are: whoever reads both takes a block that is still there over its copy, so nothing
//! depends on whether the blocks were deleted already. The newest block of each owner stays: an owner that was taken for
//! dead finds there that the recording was closed ([`Guard`](crate::uploads::Guard)), and what it writes then counts.
//! Sample tables, which are five times as much, stand beside the media of their rendition.

use std::collections::BTreeMap;

use bytes::Bytes;
use headwater_media::{MediaSequence, RenditionId};
use headwater_platform::store::{Key, ObjectStore, StoreError};
use headwater_wire::{SampleIndex, SegmentSamples};

use crate::Layout;
use crate::journal::Blocks;

/// Bytes of an object that is made by folding: eleven days of the usual ladder. A longer journal stays in its blocks.
const MAX_FOLDED_BYTES: usize = 64 << 20;
const INDEX_TYPE: &str = "application/octet-stream";

/// Blocks of a journal that an index in the store holds as well, but the newest one of each owner.
#[derive(Debug, PartialEq)]
pub(crate) struct Folded(Vec<Key>);

/// Writes the index of a recording, with the sample tables of the renditions that it keeps; none where it is too long.
///
/// # Errors
/// When the store does not take them.
pub(crate) async fn fold_journal(
    store: &dyn ObjectStore,
    layout: &Layout,
    blocks: &Blocks,
    kept: &[RenditionId],
) -> Result<Option<Folded>, StoreError> {
    fold_within(store, layout, blocks, kept, MAX_FOLDED_BYTES).await
}

async fn fold_within(
    store: &dyn ObjectStore,
    layout: &Layout,
    blocks: &Blocks,
    kept: &[RenditionId],
    most: usize,
) -> Result<Option<Folded>, StoreError> {
    let index = blocks.to_index().encode();
    let mut objects = Vec::new();
    for rendition in kept {
        let tables = all_tables(store, layout, blocks, rendition).await?;
        if !tables.is_empty() {
            objects.push((layout.sample_tables(rendition), encode_tables(rendition, tables)));
        }
    }
    if objects.iter().map(|(_, object)| object).chain([&index]).any(|object| object.len() > most) {
        tracing::info!(broadcast = %layout.broadcast, "the recording is too long for an index of one object");
        if !blocks.is_folded() {
            return Ok(None);
        }
        // The blocks that an earlier index holds are gone.
        objects.clear();
    }
    // The tables first: where there is an index, they are taken for all that there are.
    for (key, object) in objects.into_iter().chain([(layout.journal_index(), index)]) {
        store.put(&key, object, INDEX_TYPE).await?;
    }
    let older = blocks.older_apart().map(|(epoch, number)| layout.journal(epoch, number));
    Ok(Some(Folded(older.collect())))
}

/// Deletes the blocks that an index holds.
///
/// # Errors
/// When the store does not do it.
pub(crate) async fn clear_blocks(store: &dyn ObjectStore, folded: Folded) -> Result<(), StoreError> {
    for keys in folded.0.chunks(headwater_platform::store::PAGE_ENTRIES) {
        store.delete(keys).await?;
    }
    Ok(())
}

/// The sample tables of a rendition: those of an earlier index, and those of the blocks.
async fn all_tables(
    store: &dyn ObjectStore,
    layout: &Layout,
    blocks: &Blocks,
    rendition: &RenditionId,
) -> Result<BTreeMap<MediaSequence, Bytes>, StoreError> {
    let mut tables = BTreeMap::new();
    if blocks.is_folded() {
        let before = read_tables(store, layout, rendition).await?.unwrap_or_default();
        tables.extend(before.into_iter().map(|(sequence, _, table)| (sequence, table)));
    }
    let newer = blocks.sample_tables().filter(|(_, id, _)| *id == rendition);
    tables.extend(newer.map(|(sequence, _, table)| (sequence, table.clone())));
    Ok(tables)
}

fn encode_tables(rendition: &RenditionId, tables: BTreeMap<MediaSequence, Bytes>) -> Bytes {
    let segment = |(sequence, table)| SegmentSamples { sequence, tables: vec![(rendition.clone(), table)] };
    SampleIndex { segments: tables.into_iter().map(segment).collect() }.encode()
}

/// The sample tables that stand beside the media of a rendition; none where there are none.
pub(crate) async fn read_tables(
    store: &dyn ObjectStore,
    layout: &Layout,
    rendition: &RenditionId,
) -> Result<Option<Vec<(MediaSequence, RenditionId, Bytes)>>, StoreError> {
    let key = layout.sample_tables(rendition);
    let bytes = match store.get(&key).await {
        Err(StoreError::NotFound) => return Ok(None),
        got => got?,
    };
    let index = SampleIndex::decode(bytes)
        .inspect_err(|error| tracing::error!(%key, %error, "sample tables can't be read"));
    let all = index.ok().map(|index| {
        let segments = index.segments.into_iter();
        segments.flat_map(|of| of.tables.into_iter().map(move |(id, table)| (of.sequence, id, table)))
    });
    Ok(all.map(Iterator::collect))
}

#[cfg(test)]
mod tests;
