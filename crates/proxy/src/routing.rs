//! Which server gets a publisher.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use headwater_hls::ResumePoint;
use headwater_media::{Epoch, StreamId};
use headwater_registry::{Claim, Ownership, Registry, RegistryError, ServerId, ServerRecord};
use headwater_runtime::backoff::Backoff;
use headwater_wire::Channels;
use headwater_wire::v1::{Failure, failure::Code};

use crate::memory::{LastServer, Memory};
use crate::uplink::{Order, Uplink, UplinkError};

/// How soon a publisher that has lost its server looks for another one again, at first and at most.
const FIRST_RETRY: Duration = Duration::from_millis(50);
const LONGEST_RETRY: Duration = Duration::from_secs(1);
/// Servers that are asked before the publisher is told that there is no room.
const ATTEMPTS: usize = 5;

pub struct Router {
    registry: Arc<dyn Registry>,
    channels: Channels,
    memory: Memory,
}

/// Why no server takes the publisher.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    #[error("no transcode server has room for another broadcast: try again in a moment")]
    NoCapacity,
    /// The registry answers and knows none: they are down, or can't register themselves (a Redis without memory left).
    #[error("no transcode server is registered: try again in a moment")]
    NoServer,
    #[error("{}", .0.message)]
    Failure(Failure),
    #[error(transparent)]
    Registry(#[from] RegistryError),
    #[error("this proxy is stopping")]
    Stopping,
}

/// A server that took a publisher.
pub struct Found {
    pub uplink: Uplink,
    pub server: ServerId,
    /// The epoch under which the server has the stream.
    pub epoch: Epoch,
    /// Where the publisher begins, and where another server would as long as nothing is committed.
    pub resume: ResumePoint,
}

/// What a publisher knows of the server that it has lost.
#[derive(Clone, Debug)]
pub struct Lost {
    /// Not to be asked first.
    pub server: ServerId,
    /// The epoch that may be taken over; none where the server is there and has the stream.
    pub gone: Option<Epoch>,
}

/// A search for a server: what was learnt on the way.
struct Search<'a> {
    router: &'a Router,
    order: &'a Order,
    /// Servers that have no room, are going away or can't be reached.
    tried: HashSet<ServerId>,
    /// The epoch of an owner that turned out to be dead or going away: it may be taken over.
    gone: Option<Epoch>,
}

impl Router {
    pub fn new(registry: Arc<dyn Registry>, channels: Channels) -> Self {
        Self { registry, channels, memory: Memory::default() }
    }

    /// Finds a server for the stream: its owner if there is one, else one with room.
    pub async fn connect(&self, order: &Order) -> Result<Found, Refusal> {
        self.search(order, HashSet::new(), None).await
    }

    /// Finds a server for a publisher that has lost its own. Goes on until there is one, or until one says that this
    /// publisher can't go on: the encoder's connection is held as long as it takes.
    pub async fn reconnect(&self, order: &Order, lost: Lost) -> Result<Found, Refusal> {
        let mut backoff = Backoff::new(FIRST_RETRY, LONGEST_RETRY);
        let mut tried: HashSet<_> = lost.gone.map(|_| lost.server).into_iter().collect();
        loop {
            match self.search(order, std::mem::take(&mut tried), lost.gone).await {
                Ok(found) => return Ok(found),
                Err(Refusal::Failure(failure)) => return Err(Refusal::Failure(failure)),
                Err(refusal) => tracing::warn!(%refusal, "no server yet"),
            }
            backoff.wait().await;
        }
    }

    /// The publisher of this stream leaves the server that took it last.
    pub fn left(&self, stream: &StreamId) {
        self.memory.left(stream);
    }

    async fn search(
        &self,
        order: &Order,
        tried: HashSet<ServerId>,
        gone: Option<Epoch>,
    ) -> Result<Found, Refusal> {
        let mut search = Search { router: self, order, tried, gone };
        for _ in 0..ATTEMPTS {
            if let Some(found) = search.attempt().await? {
                return Ok(found);
            }
        }
        Err(Refusal::NoCapacity)
    }
}

