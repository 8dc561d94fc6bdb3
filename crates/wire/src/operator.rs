//! Client of `Operator`: asks a server about its broadcasts.

use std::time::Duration;

use headwater_media::StreamId;
use headwater_media::broadcast::BroadcastReport;
use headwater_media::stats::HealthSample;
use tokio::time::timeout;
use tonic::transport::Error;
use tonic::{Code, Status};

use crate::v2::operator_client::OperatorClient;
use crate::v2::{
    DescribeBroadcastRequest, DescribeBroadcastResponse, DisconnectRequest, ListBroadcastsRequest,
};
use crate::{Channels, ConvertError, ServiceChannel};

/// Longest time for an answer. A server that lives answers in milliseconds; connecting to one whose host is gone would take
/// far longer.
const ANSWER_TIME: Duration = Duration::from_secs(1);

/// Longest time until a publisher is disconnected: a server waits for its proxy for two seconds.
const DISCONNECT_TIME: Duration = Duration::from_secs(3);

/// Reason why a server has not answered.
#[derive(Debug, thiserror::Error)]
pub enum OperatorError {
    #[error("the address can't be used: {0}")]
    Address(#[from] Error),
    #[error("the server can't be asked: {0}")]
    Status(#[from] Status),
    #[error("the server did not answer in time")]
    Timeout,
    #[error("the server's answer can't be read: {0}")]
    Unreadable(#[from] ConvertError),
}

/// Broadcasts that a server is asked about.
#[derive(Clone, Debug, Default)]
pub struct BroadcastQuery {
    /// Only broadcasts of streams behind this one.
    pub after: Option<StreamId>,
    /// Number of broadcasts at most; 0 for all.
    pub limit: usize,
    /// Only broadcasts of these streams; empty for all.
    pub streams: Vec<StreamId>,
}

/// Broadcast with the history of its publisher's health.
#[derive(Clone, Debug, PartialEq)]
pub struct BroadcastHistory {
    pub report: BroadcastReport,
    /// Samples of the last hour, oldest first.
    pub samples: Vec<HealthSample>,
}

/// Publisher that was disconnected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disconnected {
    /// Address of its proxy, as the server sees it.
    pub proxy: String,
    /// Whether the proxy has ended it by now.
    pub confirmed: bool,
}

/// Client of one server.
pub struct Operator(OperatorClient<ServiceChannel>);

impl Operator {
    /// Client of the server at this address.
    ///
    /// # Errors
    /// When `address` is no host and port.
    pub fn new(channels: &Channels, address: &str) -> Result<Self, OperatorError> {
        Ok(Self(OperatorClient::new(channels.to(address)?)))
    }

    /// Broadcasts on air at the server, in the order of their streams.
    ///
    /// # Errors
    /// When the server does not answer, or not in words that can be read.
    pub async fn list_broadcasts(
        &mut self,
        query: BroadcastQuery,
    ) -> Result<Vec<BroadcastReport>, OperatorError> {
        let request = ListBroadcastsRequest {
            after: query.after.as_ref().map(ToString::to_string).unwrap_or_default(),
            limit: query.limit.try_into().unwrap_or(u32::MAX),
            streams: query.streams.iter().map(ToString::to_string).collect(),
        };
        let answer = wait_for_answer(ANSWER_TIME, self.0.list_broadcasts(request)).await?;
        let reports =
            answer.broadcasts.into_iter().map(BroadcastReport::try_from).collect::<Result<_, _>>()?;
        Ok(select_reports(reports, &query))
    }

    /// Broadcast of a stream with its history; none where the server does not have it on air.
    ///
    /// # Errors
    /// As [`list_broadcasts`](Self::list_broadcasts).
    pub async fn describe_broadcast(
        &mut self,
        stream: &StreamId,
    ) -> Result<Option<BroadcastHistory>, OperatorError> {
        let request = DescribeBroadcastRequest { stream: stream.to_string() };
        let DescribeBroadcastResponse { broadcast, history } =
            match wait_for_answer(ANSWER_TIME, self.0.describe_broadcast(request)).await {
                Err(OperatorError::Status(status)) if status.code() == Code::NotFound => return Ok(None),
                answer => answer?,
            };
        let report = broadcast.ok_or(ConvertError::Missing("broadcast"))?.try_into()?;
        let samples = history.into_iter().map(HealthSample::try_from).collect::<Result<_, _>>()?;
        Ok(Some(BroadcastHistory { report, samples }))
    }

    /// Ends the publication of a stream, for a reason in words; `blocked` says that its live input is blocked. None where no
    /// publisher is connected there.
    ///
    /// # Errors
    /// As [`list_broadcasts`](Self::list_broadcasts).
    pub async fn disconnect(
        &mut self,
        stream: &StreamId,
        reason: &str,
        blocked: bool,
    ) -> Result<Option<Disconnected>, OperatorError> {
        let request = DisconnectRequest { stream: stream.to_string(), reason: reason.into(), blocked };
        match wait_for_answer(DISCONNECT_TIME, self.0.disconnect(request)).await {
            Err(OperatorError::Status(status)) if status.code() == Code::NotFound => Ok(None),
            answer => Ok(answer?
                .disconnected
                .map(|told| Disconnected { proxy: told.proxy, confirmed: told.confirmed })),
        }
    }
}

/// Reports that a query asks for: a server of an earlier release gives all that it has.
fn select_reports(mut reports: Vec<BroadcastReport>, query: &BroadcastQuery) -> Vec<BroadcastReport> {
    let after = query.after.as_ref().map_or("", |after| after.as_str());
    reports.retain(|report| {
        report.stream.as_str() > after && (query.streams.is_empty() || query.streams.contains(&report.stream))
    });
    reports.sort_by(|report, other| report.stream.as_str().cmp(other.stream.as_str()));
    reports.truncate(if query.limit == 0 { usize::MAX } else { query.limit });
    reports
}

async fn wait_for_answer<T>(
    limit: Duration,
    call: impl Future<Output = Result<tonic::Response<T>, Status>>,
) -> Result<T, OperatorError> {
    let answer = timeout(limit, call).await.map_err(|_| OperatorError::Timeout)?;
    Ok(answer?.into_inner())
}
