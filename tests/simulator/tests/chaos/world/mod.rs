//! The world of one schedule: machines, encoders, viewers, and what happens to them.

pub mod encoder;
pub mod ladder;
pub mod plan;
mod stranger;
pub mod tag;
mod unit;
mod viewer;
mod worker;

use std::collections::BTreeMap;

use headwater_registry::Registry as _;
use tokio_util::sync::CancellationToken;

use crate::check::{Checker, Facts, GivenUp, Seat, judge, recordings};
use crate::kernel::STEP_MS;
use crate::kernel::chance::Chance;
use crate::kernel::log::{self, event};
use crate::kernel::machine::Machine;
use crate::kernel::metrics;
use crate::kernel::net::{self, Host, Net};
use crate::kernel::registry::Hub;
use crate::kernel::store::Depot;
use crate::kernel::system;
use encoder::{Encoder, Takes};
use plan::{
    Action, BUSIEST, ENCODER, HEALED, Healed, MANY_KILLED, ORIGINS, OVER, OWNER, PROXIES, PROXY, Plan,
    SERVERS, STOPPED,
};
use unit::{Kind, Surroundings, Unit};

/// When the first encoder connects.
const ON_AIR: u64 = 2_000;
/// How soon after its encoder's end an owner is killed that is.
const AT_END: u64 = 50;
/// A service that has exited is started again after so long.
const RESTART: u64 = 1_000;
/// How soon after its return the registry has to be whole (5.8).
const WHOLE_AGAIN: u64 = 5_000;
/// How far viewers may be behind the encoder when all is well, in tags: the worker's delay, the open part, the network.
const BEHIND: u32 = 30;

/// Seeds from here on stand for schedules that are not drawn but written.
const WRITTEN: u64 = u64::MAX - 10 * Written::ALL.len() as u64;

/// A schedule that is written, and which way chance goes in it, from 0 to 9.
pub fn written(schedule: Written, way: u64) -> u64 {
    WRITTEN + 10 * schedule as u64 + way
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    LateOwner,
    HealedHost,
    HealedLinks,
    GuessedEpoch,
    ForgedEpoch,
    UnreachableOwner,
    Many,
    StuckWorkers,
    NoWorkers,
    KilledAtEnd,
    OwnerAndProxy,
    OwnerOfNobody,
    Unheard,
    BackWithoutRegistry,
    PastOwner,
    RecordedThroughCut,
    RecordedThroughDeath,
    RaisedTurn,
}

impl Written {
    const ALL: [Self; 18] = [
        Self::LateOwner,
        Self::HealedHost,
        Self::HealedLinks,
        Self::GuessedEpoch,
        Self::ForgedEpoch,
        Self::UnreachableOwner,
        Self::Many,
        Self::StuckWorkers,
        Self::NoWorkers,
        Self::KilledAtEnd,
        Self::OwnerAndProxy,
        Self::OwnerOfNobody,
        Self::Unheard,
        Self::BackWithoutRegistry,
        Self::PastOwner,
        Self::RecordedThroughCut,
        Self::RecordedThroughDeath,
        Self::RaisedTurn,
    ];

    fn plan(self, way: u64) -> Plan {
        match self {
            Self::LateOwner => Plan::late_owner(),
            Self::HealedHost => Plan::healed_proxy(Healed::Host, 8_000 + 250 * way),
            Self::HealedLinks => Plan::healed_proxy(Healed::Links, 8_000 + 250 * way),
            Self::GuessedEpoch => Plan::guessed_epoch(1_000 + 500 * way),
            Self::ForgedEpoch => Plan::forged_epoch(),
            Self::UnreachableOwner => Plan::unreachable_owner(),
            Self::Many => Plan::many(),
            Self::StuckWorkers => Plan::stuck_workers(),
            Self::NoWorkers => Plan::no_workers(),
            Self::KilledAtEnd => Plan::killed_at_end(),
            Self::OwnerAndProxy => Plan::owner_and_publisher(true, 0),
            Self::OwnerOfNobody => Plan::owner_and_publisher(false, 500 + 2_000 * way),
            Self::Unheard => Plan::unheard(900 + 200 * way),
            Self::BackWithoutRegistry => Plan::back_without_registry(3_000 + 1_000 * way),
            Self::PastOwner => Plan::past_owner(500 * way),
            Self::RecordedThroughCut => Plan::recorded_through_cut(way),
            Self::RaisedTurn => Plan::raised_turn(150 * way),
            Self::RecordedThroughDeath => Plan::recorded_through_death(500 * way),
        }
    }
}

