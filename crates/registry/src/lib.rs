//! Index of streams and servers: leases with fencing epochs, live servers with their load,
//! change notifications.
//!
//! [`Registry`] is the seam. [`MemoryRegistry`] serves one process, [`RedisRegistry`] any number of them; one suite of
//! contract tests runs on both. The registry is an index: the servers hold the truth, and when a registry lost
//! everything, [`Registry::renew`] and [`Registry::register_server`] bring it back within one period of renewal.
//!
//! # Epochs
//!
//! A claim gets an epoch above every epoch that the stream had before, also after its lease expired or was released,
//! and also after Redis lost its data: a counter that is missing starts from Redis' clock. The owner of an epoch is
//! fenced for good as soon as a higher one was given out. An epoch is one server's: no other one can renew or release it.
//!
//! An epoch is also one publisher's turn. When a server that lives gives its broadcast to another publisher than before,
//! it asks for the [next turn](Registry::next_turn), and who held what the publisher before had sent can't claim the stream
//! any more. Epochs come from here only, and are below 2^53; whatever else is offered as one is refused.
//!
//! # When an answer got lost
//!
//! A command that fails with [`RegistryError::Unavailable`] may still have been carried out. Renewals, releases and
//! registrations can simply be repeated. A claim that nobody knows of is `Held` by the server that it was made for,
//! until it expires after [`Ttls::lease`]; ask that server.

mod error;
mod event;
mod memory;
mod open;
mod ownership;
mod redis;
mod server;
#[cfg(feature = "testing")]
pub mod testing;
mod viewers;

use std::time::Duration;

use async_trait::async_trait;
use headwater_media::broadcast::Policy;
use headwater_media::{Epoch, StreamId};

pub use error::RegistryError;
pub use event::{RegistryEvent, Watch};
pub use memory::MemoryRegistry;
pub use open::{OpenError, open};
pub use ownership::{Claim, Handoff, Ownership};
pub use redis::{KeyPrefix, KeyPrefixError, RedisRegistry, RedisSettings, RedisUrl, RedisUrlError};
pub use server::{ServerId, ServerIdError, ServerRecord};
pub use viewers::{MAX_REPORTED_STREAMS, OriginId, VIEWER_REPORT_INTERVAL, VIEWERS_TTL, ViewerReport};

/// How long things live unless they are renewed. All processes that share a registry use the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ttls {
    /// A stream's ownership, from its claim or last renewal on.
    pub lease: Duration,
    /// A server's record, from its last registration on.
    pub server: Duration,
    /// An origin's report of its viewers.
    pub viewers: Duration,
}

impl Default for Ttls {
    fn default() -> Self {
        Self { lease: LEASE_TTL, server: SERVER_TTL, viewers: VIEWERS_TTL }
    }
}

/// An owner renews three times in this. So two renewals may get lost, or Redis may be away for two thirds of it, before a
/// lease runs out, and a lease that Redis lost is back before a viewer's player, which buffers some seconds, runs dry. A proxy that
/// sees its server die does not wait for this: it takes over with `expected`.
pub const LEASE_TTL: Duration = Duration::from_secs(10);

/// A server that missed five heartbeats gets no new publishers. Shorter would drop servers whenever Redis restarts.
pub const SERVER_TTL: Duration = HEARTBEAT_INTERVAL.saturating_mul(5);

/// How often a server registers itself anew, which also tells its load.
pub const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(1);

/// The newest epoch of a stream is remembered for so long after its last claim, renewal or release: as long as a publisher
/// may be away, so that a handoff does not outlive it. Names that are used once don't pile up for ever.
const EPOCH_RETENTION: Duration = Duration::from_secs(24 * 60 * 60);
const _: () = assert!(EPOCH_RETENTION.as_secs() >= Policy::MAX_WINDOW.as_secs());

/// Epochs are below this number, as Redis' Lua tells larger ones not apart. It is 5,000 times what a clock of
/// milliseconds says.
pub const EPOCH_LIMIT: Epoch = Epoch(1 << 53);

