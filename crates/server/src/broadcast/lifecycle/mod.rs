//! The lifecycle of a broadcast: sessions one after the other, until no publisher has come for the reconnect window.

mod grace;
mod handover;

use std::sync::Arc;
use std::time::Duration;

use headwater_media::{MediaEvent, StreamId};
use headwater_registry::Registry;
use headwater_wire::Channels;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::sync::CancellationToken;

use super::failure::{failed_too_often, just_ended};
use super::session::{Session, SessionEnd};
use super::worker_failures::WorkerFailures;
use super::{Attachment, BroadcastSettings, Home, OnAir};
use crate::admission::Reservation;
use crate::failure::{Code, Failure};
use grace::Grace;
use handover::Awaited;

/// Time for which a broadcast that has ended can still be fetched, so that the last viewers see its last seconds.
const ENDED_LINGER: Duration = Duration::from_secs(10);
/// Time for which a stream is refused whose workers failed too often. It stays this server's for so long: another one would
/// fare no better with it.
const REFUSAL_TIME: Duration = Duration::from_secs(30);
/// Longest time in which the publisher that a broadcast was made for is handed over: it is done at once.
const FIRST_PUBLISHER: Duration = Duration::from_secs(5);

/// The lifecycle of one broadcast: its task on this server.
pub(super) struct Lifecycle {
    pub stream: StreamId,
    pub on_air: OnAir,
    pub settings: BroadcastSettings,
    pub registry: Arc<dyn Registry>,
    pub home: Home,
    /// Channels to the other servers.
    pub channels: Arc<Channels>,
    /// Cancelled when the server stops.
    pub stop: CancellationToken,
    /// Cancelled when another server owns the stream.
    pub fenced: CancellationToken,
}

/// Reason why a broadcast ends here.
enum Ending {
    /// The publisher stayed away, or the server stops and there is no other.
    Over,
    /// The workers failed too often.
    Failed(Failure),
    /// Another server owns the stream now: it goes on there, and viewers are told nothing.
    Fenced,
    /// This server stops, and another one has taken the broadcast.
    Moved,
    /// This server stops or can't start a worker, and there is no other yet. Viewers are not told that it has ended, as a
    /// proxy searches on, and a broadcast that has ended can't go on.
    Released,
}

impl Lifecycle {
    pub(super) async fn run(self, mut queue: mpsc::Receiver<Attachment>, reservation: Reservation) {
        tracing::info!("on air");
        let ending = self.be_on_air(&mut queue, &reservation).await;
        if let Ending::Fenced | Ending::Moved | Ending::Released = ending {
            self.end_recording(false);
        }
        // No worker runs any more.
        drop(reservation);
        match ending {
            Ending::Over => {
                close_queue(&mut queue).await;
                self.end_broadcast().await;
                self.stay_fetchable().await;
            }
            Ending::Failed(failure) => {
                self.show_end();
                self.end_recording(true);
                self.refuse_publishers(&mut queue, &failure).await;
                close_queue(&mut queue).await;
                self.end_broadcast().await;
            }
            Ending::Fenced => {
                tracing::warn!("fenced: another server owns this stream now");
                close_queue(&mut queue).await;
                // A server that has found it by the store alone is unknown to this server's registry.
                self.on_air.lease.end().await;
            }
            Ending::Moved => {
                tracing::info!("moved to another server");
                close_queue(&mut queue).await;
            }
            Ending::Released => {
                tracing::warn!("the broadcast is left to another server, which is still to be found");
                close_queue(&mut queue).await;
                self.on_air.lease.release().await;
            }
        }
    }

    async fn be_on_air(&self, queue: &mut mpsc::Receiver<Attachment>, reservation: &Reservation) -> Ending {
        let grace = Grace::default();
        let mut sessions = std::pin::pin!(self.run_sessions(queue, reservation, &grace));
        tokio::select! {
            ending = &mut sessions => ending,
            () = self.on_air.lease.keep_renewing() => {
                self.fenced.cancel();
                sessions.await
            }
            never = grace.begins_with(&self.stop) => match never {},
        }
    }

