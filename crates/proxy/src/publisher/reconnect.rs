//! A publisher whose proxy stops: it is asked to connect again, and may come back elsewhere before it leaves here.
//!
//! Enhanced RTMP v2, § "Reconnect Request": the client sends on up to the next keyframe, connects anew and closes the old
//! connection; it may well do the second before the first. The old server goes on with what it is sent until then.

use headwater_wire::publish::CallOver;
use tokio::time::timeout;

use crate::refusal::Refusal;
use crate::source::{Source, SourceError, SourceEvent};

use super::Publisher;
use super::end::Stop;

/// What the publisher was told of the proxy's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Notice {
    /// There is nothing to tell yet.
    None,
    /// It was asked to connect again, and will do so when it suits it. Its successor may come before it leaves.
    Asked,
    /// It can't be asked.
    Unable,
}

impl<S: Source> Publisher<'_, S> {
    /// The proxy stops: a publisher that can is asked to go to another one.
    pub(super) async fn give_notice(&mut self) -> Result<(), Stop> {
        if !self.source.ask_to_leave(&Refusal::stopping().text).await? {
            self.notice = Notice::Unable;
            return Ok(());
        }
        self.notice = Notice::Asked;
        metrics::counter!("headwater_proxy_reconnects_requested_total").increment(1);
        tracing::info!("the publisher was asked to connect again");
        match timeout(self.edge.stall_timeout, self.uplink.leaving()).await {
            Ok(Ok(())) => Ok(()),
            // The next server is told by the replay.
            Ok(Err(CallOver)) => self.call_over().await,
            Err(_) => Err(Stop::stalled()),
        }
    }

    pub(super) fn is_leaving(&self) -> bool {
        self.notice == Notice::Asked
    }

    /// Waits until a publisher whose successor has the stream closes its connection. What it still sends is for nobody;
    /// an error would only make it think that connecting again has failed.
    pub(super) async fn see_off(&mut self) -> Stop {
        tracing::info!("the publisher has connected again");
        loop {
            while let Some(event) = self.source.next_event() {
                if let SourceEvent::Unpublished = event {
                    return Stop::Unpublished;
                }
            }
            if self.source.end().is_some() {
                return Stop::Source(SourceError::Closed);
            }
            let read = async {
                self.read().await?;
                self.take_in().await
            };
            if let Err(stop) = read.await {
                return stop;
            }
        }
    }
}