impl Search<'_> {
    async fn attempt(&mut self) -> Result<Option<Found>, Refusal> {
        let owner = match self.router.registry.owner(&self.order.stream).await {
            Ok(owner) => owner,
            Err(error) => return self.recall(error).await.map(Some),
        };
        match owner.filter(|owner| Some(owner.epoch) != self.gone) {
            Some(owner) => self.join(owner).await,
            None => {
                let servers = self.router.registry.servers().await?;
                match self.ask_absent(&servers).await? {
                    Some(found) => Ok(Some(found)),
                    None => self.claim(servers).await,
                }
            }
        }
    }

    /// Publishes to the server that has the stream: it decides whether this publisher may continue it.
    async fn join(&mut self, owner: Ownership) -> Result<Option<Found>, Refusal> {
        let found = self.open(&owner.server, &owner.address, owner.epoch).await?;
        if found.is_none() {
            self.gone = Some(owner.epoch);
        }
        Ok(found)
    }

    /// The registry does not answer: the server that had the stream last takes its publisher all the same, and registers
    /// it when the registry is back.
    async fn recall(&mut self, error: RegistryError) -> Result<Found, Refusal> {
        let Some(last) = self.router.memory.recall(&self.order.stream) else { return Err(error.into()) };
        tracing::warn!(%error, server = %last.server, "the registry does not answer: asking the stream's last server");
        // Its broadcast may be over, and its epoch given up: then the next one.
        for epoch in last.epochs() {
            if let Some(found) = self.open(&last.server, &last.address, epoch).await? {
                return Ok(found);
            }
        }
        Err(error.into())
    }

    /// A server that lives can be missing in the registry, with all its streams: it alone may be cut off from Redis. The
    /// broadcast of a publisher that comes back goes on there, if it is on air; else the stream goes to a server that can
    /// be found. One that is lost from where a publisher still was is not asked: its call has just broken.
    async fn ask_absent(&mut self, servers: &[ServerRecord]) -> Result<Option<Found>, Refusal> {
        let Some(last) = self.router.memory.recall_lately(&self.order.stream) else { return Ok(None) };
        let is_absent = servers.iter().all(|server| server.id != last.server);
        if !is_absent || self.order.resume.is_some() || !self.tried.insert(last.server.clone()) {
            return Ok(None);
        }
        tracing::warn!(server = %last.server, "the stream's last server is not in the registry: asking it");
        self.open(&last.server, &last.address, last.epoch).await
    }

    /// Claims the stream for a server with room, and publishes there.
    async fn claim(&mut self, servers: Vec<ServerRecord>) -> Result<Option<Found>, Refusal> {
        if servers.is_empty() {
            return Err(Refusal::NoServer);
        }
        let registry = &self.router.registry;
        let server = self.choose(servers).ok_or(Refusal::NoCapacity)?;
        let stream = &self.order.stream;
        let claim = registry.claim(stream, &server.id, &server.address, self.gone).await?;
        let epoch = match claim {
            Claim::Granted(ownership) => ownership.epoch,
            // Somebody was quicker: the next attempt finds them.
            Claim::Held(_) => return Ok(None),
        };
        self.router.memory.claimed(stream, epoch);
        self.gone = None;
        // A server that refuses this publisher for another reason has the stream, and keeps it.
        let found = self.open(&server.id, &server.address, epoch).await?;
        if found.is_none()
            && let Err(error) = registry.release(stream, epoch).await
        {
            tracing::warn!(%error, "a claim could not be given back; it expires by itself");
        }
        Ok(found)
    }

    /// One of two random servers first. Where that had no room, the loads are told to be nearly full or are old: then the
    /// one that is said to have the most.
    fn choose(&self, servers: Vec<ServerRecord>) -> Option<ServerRecord> {
        let is_candidate = |server: &ServerRecord| !server.draining && !self.tried.contains(&server.id);
        let candidates: Vec<_> = servers.into_iter().filter(is_candidate).collect();
        if self.tried.is_empty() {
            pick(&candidates, |n| rand::random_range(0..n)).cloned()
        } else {
            candidates.into_iter().max_by_key(free)
        }
    }

    /// Opens the call. `None` when this server can't take the publisher but another one may.
    async fn open(
        &mut self,
        server: &ServerId,
        address: &str,
        epoch: Epoch,
    ) -> Result<Option<Found>, Refusal> {
        let channel = match self.router.channels.to(address) {
            Ok(channel) => channel,
            Err(error) => {
                tracing::error!(address, %error, "the registry holds an address that is none");
                self.tried.insert(server.clone());
                return Ok(None);
            }
        };
        let error = match Uplink::open(channel, server, epoch, self.order).await {
            Ok((uplink, resume)) => {
                let last =
                    LastServer { server: server.clone(), address: address.into(), epoch, newest: epoch };
                self.router.memory.note(&self.order.stream, last);
                return Ok(Some(Found { uplink, server: server.clone(), epoch, resume }));
            }
            Err(UplinkError::Rejected(failure)) if !goes_elsewhere(&failure) => {
                return Err(Refusal::Failure(failure));
            }
            Err(error) => error,
        };
        tracing::warn!(%server, address, %epoch, %error, "the server does not take the publisher");
        // Under a new epoch the same server may be the right one.
        let is_outdated = matches!(&error, UplinkError::Rejected(failure) if failure.code() == Code::Fenced);
        if !is_outdated {
            self.tried.insert(server.clone());
        }
        Ok(None)
    }
}