/// Streams that servers have given up to others, by what they log.
fn given_up() -> Vec<GivenUp> {
    let given_up = |line: &String| {
        let (before, _) = line.split_once("}: fenced: another server owns this stream now")?;
        let (seconds, before) = before.trim_start().split_once(' ')?;
        let (server, before) = before.split_once(' ')?;
        let (_, stream) = before.split_once("stream=")?;
        let at = seconds.replace('.', "").parse().ok()?;
        let stream = stream.split(' ').next()?;
        Some(GivenUp { at, server: server.to_owned(), stream: stream.to_owned() })
    };
    log::lines().iter().filter_map(given_up).collect()
}

fn plan(seed: u64, chance: Chance) -> Plan {
    match seed.checked_sub(WRITTEN) {
        Some(number) => Written::ALL[(number / 10) as usize].plan(number % 10),
        None => Plan::draw(chance),
    }
}

const REGISTRY: &str = "the registry is whole 5 s after its return (5.8)";
/// How long after its server died the last of its broadcasts goes on elsewhere: a worker gives its first part after half a
/// second, and searching must not take longer than that.
const LAST_MOVED: u64 = 1_500;

/// How often recordings are looked at.
const RECORDINGS_CHECK: u64 = 1_000;

const SPREAD: &str = "the broadcasts of a dead server are spread (5.2)";
const ONE: &str = "a publisher that is back in time goes on with its broadcast (5.6)";
const KEEPS: &str = "an encoder that was accepted and is heard keeps the stream (5.2, 5.6)";
const ISOLATED: &str = "a stuck worker costs its own broadcast only (5.7)";
const LIVE: &str = "every viewer is at the live edge when all is well (5)";

pub struct World {
    around: Surroundings,
    plan: Plan,
    chance: Chance,
    units: BTreeMap<Host, Unit>,
    encoders: Vec<Publisher>,
    takes: Takes,
    agenda: BTreeMap<(u64, usize), Action>,
    planned: usize,
    /// Hosts that the plan's names of owners, proxies and encoders have come to stand for.
    names: BTreeMap<Host, Host>,
    strangers: Vec<Machine>,
}

struct Publisher {
    stream: usize,
    machine: Machine,
    stop: CancellationToken,
}

impl World {
    pub fn new(seed: u64) -> Self {
        let chance = Chance::new(seed);
        let plan = plan(seed, chance.fork(1));
        let net = Net::new(chance.fork(2));
        let hub = Hub::new(net.clone(), chance.fork(3));
        let checker = Checker::default();
        let crews = checker.clone();
        let streams = plan.streams.clone();
        let replay = plan.replay;
        let cores = plan.cores;
        let depot = plan.has_store.then(|| Depot::new(net.clone(), chance.fork(5)));
        let around = Surroundings { net, hub, checker, streams, depot, replay, cores };
        let kinds = [(&SERVERS[..], Kind::Server), (&PROXIES, Kind::Proxy), (&ORIGINS, Kind::Origin)];
        let hosts = kinds.into_iter().flat_map(|(hosts, kind)| hosts.iter().map(move |host| (*host, kind)));
        let unit = |((host, kind), n)| (host, Unit::new(host, kind, chance.fork(n), crews.clone()));
        let units = hosts.zip(10..).map(unit).collect();
        let mut world = Self {
            around,
            chance: chance.fork(4),
            units,
            encoders: Vec::new(),
            takes: Takes::default(),
            agenda: BTreeMap::new(),
            planned: 0,
            names: BTreeMap::new(),
            strangers: Vec::new(),
            plan,
        };
        event!("{:?}", world.plan);
        for (at, action) in world.plan.actions.clone() {
            world.schedule(at, action);
        }
        world
    }

    /// Lives through the whole schedule; gives what was wrong.
    pub fn run(mut self) -> Vec<String> {
        self.units.values_mut().for_each(|unit| unit.start(&self.around));
        let mut now = 0;
        while now < OVER {
            system::set_now(now);
            self.step(now);
            now += STEP_MS;
            self.units
                .values()
                .filter_map(|unit| unit.machine.as_ref())
                .for_each(|machine| machine.run_until(now));
            self.encoders.iter().for_each(|encoder| encoder.machine.run_until(now));
            self.strangers.iter().for_each(|stranger| stranger.run_until(now));
            self.note_reach(now);
        }
        let runs = self.units.values().map(|unit| (unit.host, unit.run)).collect();
        let takes = self.takes.all().clone();
        let is_strict = self.plan.is_strict;
        let lost_tags = metrics::lost_tags();
        let losses = log::lines_with("media was lost");
        let kept = (metrics::most_kept(), self.plan.replay.bytes);
        let given_up = given_up();
        let kept_ms = self.plan.replay.milliseconds;
        let facts = Facts { is_strict, takes, runs, lost_tags, losses, kept, kept_ms, given_up };
        judge(&self.around.checker, &facts);
        self.check_takes();
        if self.plan.is_one_broadcast {
            self.check_one_broadcast();
        }
        if self.names.contains_key(BUSIEST) {
            self.check_spread();
        }
        if let Some(depot) = &self.around.depot {
            recordings::check_whole(depot.memory(), &self.around.checker);
        }
        self.around.checker.failures()
    }

