//! The gRPC services. Messages are checked here; what they mean is decided in [`crate::broadcast`].

mod delivery;
mod ingest;
mod operator;

pub(crate) use delivery::DeliveryService;
pub(crate) use ingest::IngestService;
pub(crate) use operator::OperatorService;

use headwater_media::StreamId;
use tonic::Status;

fn stream_id(text: &str) -> Result<StreamId, Status> {
    text.parse().map_err(|error| Status::invalid_argument(format!("the field `stream` is wrong: {error}")))
}