fn goes_elsewhere(failure: &Failure) -> bool {
    matches!(failure.code(), Code::NoCapacity | Code::Draining | Code::Fenced)
}

/// The freer one of two servers taken at random: nearly as good as the freest of all, and it does not send everybody
/// to one server while the reported load is a second old.
fn pick(servers: &[ServerRecord], mut below: impl FnMut(usize) -> usize) -> Option<&ServerRecord> {
    match servers {
        [] => None,
        [only] => Some(only),
        _ => {
            let first = below(servers.len());
            let second = (first + 1 + below(servers.len() - 1)) % servers.len();
            Some(if free(&servers[second]) > free(&servers[first]) {
                &servers[second]
            } else {
                &servers[first]
            })
        }
    }
}

fn free(server: &ServerRecord) -> i64 {
    i64::from(server.capacity_millicores) - i64::from(server.used_millicores)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(name: &str, used: u32) -> ServerRecord {
        ServerRecord {
            id: name.parse().unwrap(),
            address: format!("{name}:7000"),
            capacity_millicores: 2_000,
            used_millicores: used,
            broadcasts: 0,
            draining: false,
            version: String::new(),
        }
    }

    #[test]
    fn the_freer_of_two_is_picked_whichever_came_first() {
        let servers = [server("a", 1_500), server("b", 200)];
        for first in [0, 1] {
            let mut draws = [first, 0].into_iter();
            let picked = pick(&servers, |_| draws.next().unwrap()).unwrap();
            assert_eq!(picked.id, "b".parse().unwrap());
        }
    }

    #[test]
    fn two_different_servers_are_drawn() {
        let servers: Vec<_> = (0..5).map(|n| server(&n.to_string(), n * 100)).collect();
        for first in 0..5 {
            for second in 0..4 {
                let mut draws = [first, second].into_iter();
                let picked = pick(&servers, |_| draws.next().unwrap()).unwrap();
                let best_excluding_last = picked.used_millicores <= 300;
                assert!(best_excluding_last, "the fullest of all never wins");
            }
        }
    }

    #[test]
    fn without_servers_there_is_none() {
        assert!(pick(&[], |_| unreachable!("nothing to draw from")).is_none());
    }
}