    /// All broadcasts of the server that died go on soon, though they come at once to servers that have just enough room.
    fn check_spread(&self) {
        let moves = self.around.checker.note(|holders| holders.moves(MANY_KILLED));
        event!("moved: {moves:?}");
        let last = moves.iter().map(|(_, wait)| *wait).max();
        if last.is_none_or(|last| last > LAST_MOVED) {
            self.around.checker.fail(SPREAD, &format!("after {last:?} ms: {moves:?}"));
        }
    }

    /// Streams are on air all the time: no recording has an end yet.
    fn check_recordings_live(&self) {
        if let Some(depot) = self.around.depot.as_ref().filter(|_| self.plan.is_one_broadcast) {
            recordings::check_live(depot.memory(), &self.around.streams, &self.around.checker);
        }
    }

    fn check_one_broadcast(&self) {
        for (seat, shown) in self.around.checker.seats() {
            let broadcasts: Vec<_> = shown.broadcasts.iter().map(|broadcast| broadcast.id).collect();
            if broadcasts.len() != 1 {
                self.around.checker.fail(ONE, &format!("{seat:?}: {broadcasts:?}"));
            }
        }
    }

    fn check_takes(&self) {
        let takes = self.takes.all();
        if self.plan.most_takes.is_some_and(|most| takes.len() > most) {
            self.around.checker.fail(KEEPS, &format!("{} connections: {takes:#?}", takes.len()));
        }
    }

    fn step(&mut self, now: u64) {
        self.around.net.deliver(now);
        self.around.hub.tell();
        self.reap(now);
        while let Some(entry) = self.agenda.first_entry().filter(|entry| entry.key().0 <= now) {
            let action = entry.remove().map(|host| self.resolve(host));
            event!("-- {action:?}");
            self.act(action);
        }
        match now {
            ON_AIR => (0..self.plan.streams.len()).for_each(|stream| self.publish(stream, false)),
            HEALED => self.heal(),
            STOPPED => self.stop(),
            _ if now == HEALED + WHOLE_AGAIN => self.check_registry(),
            _ if now == STOPPED - STEP_MS => self.check_live(),
            _ if now < STOPPED && now.is_multiple_of(RECORDINGS_CHECK) => self.check_recordings_live(),
            _ => {}
        }
    }

    /// Takes down which origins and servers could speak in the step up to now.
    fn note_reach(&self, now: u64) {
        let is_awake = |host: &Host| self.units[host].is_awake();
        for origin in ORIGINS.iter().filter(|host| is_awake(host)) {
            for server in SERVERS.iter().filter(|host| is_awake(host)) {
                if !self.around.net.is_cut(origin, server) {
                    self.around.checker.note(|holders| holders.reach(origin, server, now - STEP_MS, now));
                }
            }
        }
        for server in SERVERS.iter().filter(|host| !self.units[*host].is_up()) {
            self.around.checker.note(|holders| holders.down(server, now));
        }
    }

    fn schedule(&mut self, at: u64, action: Action) {
        self.planned += 1;
        self.agenda.insert((at, self.planned), action);
    }

    /// The host that a name of the plan stands for, the same one to the fault's end.
    fn resolve(&mut self, host: Host) -> Host {
        if host == BUSIEST {
            let busiest = self.busiest();
            return self.names.entry(host).or_insert(busiest);
        }
        let found = |prefix: &str| {
            let stream = host.strip_prefix(prefix)?.split('#').next()?;
            let newest = || self.takes.all().iter().rfind(|take| take.stream == stream).cloned();
            Some(match prefix {
                OWNER => self.owner(stream).unwrap_or(SERVERS[0]),
                PROXY => newest().map_or(PROXIES[0], |take| take.proxy),
                _ => newest().map_or(PROXIES[0], |take| take.encoder),
            })
        };
        let Some(found) = [OWNER, PROXY, ENCODER].into_iter().find_map(found) else { return host };
        self.names.entry(host).or_insert(found)
    }

