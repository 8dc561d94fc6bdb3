//! A publish request, whatever protocol it came by: its key is looked up, a server is found, and the publisher is accepted
//! or refused.

use std::pin::pin;

use headwater_media::{StreamId, StreamKey};
use tracing::Instrument;
use tracing::field::{Empty, display};
use uuid::Uuid;

use super::{Publisher, PublisherEnd};
use crate::context::Edge;
use crate::refusal::{self, Refusal};
use crate::routing::{self, Failures, Found, Order};
use crate::source::{READ_AHEAD, Source, SourceError};

/// Publishes a source under the stream that this key opens, to its end. `Ok` when it was told all that there is to say.
pub async fn publish<S: Source>(
    source: &mut S,
    key: &StreamKey,
    edge: &Edge,
) -> Result<PublisherEnd, SourceError> {
    if edge.drain.has_begun() {
        return refuse(source, "stopping", Refusal::stopping()).await;
    }
    match edge.inputs.stream(key) {
        Ok(stream) => {
            let span = tracing::info_span!("publisher", %stream, epoch = Empty);
            publish_stream(source, &stream, edge).instrument(span).await
        }
        Err(error) => refuse(source, "key", Refusal::key(&error)).await,
    }
}

async fn publish_stream<S: Source>(
    source: &mut S,
    stream: &StreamId,
    edge: &Edge,
) -> Result<PublisherEnd, SourceError> {
    let _publisher = edge.drain.publisher();
    let order = Order {
        stream: stream.clone(),
        publisher: Uuid::now_v7().to_string(),
        resume: None,
        failures: Failures::default(),
    };
    match find_server(source, &order, edge).await? {
        Ok(found) => {
            tracing::Span::current().record("epoch", display(found.epoch));
            source.accept().await?;
            tracing::info!(server = %found.server, "publishing");
            Publisher::new(source, order, found, edge).run().await
        }
        Err(error) => {
            tracing::warn!(%error, "no server takes the publisher");
            refuse(source, refusal::label(&error), Refusal::no_server(&error)).await
        }
    }
}

/// Meanwhile the encoder may leave, and the proxy may be stopped.
async fn find_server<S: Source>(
    source: &mut S,
    order: &Order,
    edge: &Edge,
) -> Result<Result<Found, routing::Refusal>, SourceError> {
    let mut search = pin!(edge.router.connect(order));
    let mut ahead = 0;
    loop {
        tokio::select! {
            found = &mut search => return Ok(found),
            read = source.read(), if ahead < READ_AHEAD => {
                ahead += read?;
                source.process_input().await?;
                if let Some(end) = source.end() {
                    return Err(end);
                }
            }
            () = edge.drain.begun() => return Ok(Err(routing::Refusal::Stopping)),
        }
    }
}

async fn refuse<S: Source>(
    source: &mut S,
    reason: &'static str,
    refusal: Refusal,
) -> Result<PublisherEnd, SourceError> {
    metrics::counter!("headwater_proxy_refused_total", "reason" => reason).increment(1);
    source.refuse(&refusal).await?;
    Ok(PublisherEnd::Dismissed)
}
