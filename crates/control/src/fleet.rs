//! The servers as the API asks them: those that the registry lists, and while it does not answer those that are known.

use std::collections::{BTreeMap, BTreeSet};

use futures::StreamExt as _;
use futures::stream;
use headwater_media::StreamId;
use headwater_media::broadcast::BroadcastReport;
use headwater_registry::Registry;
use headwater_wire::Channels;
use headwater_wire::operator::{BroadcastHistory, BroadcastQuery, Disconnected, Operator, OperatorError};
use tracing::{debug, warn};

/// Servers that are asked at once.
const CONCURRENT_SERVERS: usize = 32;

/// Addresses of servers that are known by now, whatever the registry says just now.
pub trait KnownServers: Send + Sync + 'static {
    /// Addresses (`host:port`) of their gRPC.
    fn addresses(&self) -> Vec<String>;
}

/// Servers that may have broadcasts.
pub(crate) struct Fleet<'a> {
    pub(crate) registry: &'a dyn Registry,
    pub(crate) channels: &'a Channels,
    pub(crate) known: &'a dyn KnownServers,
}

/// Broadcast, and the address of the server that has it on air.
#[derive(Clone, Debug)]
pub(crate) struct Located {
    pub(crate) server: String,
    pub(crate) report: BroadcastReport,
}

/// Answers of the servers about some broadcasts.
#[derive(Debug, Default)]
pub(crate) struct Survey {
    /// In the order of the streams' names; a stream that two servers claim to have is the one's with the newer epoch.
    pub(crate) located: Vec<Located>,
    /// Addresses of the servers that did not answer: they may have further broadcasts.
    pub(crate) unheard: Vec<String>,
}

/// Outcome of a search for one stream.
pub(crate) enum Search {
    OnAir(String, Box<BroadcastHistory>),
    OffAir,
    /// Nobody is known to have it, and these servers did not answer.
    Unknown(Vec<String>),
}

/// Addresses to ask.
struct Addresses {
    /// Servers whose silence matters.
    expected: BTreeSet<String>,
    /// Servers that are probably gone, or cut off from the registry.
    others: BTreeSet<String>,
}

impl Fleet<'_> {
    /// Asks all servers.
    pub(crate) async fn survey(&self, query: &BroadcastQuery) -> Survey {
        let Addresses { expected, others } = self.find_addresses().await;
        let addresses = expected.iter().chain(&others).cloned();
        let asked: Vec<_> = addresses.map(|address| self.list(address, query.clone())).collect();
        let answers: Vec<_> = stream::iter(asked).buffer_unordered(CONCURRENT_SERVERS).collect().await;
        let mut located = BTreeMap::<String, Located>::new();
        let mut unheard = Vec::new();
        for (address, listed) in answers {
            match listed {
                Ok(reports) => {
                    reports.into_iter().for_each(|report| add_report(&mut located, &address, report))
                }
                Err(error) if expected.contains(&address) => {
                    warn!(address, %error, "a server does not say which broadcasts it has");
                    unheard.push(address);
                }
                Err(error) => debug!(address, %error, "a server that is not registered does not answer"),
            }
        }
        unheard.sort();
        let mut located: Vec<_> = located.into_values().collect();
        located.truncate(if query.limit == 0 { usize::MAX } else { query.limit });
        Survey { located, unheard }
    }

    /// Finds the server that has a stream on air: the registry's owner, or the one that says so itself.
    pub(crate) async fn find(&self, stream: &StreamId) -> Search {
        if let Ok(Some(owner)) = self.registry.owner(stream).await
            && let Ok(Some(history)) = self.describe(&owner.address, stream).await
        {
            return Search::OnAir(owner.address, Box::new(history));
        }
        let query = BroadcastQuery { streams: vec![stream.clone()], ..BroadcastQuery::default() };
        let Survey { located, mut unheard } = self.survey(&query).await;
        if let Some(Located { server, .. }) = located.into_iter().next() {
            match self.describe(&server, stream).await {
                Ok(Some(history)) => return Search::OnAir(server, Box::new(history)),
                Ok(None) => {}
                Err(_) => unheard.push(server),
            }
        }
        if unheard.is_empty() { Search::OffAir } else { Search::Unknown(unheard) }
    }

    /// Has a server end the publication of a stream; none where no publisher is connected there.
    pub(crate) async fn disconnect(
        &self,
        address: &str,
        stream: &StreamId,
        reason: &str,
        blocked: bool,
    ) -> Result<Option<Disconnected>, OperatorError> {
        self.operator(address)?.disconnect(stream, reason, blocked).await
    }

    fn operator(&self, address: &str) -> Result<Operator, OperatorError> {
        Operator::new(self.channels, address)
    }

    async fn list(
        &self,
        address: String,
        query: BroadcastQuery,
    ) -> (String, Result<Vec<BroadcastReport>, OperatorError>) {
        let listed = async { self.operator(&address)?.list_broadcasts(query).await }.await;
        (address, listed)
    }

    async fn describe(
        &self,
        address: &str,
        stream: &StreamId,
    ) -> Result<Option<BroadcastHistory>, OperatorError> {
        let described = async { self.operator(address)?.describe_broadcast(stream).await };
        described
            .await
            .inspect_err(|error| warn!(address, %stream, %error, "a server does not describe a broadcast"))
    }

    async fn find_addresses(&self) -> Addresses {
        let known: BTreeSet<_> = self.known.addresses().into_iter().collect();
        match self.registry.servers().await {
            Ok(servers) => {
                let expected: BTreeSet<_> = servers.into_iter().map(|server| server.address).collect();
                let others = known.difference(&expected).cloned().collect();
                Addresses { expected, others }
            }
            Err(error) => {
                warn!(%error, "the registry does not list the servers: the API asks those that it knows");
                Addresses { expected: known, others: BTreeSet::new() }
            }
        }
    }
}

fn add_report(located: &mut BTreeMap<String, Located>, server: &str, report: BroadcastReport) {
    let name = report.stream.to_string();
    let is_older = |known: &Located| known.report.epoch < report.epoch;
    if located.get(&name).is_none_or(is_older) {
        located.insert(name, Located { server: server.to_owned(), report });
    }
}
