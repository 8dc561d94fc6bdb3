//! `headwater.v1.Delivery`: the live window and what follows, for origins.

use std::pin::Pin;
use std::sync::Arc;

use futures::{Stream, StreamExt, stream};
use headwater_wire::v1::delivery_server::Delivery;
use headwater_wire::v1::{LocateRequest, LocateResponse, MediaEvent, WatchRequest};
use tokio_stream::wrappers::BroadcastStream;
use tonic::{Request, Response, Status};

use super::stream_id;
use crate::broadcast::{Broadcasts, OnAir, Subscription};

pub(crate) struct DeliveryService(pub Arc<Broadcasts>);

#[tonic::async_trait]
impl Delivery for DeliveryService {
    type WatchStream = Pin<Box<dyn Stream<Item = Result<MediaEvent, Status>> + Send>>;

    async fn locate(&self, request: Request<LocateRequest>) -> Result<Response<LocateResponse>, Status> {
        let OnAir { id, feed, .. } = self.on_air(&request.get_ref().stream)?;
        let (broadcast, epoch) = (headwater_wire::broadcast_bytes(id), feed.epoch().0);
        Ok(Response::new(LocateResponse { broadcast, epoch }))
    }

    async fn watch(&self, request: Request<WatchRequest>) -> Result<Response<Self::WatchStream>, Status> {
        let on_air = self.on_air(&request.get_ref().stream)?;
        let Subscription { opening, window, events } = on_air.feed.subscribe();
        let window = std::iter::once(opening.into()).chain(window.into_iter().map(Into::into)).map(Ok);
        let lagged = |_| Status::aborted("too far behind: watch again");
        let following = BroadcastStream::new(events).map(move |event| event.map(Into::into).map_err(lagged));
        metrics::counter!("headwater_server_watches_total").increment(1);
        Ok(Response::new(Box::pin(stream::iter(window).chain(following))))
    }
}

impl DeliveryService {
    fn on_air(&self, stream: &str) -> Result<OnAir, Status> {
        let stream = stream_id(stream)?;
        self.0.get(&stream).ok_or_else(|| Status::not_found(format!("{stream} is not on air here")))
    }
}
