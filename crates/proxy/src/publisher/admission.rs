//! Admission of a publish request over any protocol: looks the key up, finds a server, and accepts or refuses the
//! publisher.

use std::pin::pin;

use headwater_media::{StreamId, StreamKey};
use tracing::Instrument;
use tracing::field::{Empty, display};
use uuid::Uuid;

use super::{Publisher, PublisherEnd};
use crate::context::Context;
use crate::refusal::{self, Refusal};
use crate::routing::{Assignment, Failures, PublishSpec, RoutingError};
use crate::source::{MAX_READ_AHEAD_BYTES, Source, SourceError};

/// Publishes a source to its end, as the stream that this key opens. `Ok` when the publisher was told all that there is
/// to say.
pub async fn publish<S: Source>(
    source: &mut S,
    key: &StreamKey,
    context: &Context,
) -> Result<PublisherEnd, SourceError> {
    if context.drain.has_begun() {
        return refuse_source(source, "stopping", Refusal::stopping()).await;
    }
    match context.inputs.find_stream(key) {
        Ok(stream) => {
            let span = tracing::info_span!("publisher", %stream, epoch = Empty);
            publish_stream(source, &stream, context).instrument(span).await
        }
        Err(error) => refuse_source(source, "key", Refusal::key(&error)).await,
    }
}

async fn publish_stream<S: Source>(
    source: &mut S,
    stream: &StreamId,
    context: &Context,
) -> Result<PublisherEnd, SourceError> {
    let _publisher = context.drain.track_publisher();
    let spec = PublishSpec {
        stream: stream.clone(),
        publisher: Uuid::now_v7().to_string(),
        resume: None,
        failures: Failures::default(),
    };
    match find_server(source, &spec, context).await? {
        Ok(assignment) => {
            tracing::Span::current().record("epoch", display(assignment.epoch));
            source.accept().await?;
            tracing::info!(server = %assignment.server, "publishing");
            Publisher::new(source, spec, assignment, context).run().await
        }
        Err(error) => {
            tracing::warn!(%error, "no server takes the publisher");
            refuse_source(source, refusal::metric_label(&error), Refusal::no_server(&error)).await
        }
    }
}

/// Finds a server for the publisher. Meanwhile the encoder may leave, and the proxy may be stopped.
async fn find_server<S: Source>(
    source: &mut S,
    spec: &PublishSpec,
    context: &Context,
) -> Result<Result<Assignment, RoutingError>, SourceError> {
    let mut search = pin!(context.router.find_server(spec));
    let mut ahead = 0;
    loop {
        tokio::select! {
            assignment = &mut search => return Ok(assignment),
            read = source.read(), if ahead < MAX_READ_AHEAD_BYTES => {
                ahead += read?;
                source.process_input().await?;
                if let Some(end) = source.end() {
                    return Err(end);
                }
            }
            () = context.drain.begun() => return Ok(Err(RoutingError::Stopping)),
        }
    }
}

async fn refuse_source<S: Source>(
    source: &mut S,
    reason: &'static str,
    refusal: Refusal,
) -> Result<PublisherEnd, SourceError> {
    metrics::counter!("headwater_proxy_refused_total", "reason" => reason).increment(1);
    source.refuse(&refusal).await?;
    Ok(PublisherEnd::Dismissed)
}