    async fn run_sessions(
        &self,
        queue: &mut mpsc::Receiver<Attachment>,
        reservation: &Reservation,
        grace: &Grace,
    ) -> Ending {
        let failures = WorkerFailures::new(self.settings.worker_restarts);
        let session = Session {
            on_air: &self.on_air,
            settings: &self.settings,
            reservation,
            failures: &failures,
            others_may_come: self.registry.is_shared(),
            stop: &self.stop,
            fenced: &self.fenced,
        };
        let mut is_broken_off = false;
        let reconnect_window = self.on_air.feed.policy().reconnect_window;
        let mut until = Instant::now() + reconnect_window.max(FIRST_PUBLISHER);
        while let Some(attachment) = self.next_publisher(queue, until).await {
            self.on_air.lease.ends_at(None);
            let end = session.run(attachment).await;
            until = Instant::now() + reconnect_window;
            self.on_air.lease.ends_at(Some(until));
            is_broken_off = end.is_broken_off();
            let SessionEnd::Failed(cause) = end else { continue };
            if cause.code == Code::Draining {
                let awaited = Awaited::Proxy { told: Instant::now() };
                return self.hand_over(queue, awaited, grace.end(self.settings.grace)).await;
            }
            if cause.code == Code::NoCapacity && self.on_air.feed.count_renditions() == 0 {
                // Nobody is served from here: it is another server's.
                return Ending::Released;
            }
            if cause.code == Code::WorkerFailed
                && let Some(failures) = failures.too_many()
            {
                tracing::error!(failures, "the workers of this broadcast failed too often: it ends");
                return Ending::Failed(failed_too_often(failures, &cause));
            }
        }
        if self.fenced.is_cancelled() {
            return Ending::Fenced;
        }
        if self.stop.is_cancelled() && self.registry.is_shared() {
            let told = Instant::now();
            let awaited = if is_broken_off { Awaited::Proxy { told } } else { Awaited::Publisher { until } };
            return self.hand_over(queue, awaited, grace.end(self.settings.grace)).await;
        }
        Ending::Over
    }

    async fn next_publisher(
        &self,
        queue: &mut mpsc::Receiver<Attachment>,
        until: Instant,
    ) -> Option<Attachment> {
        tokio::select! {
            biased;
            () = self.stop.cancelled() => None,
            () = self.fenced.cancelled() => None,
            next = timeout_at(until, queue.recv()) => next.ok().flatten(),
        }
    }

    /// Keeps the stream for a while, and tells publishers that come why it is refused.
    async fn refuse_publishers(&self, queue: &mut mpsc::Receiver<Attachment>, failure: &Failure) {
        let refuse_all = async {
            while let Some(Attachment { publisher, responses, .. }) = queue.recv().await {
                drop(publisher);
                responses.reject(failure.clone()).await;
            }
        };
        tokio::select! {
            _ = timeout(REFUSAL_TIME, refuse_all) => {}
            () = self.on_air.lease.keep_renewing() => {}
            () = self.stop.cancelled() => {}
        }
    }

    async fn end_broadcast(&self) {
        self.show_end();
        self.end_recording(true);
        self.on_air.lease.end().await;
        tracing::info!("off air");
    }

    fn show_end(&self) {
        if let Err(error) = self.on_air.publish_event(MediaEvent::BroadcastEnd) {
            tracing::error!(%error, "the end of the broadcast was refused by its window");
        }
    }

    /// Closes the recorder. `is_over` says that the broadcast has ended, here and elsewhere.
    fn end_recording(&self, is_over: bool) {
        if let Some(recorder) = &self.on_air.recorder {
            recorder.close(is_over);
        }
    }

    async fn stay_fetchable(&self) {
        tokio::select! {
            () = tokio::time::sleep(ENDED_LINGER) => {}
            () = self.stop.cancelled() => {}
        }
    }
}

/// Takes no further publisher. A publisher that came in the last moment may claim the stream anew.
async fn close_queue(queue: &mut mpsc::Receiver<Attachment>) {
    queue.close();
    while let Some(Attachment { responses, .. }) = queue.recv().await {
        responses.reject(just_ended()).await;
    }
}
