//! A publisher whose proxy stops: it is asked to connect again, and may come back elsewhere before it leaves here.
//!
//! Enhanced RTMP v2, § "Reconnect Request": the client sends on up to the next keyframe, connects anew and closes the old
//! connection; it may well do the second before the first. The old server goes on with what it is sent until then.

use headwater_wire::publish::CallEnded;
use tokio::time::timeout;

use crate::refusal::Refusal;
use crate::source::{Source, SourceError, SourceEvent};

use super::Publisher;
use super::end::EndReason;

/// What the publisher was told of the proxy's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ReconnectState {
    /// There is nothing to tell yet.
    NotAsked,
    /// It was asked to connect again, and will do so when it suits it. Its successor may come before it leaves.
    Asked,
    /// It can't be asked.
    Unsupported,
}

impl<S: Source> Publisher<'_, S> {
    /// The proxy stops: a publisher that can is asked to go to another one.
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

    /// Waits until a publisher whose successor has the stream closes its connection. What it still sends is for nobody;
    /// an error would only make it think that connecting again has failed.
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
