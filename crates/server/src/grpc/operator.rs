//! `headwater.v2.Operator`: the requests of operators.

use std::sync::Arc;
use std::time::Duration;

use headwater_media::{StreamId, UnixMillis};
use headwater_runtime::clock;
use headwater_wire::v2;
use headwater_wire::v2::disconnect_response::Disconnected;
use headwater_wire::v2::operator_server::Operator;
use headwater_wire::v2::{
    Broadcast, DescribeBroadcastRequest, DescribeBroadcastResponse, DisconnectRequest, DisconnectResponse,
    DrainRequest, DrainResponse, ListBroadcastsRequest, ListBroadcastsResponse, Load, StatusRequest,
    StatusResponse,
};
use tokio::time::timeout;
use tonic::{Request, Response, Status};

use super::stream_id;
use crate::broadcast::{Broadcasts, OnAir, SourceHealth, dismissed};

/// Longest wait for a proxy that is to end a publisher: operators are told within two seconds.
const CONFIRM_TIME: Duration = Duration::from_secs(2);

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
        call: Request<ListBroadcastsRequest>,
    ) -> Result<Response<ListBroadcastsResponse>, Status> {
        let ListBroadcastsRequest { after, limit, streams } = call.into_inner();
        let mut listed = self.0.list();
        listed.retain(|(stream, _)| {
            stream.as_str() > after.as_str()
                && (streams.is_empty() || streams.iter().any(|wanted| wanted == stream.as_str()))
        });
        listed.sort_by(|(stream, _), (other, _)| stream.as_str().cmp(other.as_str()));
        listed.truncate(if limit == 0 { usize::MAX } else { limit as usize });
        Ok(Response::new(ListBroadcastsResponse { broadcasts: describe_all(&listed) }))
    }

    async fn describe_broadcast(
        &self,
        call: Request<DescribeBroadcastRequest>,
    ) -> Result<Response<DescribeBroadcastResponse>, Status> {
        let stream = stream_id(&call.get_ref().stream)?;
        let on_air = self.find_on_air(&stream)?;
        let now = clock::now();
        let history = on_air.source.health_samples(now).into_iter().map(v2::HealthSample::from).collect();
        let broadcast = Some(describe(&stream, &on_air, now));
        Ok(Response::new(DescribeBroadcastResponse { broadcast, history }))
    }

    async fn disconnect(
        &self,
        call: Request<DisconnectRequest>,
    ) -> Result<Response<DisconnectResponse>, Status> {
        let by = call.remote_addr();
        let DisconnectRequest { stream, reason, blocked } = call.into_inner();
        let stream = stream_id(&stream)?;
        let on_air = self.find_on_air(&stream)?;
        let proxy = on_air.source.newest_publisher().map(|report| report.proxy).unwrap_or_default();
        let Some(ended) = on_air.slot.dismiss_publisher(dismissed(&reason, blocked)) else {
            return Ok(Response::new(DisconnectResponse { disconnected: None }));
        };
        tracing::info!(%stream, ?by, blocked, reason, "asked to disconnect the publisher");
        let confirmed = timeout(CONFIRM_TIME, ended.cancelled()).await.is_ok();
        let disconnected = Some(Disconnected { proxy, confirmed });
        Ok(Response::new(DisconnectResponse { disconnected }))
    }

    async fn drain(&self, call: Request<DrainRequest>) -> Result<Response<DrainResponse>, Status> {
        let broadcasts = describe_all(&self.0.list());
        tracing::info!(by = ?call.remote_addr(), broadcasts = broadcasts.len(), "asked to drain");
        self.0.start_draining();
        Ok(Response::new(DrainResponse { broadcasts }))
    }
}

impl OperatorService {
    fn find_on_air(&self, stream: &StreamId) -> Result<OnAir, Status> {
        self.0.get(stream).ok_or_else(|| Status::not_found(format!("{stream} is not on air here")))
    }
}

fn describe_all(listed: &[(StreamId, OnAir)]) -> Vec<Broadcast> {
    let now = clock::now();
    listed.iter().map(|(stream, on_air)| describe(stream, on_air, now)).collect()
}

fn describe(stream: &StreamId, on_air: &OnAir, now: UnixMillis) -> Broadcast {
    let publisher = on_air.source.newest_publisher().filter(|_| on_air.slot.is_taken());
    let SourceHealth { sample, silent } = on_air.source.current_health(now);
    let rungs = &on_air.feed.policy().ladder.rungs;
    Broadcast {
        stream: stream.to_string(),
        broadcast: headwater_wire::broadcast_bytes(on_air.id),
        epoch: on_air.feed.epoch().0,
        publishing: on_air.slot.is_taken(),
        next_media_sequence: on_air.feed.next_sequence().0,
        publisher: publisher.map(Into::into),
        health: sample.map(Into::into),
        silent_ms: silent.as_millis() as u64,
        settings: Some(on_air.feed.segment_settings().into()),
        top_bitrate: rungs.iter().map(|rung| u64::from(rung.bitrate)).max().unwrap_or_default(),
    }
}
