//! Search for a server for one publisher, with all that the search has learnt.
//!
//! A claim takes the stream over from an epoch: that of the publisher's own turn, or that of an owner which is known to
//! be gone. An owner that does not answer is presumed gone for a short time; after that it is asked again before the
//! stream is taken from it. A publisher that begins has no turn of its own, so for it an owner that does not
//! answer is presumed gone only once the registry does not hear of the owner either.

use std::collections::{HashMap, HashSet};
use std::error::Error;
use std::io;
use std::time::Duration;

use headwater_media::Epoch;
use headwater_registry::{
    Claim, HEARTBEAT_INTERVAL, Ownership, RegistryError, SERVER_TTL, ServerId, ServerRecord,
};
use headwater_runtime::config::ACCEPT_TIMEOUT;
use headwater_wire::publish::{Accepted, Opening, PublishCall, PublishError};
use headwater_wire::v2::publish_request::Ground;
use headwater_wire::v2::{Failure, failure::Code};
use tokio::time::{Instant, sleep};

use super::last_servers::{LastServer, TakenPublisher};
use super::{Assignment, Fate, LostServer, PublishSpec, Router, RoutingError, choice};

/// Servers that are asked before the publisher is told that there is no room.
const MAX_SERVERS_ASKED: usize = 5;
/// Time that an owner which does not answer is presumed gone: until another server is found, as a rule, and no longer
/// than an encoder needs that has lost its connection as well and comes back through another proxy (OBS waits 2 s).
const PRESUMED_GONE_TIME: Duration = Duration::from_secs(2);
/// Pause between two questions to an owner that lives and can't be reached, and the time after which the search gives
/// up: if the owner is dead, its record has run out by then.
const OWNER_RETRY_INTERVAL: Duration = Duration::from_millis(500);
const OWNER_RETRY_TIME: Duration = SERVER_TTL.saturating_add(Duration::from_secs(2));
/// Time that a search waits for the first server to register itself: a Redis that comes back empty hears of the living
/// ones again with their next heartbeats.
const REGISTRATION_TIME: Duration = HEARTBEAT_INTERVAL.saturating_mul(2);
const REGISTRATION_CHECK_INTERVAL: Duration = Duration::from_millis(250);

/// Search for a server for one publisher.
pub(super) struct Search<'a> {
    router: &'a Router,
    spec: &'a PublishSpec,
    /// Epoch that a claim takes over from.
    claim_from: Option<Epoch>,
    /// Time until which the owner with this epoch is presumed gone.
    presumed_gone_until: Option<Instant>,
    /// Servers that have no room or are going away, in this round.
    tried: HashSet<ServerId>,
    /// Servers that could not be reached, and the time of that.
    silent: HashMap<ServerId, Instant>,
}

enum Step {
    Assigned(Box<Assignment>),
    /// The search has learnt something: the next attempt may fare better.
    Retry,
    /// The owner lives, and can't be reached.
    OwnerUnreachable,
    /// The registry answers, and knows no server.
    NoServer,
}

/// Outcome of an attempt to open a call.
enum CallOutcome {
    Accepted(Box<Assignment>),
    /// The server does not take this publisher.
    Refused,
    /// The server's state is not known.
    Unknown,
    /// Nobody listens at the server's address.
    NotListening,
}

impl<'a> Search<'a> {
    pub(super) fn new(router: &'a Router, spec: &'a PublishSpec) -> Self {
        Self {
            router,
            spec,
            claim_from: None,
            presumed_gone_until: None,
            tried: HashSet::new(),
            silent: HashMap::new(),
        }
    }

    /// Search for a publisher that has lost its server.
    pub(super) fn replacing(router: &'a Router, spec: &'a PublishSpec, lost: LostServer) -> Self {
        let mut search = Self { claim_from: Some(lost.epoch), ..Self::new(router, spec) };
        match lost.fate {
            Fate::Alive => {}
            Fate::GivesUp => {
                search.tried.insert(lost.server);
                search.presume_owner_gone();
            }
            Fate::Silent => {
                search.silent.insert(lost.server, Instant::now());
                search.presume_owner_gone();
            }
        }
        search
    }

