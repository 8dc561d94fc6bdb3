//! The gRPC services. Messages are checked here; what they mean is decided in [`crate::broadcast`].

mod delivery;
mod ingest;
mod messages;
mod operator;

use std::sync::Arc;

use headwater_media::StreamId;
use headwater_wire::frames::MESSAGE_LIMIT;
use headwater_wire::v2::delivery_server::DeliveryServer;
use headwater_wire::v2::ingest_server::IngestServer;
use headwater_wire::v2::operator_server::OperatorServer;
use headwater_wire::{ClusterSecrets, http2};
use tonic::Status;
use tonic::transport::server::Router;

use crate::broadcast::Broadcasts;
use delivery::DeliveryService;
use ingest::IngestService;
use operator::OperatorService;

/// All services of a server, for callers that know one of the secrets.
pub(crate) fn services(broadcasts: &Arc<Broadcasts>, secrets: &ClusterSecrets) -> Router<http2::Layers> {
    let ingest =
        IngestServer::new(IngestService(broadcasts.clone())).max_decoding_message_size(MESSAGE_LIMIT);
    http2::server(secrets)
        .add_service(ingest)
        .add_service(DeliveryServer::new(DeliveryService(broadcasts.clone())))
        .add_service(OperatorServer::new(OperatorService(broadcasts.clone())))
}

fn stream_id(text: &str) -> Result<StreamId, Status> {
    text.parse().map_err(|error| Status::invalid_argument(format!("the field `stream` is wrong: {error}")))
}
