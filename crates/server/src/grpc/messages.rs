//! Messages of the Publish call, as they go over the wire and as the broadcasts have them. A message of a proxy is checked here.

use headwater_media::{Period, PublisherFacts, TimelineEvent};
use headwater_wire::v2::publish_request::{End, Ground, Message as WireRequest};
use headwater_wire::v2::publish_response::{Accepted, Committed, Message as WireResponse};
use headwater_wire::v2::{self, PublishRequest, PublishResponse, failure::Code as WireCode};
use headwater_wire::{ConvertError, tag_of};
use tokio_stream::StreamExt as _;
use tonic::Streaming;

use crate::broadcast::{EpochSource, Progress, Request, Requests, Response};
use crate::failure::{Code, Failure};

/// The messages that follow the first one of a call.
pub(super) fn check_requests(call: Streaming<PublishRequest>) -> Requests {
    let mut period = None;
    let checked = call.map_while(move |request| match request {
        Ok(request) => Some(check_request(request, &mut period)),
        Err(status) => {
            tracing::info!(%status, "the publisher's proxy is gone");
            None
        }
    });
    Box::pin(checked)
}

/// `current` is the period that tags belong to.
fn check_request(request: PublishRequest, current: &mut Option<Period>) -> Result<Request, ConvertError> {
    Ok(match request.message {
        Some(WireRequest::Period(period)) => {
            Request::Media(TimelineEvent::Period(current.insert(period.try_into()?).clone()))
        }
        Some(WireRequest::Tag(tag)) => {
            let period = current.as_ref().ok_or(ConvertError::Missing("period"))?;
            Request::Media(TimelineEvent::Tag(tag_of(period, tag)?))
        }
        Some(WireRequest::End(End { reason })) => Request::End { reason },
        Some(WireRequest::Leaving(_)) => Request::Leaving,
        Some(WireRequest::Facts(facts)) => {
            PublisherFacts::try_from(facts).map_or(Request::Unknown, Request::Facts)
        }
        Some(WireRequest::Open(_)) => {
            let reason = "a call is opened once".into();
            return Err(ConvertError::Invalid { field: "open", reason });
        }
        None => Request::Unknown,
    })
}

impl From<Ground> for EpochSource {
    fn from(ground: Ground) -> Self {
        match ground {
            Ground::Registry => Self::Registry,
            Ground::OnAir => Self::OnAir,
            Ground::Memory => Self::Memory,
        }
    }
}

impl From<Response> for PublishResponse {
    fn from(response: Response) -> Self {
        let message = match response {
            Response::Accepted(Progress { resume, epoch }) => {
                let epoch = epoch.map(|epoch| epoch.0);
                WireResponse::Accepted(Accepted { resume: Some(resume.into()), epoch })
            }
            Response::Committed(Progress { resume, epoch }) => {
                let epoch = epoch.map(|epoch| epoch.0);
                WireResponse::Committed(Committed { resume: Some(resume.into()), epoch })
            }
            Response::Stats(stats) => WireResponse::Stats(stats.into()),
            Response::Rejected(failure) => WireResponse::Rejected(failure.into()),
        };
        Self { message: Some(message) }
    }
}

impl From<Failure> for v2::Failure {
    fn from(Failure { code, message }: Failure) -> Self {
        let code = match code {
            Code::NoCapacity => WireCode::NoCapacity,
            Code::StreamInUse => WireCode::StreamInUse,
            Code::Fenced => WireCode::Fenced,
            Code::UnsupportedMedia => WireCode::UnsupportedMedia,
            Code::WorkerFailed => WireCode::WorkerFailed,
            Code::Draining => WireCode::Draining,
            Code::Overloaded => WireCode::Overloaded,
            Code::Protocol => WireCode::Protocol,
            Code::CannotResume => WireCode::CannotResume,
            Code::PeriodDiffers => WireCode::PeriodDiffers,
            Code::Disconnected => WireCode::Disconnected,
            Code::Blocked => WireCode::Blocked,
        };
        Self { code: code.into(), message }
    }
}