    fn busiest(&self) -> Host {
        let owners: Vec<_> = self.plan.streams.iter().filter_map(|stream| self.owner(stream)).collect();
        let load = |server: &Host| owners.iter().filter(|owner| *owner == server).count();
        event!("loads: {:?}", SERVERS.map(|server| load(&server)));
        SERVERS.into_iter().max_by_key(load).unwrap_or(SERVERS[0])
    }

    /// The server that the registry has for a stream.
    fn owner(&self, stream: &str) -> Option<Host> {
        use futures::FutureExt as _;
        let stream = stream.parse().expect("a stream's name");
        let owner = self.around.hub.memory().owner(&stream).now_or_never()?.ok()??;
        Some(net::host(&owner.address))
    }

    /// Starts processes again that have stopped by themselves.
    fn reap(&mut self, now: u64) {
        let exited: Vec<Host> =
            self.units.values_mut().filter_map(|unit| unit.reap().then_some(unit.host)).collect();
        for host in exited {
            self.schedule(now + RESTART, Action::Start(host));
        }
    }

    fn act(&mut self, action: Action) {
        let net = self.around.net.clone();
        match action {
            Action::Kill(host) => self.unit(host).machine = None,
            Action::Start(host) if !self.unit(host).is_up() => self.start(host),
            Action::Start(_) => {}
            Action::Vanish(host) => {
                net.unplug(host);
                self.unit(host).machine = None;
            }
            Action::Return(host) => {
                net.plug_in(host);
                self.act(Action::Start(host));
            }
            Action::Freeze(host) => self.unit(host).machine.iter_mut().for_each(Machine::freeze),
            Action::Thaw(host) => self.unit(host).machine.iter_mut().for_each(Machine::thaw),
            Action::Drain(host) => {
                self.around.checker.note(|holders| holders.drain(host, system::now()));
                self.unit(host).drain();
            }
            Action::CrashWorker(host) => self.unit(host).crew.crash(),
            Action::HangWorker(host) => self.unit(host).crew.hang(),
            Action::NoWorkers(host) => self.unit(host).crew.strike(),
            Action::Workers(host) => self.unit(host).crew.end_strike(),
            Action::ExpectLive(count) => self.expect_live(count),
            Action::Cut(one, other) => net.cut(one, other),
            Action::Mend(one, other) => net.mend(one, other),
            Action::Slow(one, other, delay, speed) => net.slow(one, other, Some((delay, speed))),
            Action::Fast(one, other) => net.slow(one, other, None),
            Action::Unplug(host) => net.unplug(host),
            Action::PlugIn(host) => net.plug_in(host),
            Action::EmptyRegistry => self.around.hub.empty(),
            Action::Drop(stream) => {
                self.encoders.retain(|encoder| encoder.stream != stream);
                self.publish(stream, false);
            }
            Action::HalfOpen(stream) => self.half_open(stream),
            Action::Intrude(stream, at) => self.publish_at(stream, true, at),
            Action::Elsewhere(stream) => self.elsewhere(stream),
            Action::Finish(stream) => self.finish(|encoder| encoder.stream == stream),
            Action::Publish(stream, proxy) => self.publish_at(stream, false, Some(proxy)),
            Action::Forge(stream, server) => self.forge(stream, server),
        }
    }

    fn unit(&mut self, host: Host) -> &mut Unit {
        self.units.get_mut(host).expect("the plan names only machines that there are")
    }

    fn start(&mut self, host: Host) {
        let around = self.around.clone();
        self.unit(host).start(&around);
    }

    fn publish(&mut self, stream: usize, is_intruder: bool) {
        self.publish_at(stream, is_intruder, self.plan.first_proxy);
    }

    /// Starts an encoder, which connects to this proxy first.
    fn publish_at(&mut self, stream: usize, is_intruder: bool, first: Option<Host>) {
        let host = net::name(&format!("{}-{}", self.plan.streams[stream], self.takes.all().len()));
        let by_chance = self.chance.below(PROXIES.len() as u64) as usize;
        let mut proxies = PROXIES.map(|proxy| format!("{proxy}:1935")).to_vec();
        let first = PROXIES.iter().position(|proxy| Some(*proxy) == first);
        proxies.rotate_left(first.unwrap_or(by_chance));
        let stop = CancellationToken::new();
        let encoder = Encoder {
            net: self.around.net.clone(),
            host,
            stream: self.plan.streams[stream],
            proxies,
            takes: self.takes.clone(),
            stop: stop.clone(),
            is_intruder,
            padding: self.plan.padding,
            reconnects: self.chance.percent(50),
        };
        self.encoders.push(Publisher { stream, machine: Machine::start(host, encoder.run()), stop });
    }

