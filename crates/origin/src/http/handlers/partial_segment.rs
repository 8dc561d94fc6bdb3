//! A segment that is sent while it is made: its parts as they come (DASH-IF CR Low-Latency Live §9.X.4; chunked transfer,
//! RFC 9112 §7.1).

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::stream::{self, BoxStream, StreamExt as _};
use headwater_media::{BroadcastTag, MediaSequence, RenditionId};

use crate::http::response::body::Interrupted;
use crate::mirror::{Mirror, Scope, View};

/// How long a request for a segment that a presentation announced is held. A player of DASH that is told "not yet" three
/// times gives up, so a publisher may be away for a minute; proxies on the way give up requests that are not answered in
/// half of that.
pub(crate) const SEGMENT_LIMIT: Duration = Duration::from_secs(20);

/// The parts of one segment that are still to be sent.
struct PartialSegment {
    mirror: Arc<Mirror>,
    broadcast: BroadcastTag,
    rendition: RenditionId,
    sequence: MediaSequence,
    sent: usize,
}

/// The parts of a segment that has begun, from the first one on.
pub(crate) fn parts(
    mirror: Arc<Mirror>,
    broadcast: BroadcastTag,
    rendition: RenditionId,
    sequence: MediaSequence,
) -> BoxStream<'static, Result<Bytes, Interrupted>> {
    let segment = PartialSegment { mirror, broadcast, rendition, sequence, sent: 0 };
    stream::try_unfold(segment, PartialSegment::next).boxed()
}

impl PartialSegment {
    /// Waits for the next part as long as a request may wait for the segment.
    async fn next(mut self) -> Result<Option<(Bytes, Self)>, Interrupted> {
        let scope = Scope::Rendition(&self.rendition);
        let found = self.mirror.wait_for_view(scope, SEGMENT_LIMIT, |view| self.look(view)).await;
        let next = found.unwrap_or(Err(Interrupted::Late))?;
        self.sent += 1;
        Ok(next.map(|part| (part, self)))
    }

    /// The next part, or the end of the segment; `None` while the part may still come.
    fn look(&self, view: &View) -> Option<Result<Option<Bytes>, Interrupted>> {
        let window = view.window().filter(|window| window.opening().broadcast.tag() == self.broadcast);
        let begun = window.and_then(|window| window.begun(&self.rendition, self.sequence));
        let Some(segment) = begun else { return Some(Err(Interrupted::Gone)) };
        match segment.parts().get(self.sent) {
            Some(part) => Some(Ok(Some(part.bytes.clone()))),
            None => segment.is_whole().then_some(Ok(None)),
        }
    }
}
