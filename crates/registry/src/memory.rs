//! The registry of a single process.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use headwater_media::lock::MutexExt;
use headwater_media::{Epoch, StreamId};
use tokio::time::Instant;

use crate::event::{EventSender, event_channel};
use crate::{
    Claim, EPOCH_LIMIT, EPOCH_RETENTION, Handoff, OriginId, Ownership, Registry, RegistryError,
    RegistryEvent, ServerId, ServerRecord, Ttls, ViewerReport, Watch,
};

/// Keeps everything in this process. Clones share one registry. Time is tokio's, so that tests can pause it.
#[derive(Clone, Debug)]
pub struct MemoryRegistry {
    state: Arc<Mutex<State>>,
    events: EventSender,
    ttls: Ttls,
    shared: bool,
}

#[derive(Debug, Default)]
struct State {
    /// The highest epoch of any stream: where the streams that are not known (any more) start.
    highest: Epoch,
    streams: HashMap<StreamId, Stream>,
    servers: BTreeMap<ServerId, (ServerRecord, Instant)>,
    /// Viewers at each origin, and until when they count.
    viewers: BTreeMap<OriginId, (ViewerReport, Instant)>,
}

#[derive(Debug)]
struct Stream {
    /// Every epoch up to this one was given out, or is skipped.
    newest: Epoch,
    /// Whose the newest one is; nobody's once it was released.
    server: Option<ServerId>,
    /// The newest one that was on air.
    aired: Option<Epoch>,
    /// When `newest` may be forgotten.
    forget: Instant,
    lease: Option<(Ownership, Instant)>,
    /// Until when it holds.
    handoff: Option<(String, Instant)>,
}

impl MemoryRegistry {
    /// An empty registry, in which entries live as long as `ttls` say.
    pub fn new(ttls: Ttls) -> Self {
        Self { state: Arc::default(), events: event_channel(), ttls, shared: false }
    }

    /// The same registry for several servers of one process, each of which takes the others for other processes: for tests.
    #[must_use]
    pub fn shared(self) -> Self {
        Self { shared: true, ..self }
    }

    /// Registry that has lost everything, and gives out epochs above this one; Redis does so by its clock.
    pub fn above(ttls: Ttls, epoch: Epoch) -> Self {
        let registry = Self::new(ttls);
        registry.lock_state().highest = epoch;
        registry
    }

    /// The same registry with other lifetimes.
    #[must_use]
    pub fn with_ttls(&self, ttls: Ttls) -> Self {
        Self { ttls, ..self.clone() }
    }

    fn lock_state(&self) -> MutexGuard<'_, State> {
        // Nothing in here is left half done by a panic.
        self.state.lock_ignoring_poison()
    }

    fn send_event(&self, event: RegistryEvent) {
        // An error only says that nobody watches.
        let _ = self.events.send(event);
    }
}

impl State {
    /// Epoch that every one given out for the stream is at most, also before everything was lost.
    fn newest_epoch(&self, id: &StreamId) -> Epoch {
        self.streams.get(id).map_or(self.highest, |stream| stream.newest.max(self.highest))
    }

    /// Remembers that everything up to `epoch` is used, the last one by this server.
    fn raise_epoch(
        &mut self,
        id: &StreamId,
        epoch: Epoch,
        server: Option<&ServerId>,
        now: Instant,
    ) -> &mut Stream {
        if !self.streams.contains_key(id) {
            self.streams.retain(|_, stream| stream.forget > now);
        }
        self.highest = self.highest.max(epoch);
        let forget = now + EPOCH_RETENTION;
        let new = Stream { newest: epoch, server: None, aired: None, forget, lease: None, handoff: None };
        let stream = self.streams.entry(id.clone()).or_insert(new);
        stream.newest = stream.newest.max(epoch);
        stream.server = server.cloned();
        stream.forget = forget;
        stream
    }

