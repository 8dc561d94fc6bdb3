//! The lease of a stream on the server that has the broadcast: renewed, with a turn for each publisher, and given up.

use std::sync::Arc;
use std::time::Duration;

use headwater_media::{BroadcastId, StreamId};
use headwater_registry::{Claim, Ownership, Registry, RegistryError};
use headwater_runtime::outage::Outage;
use tokio::sync::{Mutex, Notify};
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::failure::just_ended;
use super::handoff::{self, HandoffSource};
use super::{Home, LiveFeed};
use crate::failure::Failure;
use crate::recording::JournalHandoff as _;

/// Renewals in the length of a lease.
const RENEWALS_PER_LEASE: u32 = 3;

/// The lease of one broadcast.
pub(crate) struct Lease {
    pub(super) registry: Arc<dyn Registry>,
    pub(super) home: Home,
    pub(super) stream: StreamId,
    pub(super) broadcast: BroadcastId,
    /// Feed of the broadcast, which has the epoch.
    pub(super) feed: Arc<LiveFeed>,
    pub(super) length: Duration,
    /// Handoff that stands with the lease.
    pub(super) handoffs: Arc<HandoffSource>,
    /// Held while the registry is asked: of two answers, the one about the older epoch would be taken for the last word.
    pub(super) standing: Mutex<Standing>,
    /// Wakes the renewal before it is due, as the registry has to be told something.
    pub(super) changed: Notify,
}

/// Knowledge of the registry about the broadcast.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// The epoch is the registry's own.
    Given,
    /// A publisher has come while the registry did not answer: its turn has no epoch of its own yet.
    TurnDue,
    /// The broadcast has begun while the registry did not answer: the stream is not claimed for it yet. A publisher that
    /// goes on under its own turn does not take the stream from one that came after it.
    Unclaimed { goes_on: bool },
}

impl Lease {
    /// Renews the lease; returns when the stream is another server's.
    pub(super) async fn keep_renewing(&self) {
        let mut tick = interval(self.length / RENEWALS_PER_LEASE);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut outage = Outage::default();
        loop {
            tokio::select! {
                _ = tick.tick() => {}
                () = self.changed.notified() => {}
            }
            match self.update_registry().await {
                Ok(()) if outage.ends() => tracing::info!("the lease is renewed again"),
                Ok(()) => {}
                Err(RegistryError::Fenced { .. }) => return,
                // A live broadcast stays live without the registry.
                Err(error) if outage.begins() => {
                    tracing::warn!(%error, "the lease can't be renewed; trying until it can");
                }
                Err(_) => {}
            }
        }
    }

    /// Gives the publisher that has come a turn with an epoch of its own: the publisher before it can't claim the stream
    /// any more. If the registry does not answer, the lease makes up for that later.
    pub(super) async fn next_turn(&self) -> Result<(), Failure> {
        let mut standing = self.standing.lock().await;
        if let Standing::Unclaimed { .. } = *standing {
            return Ok(());
        }
        *standing = Standing::TurnDue;
        match self.take_turn(&mut standing).await {
            Ok(()) => Ok(()),
            Err(RegistryError::Fenced { .. }) => {
                self.changed.notify_one();
                Err(just_ended())
            }
            Err(error) => {
                tracing::warn!(%error, "a publisher takes its turn without the registry");
                Ok(())
            }
        }
    }

    /// Notes that a publisher has come, or has left, and that the broadcast ends at this time.
    pub(super) fn ends_at(&self, at: Option<Instant>) {
        self.handoffs.ends_at(at);
        self.changed.notify_one();
    }

    /// Gives the stream up, with no handoff, as the broadcast is over.
    pub(super) async fn end(&self) {
        if let Err(error) = self.registry.hand_off(&self.stream, &self.ownership(), None).await {
            tracing::debug!(%error, "what was left for another owner runs out by itself");
        }
        self.release().await;
    }

