//! `headwater.v2.Delivery`: the live window, what is stored, and what follows, for origins.

use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use futures::{Stream, StreamExt, stream};
use headwater_hls::Archive;
use headwater_media::{MediaSequence, RenditionId};
use headwater_recordings::Layout;
use headwater_wire::WatchMessage;
use headwater_wire::v2::delivery_server::Delivery;
use headwater_wire::v2::{Chunk, FetchRequest, LocateRequest, LocateResponse, MediaEvent, WatchRequest};
use tokio_stream::wrappers::BroadcastStream;
use tokio_stream::wrappers::errors::BroadcastStreamRecvError;
use tonic::{Request, Response, Status};

use super::stream_id;
use crate::broadcast::{Broadcasts, FeedEvent, OnAir, Subscription};

pub(crate) struct DeliveryService(pub Arc<Broadcasts>);

#[tonic::async_trait]
impl Delivery for DeliveryService {
    type WatchStream = Pin<Box<dyn Stream<Item = Result<MediaEvent, Status>> + Send>>;

    async fn locate(&self, request: Request<LocateRequest>) -> Result<Response<LocateResponse>, Status> {
        let OnAir { id, feed, .. } = self.on_air(&request.get_ref().stream)?;
        let broadcast = headwater_wire::broadcast_bytes(id);
        let epoch = feed.epoch().0;
        Ok(Response::new(LocateResponse { broadcast, epoch }))
    }

    async fn watch(&self, request: Request<WatchRequest>) -> Result<Response<Self::WatchStream>, Status> {
        let on_air = self.on_air(&request.get_ref().stream)?;
        let Subscription { opening, history, window, events } = on_air.feed.subscribe();
        let stored = history.iter().flat_map(stored_messages).collect::<Vec<_>>();
        let window = window.into_iter().map(WatchMessage::Event);
        let begin = std::iter::once(WatchMessage::Opening(opening)).chain(stored).chain(window);
        let begin = begin.chain([WatchMessage::CaughtUp]);
        let following = BroadcastStream::new(events).flat_map(|event| stream::iter(watch_messages(event)));
        metrics::counter!("headwater_server_watches_total").increment(1);
        Ok(Response::new(Box::pin(stream::iter(begin.map(|message| Ok(message.into()))).chain(following))))
    }

    type FetchStream = Pin<Box<dyn Stream<Item = Result<Chunk, Status>> + Send>>;

    async fn fetch(&self, request: Request<FetchRequest>) -> Result<Response<Self::FetchStream>, Status> {
        let FetchRequest { stream, broadcast, rendition, sequence } = request.into_inner();
        let stream = stream_id(&stream)?;
        let broadcast = headwater_wire::broadcast_id(&broadcast)?;
        let rendition: RenditionId = rendition
            .parse()
            .map_err(|error| Status::invalid_argument(format!("the field `rendition` is wrong: {error}")))?;
        let layout = Layout { stream, broadcast };
        let sequence = MediaSequence(sequence);
        let chunks = match self.0.in_window(&layout, &rendition, sequence) {
            Some(segment) => segment.parts().iter().map(|part| part.bytes.clone()).collect(),
            None => {
                cut_chunks(self.0.in_spool(&layout.segment(&rendition, sequence)).await.ok_or_else(not_here)?)
            }
        };
        let chunks = chunks.into_iter().map(|payload| Ok(Chunk { payload }));
        Ok(Response::new(Box::pin(stream::iter(chunks))))
    }
}

/// Bytes of a message.
const CHUNK_BYTES: usize = 256 << 10;

fn cut_chunks(mut bytes: Bytes) -> Vec<Bytes> {
    let mut chunks = Vec::new();
    while !bytes.is_empty() {
        chunks.push(bytes.split_to(bytes.len().min(CHUNK_BYTES)));
    }
    chunks
}

fn not_here() -> Status {
    Status::not_found("the segment is not here: it may be in the store")
}

/// The records of the stored segments, from the start.
fn stored_messages(archive: &Archive) -> Vec<WatchMessage> {
    let begin = WatchMessage::StoredFrom {
        discontinuity_sequence: archive.discontinuity_sequence(),
        dvr_window: archive.dvr_window(),
    };
    let records = archive.records().into_iter().map(WatchMessage::Stored);
    std::iter::once(begin).chain(records).collect()
}

fn watch_messages(event: Result<FeedEvent, BroadcastStreamRecvError>) -> Vec<Result<MediaEvent, Status>> {
    let messages = match event {
        Ok(FeedEvent::Media(event)) => vec![WatchMessage::Event(event)],
        Ok(FeedEvent::Stored(record)) => vec![WatchMessage::Stored(record)],
        Ok(FeedEvent::History(archive)) => stored_messages(&archive),
        Err(_) => return vec![Err(Status::aborted("too far behind: watch again"))],
    };
    messages.into_iter().map(|message| Ok(message.into())).collect()
}

impl DeliveryService {
    fn on_air(&self, stream: &str) -> Result<OnAir, Status> {
        let stream = stream_id(stream)?;
        self.0.get(&stream).ok_or_else(|| Status::not_found(format!("{stream} is not on air here")))
    }
}