    /// Asks servers until one takes the publisher, or [`MAX_SERVERS_ASKED`] do not.
    pub(super) async fn run_round(&mut self) -> Result<Assignment, RoutingError> {
        let assignment = self.ask_servers().await;
        // Until the next round, one of them may have room again, or be back.
        self.tried.clear();
        assignment
    }

    async fn ask_servers(&mut self) -> Result<Assignment, RoutingError> {
        let started = Instant::now();
        let mut attempts = MAX_SERVERS_ASKED;
        while attempts > 0 {
            match self.ask_server().await? {
                Step::Assigned(assignment) => return Ok(*assignment),
                Step::Retry => attempts -= 1,
                Step::OwnerUnreachable if started.elapsed() < OWNER_RETRY_TIME => {
                    sleep(OWNER_RETRY_INTERVAL).await;
                }
                Step::OwnerUnreachable => return Err(RoutingError::OwnerUnreachable),
                Step::NoServer if started.elapsed() < REGISTRATION_TIME => {
                    sleep(REGISTRATION_CHECK_INTERVAL).await;
                }
                Step::NoServer => return Err(RoutingError::NoServer),
            }
        }
        Err(RoutingError::NoCapacity)
    }

    async fn ask_server(&mut self) -> Result<Step, RoutingError> {
        let owner = match self.router.registry.owner(&self.spec.stream).await {
            Ok(owner) => owner,
            Err(error) => return self.ask_remembered_server(error).await,
        };
        match owner {
            Some(owner) if !self.is_past(owner.epoch) => self.join_owner(owner).await,
            owner => {
                let servers = self.router.registry.servers().await?;
                if owner.is_none()
                    && let Some(assignment) = self.ask_unregistered_server(&servers).await?
                {
                    return Ok(Step::Assigned(assignment));
                }
                self.claim_server(servers).await
            }
        }
    }

    /// Publishes to the stream's owner, which decides whether this publisher may continue the broadcast.
    async fn join_owner(&mut self, owner: Ownership) -> Result<Step, RoutingError> {
        let Ownership { server, address, epoch, .. } = owner;
        let outcome = self.open_call(&server, &address, epoch, Ground::Registry).await?;
        let is_gone = match outcome {
            CallOutcome::Accepted(assignment) => return Ok(Step::Assigned(assignment)),
            CallOutcome::Refused | CallOutcome::NotListening => true,
            CallOutcome::Unknown => !self.is_heard(&server).await?,
        };
        let is_own = self.claim_from == Some(epoch);
        match self.spec.resume {
            // The owner's publisher came after this one: only the owner can say that this one may go on.
            Some(_) if !is_own => return Ok(if is_gone { Step::Retry } else { Step::OwnerUnreachable }),
            // Its own turn: nobody else goes on from it.
            Some(_) => self.presume_owner_gone(),
            None if is_gone => {
                self.claim_from = Some(epoch);
                self.presume_owner_gone();
            }
            None => return Ok(Step::OwnerUnreachable),
        }
        Ok(Step::Retry)
    }

    /// Whether the registry hears of a server.
    async fn is_heard(&self, server: &ServerId) -> Result<bool, RoutingError> {
        Ok(self.router.registry.servers().await?.iter().any(|record| record.id == *server))
    }

    /// Asks the server that had the stream last while the registry does not answer: it takes the publisher all the
    /// same, and registers the stream when the registry is back.
    async fn ask_remembered_server(&mut self, error: RegistryError) -> Result<Step, RoutingError> {
        let Some(last) = self.router.last_servers.last_server(&self.spec.stream) else {
            return Err(error.into());
        };
        tracing::warn!(%error, server = %last.server, "the registry does not answer: asking the stream's last server");
        match self.open_call(&last.server, &last.address, last.epoch, Ground::Memory).await? {
            CallOutcome::Accepted(assignment) => Ok(Step::Assigned(assignment)),
            _ => Err(error.into()),
        }
    }

