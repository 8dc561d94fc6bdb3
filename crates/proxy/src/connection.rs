//! One connection from its first byte to its last: greeted, admitted, published, closed.

use std::sync::Arc;
use std::time::Duration;

use headwater_rtmp::{Event, PublishRequest, Rejection, ServerConfig, ServerSession};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::inputs::Inputs;
use crate::link::{Link, LinkError};
use crate::publisher::{Publisher, PublisherEnd};
use crate::refusal;
use crate::routing::Router;

/// What all connections share.
pub struct Edge {
    pub inputs: Inputs,
    pub router: Router,
    pub rtmp: ServerConfig,
    /// From the first byte to the publish request.
    pub publish_deadline: Duration,
    /// Without a byte from the encoder.
    pub idle_timeout: Duration,
    /// While the server takes nothing.
    pub stall_timeout: Duration,
    /// Cancelled when the proxy stops.
    pub stop: CancellationToken,
}

pub async fn serve(socket: TcpStream, edge: Arc<Edge>) {
    if let Err(error) = socket.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY was refused");
    }
    let session = ServerSession::new(edge.rtmp.clone());
    let mut connection = Connection { link: Link::new(socket, session), edge };
    match connection.run().await {
        Ok(()) | Err(LinkError::Closed) => tracing::info!("connection closed"),
        Err(error) => tracing::info!(%error, "connection closed"),
    }
}

struct Connection {
    link: Link,
    edge: Arc<Edge>,
}

impl Connection {
    /// An encoder may publish several times on one connection, one after the other.
    async fn run(&mut self) -> Result<(), LinkError> {
        loop {
            let stop = self.edge.stop.clone();
            let greeted = tokio::select! {
                greeted = timeout(self.edge.publish_deadline, self.greet()) => greeted,
                () = stop.cancelled() => return Ok(()),
            };
            let Ok(request) = greeted else {
                metrics::counter!("headwater_proxy_refused_total", "reason" => "deadline").increment(1);
                tracing::info!("no publish request within {:?}", self.edge.publish_deadline);
                return self.link.fail(&refusal::deadline()).await;
            };
            let Some(request) = request? else { return Ok(()) };
            match self.publish(request).await? {
                PublisherEnd::Unpublished => {}
                PublisherEnd::Closed => return Ok(()),
            }
        }
    }

    /// Reads until the encoder wants to publish; `None` when the session wants to be closed.
    async fn greet(&mut self) -> Result<Option<PublishRequest>, LinkError> {
        loop {
            while let Some(event) = self.link.next_event() {
                if let Event::Publish(request) = event {
                    return Ok(Some(request));
                }
            }
            if self.link.close_requested() {
                return Ok(None);
            }
            self.link.read().await?;
            self.link.take_in().await?;
        }
    }

    async fn publish(&mut self, request: PublishRequest) -> Result<PublisherEnd, LinkError> {
        tracing::info!(app = request.app, encoder = request.encoder.as_deref(), "publish requested");
        let stream = match self.edge.inputs.stream(&request.key) {
            Ok(stream) => stream,
            Err(error) => return self.refuse(request, "key", refusal::key(&error)).await,
        };
        let id = Uuid::now_v7().to_string();
        match self.edge.router.connect(&stream, &id).await {
            Ok((uplink, terms)) => {
                self.link.accept(request).await?;
                tracing::info!(%stream, "publishing");
                let publisher = Publisher::new(&mut self.link, uplink, terms, &self.edge);
                publisher.run().await
            }
            Err(error) => {
                tracing::warn!(%stream, %error, "no server takes the publisher");
                self.refuse(request, refusal::label(&error), refusal::refused(&error)).await
            }
        }
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
        Ok(PublisherEnd::Closed)
    }
}
