//! One connection from its first byte to its last: greeted, admitted, published, closed.

use std::pin::pin;
use std::sync::Arc;

use headwater_media::StreamId;
use headwater_rtmp::{Event, PublishRequest, Rejection, RtmpError, ServerSession};
use tokio::time::timeout;
use tracing::Instrument;
use tracing::field::{Empty, display};
use uuid::Uuid;

use crate::context::Edge;
use crate::publisher::{Publisher, PublisherEnd};
use crate::refusal;
use crate::routing::{Failures, Found, Refusal};
use crate::uplink::Order;

use super::{Link, LinkError, Socket};

/// What is read of an encoder that does not wait until it is accepted: half of what its session holds back. More waits
/// in its own buffers.
const READ_AHEAD: usize = 512 << 10;

pub async fn serve(socket: Box<dyn Socket>, edge: Arc<Edge>) {
    let session = ServerSession::new(edge.rtmp.clone());
    let mut connection = Connection { link: Link::new(socket, session), edge };
    match connection.run().await {
        Err(LinkError::Closed) => {}
        Err(error @ (LinkError::Io(_) | LinkError::Unread)) => tracing::info!(%error),
        Err(LinkError::Rtmp(error)) => connection.break_off(&error).await,
        Ok(()) => connection.link.close().await,
    }
    tracing::info!("connection closed");
}

struct Connection {
    link: Link,
    edge: Arc<Edge>,
}

impl Connection {
    /// An encoder may publish several times on one connection, one after the other. Gives `Ok` when it was told all that
    /// there is to say.
    async fn run(&mut self) -> Result<(), LinkError> {
        loop {
            let edge = self.edge.clone();
            let greeted = tokio::select! {
                greeted = timeout(edge.publish_deadline, self.greet()) => greeted,
                () = edge.drain.over() => return Ok(()),
            };
            let Ok(request) = greeted else {
                metrics::counter!("headwater_proxy_refused_total", "reason" => "deadline").increment(1);
                tracing::info!("no publish request within {:?}", self.edge.publish_deadline);
                return self.link.fail(&refusal::deadline()).await;
            };
            let Some(request) = request? else { return Ok(()) };
            match self.admit(request).await? {
                PublisherEnd::Unpublished => {}
                PublisherEnd::Dismissed => return Ok(()),
            }
        }
    }

    /// Reads until the encoder wants to publish; `None` when the session wants to be closed.
    async fn greet(&mut self) -> Result<Option<PublishRequest>, LinkError> {
        loop {
            while let Some(event) = self.link.next_event() {
                match event {
                    Event::Publish(request) => return Ok(Some(request)),
                    Event::AppRefused => {
                        metrics::counter!("headwater_proxy_refused_total", "reason" => "app").increment(1);
                        tracing::info!(
                            "publish refused: the encoder named an application that does not exist"
                        );
                    }
                    _ => {}
                }
            }
            match self.link.ended() {
                Some(LinkError::Closed) => return Ok(None),
                Some(error) => return Err(error),
                None => {}
            }
            self.link.read().await?;
            self.link.take_in().await?;
        }
    }

    async fn admit(&mut self, request: PublishRequest) -> Result<PublisherEnd, LinkError> {
        tracing::info!(app = request.app, encoder = request.encoder.as_deref(), "publish requested");
        if self.edge.drain.has_begun() {
            return self.refuse(request, "stopping", refusal::stopping()).await;
        }
        match self.edge.inputs.stream(&request.key) {
            Ok(stream) => {
                let span = tracing::info_span!("publisher", %stream, epoch = Empty);
                self.publish(request, &stream).instrument(span).await
            }
            Err(error) => self.refuse(request, "key", refusal::key(&error)).await,
        }
    }

    async fn publish(
        &mut self,
        request: PublishRequest,
        stream: &StreamId,
    ) -> Result<PublisherEnd, LinkError> {
        let edge = self.edge.clone();
        let _publisher = edge.drain.publisher();
        let order = Order {
            stream: stream.clone(),
            publisher: Uuid::now_v7().to_string(),
            resume: None,
            failures: Failures::default(),
        };
        match self.find_server(&order).await? {
            Ok(found) => {
                tracing::Span::current().record("epoch", display(found.epoch));
                self.link.accept(request).await?;
                tracing::info!(server = %found.server, "publishing");
                Publisher::new(&mut self.link, order, found, &edge).run().await
            }
            Err(error) => {
                tracing::warn!(%error, "no server takes the publisher");
                self.refuse(request, refusal::label(&error), refusal::refused(&error)).await
            }
        }
    }

    /// Meanwhile the encoder may leave, and the proxy may be stopped.
    async fn find_server(&mut self, order: &Order) -> Result<Result<Found, Refusal>, LinkError> {
        let edge = self.edge.clone();
        let mut search = pin!(edge.router.connect(order));
        let mut ahead = 0;
        loop {
            tokio::select! {
                found = &mut search => return Ok(found),
                read = self.link.read(), if ahead < READ_AHEAD => {
                    ahead += read?;
                    self.link.take_in().await?;
                    if let Some(end) = self.link.ended() {
                        return Err(end);
                    }
                }
                () = edge.drain.begun() => return Ok(Err(Refusal::Stopping)),
            }
        }
    }

    /// Tells an encoder that broke the protocol how, where it got through the handshake, and closes the connection.
    async fn break_off(mut self, error: &RtmpError) {
        metrics::counter!("headwater_proxy_failed_total", "reason" => "protocol").increment(1);
        tracing::warn!(%error, "the encoder broke the protocol");
        if let Err(error) = self.link.fail(&refusal::protocol(error)).await {
            tracing::info!(%error, "the encoder could not be told");
        }
        self.link.close().await;
    }

    async fn refuse(
        &mut self,
        request: PublishRequest,
        reason: &'static str,
        rejection: Rejection,
    ) -> Result<PublisherEnd, LinkError> {
        metrics::counter!("headwater_proxy_refused_total", "reason" => reason).increment(1);
        tracing::info!(code = %rejection.code, description = rejection.description, "publish refused");
        self.link.reject(request, rejection).await?;
        Ok(PublisherEnd::Dismissed)
    }
}