    fn half_open(&mut self, stream: usize) {
        let hosts: Vec<Host> =
            self.encoders.iter().filter(|e| e.stream == stream).map(|e| e.machine.host()).collect();
        hosts.into_iter().for_each(|host| self.around.net.lose(host));
        self.act(Action::Drop(stream));
    }

    fn elsewhere(&mut self, stream: usize) {
        let name = self.plan.streams[stream];
        let before = self.takes.all().iter().rfind(|take| take.stream == name).map(|take| take.proxy);
        let hosts: Vec<Host> =
            self.encoders.iter().filter(|e| e.stream == stream).map(|e| e.machine.host()).collect();
        hosts.into_iter().for_each(|host| self.around.net.lose(host));
        self.encoders.retain(|encoder| encoder.stream != stream);
        let other = PROXIES.into_iter().find(|proxy| Some(*proxy) != before);
        self.publish_at(stream, false, other);
    }

    fn finish(&self, which: impl Fn(&Publisher) -> bool) {
        self.encoders.iter().filter(|encoder| which(encoder)).for_each(|encoder| encoder.stop.cancel());
    }

    fn forge(&mut self, stream: usize, server: Host) {
        let work = stranger::forge(self.around.net.clone(), server, self.plan.streams[stream]);
        self.strangers.push(Machine::start(stranger::HOST, work));
    }

    /// Everything works again, and goes on doing so.
    fn heal(&mut self) {
        self.agenda.clear();
        event!("-- everything heals");
        self.around.net.heal();
        let around = self.around.clone();
        for unit in self.units.values_mut() {
            unit.crew.heal();
            match &mut unit.machine {
                Some(machine) => machine.thaw(),
                None => unit.start(&around),
            }
        }
    }

    fn stop(&mut self) {
        event!("-- the encoders stop");
        self.finish(|_| true);
        if self.plan.kills_at_end {
            let owner = "owner:alpha#end";
            self.schedule(STOPPED + AT_END, Action::Kill(owner));
            self.schedule(STOPPED + 10 * RESTART, Action::Start(owner));
        }
    }

    fn check_registry(&self) {
        use futures::FutureExt as _;
        let memory = self.around.hub.memory();
        let servers = memory.servers().now_or_never().and_then(Result::ok).unwrap_or_default();
        if servers.len() != SERVERS.len() {
            let ids: Vec<_> = servers.iter().map(|server| server.id.to_string()).collect();
            self.around.checker.fail(REGISTRY, &format!("it knows only {ids:?}"));
        }
        for stream in &self.plan.streams {
            let id = stream.parse().expect("a stream's name");
            if !matches!(memory.owner(&id).now_or_never(), Some(Ok(Some(_)))) {
                self.around.checker.fail(REGISTRY, &format!("it knows no owner of {stream}"));
            }
        }
    }

    fn check_live(&self) {
        let behind = self.plan.streams.iter().flat_map(|stream| self.behind(stream));
        behind.for_each(|behind| self.around.checker.fail(LIVE, &behind));
    }

    fn expect_live(&self, count: usize) {
        let behind: Vec<_> = self.plan.streams.iter().map(|stream| self.behind(stream)).collect();
        let live = behind.iter().filter(|behind| behind.is_empty()).count();
        if live < count {
            self.around.checker.fail(ISOLATED, &format!("{live} of {count} are live: {behind:?}"));
        }
    }

    /// Origins that are not at the live edge of a stream.
    fn behind(&self, stream: &'static str) -> Vec<String> {
        let takes = self.takes.all().clone();
        let live = takes
            .iter()
            .enumerate()
            .rfind(|(_, take)| take.stream == stream && take.accepted_ms.is_some() && take.end.is_none());
        let Some((take, sent)) = live.map(|(take, of)| (take as u32, of.sent)) else {
            return vec![format!("nobody publishes {stream}")];
        };
        let seats = ORIGINS.map(|origin| Seat { stream, origin, run: self.units[origin].run });
        let behind = seats.into_iter().filter_map(|seat| {
            let newest = self.around.checker.newest(seat);
            let is_behind = newest.is_none_or(|newest| newest.take != take || newest.index + BEHIND < sent);
            is_behind.then(|| format!("{seat:?} is at {newest:?} of {sent} of take {take}"))
        });
        behind.collect()
    }
}
