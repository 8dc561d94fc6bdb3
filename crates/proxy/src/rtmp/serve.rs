//! Handler of one RTMP connection: handshake, publish requests one after the other, close.

use std::error::Error;
use std::net::IpAddr;
use std::sync::Arc;

use headwater_rtmp::{Event, PublishRequest, ServerConfig, ServerSession};
use tokio::time::{Instant, timeout_at};

use crate::context::Context;
use crate::publisher::{PublisherEnd, publish};
use crate::refusal::Refusal;
use crate::source::SourceError;

use super::source::RtmpSource;
use super::status::rejection_of;
use super::{RtmpConnection, Socket};

/// Encoder of a connection.
#[derive(Clone, Copy, Debug)]
pub struct Client {
    pub address: IpAddr,
    /// Whether the connection is encrypted: RTMPS.
    pub is_encrypted: bool,
}

impl Client {
    fn protocol(self) -> &'static str {
        if self.is_encrypted { "rtmps" } else { "rtmp" }
    }
}

/// Serves one encoder's connection to its end. Its first publish request has to come by `deadline`.
pub async fn serve_connection(
    socket: Box<dyn Socket>,
    config: ServerConfig,
    context: Arc<Context>,
    client: Client,
    deadline: Instant,
) {
    let session = ServerSession::new(config);
    let mut handler = RtmpHandler { connection: RtmpConnection::new(socket, session), client, context };
    match handler.run(deadline).await {
        Err(SourceError::Closed) => {}
        Err(error @ (SourceError::Io(_) | SourceError::Unread)) => tracing::info!(%error),
        Err(SourceError::Protocol { error, refusal }) => {
            handler.report_protocol_error(&*error, &refusal).await
        }
        Ok(()) => handler.connection.close().await,
    }
    tracing::info!("connection closed");
}

struct RtmpHandler {
    connection: RtmpConnection,
    client: Client,
    context: Arc<Context>,
}

impl RtmpHandler {
    /// Serves the publish requests of the connection, one after the other. `Ok` when the encoder was told all that
    /// there is to say.
    async fn run(&mut self, mut deadline: Instant) -> Result<(), SourceError> {
        loop {
            let context = self.context.clone();
            let greeted = tokio::select! {
                greeted = timeout_at(deadline, self.read_publish_request()) => greeted,
                () = context.drain.over() => return Ok(()),
            };
            let Ok(request) = greeted else {
                context.report_missed_deadline();
                return self.connection.fail(&rejection_of(&Refusal::deadline())).await;
            };
            let Some(request) = request? else { return Ok(()) };
            match self.publish(request).await? {
                PublisherEnd::Unpublished => deadline = Instant::now() + context.publish_deadline,
                PublisherEnd::Dismissed => return Ok(()),
            }
        }
    }

    /// Reads until the encoder asks to publish; `None` when the session asks for the connection to be closed.
    async fn read_publish_request(&mut self) -> Result<Option<PublishRequest>, SourceError> {
        loop {
            while let Some(event) = self.connection.next_event() {
                match event {
                    Event::Publish(request) => return Ok(Some(request)),
                    Event::AppRefused => {
                        metrics::counter!("headwater_proxy_refused_total", "reason" => "app").increment(1);
                        tracing::info!(
                            "publish refused: the encoder named an application that does not exist"
                        );
                    }
                    Event::ClientRefused => {
                        metrics::counter!("headwater_proxy_refused_total", "reason" => "address")
                            .increment(1);
                        tracing::info!(
                            "publish refused: the encoder's address is not in proxy.allowed_addresses"
                        );
                    }
                    _ => {}
                }
            }
            match self.connection.end() {
                Some(SourceError::Closed) => return Ok(None),
                Some(error) => return Err(error),
                None => {}
            }
            self.connection.read().await?;
            self.connection.process_input().await?;
        }
    }

    async fn publish(&mut self, request: PublishRequest) -> Result<PublisherEnd, SourceError> {
        tracing::info!(app = request.app, encoder = request.encoder.as_deref(), "publish requested");
        let key = request.key.clone();
        let mut source = RtmpSource::new(&mut self.connection, request, self.client.protocol());
        publish(&mut source, &key, self.client.address, &self.context).await
    }

    /// Tells an encoder how it broke the protocol, if it got through the handshake, and closes the connection.
    async fn report_protocol_error(mut self, error: &(dyn Error + Send + Sync), refusal: &Refusal) {
        metrics::counter!("headwater_proxy_failed_total", "reason" => "protocol").increment(1);
        tracing::warn!(%error, "the encoder broke the protocol");
        if let Err(error) = self.connection.fail(&rejection_of(refusal)).await {
            tracing::info!(%error, "the encoder could not be told");
        }
        self.connection.close().await;
    }
}
