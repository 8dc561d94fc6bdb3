//! The handover of a broadcast whose server stops to another server. If a publisher is connected, its proxy finds that server.
//! If the broadcast waits for its publisher, this server asks another one to wait in its stead, as no other process knows the
//! resume point.

use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use headwater_media::Epoch;
use headwater_media::broadcast::PolicyOverrides;
use headwater_registry::{Claim, Ownership, RegistryError, ServerRecord};
use headwater_wire::publish::{self, Ground, Opening, PublishCall, PublishError};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::{Ending, Lifecycle};
use crate::broadcast::failure::server_draining;
use crate::broadcast::{Attachment, Progress, Response};

/// Longest time in which a proxy moves a broadcast to another server, or comes back after its call broke. It does
/// so as soon as it can; a proxy that has not is gone.
const PROXY_LIMIT: Duration = Duration::from_secs(10);
/// Longest time in which a server takes the broadcast: it starts a worker first, which is done in a second even on a busy machine.
const TAKE_LIMIT: Duration = Duration::from_secs(5);
/// Time until the servers are looked at again when none has taken the broadcast.
const RECHECK_INTERVAL: Duration = Duration::from_millis(500);

/// The party that brings the broadcast to another server.
#[derive(Clone, Copy)]
pub(super) enum Awaited {
    /// The proxy of its publisher, which was told to at this time.
    Proxy { told: Instant },
    /// This server itself, as its publisher is away, and may be until then.
    Publisher { until: Instant },
}

impl Lifecycle {
    /// Stays until another server has the broadcast: viewers are served from here until then. A publisher that comes is told
    /// where to go on. `end` is when this server has to have ended.
    pub(super) async fn hand_over(
        &self,
        queue: &mut mpsc::Receiver<Attachment>,
        mut awaited: Awaited,
        end: Instant,
    ) -> Ending {
        let search = HandOver::new(self);
        let patience = if let Awaited::Proxy { .. } = awaited { PROXY_LIMIT } else { Duration::ZERO };
        let mut given = pin!(async {
            self.leave_to_proxy(patience).await;
            search.run().await;
        });
        let mut taken = pin!(async {
            self.taken_over().await;
            search.has_not_claimed().await;
        });
        loop {
            let until = end.min(match awaited {
                Awaited::Proxy { told } => told + PROXY_LIMIT + TAKE_LIMIT,
                Awaited::Publisher { until } => until,
            });
            tokio::select! {
                () = &mut given => return Ending::Moved,
                () = &mut taken => return Ending::Moved,
                Some(attachment) = queue.recv() => {
                    self.redirect_publisher(attachment).await;
                    awaited = Awaited::Proxy { told: Instant::now() };
                }
                () = sleep_until(until) => return match awaited {
                    Awaited::Proxy { .. } => Ending::Released,
                    Awaited::Publisher { .. } => Ending::Over,
                },
            }
        }
    }

    /// Tells a publisher the point at which it goes on elsewhere. An interrupted publisher knows it.
    async fn redirect_publisher(&self, Attachment { resume, responses, .. }: Attachment) {
        if resume.is_none() {
            let feed = &self.on_air.feed;
            let resume = feed.starting_point();
            responses.say(Response::Accepted(Progress { resume, epoch: Some(feed.epoch()) }));
        }
        responses.reject(server_draining()).await;
    }

    /// Waits until a proxy has had the registry for so long: without it, nobody can move the broadcast, and as soon as it is
    /// back the proxy should do so, which knows where its publisher goes on.
    async fn leave_to_proxy(&self, patience: Duration) {
        let mut since = Instant::now();
        while since.elapsed() < patience {
            sleep(RECHECK_INTERVAL).await;
            if self.registry.owner(&self.stream).await.is_err() {
                since = Instant::now();
            }
        }
    }

    /// Waits until another server has claimed the stream.
    async fn taken_over(&self) {
        let mut watch = self.registry.watch();
        loop {
            let owner = self.registry.owner(&self.stream).await;
            if self.fenced.is_cancelled()
                || owner.is_ok_and(|owner| owner.is_some_and(|owner| self.is_next(&owner)))
            {
                return;
            }
            // Looked at anew with every change, and now and then in case one was missed.
            let _ = timeout(RECHECK_INTERVAL, watch.next()).await;
        }
    }