    /// Gives the stream up.
    pub(super) async fn release(&self) {
        let epoch = self.feed.epoch();
        if let Err(error) = self.registry.release(&self.stream, &self.home.server, epoch).await {
            tracing::warn!(%error, "the lease could not be given back; it expires by itself");
        }
    }

    /// Brings the registry up to date.
    async fn update_registry(&self) -> Result<(), RegistryError> {
        let mut standing = self.standing.lock().await;
        let told = match *standing {
            Standing::Given => match self.registry.renew(&self.stream, &self.ownership()).await {
                Err(error) => self.adopt_epoch(error).await,
                told => told,
            },
            Standing::TurnDue => self.take_turn(&mut standing).await,
            Standing::Unclaimed { goes_on } => self.claim_stream(goes_on, &mut standing).await,
        };
        told?;
        let handoff = self.handoffs.handoff(0).map(handoff::write);
        match self.registry.hand_off(&self.stream, &self.ownership(), handoff.as_ref()).await {
            // Claimed anew since the renewal, maybe for this very server: the next one, which comes at once, finds out.
            Err(RegistryError::Fenced { .. }) => {
                self.changed.notify_one();
                Ok(())
            }
            told => told,
        }
    }

    async fn take_turn(&self, standing: &mut Standing) -> Result<(), RegistryError> {
        let mut given = self.registry.next_turn(&self.stream, &self.ownership()).await;
        if let Err(fenced @ RegistryError::Fenced { .. }) = given {
            self.adopt_epoch(fenced).await?;
            given = self.registry.next_turn(&self.stream, &self.ownership()).await;
        }
        self.feed.raise_epoch(given?);
        *standing = Standing::Given;
        Ok(())
    }

    /// A proxy may have claimed the stream anew for this very server, or an answer was lost: then the newest epoch is this
    /// server's, though its lease may have run out since.
    async fn adopt_epoch(&self, error: RegistryError) -> Result<(), RegistryError> {
        match error {
            RegistryError::Fenced { newest, server: Some(server), .. } if server == self.home.server => {
                self.feed.raise_epoch(newest);
                self.registry.renew(&self.stream, &self.ownership()).await
            }
            error => Err(error),
        }
    }

    /// Claims the stream for the broadcast that has begun here without the registry, unless somebody else has it by now, or
    /// has had it since the turn of a publisher that goes on.
    async fn claim_stream(&self, goes_on: bool, standing: &mut Standing) -> Result<(), RegistryError> {
        let Home { server, address } = &self.home;
        let turn = self.feed.epoch();
        let from = match self.registry.owner(&self.stream).await? {
            // The process that had this address before, and the turn, is gone.
            Some(before) if before.address == *address && before.epoch == turn => turn,
            Some(other) if other.server != *server => return Err(self.fenced()),
            // What this server had before, and could not give back; or the answer to its claim was lost.
            Some(own) if !goes_on || own.broadcast.is_none() => own.epoch,
            Some(_) | None => turn,
        };
        let claim = |from| self.registry.claim(&self.stream, server, address, from);
        let claimed = match claim(Some(from)).await? {
            // Another server had the stream, and has left it.
            Claim::Passed(_) if !goes_on => claim(None).await?,
            claimed => claimed,
        };
        let Claim::Granted(ownership) = claimed else { return Err(self.fenced()) };
        self.feed.raise_epoch(ownership.epoch);
        *standing = Standing::Given;
        self.registry.renew(&self.stream, &self.ownership()).await
    }

    fn ownership(&self) -> Ownership {
        Ownership {
            server: self.home.server.clone(),
            address: self.home.address.clone(),
            epoch: self.feed.epoch(),
            broadcast: Some(self.broadcast),
        }
    }

    fn fenced(&self) -> RegistryError {
        let epoch = self.feed.epoch();
        RegistryError::Fenced { stream: self.stream.clone(), epoch, newest: epoch, server: None }
    }
}
