//! `headwater.v2.Operator`: the requests of operators.

use std::sync::Arc;

use headwater_media::StreamId;
use headwater_wire::v2::operator_server::Operator;
use headwater_wire::v2::{
    Broadcast, DrainRequest, DrainResponse, ListBroadcastsRequest, ListBroadcastsResponse, Load,
    StatusRequest, StatusResponse,
};
use tonic::{Request, Response, Status};

use crate::broadcast::{Broadcasts, OnAir};

pub(crate) struct OperatorService(pub Arc<Broadcasts>);

#[tonic::async_trait]
impl Operator for OperatorService {
    async fn status(&self, _: Request<StatusRequest>) -> Result<Response<StatusResponse>, Status> {
        let load = self.0.admission.load();
        let load = Load {
            capacity_millicores: load.capacity_millicores,
            used_millicores: load.used_millicores,
            broadcasts: load.broadcasts,
        };
        let version = env!("CARGO_PKG_VERSION").into();
        Ok(Response::new(StatusResponse { version, load: Some(load) }))
    }

    async fn list_broadcasts(
        &self,
        _: Request<ListBroadcastsRequest>,
    ) -> Result<Response<ListBroadcastsResponse>, Status> {
        Ok(Response::new(ListBroadcastsResponse { broadcasts: self.broadcasts() }))
    }

    async fn drain(&self, call: Request<DrainRequest>) -> Result<Response<DrainResponse>, Status> {
        let broadcasts = self.broadcasts();
        tracing::info!(by = ?call.remote_addr(), broadcasts = broadcasts.len(), "asked to drain");
        self.0.start_draining();
        Ok(Response::new(DrainResponse { broadcasts }))
    }
}

impl OperatorService {
    fn broadcasts(&self) -> Vec<Broadcast> {
        self.0.list().into_iter().map(|(stream, on_air)| describe(&stream, &on_air)).collect()
    }
}

fn describe(stream: &StreamId, on_air: &OnAir) -> Broadcast {
    Broadcast {
        stream: stream.to_string(),
        broadcast: headwater_wire::broadcast_bytes(on_air.id),
        epoch: on_air.feed.epoch().0,
        publishing: on_air.slot.is_taken(),
        next_media_sequence: on_air.feed.next_sequence().0,
    }
}
