//! Where streams come from: the registry says who has one, the servers give it.

mod feed;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::future::join_all;
use headwater_media::{BroadcastId, Epoch, StreamId};
use headwater_registry::{Registry, Watch};
use headwater_runtime::outage::Outage;
use headwater_runtime::readiness::Latch;
use headwater_wire::frames::MESSAGE_LIMIT;
use headwater_wire::v1::delivery_client::DeliveryClient;
use headwater_wire::{Channels, v1};
use tokio::time::timeout;
use tonic::Code;
use tonic::transport::Channel;
use tracing::{debug, info, warn};

pub(crate) use feed::{Feed, WatchError};

use crate::metrics::Metrics;

/// A server that was asked something small answers in milliseconds, or is not there.
const LOCATE_LIMIT: Duration = Duration::from_secs(1);

pub(crate) struct Upstream {
    registry: Arc<dyn Registry>,
    channels: Channels,
    /// Addresses of the servers that the registry listed last: whom to ask when it is away.
    servers: Mutex<Vec<String>>,
    /// Set once the registry has answered; what is mirrored stays mirrored without it.
    registered: Latch,
    outage: Mutex<Outage>,
    metrics: Arc<Metrics>,
}

/// Who has a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Owner {
    pub(crate) address: String,
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

impl Upstream {
    pub(crate) fn new(
        registry: Arc<dyn Registry>,
        channels: Channels,
        registered: Latch,
        metrics: Arc<Metrics>,
    ) -> Self {
        let (servers, outage) = (Mutex::default(), Mutex::default());
        Self { registry, channels, servers, registered, outage, metrics }
    }

    pub(crate) fn events(&self) -> Watch {
        self.registry.watch()
    }

    /// Remembers the servers that are there now. None at all is taken for a registry that has lost its memory.
    pub(crate) async fn learn_servers(&self) {
        let servers = self.registry.servers().await;
        let mut outage = self.outage.lock().unwrap_or_else(PoisonError::into_inner);
        match servers {
            Ok(servers) => {
                self.registered.set();
                if outage.ends() {
                    info!("the registry answers again");
                }
                if !servers.is_empty() {
                    *self.servers.lock().unwrap_or_else(PoisonError::into_inner) =
                        servers.into_iter().map(|server| server.address).collect();
                }
            }
            Err(error) if outage.begins() => warn!(%error, "going on with the servers that are known"),
            Err(_) => {}
        }
    }

    pub(crate) async fn locate(&self, stream: &StreamId) -> Located {
        match self.registry.owner(stream).await {
            Ok(Some(owner)) => Located::Owner(Owner { address: owner.address, broadcast: owner.broadcast }),
            Ok(None) => Located::Nobody,
            Err(error) => {
                debug!(%error, "asking the servers instead of the registry");
                self.ask_servers(stream).await
            }
        }
    }

    async fn ask_servers(&self, stream: &StreamId) -> Located {
        let servers = self.servers.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let answers = join_all(servers.iter().map(|address| self.ask(address, stream))).await;
        let newest = answers.into_iter().flatten().max_by_key(|(epoch, _)| *epoch);
        newest.map_or(Located::Unknown, |(_, owner)| Located::Owner(owner))
    }

    /// What a server has of the stream, if anything.
    async fn ask(&self, address: &str, stream: &StreamId) -> Option<(Epoch, Owner)> {
        let request = v1::LocateRequest { stream: stream.to_string() };
        let mut client = self.client(address).ok()?;
        let answer = timeout(LOCATE_LIMIT, client.locate(request)).await.ok()?;
        match answer {
            Ok(response) => {
                let v1::LocateResponse { broadcast, epoch } = response.into_inner();
                let broadcast = headwater_wire::broadcast_id(&broadcast).ok();
                Some((Epoch(epoch), Owner { address: address.to_owned(), broadcast }))
            }
            Err(status) if status.code() == Code::NotFound => None,
            Err(status) => {
                debug!(address, %status, "a server did not say whether it has the stream");
                None
            }
        }
    }

    fn client(&self, address: &str) -> Result<DeliveryClient<Channel>, WatchError> {
        let channel = self.channels.to(address).map_err(|_| WatchError::Address(address.to_owned()))?;
        Ok(DeliveryClient::new(channel).max_decoding_message_size(MESSAGE_LIMIT))
    }

    /// Begins to watch a stream at the server with this address.
    pub(crate) async fn watch(&self, stream: &StreamId, address: &str) -> Result<Feed, WatchError> {
        Feed::open(self.client(address)?, stream, self.metrics.watches.enter()).await
    }
}