/// See the [crate documentation](crate). Every method fails with [`RegistryError::Unavailable`] when the backend does
/// not answer, after about a second at most.
#[async_trait]
pub trait Registry: Send + Sync + 'static {
    /// Makes `server` the owner of the stream, under a new epoch. Refused while there is a live lease, unless its
    /// epoch is the `expected` one: "I know that owner dead, and take over from it". An owner with a lower epoch has lost the
    /// stream before, and was heard first when the registry had lost everything: it is taken over, too. Refused also when the stream was on
    /// air under a higher epoch than the `expected` one since, though nobody has it now. Of several claims at the same
    /// time one is granted.
    ///
    /// `address` is where the server's gRPC is reached, `host:port`. The lease ends after [`Ttls::lease`] unless the
    /// server renews it. The epoch is also above `expected`, even when the registry has forgotten that one.
    async fn claim(
        &self,
        stream: &StreamId,
        server: &ServerId,
        address: &str,
        expected: Option<Epoch>,
    ) -> Result<Claim, RegistryError>;

    /// Says that the owner has the stream on air: extends the lease to [`Ttls::lease`] from now and stores what
    /// `ownership` says (its broadcast). Brings a lease back that has vanished. Fails with [`RegistryError::Fenced`] when
    /// the stream was claimed anew, this epoch was released, or is another server's: the caller is not the owner.
    async fn renew(&self, stream: &StreamId, ownership: &Ownership) -> Result<(), RegistryError>;

    /// The owner has another publisher than before: gives it a new epoch, under which it renews from now on. Fails like
    /// [`Registry::renew`].
    async fn next_turn(&self, stream: &StreamId, ownership: &Ownership) -> Result<Epoch, RegistryError>;

    /// Gives the stream up. Does nothing when a newer epoch exists, or this one is another server's. This epoch can't be
    /// renewed afterwards.
    async fn release(&self, stream: &StreamId, server: &ServerId, epoch: Epoch) -> Result<(), RegistryError>;

    /// The owner says what the next one needs, or that there is nothing to go on with. It outlives the lease, by as long as
    /// it says. Fails like [`Registry::renew`].
    async fn hand_off(
        &self,
        stream: &StreamId,
        ownership: &Ownership,
        handoff: Option<&Handoff>,
    ) -> Result<(), RegistryError>;

    /// Handoff that the last owner of the stream has left, and how much longer it holds (in `lasts`).
    async fn handoff(&self, stream: &StreamId) -> Result<Option<Handoff>, RegistryError>;

    /// Owner of the stream; `None` without a live lease.
    async fn owner(&self, stream: &StreamId) -> Result<Option<Ownership>, RegistryError>;

    /// Says that a server is there, with its load. It is forgotten after [`Ttls::server`] unless this is repeated.
    async fn register_server(&self, record: &ServerRecord) -> Result<(), RegistryError>;

    /// Takes a server out at once.
    async fn unregister_server(&self, server: &ServerId) -> Result<(), RegistryError>;

    /// All servers that are there, draining ones too, sorted by id.
    async fn servers(&self) -> Result<Vec<ServerRecord>, RegistryError>;

    /// Says how many viewers an origin has, instead of its report before. It is forgotten after [`Ttls::viewers`] unless this is
    /// repeated.
    async fn report_viewers(&self, report: &ViewerReport) -> Result<(), RegistryError>;

    /// Viewers of each of these streams at all origins that report; none where they are not known.
    async fn viewers(&self, streams: &[StreamId]) -> Result<Vec<Option<u64>>, RegistryError>;

    /// Tells all watchers that a live input of the directory was made, changed or deleted. The registry keeps nothing of it:
    /// one that misses it hears [`RegistryEvent::Missed`] when it is connected again.
    async fn announce_input(&self, uid: &StreamId) -> Result<(), RegistryError>;

    /// Changes from now on. Look at the registry after calling this, not before, to miss nothing.
    fn watch(&self) -> Watch;

    /// Whether servers of other processes use this registry too, so that one may take over later what nobody takes over
    /// now.
    fn is_shared(&self) -> bool;

    /// Succeeds when the backend answers.
    async fn ready(&self) -> Result<(), RegistryError>;
}
