//! A publish request over any protocol: looks the key up, finds a server, and accepts or refuses the
//! publisher.

use std::net::IpAddr;
use std::pin::pin;

use headwater_media::{PublisherFacts, StreamKey};
use headwater_runtime::clock;
use tracing::Instrument;
use tracing::field::{Empty, display};
use uuid::Uuid;

use super::{Publisher, PublisherEnd};
use crate::authority::{KeyError, Permit, Supervision};
use crate::context::Context;
use crate::refusal::{self, Refusal};
use crate::routing::{Assignment, Failures, PublishSpec, RoutingError};
use crate::source::{MAX_READ_AHEAD_BYTES, Source, SourceDescription, SourceError};

/// Publishes the source of an encoder at this address to its end, as the stream that this key opens. `Ok` when the publisher was told all that there is
/// to say.
pub async fn publish<S: Source>(
    source: &mut S,
    key: &StreamKey,
    client: IpAddr,
    context: &Context,
) -> Result<PublisherEnd, SourceError> {
    if context.drain.has_begun() {
        return refuse_source(source, "stopping", Refusal::stopping()).await;
    }
    let permit = match read_on(source, context, context.authority.permit(key, client)).await? {
        Some(permit) => permit,
        None => return refuse_source(source, "stopping", Refusal::stopping()).await,
    };
    match permit {
        Ok(permit) => {
            let span = tracing::info_span!("publisher", stream = %permit.stream, epoch = Empty);
            let supervision = Supervision::start(&context.authority, &permit, key, client);
            let facts = PublisherFacts {
                connected: clock::now(),
                address: Some(client.to_canonical()),
                ..PublisherFacts::default()
            };
            let spec = make_spec(permit, described(facts, source.description()));
            publish_stream(source, spec, supervision, context).instrument(span).await
        }
        Err(error @ KeyError::Unavailable(_)) => defer_source(source, &error).await,
        Err(error) => refuse_source(source, error.metric_label(), Refusal::key(&error)).await,
    }
}

/// Specification of a publisher that begins.
fn make_spec(permit: Permit, facts: PublisherFacts) -> PublishSpec {
    PublishSpec {
        overrides: permit.policy_overrides(),
        stream: permit.stream,
        publisher: Uuid::now_v7().to_string(),
        facts,
        resume: None,
        failures: Failures::default(),
    }
}

/// Facts about a publisher with what its source is described by now.
pub(super) fn described(facts: PublisherFacts, description: SourceDescription) -> PublisherFacts {
    let SourceDescription { protocol, encoder, announced } = description;
    PublisherFacts { protocol: protocol.into(), encoder, announced, ..facts }
}

async fn publish_stream<S: Source>(
    source: &mut S,
    spec: PublishSpec,
    supervision: Supervision,
    context: &Context,
) -> Result<PublisherEnd, SourceError> {
    let _publisher = context.drain.track_publisher();
    match find_server(source, &spec, context).await {
        Ok(assignment) => {
            tracing::Span::current().record("epoch", display(assignment.epoch));
            if let Err(error) = source.accept().await {
                context.router.record_departure(&spec);
                return Err(error);
            }
            tracing::info!(server = %assignment.server, "publishing");
            Publisher::new(source, spec, assignment, supervision, context).run().await
        }
        Err(SearchError::Source(error)) => Err(error),
        Err(SearchError::Routing(error)) => {
            tracing::warn!(%error, "no server takes the publisher");
            refuse_source(source, refusal::metric_label(&error), Refusal::no_server(&error)).await
        }
    }
}

/// Failure to find a server for a publisher.
#[derive(Debug, thiserror::Error)]
enum SearchError {
    /// The encoder has left.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// No server takes the publisher.
    #[error(transparent)]
    Routing(#[from] RoutingError),
}

/// Finds a server for the publisher. Meanwhile the encoder may leave, and the proxy may be stopped.
async fn find_server<S: Source>(
    source: &mut S,
    spec: &PublishSpec,
    context: &Context,
) -> Result<Assignment, SearchError> {
    let found = read_on(source, context, context.router.find_server(spec)).await?;
    Ok(found.unwrap_or(Err(RoutingError::Stopping))?)
}

/// Waits for an answer, and reads on what the encoder sends meanwhile. None when the proxy is stopped first.
async fn read_on<S: Source, T>(
    source: &mut S,
    context: &Context,
    answer: impl Future<Output = T>,
) -> Result<Option<T>, SourceError> {
    let mut answer = pin!(answer);
    let mut ahead = 0;
    loop {
        tokio::select! {
            answer = &mut answer => return Ok(Some(answer)),
            read = source.read(), if ahead < MAX_READ_AHEAD_BYTES => {
                ahead += read?;
                source.process_input().await?;
                if let Some(end) = source.end() {
                    return Err(end);
                }
            }
            () = context.drain.begun() => return Ok(None),
        }
    }
}

/// Puts off a publisher whose key may be a good one.
async fn defer_source<S: Source>(source: &mut S, error: &KeyError) -> Result<PublisherEnd, SourceError> {
    metrics::counter!("headwater_proxy_refused_total", "reason" => error.metric_label()).increment(1);
    if let KeyError::Unavailable(cause) = error {
        tracing::error!(error = %cause, "the directory does not answer, and the copy does not have the key");
    }
    source.defer(&Refusal::key(error)).await?;
    Ok(PublisherEnd::Dismissed)
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
