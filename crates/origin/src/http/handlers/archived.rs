//! Segments that have left the live window: in the store, or still on their way to it.

use std::sync::Arc;

use bytes::Bytes;
use headwater_media::{MediaSequence, RenditionId};
use headwater_recordings::Layout;
use headwater_wire::broadcast_bytes;
use headwater_wire::v2::FetchRequest;

use crate::library::{Library, Unread};
use crate::mirror::Mirrors;

/// Gives what an index names. What the store does not have, or does not give, is asked of the server that has the stream:
/// it may wait in its memory or on its disk.
#[derive(Clone, Copy)]
pub(crate) struct SegmentSource<'a> {
    pub(crate) library: &'a Library,
    pub(crate) mirrors: &'a Arc<Mirrors>,
}

impl SegmentSource<'_> {
    /// A whole segment.
    pub(crate) async fn segment(
        self,
        layout: &Layout,
        rendition: &RenditionId,
        sequence: MediaSequence,
    ) -> Result<Bytes, Unread> {
        let elsewhere = self.elsewhere(layout, rendition, sequence);
        self.library.object(&layout.segment(rendition, sequence), elsewhere).await
    }

    /// So many of its first bytes at most, which nobody else is about to ask for.
    pub(crate) async fn beginning(
        self,
        layout: &Layout,
        rendition: &RenditionId,
        sequence: MediaSequence,
        length: u64,
    ) -> Result<Bytes, Unread> {
        match self.library.read_range(&layout.segment(rendition, sequence), 0..length).await {
            Ok(bytes) => Ok(bytes),
            Err(unread) => {
                let whole = self.elsewhere(layout, rendition, sequence).await.ok_or(unread)?;
                Ok(whole.slice(..whole.len().min(usize::try_from(length).unwrap_or(usize::MAX))))
            }
        }
    }

    async fn elsewhere(
        self,
        layout: &Layout,
        rendition: &RenditionId,
        sequence: MediaSequence,
    ) -> Option<Bytes> {
        let segment = FetchRequest {
            stream: layout.stream.to_string(),
            broadcast: broadcast_bytes(layout.broadcast),
            rendition: rendition.to_string(),
            sequence: sequence.0,
        };
        self.mirrors.fetch(segment).await
    }
}