    fn live_lease(&self, id: &StreamId, now: Instant) -> Option<&Ownership> {
        let (ownership, until) = self.streams.get(id)?.lease.as_ref()?;
        (*until > now).then_some(ownership)
    }

    /// Refuses whoever does not have the stream under this epoch, as far as is known.
    fn check_owner(&self, id: &StreamId, server: &ServerId, epoch: Epoch) -> Result<(), RegistryError> {
        let known = self.streams.get(id);
        let fenced = |newest| RegistryError::Fenced {
            stream: id.clone(),
            epoch,
            newest,
            server: known.and_then(|known| known.server.clone()),
        };
        if epoch >= EPOCH_LIMIT {
            return Err(fenced(known.map_or(self.highest, |known| known.newest)));
        }
        match known {
            Some(known) if known.newest > epoch => Err(fenced(known.newest)),
            Some(known) if known.newest == epoch && known.server.as_ref() != Some(server) => {
                Err(fenced(known.newest))
            }
            _ => Ok(()),
        }
    }

    /// Writes the lease of a stream that is on air.
    fn write_lease(&mut self, id: &StreamId, ownership: Ownership, lease: Duration, now: Instant) {
        let stream = self.raise_epoch(id, ownership.epoch, Some(&ownership.server), now);
        stream.aired = Some(ownership.epoch);
        stream.lease = Some((ownership, now + lease));
    }
}

#[async_trait]
impl Registry for MemoryRegistry {
    async fn claim(
        &self,
        stream: &StreamId,
        server: &ServerId,
        address: &str,
        expected: Option<Epoch>,
    ) -> Result<Claim, RegistryError> {
        let now = Instant::now();
        let mut state = self.lock_state();
        let is_gone = |held: &Ownership| {
            expected.is_some_and(|expected| held.epoch <= expected && expected < EPOCH_LIMIT)
        };
        if let Some(held) = state.live_lease(stream, now).filter(|held| !is_gone(held)) {
            return Ok(Claim::Held(held.clone()));
        }
        let aired = state.streams.get(stream).and_then(|known| known.aired);
        if let Some(aired) = aired.filter(|aired| expected.is_some_and(|expected| *aired > expected)) {
            return Ok(Claim::Passed(aired));
        }
        let expected = expected.filter(|expected| expected.next() < EPOCH_LIMIT).unwrap_or_default();
        let epoch = state.newest_epoch(stream).max(expected).next();
        let ownership =
            Ownership { server: server.clone(), address: address.to_owned(), epoch, broadcast: None };
        let known = state.raise_epoch(stream, epoch, Some(server), now);
        known.lease = Some((ownership.clone(), now + self.ttls.lease));
        self.send_event(RegistryEvent::OwnerChanged(stream.clone()));
        Ok(Claim::Granted(ownership))
    }

    async fn renew(&self, stream: &StreamId, ownership: &Ownership) -> Result<(), RegistryError> {
        let now = Instant::now();
        let mut state = self.lock_state();
        state.check_owner(stream, &ownership.server, ownership.epoch)?;
        let changed = state.live_lease(stream, now) != Some(ownership);
        state.write_lease(stream, ownership.clone(), self.ttls.lease, now);
        if changed {
            self.send_event(RegistryEvent::OwnerChanged(stream.clone()));
        }
        Ok(())
    }

    async fn next_turn(&self, stream: &StreamId, ownership: &Ownership) -> Result<Epoch, RegistryError> {
        let now = Instant::now();
        let mut state = self.lock_state();
        state.check_owner(stream, &ownership.server, ownership.epoch)?;
        let epoch = state.newest_epoch(stream).max(ownership.epoch).next();
        state.write_lease(stream, Ownership { epoch, ..ownership.clone() }, self.ttls.lease, now);
        self.send_event(RegistryEvent::OwnerChanged(stream.clone()));
        Ok(epoch)
    }

