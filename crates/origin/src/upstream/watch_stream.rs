//! The stream of a `Watch` call: the opening, then event after event.

use std::time::Duration;

use headwater_hls::WindowError;
use headwater_media::{Opening, StreamId};
use headwater_wire::v2::delivery_client::DeliveryClient;
use headwater_wire::{ConvertError, ServiceChannel, WatchMessage, v2};
use tokio::time::timeout;
use tonic::{Code, Status, Streaming};

use crate::metrics::Present;

/// A server that has the stream answers at once; connecting may take a second.
const OPENING_LIMIT: Duration = Duration::from_secs(3);

pub(crate) struct WatchStream {
    pub(crate) opening: Opening,
    messages: Streaming<v2::MediaEvent>,
    _counted: Present,
}

/// Why a stream can't be watched, or not any longer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WatchError {
    #[error("the server does not have the stream on air")]
    NotOnAir,
    #[error("{0:?} is not the address of a server")]
    Address(String),
    #[error("the server did not answer in time")]
    Silent,
    #[error("the server ended the watch before the broadcast ended")]
    CutOff,
    #[error("the server's answer is {}: {}", .0.code(), .0.message())]
    Status(Box<Status>),
    #[error("the server sent something wrong: {0}")]
    Message(#[from] ConvertError),
    #[error("the server sent an opening where an event should be, or the reverse")]
    Order,
    #[error("what the server sent does not fit the window: {0}")]
    Window(#[from] WindowError),
}

impl From<Status> for WatchError {
    fn from(status: Status) -> Self {
        match status.code() {
            Code::NotFound => Self::NotOnAir,
            _ => Self::Status(Box::new(status)),
        }
    }
}

impl WatchStream {
    pub(super) async fn open(
        mut client: DeliveryClient<ServiceChannel>,
        stream: &StreamId,
        counted: Present,
    ) -> Result<Self, WatchError> {
        let request = v2::WatchRequest { stream: stream.to_string() };
        let opened = async {
            let mut messages = client.watch(request).await?.into_inner();
            match read(&mut messages).await? {
                WatchMessage::Opening(opening) => Ok(Self { opening, messages, _counted: counted }),
                _ => Err(WatchError::Order),
            }
        };
        timeout(OPENING_LIMIT, opened).await.unwrap_or(Err(WatchError::Silent))
    }

    /// The next message, never an opening. Can be cancelled without losing anything.
    pub(crate) async fn next(&mut self) -> Result<WatchMessage, WatchError> {
        match read(&mut self.messages).await? {
            WatchMessage::Opening(_) => Err(WatchError::Order),
            message => Ok(message),
        }
    }
}

async fn read(messages: &mut Streaming<v2::MediaEvent>) -> Result<WatchMessage, WatchError> {
    let message = messages.message().await?.ok_or(WatchError::CutOff)?;
    Ok(message.try_into()?)
}
