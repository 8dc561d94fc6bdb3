//! The servers that streams come from: the registry says which one has a stream.

mod servers;
mod watch_stream;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::future::join_all;
use headwater_control::KnownServers;
use headwater_media::lock::MutexExt;
use headwater_media::{BroadcastId, Epoch, StreamId};
use headwater_registry::{Ownership, Registry, Watch};
use headwater_runtime::outage::Outage;
use headwater_runtime::readiness::Latch;
use headwater_wire::frames::MESSAGE_LIMIT;
use headwater_wire::v2::delivery_client::DeliveryClient;
use headwater_wire::{Channels, ServiceChannel, v2};
use tokio::time::timeout;
use tonic::{Code, Status};
use tracing::{debug, info, warn};

pub(crate) use watch_stream::{WatchError, WatchStream};

use crate::metrics::Metrics;
use servers::Servers;

/// A server that was asked something small answers in milliseconds, or is not there.
const LOCATE_LIMIT: Duration = Duration::from_secs(1);

/// A segment comes in a moment from the memory or the disk of its server.
const FETCH_LIMIT: Duration = Duration::from_secs(5);
/// Bytes of a segment at most: ten seconds at 50 Mb/s.
const MAX_FETCHED_BYTES: usize = 64 << 20;

pub(crate) struct Upstream {
    registry: Arc<dyn Registry>,
    channels: Arc<Channels>,
    servers: Servers,
    /// Set once the registry has answered; what is mirrored stays mirrored without it.
    registered: Latch,
    outage: Mutex<Outage>,
    metrics: Arc<Metrics>,
}

/// The server that has a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Owner {
    pub(crate) address: String,
    pub(crate) epoch: Epoch,
    /// None when it was claimed a moment ago.
    pub(crate) broadcast: Option<BroadcastId>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Located {
    Owner(Owner),
    Nobody,
    /// The registry is away, and the servers that are known don't have it or don't answer.
    Unknown,
}

impl KnownServers for Upstream {
    fn addresses(&self) -> Vec<String> {
        self.servers.all()
    }
}

impl Upstream {
    pub(crate) fn new(
        registry: Arc<dyn Registry>,
        channels: Arc<Channels>,
        registered: Latch,
        metrics: Arc<Metrics>,
    ) -> Self {
        let servers = Servers::default();
        let outage = Mutex::default();
        Self { registry, channels, servers, registered, outage, metrics }
    }

    pub(crate) fn events(&self) -> Watch {
        self.registry.watch()
    }

    /// Remembers the servers that are there now. Says whether one is missed since, which may have streams that the registry
    /// does not know of.
    pub(crate) async fn learn_servers(&self) -> bool {
        let servers = self.registry.servers().await;
        let mut outage = self.outage.lock_ignoring_poison();
        match servers {
            Ok(servers) => {
                self.registered.set();
                if outage.ends() {
                    info!("the registry answers again");
                }
                return self.servers.learn(&servers);
            }
            Err(error) if outage.begins() => warn!(%error, "going on with the servers that are known"),
            Err(_) => {}
        }
        false
    }

    pub(crate) async fn locate(&self, stream: &StreamId) -> Located {
        match self.registry.owner(stream).await {
            Ok(Some(Ownership { address, epoch, broadcast, .. })) => {
                Located::Owner(Owner { address, epoch, broadcast })
            }
            // A server that is cut off from the registry has its streams all the same.
            Ok(None) => {
                let missing = self.ask(self.servers.missing(), stream).await;
                missing.map_or(Located::Nobody, Located::Owner)
            }
            Err(error) => {
                debug!(%error, "asking the servers instead of the registry");
                let asked = self.ask(self.servers.all(), stream).await;
                asked.map_or(Located::Unknown, Located::Owner)
            }
        }
    }

    /// The newest owner among the servers at these addresses.
    async fn ask(&self, addresses: Vec<String>, stream: &StreamId) -> Option<Owner> {
        let answers = join_all(addresses.iter().map(|address| self.ask_one(address, stream))).await;
        answers.into_iter().flatten().max_by_key(|owner| owner.epoch)
    }

    /// Asks a server whether it has the stream.
    async fn ask_one(&self, address: &str, stream: &StreamId) -> Option<Owner> {
        let request = v2::LocateRequest { stream: stream.to_string() };
        let mut client = self.client(address).ok()?;
        let answer = timeout(LOCATE_LIMIT, client.locate(request)).await;
        match answer.unwrap_or_else(|_| Err(Status::deadline_exceeded("no answer in time"))) {
            Ok(response) => {
                let v2::LocateResponse { broadcast, epoch } = response.into_inner();
                let broadcast = headwater_wire::broadcast_id(&broadcast).ok();
                Some(Owner { address: address.to_owned(), epoch: Epoch(epoch), broadcast })
            }
            Err(status) if status.code() == Code::NotFound => None,
            Err(status) => {
                debug!(address, %status, "a server did not say whether it has the stream");
                self.servers.note_silent(address);
                None
            }
        }
    }

    /// A stored segment that its owner has, which is about to bring it to the object store; none where it has not.
    pub(crate) async fn fetch(&self, segment: v2::FetchRequest) -> Option<Bytes> {
        let Located::Owner(owner) = self.locate(&segment.stream.parse().ok()?).await else { return None };
        let mut client = self.streaming(&owner.address).ok()?;
        let fetched = async {
            let mut bytes = BytesMut::new();
            let mut chunks = client.fetch(segment).await?.into_inner();
            while let Some(chunk) = chunks.message().await? {
                if bytes.len() + chunk.payload.len() > MAX_FETCHED_BYTES {
                    return Err(Status::out_of_range("a segment is not so large"));
                }
                bytes.extend_from_slice(&chunk.payload);
            }
            Ok(bytes.freeze())
        };
        let fetched = timeout(FETCH_LIMIT, fetched).await;
        match fetched.unwrap_or_else(|_| Err(Status::deadline_exceeded("no answer in time"))) {
            Ok(bytes) => Some(bytes),
            Err(status) => {
                debug!(address = owner.address, %status, "a segment that is not in the store was not fetched");
                None
            }
        }
    }

    /// For a call with one small answer.
    fn client(&self, address: &str) -> Result<DeliveryClient<ServiceChannel>, WatchError> {
        let channel = self.channels.to(address).map_err(|_| WatchError::Address(address.to_owned()))?;
        Ok(DeliveryClient::new(channel))
    }

    /// For a call that gives media: nobody else waits while these are not read.
    fn streaming(&self, address: &str) -> Result<DeliveryClient<ServiceChannel>, WatchError> {
        let channel =
            self.channels.dedicated(address).map_err(|_| WatchError::Address(address.to_owned()))?;
        Ok(DeliveryClient::new(channel).max_decoding_message_size(MESSAGE_LIMIT))
    }

    /// Begins to watch a stream at the server with this address.
    pub(crate) async fn watch(&self, stream: &StreamId, address: &str) -> Result<WatchStream, WatchError> {
        WatchStream::open(self.streaming(address)?, stream, self.metrics.watches.enter()).await
    }
}