    /// Asks the server that had the stream last where the registry knows no owner. A live server can be missing there,
    /// with all its streams: it alone may be cut off from Redis, or Redis has just lost everything. If the broadcast is
    /// on air there, a publisher that comes back goes on with it, and so does one whose server was presumed gone and is
    /// so no more. Otherwise the stream goes to a registered server.
    async fn ask_unregistered_server(
        &mut self,
        servers: &[ServerRecord],
    ) -> Result<Option<Box<Assignment>>, RoutingError> {
        let last_servers = &self.router.last_servers;
        let stream = &self.spec.stream;
        let last = match self.spec.resume {
            Some(_) => last_servers.last_server(stream),
            None => last_servers.recent_server(stream),
        };
        let Some(last) = last else { return Ok(None) };
        let is_asked = match self.spec.resume {
            Some(_) => !self.is_owner_presumed_gone(),
            None => {
                servers.iter().all(|server| server.id != last.server) && !self.tried.contains(&last.server)
            }
        };
        if !is_asked {
            return Ok(None);
        }
        tracing::warn!(server = %last.server, "the registry does not know who has the stream: asking its last server");
        self.tried.insert(last.server.clone());
        self.presume_owner_gone();
        match self.open_call(&last.server, &last.address, last.epoch, Ground::OnAir).await? {
            CallOutcome::Accepted(assignment) => Ok(Some(assignment)),
            _ => Ok(None),
        }
    }

    /// Claims the stream for a server with room, and publishes there.
    async fn claim_server(&mut self, servers: Vec<ServerRecord>) -> Result<Step, RoutingError> {
        if servers.is_empty() {
            return Ok(Step::NoServer);
        }
        let registry = &self.router.registry;
        let server = self.choose_server(servers).ok_or(RoutingError::NoCapacity)?;
        let stream = &self.spec.stream;
        let epoch = match registry.claim(stream, &server.id, &server.address, self.claim_from).await? {
            Claim::Granted(ownership) => ownership.epoch,
            // Another proxy was quicker: the next attempt finds the owner.
            Claim::Held(_) => return Ok(Step::Retry),
            Claim::Passed(_) if self.spec.resume.is_some() => {
                return Err(RoutingError::Failure(replaced_failure()));
            }
            Claim::Passed(_) => {
                self.claim_from = None;
                return Ok(Step::Retry);
            }
        };
        self.claim_from = Some(epoch);
        self.presume_owner_gone();
        // A server that refuses this publisher for another reason has the stream, and keeps it.
        if let CallOutcome::Accepted(assignment) =
            self.open_call(&server.id, &server.address, epoch, Ground::Registry).await?
        {
            return Ok(Step::Assigned(assignment));
        }
        if let Err(error) = registry.release(stream, &server.id, epoch).await {
            tracing::warn!(%error, "a claim could not be given back; it expires by itself");
        }
        Ok(Step::Retry)
    }

    /// Server to claim the stream for: one that answered lately, if possible.
    fn choose_server(&self, servers: Vec<ServerRecord>) -> Option<ServerRecord> {
        let (silent, heard): (Vec<_>, Vec<_>) = servers
            .into_iter()
            .filter(|server| self.may_ask(server))
            .partition(|server| self.is_silent(&server.id));
        let candidates = if heard.is_empty() { silent } else { heard };
        // Many publishers search at once where one has lost its server, or has found one full.
        let is_one_of_many = self.spec.resume.is_some() || !self.tried.is_empty();
        choice::choose_server(&candidates, is_one_of_many).cloned()
    }

    /// Whether the server takes new publishers, and was not asked in this round. A server that can't start workers
    /// reports a capacity of zero.
    fn may_ask(&self, server: &ServerRecord) -> bool {
        !server.draining && server.capacity_millicores > 0 && !self.tried.contains(&server.id)
    }