    async fn release(&self, stream: &StreamId, server: &ServerId, epoch: Epoch) -> Result<(), RegistryError> {
        let now = Instant::now();
        let mut state = self.lock_state();
        if state.check_owner(stream, server, epoch).is_err() {
            return Ok(());
        }
        // The number after it is skipped, so that this epoch is not the newest any more.
        if state.raise_epoch(stream, epoch.next(), None, now).lease.take().is_some() {
            self.send_event(RegistryEvent::OwnerChanged(stream.clone()));
        }
        Ok(())
    }

    async fn hand_off(
        &self,
        stream: &StreamId,
        ownership: &Ownership,
        handoff: Option<&Handoff>,
    ) -> Result<(), RegistryError> {
        let now = Instant::now();
        let mut state = self.lock_state();
        state.check_owner(stream, &ownership.server, ownership.epoch)?;
        let known = state.raise_epoch(stream, ownership.epoch, Some(&ownership.server), now);
        known.handoff = handoff.map(|handoff| (handoff.document.clone(), now + handoff.lasts));
        Ok(())
    }

    async fn handoff(&self, stream: &StreamId) -> Result<Option<Handoff>, RegistryError> {
        let now = Instant::now();
        let state = self.lock_state();
        let left = state.streams.get(stream).and_then(|known| known.handoff.clone());
        let held = left.filter(|(_, until)| *until > now);
        Ok(held.map(|(document, until)| Handoff { document, lasts: until - now }))
    }

    async fn owner(&self, stream: &StreamId) -> Result<Option<Ownership>, RegistryError> {
        Ok(self.lock_state().live_lease(stream, Instant::now()).cloned())
    }

    async fn register_server(&self, record: &ServerRecord) -> Result<(), RegistryError> {
        let now = Instant::now();
        let entry = (record.clone(), now + self.ttls.server);
        let before = self.lock_state().servers.insert(record.id.clone(), entry);
        if !before.is_some_and(|(before, until)| until > now && before.stands_as(record)) {
            self.send_event(RegistryEvent::ServersChanged);
        }
        Ok(())
    }

    async fn unregister_server(&self, server: &ServerId) -> Result<(), RegistryError> {
        if self.lock_state().servers.remove(server).is_some() {
            self.send_event(RegistryEvent::ServersChanged);
        }
        Ok(())
    }

    async fn servers(&self) -> Result<Vec<ServerRecord>, RegistryError> {
        let now = Instant::now();
        let mut state = self.lock_state();
        let before = state.servers.len();
        state.servers.retain(|_, (_, until)| *until > now);
        if state.servers.len() < before {
            self.send_event(RegistryEvent::ServersChanged);
        }
        Ok(state.servers.values().map(|(record, _)| record.clone()).collect())
    }

    async fn report_viewers(&self, report: &ViewerReport) -> Result<(), RegistryError> {
        let now = Instant::now();
        let viewers = &mut self.lock_state().viewers;
        viewers.retain(|_, (_, until)| *until > now);
        viewers.insert(report.origin, (report.clone(), now + self.ttls.viewers));
        Ok(())
    }

    async fn viewers(&self, streams: &[StreamId]) -> Result<Vec<Option<u64>>, RegistryError> {
        let now = Instant::now();
        let state = self.lock_state();
        let live = state.viewers.values().filter(|(_, until)| *until > now);
        let reports: Vec<_> = live.map(|(report, _)| report).collect();
        let count = |stream| {
            (!reports.is_empty()).then(|| reports.iter().map(|report| report.count(stream)).sum())?
        };
        Ok(streams.iter().map(count).collect())
    }

    async fn announce_input(&self, uid: &StreamId) -> Result<(), RegistryError> {
        self.send_event(RegistryEvent::InputChanged(uid.clone()));
        Ok(())
    }

    fn watch(&self) -> Watch {
        Watch::new(&self.events)
    }

    fn is_shared(&self) -> bool {
        self.shared
    }

    async fn ready(&self) -> Result<(), RegistryError> {
        Ok(())
    }
}