    /// Whether this owner has the stream after this server: one with a lower epoch had it before, and is heard where the
    /// registry has lost everything.
    fn is_next(&self, owner: &Ownership) -> bool {
        owner.server != self.home.server && owner.epoch > self.on_air.feed.epoch()
    }
}

/// The search of this server for another one.
struct HandOver<'a> {
    life: &'a Lifecycle,
    /// Whether the stream was taken from this server, by itself.
    claimed: AtomicBool,
}

/// Reason why a server has not taken the broadcast.
#[derive(Debug, thiserror::Error)]
enum NotTaken {
    #[error(transparent)]
    Registry(#[from] RegistryError),
    #[error("its address is none: {0}")]
    Address(#[from] tonic::transport::Error),
    #[error(transparent)]
    Call(#[from] PublishError),
    #[error("the stream was claimed anew")]
    Contended,
}

impl<'a> HandOver<'a> {
    fn new(life: &'a Lifecycle) -> Self {
        Self { life, claimed: AtomicBool::new(false) }
    }

    /// Never returns when this server has given the stream up by itself: the new owner is still to be told then.
    async fn has_not_claimed(&self) {
        if self.claimed.load(Ordering::Relaxed) {
            std::future::pending().await
        }
    }

    /// Goes on until another server has the broadcast.
    async fn run(&self) {
        let mut epoch = self.life.on_air.feed.epoch();
        loop {
            for server in self.find_servers().await {
                match self.offer_broadcast(&server, &mut epoch).await {
                    Ok(()) => {
                        return tracing::info!(server = %server.id, "another server waits for the publisher");
                    }
                    Err(error) => tracing::warn!(server = %server.id, %error, "the broadcast is not taken"),
                }
            }
            sleep(RECHECK_INTERVAL).await;
        }
    }

    /// The servers that may take it, the freest first.
    async fn find_servers(&self) -> Vec<ServerRecord> {
        let mut servers = self.life.registry.servers().await.unwrap_or_default();
        servers.retain(|server| {
            server.id != self.life.home.server && !server.draining && server.capacity_millicores > 0
        });
        servers
            .sort_by_key(|server| i64::from(server.used_millicores) - i64::from(server.capacity_millicores));
        servers
    }

    /// Gives it to this server, as a proxy would whose publisher leaves at once. `epoch` is the one to take over from.
    async fn offer_broadcast(&self, server: &ServerRecord, epoch: &mut Epoch) -> Result<(), NotTaken> {
        *epoch = match self.claim_for(server, *epoch).await? {
            Claim::Granted(ownership) => ownership.epoch,
            // The publisher is back, and was brought here: it is told where to go.
            Claim::Held(ownership) if ownership.server == self.life.home.server => {
                *epoch = ownership.epoch;
                return Err(NotTaken::Contended);
            }
            Claim::Passed(aired) if aired == self.life.on_air.feed.epoch() => {
                *epoch = aired;
                return Err(NotTaken::Contended);
            }
            // A proxy was quicker: the publisher is back elsewhere.
            Claim::Held(_) | Claim::Passed(_) => return Ok(()),
        };
        let call = self.open_call(server, *epoch).await?;
        // Until it has heard that; it has the broadcast in any case.
        let _ = call.finish("waits for its publisher: its server is stopping", TAKE_LIMIT).await;
        Ok(())
    }

    async fn claim_for(&self, server: &ServerRecord, epoch: Epoch) -> Result<Claim, RegistryError> {
        self.claimed.store(true, Ordering::Relaxed);
        self.life.registry.claim(&self.life.stream, &server.id, &server.address, Some(epoch)).await
    }

    /// Opens a call at the point where the next publisher begins.
    async fn open_call(&self, server: &ServerRecord, epoch: Epoch) -> Result<PublishCall, NotTaken> {
        let opening = Opening {
            stream: self.life.stream.clone(),
            epoch,
            ground: Ground::Registry,
            // Its proxy may have been told where it goes on, and be late.
            publisher: self
                .life
                .on_air
                .slot
                .newest_publisher()
                .unwrap_or_else(|| self.life.home.server.as_str().into())
                .to_string(),
            resume: Some(self.life.on_air.feed.starting_point()),
            failures: 0,
            facts: None,
            // The resume point has the policy.
            overrides: PolicyOverrides::default(),
        };
        let channel = self.life.channels.dedicated(&server.address)?;
        let publish::Accepted { call, .. } = PublishCall::open(channel, opening, TAKE_LIMIT).await?;
        Ok(call)
    }
}
