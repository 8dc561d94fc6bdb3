//! The life of a broadcast: sessions one after the other, until no publisher has come for the reconnect window.

use std::sync::Arc;
use std::time::Duration;

use headwater_hls::MediaEvent;
use headwater_media::StreamId;
use headwater_registry::{Ownership, Registry, RegistryError};
use headwater_wire::v1::failure::Code;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::session::{Session, SessionEnd};
use super::{Attachment, Home, OnAir, Settings};
use crate::admission::Reservation;

/// How long a broadcast that has ended can still be fetched, so that the last viewers see its last seconds.
const ENDED_LINGER: Duration = Duration::from_secs(10);

pub(super) struct Life {
    pub stream: StreamId,
    pub on_air: OnAir,
    pub settings: Settings,
    pub registry: Arc<dyn Registry>,
    pub home: Home,
    pub stop: CancellationToken,
    pub reservation: Reservation,
}

/// Why a broadcast ends.
enum Ending {
    /// The publisher stayed away, the worker failed too often, or the server stops: viewers are told.
    Over,
    /// Another server owns the stream now: it goes on there.
    Fenced,
}

impl Life {
    pub(super) async fn run(self, mut queue: mpsc::Receiver<Attachment>) {
        tracing::info!("on air");
        let ending = tokio::select! {
            () = self.sessions(&mut queue) => Ending::Over,
            () = self.keep_lease() => Ending::Fenced,
        };
        queue.close();
        match ending {
            Ending::Over => self.end().await,
            Ending::Fenced => tracing::warn!("fenced: another server owns this stream now"),
        }
    }

    async fn sessions(&self, queue: &mut mpsc::Receiver<Attachment>) {
        let mut failures = 0;
        while let Some(attachment) = self.next_publisher(queue).await {
            let publisher = attachment.publisher.clone();
            let session = Session {
                on_air: &self.on_air,
                settings: &self.settings,
                reservation: &self.reservation,
                stop: &self.stop,
            };
            let end = session.run(attachment).await;
            self.on_air.leave(&publisher);
            if let SessionEnd::Failed(failure) = end {
                failures += u32::from(failure.code() == Code::WorkerFailed);
                if failures > self.settings.worker_restarts {
                    tracing::error!(failures, "the workers of this broadcast failed too often: it ends");
                    return;
                }
            }
        }
    }

    async fn next_publisher(&self, queue: &mut mpsc::Receiver<Attachment>) -> Option<Attachment> {
        tokio::select! {
            next = tokio::time::timeout(self.settings.reconnect_window, queue.recv()) => next.ok().flatten(),
            () = self.stop.cancelled() => None,
        }
    }

    /// Renews the lease three times in its length; returns when another server has taken the stream.
    async fn keep_lease(&self) {
        let ownership = Ownership {
            server: self.home.server.clone(),
            address: self.home.address.clone(),
            epoch: self.on_air.epoch,
            broadcast: Some(self.on_air.id),
        };
        let mut tick = tokio::time::interval(self.settings.lease / 3);
        loop {
            tick.tick().await;
            match self.registry.renew(&self.stream, &ownership).await {
                Ok(()) => {}
                Err(RegistryError::Fenced { .. }) => return,
                // What is live stays live without the registry.
                Err(error) => tracing::warn!(%error, "the lease could not be renewed"),
            }
        }
    }

    async fn end(&self) {
        if let Err(error) = self.on_air.feed.publish(MediaEvent::BroadcastEnd) {
            tracing::error!(%error, "the end of the broadcast was refused by its window");
        }
        if let Err(error) = self.registry.release(&self.stream, self.on_air.epoch).await {
            tracing::warn!(%error, "the lease could not be given back; it expires by itself");
        }
        tracing::info!("off air");
        tokio::select! {
            () = tokio::time::sleep(ENDED_LINGER) => {}
            () = self.stop.cancelled() => {}
        }
    }
}
