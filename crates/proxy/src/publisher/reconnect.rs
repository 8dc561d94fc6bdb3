//! Reconnect request: a publisher whose proxy stops is asked to connect again, and may come back elsewhere before it
//! leaves here.
//!
//! Enhanced RTMP v2, § "Reconnect Request": the client sends on up to the next keyframe, connects anew and closes the
//! old connection; it may well connect first. The old server works off the media of the old connection until then.

use headwater_wire::publish::CallEnded;
use tokio::time::timeout;

use crate::refusal::Refusal;
use crate::source::{Source, SourceError, SourceEvent};

use super::Publisher;
use super::end::EndReason;

/// State of the reconnect request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ReconnectState {
    /// The proxy does not stop yet.
    NotAsked,
    /// The publisher was asked, and will follow when it suits it. Its new connection may come before it leaves this one.
    Asked,
    /// The publisher can't be asked.
    Unsupported,
}

impl<S: Source> Publisher<'_, S> {
    /// Asks the publisher to go to another proxy, if it can, and tells the server.
    pub(super) async fn request_reconnect(&mut self) -> Result<(), EndReason> {
        if !self.source.ask_to_leave(&Refusal::stopping().text).await? {
            self.reconnect = ReconnectState::Unsupported;
            return Ok(());
        }
        self.reconnect = ReconnectState::Asked;
        metrics::counter!("headwater_proxy_reconnects_requested_total").increment(1);
        tracing::info!("the publisher was asked to connect again");
        match timeout(self.context.stall_timeout, self.call.announce_leaving()).await {
            Ok(Ok(())) => Ok(()),
            // The next server is told by the replay.
            Ok(Err(CallEnded)) => self.replace_ended_call().await,
            Err(_) => Err(EndReason::stalled()),
        }
    }

    pub(super) fn is_leaving(&self) -> bool {
        self.reconnect == ReconnectState::Asked
    }

    /// Waits until a publisher whose new connection has the stream closes this one. Media that still comes here is
    /// thrown away; an error would only make the encoder think that connecting again has failed.
    pub(super) async fn drain_until_closed(&mut self) -> EndReason {
        tracing::info!("the publisher has connected again");
        loop {
            while let Some(event) = self.source.next_event() {
                if let SourceEvent::Unpublished = event {
                    return EndReason::Unpublished;
                }
            }
            if self.source.end().is_some() {
                return EndReason::SourceEnded(SourceError::Closed);
            }
            let read = async {
                self.read_input().await?;
                self.process_input().await
            };
            if let Err(end) = read.await {
                return end;
            }
        }
    }
}