    /// Whether the server did not answer a moment ago. If it is dead, its record runs out in this time.
    fn is_silent(&self, server: &ServerId) -> bool {
        self.silent.get(server).is_some_and(|since| since.elapsed() < SERVER_TTL)
    }

    /// Presumes for a while that the owner with the epoch in `claim_from` is gone.
    fn presume_owner_gone(&mut self) {
        self.presumed_gone_until = Some(Instant::now() + PRESUMED_GONE_TIME);
    }

    /// Whether an owner with this epoch is presumed gone, or has lost the stream before the publisher's own turn, and was
    /// heard first after the registry had lost everything.
    fn is_past(&self, epoch: Epoch) -> bool {
        self.claim_from.is_some_and(|from| epoch < from || epoch == from && self.is_owner_presumed_gone())
    }

    fn is_owner_presumed_gone(&self) -> bool {
        self.presumed_gone_until.is_some_and(|until| Instant::now() < until)
    }

    /// Opens the call, for [`ACCEPT_TIMEOUT`] at most: a server that has died is noticed sooner, by its connection. An error
    /// means that no other server would take the publisher.
    async fn open_call(
        &mut self,
        server: &ServerId,
        address: &str,
        epoch: Epoch,
        ground: Ground,
    ) -> Result<CallOutcome, RoutingError> {
        let channel = match self.router.channels.dedicated(address) {
            Ok(channel) => channel,
            Err(error) => {
                tracing::error!(address, %error, "the registry holds an address that is none");
                self.tried.insert(server.clone());
                return Ok(CallOutcome::NotListening);
            }
        };
        let PublishSpec { stream, publisher, facts, resume, failures, overrides } = self.spec.clone();
        let failures = failures.count_elsewhere(server);
        let facts = Some(facts);
        let opening = Opening { stream, epoch, ground, publisher, resume, failures, facts, overrides };
        let error = match PublishCall::open(channel, opening, ACCEPT_TIMEOUT).await {
            Ok(Accepted { call, resume, epoch }) => {
                let last = LastServer { server: server.clone(), address: address.into(), epoch };
                let publisher = TakenPublisher { id: &self.spec.publisher, policy: resume.policy.as_ref() };
                self.router.last_servers.insert(&self.spec.stream, last, publisher);
                let assignment = Assignment { call, server: server.clone(), epoch, resume };
                return Ok(CallOutcome::Accepted(Box::new(assignment)));
            }
            Err(PublishError::Rejected(failure)) if !goes_elsewhere(&failure) => {
                return Err(RoutingError::Failure(failure));
            }
            Err(error) => error,
        };
        tracing::warn!(%server, address, %epoch, %error, "the server does not take the publisher");
        Ok(self.record_refusal(server, &error))
    }

    fn record_refusal(&mut self, server: &ServerId, error: &PublishError) -> CallOutcome {
        match error {
            // Under a new epoch the same server may be the right one.
            PublishError::Rejected(failure) if failure.code() == Code::Fenced => CallOutcome::Refused,
            PublishError::Rejected(_) => {
                self.tried.insert(server.clone());
                CallOutcome::Refused
            }
            error => {
                self.silent.insert(server.clone(), Instant::now());
                if is_connection_refused(error) { CallOutcome::NotListening } else { CallOutcome::Unknown }
            }
        }
    }
}

fn goes_elsewhere(failure: &Failure) -> bool {
    matches!(failure.code(), Code::NoCapacity | Code::Draining | Code::Fenced)
}

fn replaced_failure() -> Failure {
    Failure { code: Code::StreamInUse.into(), message: "another encoder has taken this stream over".into() }
}

/// Whether the connection was refused: then the server's process has ended, whatever the registry still says.
fn is_connection_refused(error: &PublishError) -> bool {
    let mut cause: Option<&dyn Error> = Some(error);
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<io::Error>()
            && error.kind() == io::ErrorKind::ConnectionRefused
        {
            return true;
        }
        cause = error.source();
    }
    false
}

#[cfg(test)]
mod tests;
