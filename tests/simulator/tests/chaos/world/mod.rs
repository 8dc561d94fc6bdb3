//! The world of one schedule: machines, encoders, viewers, and what happens to them.

pub mod encoder;
pub mod ladder;
pub mod plan;
pub mod tag;
mod unit;
mod viewer;
mod worker;

use std::collections::BTreeMap;

use headwater_registry::Registry as _;
use tokio_util::sync::CancellationToken;

use crate::check::{Checker, Facts, Seat, judge};
use crate::kernel::STEP_MS;
use crate::kernel::chance::Chance;
use crate::kernel::log::{self, event};
use crate::kernel::machine::Machine;
use crate::kernel::metrics;
use crate::kernel::net::{self, Host, Net};
use crate::kernel::registry::Hub;
use crate::kernel::system;
use encoder::{Encoder, Takes};
use plan::{Action, HEALED, ORIGINS, OVER, OWNER, PROXIES, Plan, SERVERS, STOPPED};
use unit::{Kind, Surroundings, Unit};

/// When the first encoder connects.
const ON_AIR: u64 = 2_000;
/// A service that has exited is started again after so long.
const RESTART: u64 = 1_000;
/// How soon after its return the registry has to be whole (5.8).
const WHOLE_AGAIN: u64 = 5_000;
/// How far viewers may be behind the encoder when all is well, in tags: the worker's delay, the open part, the network.
const BEHIND: u32 = 30;

/// Not drawn but written: this seed stands for [`Plan::late_owner`].
pub const LATE_OWNER: u64 = u64::MAX;

const REGISTRY: &str = "the registry is whole 5 s after its return (5.8)";
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
    /// What the plan's names of owners have come to stand for.
    owners: BTreeMap<Host, Host>,
}

struct Publisher {
    stream: usize,
    machine: Machine,
    stop: CancellationToken,
}

impl World {
    pub fn new(seed: u64) -> Self {
        let chance = Chance::new(seed);
        let plan = if seed == LATE_OWNER { Plan::late_owner() } else { Plan::draw(chance.fork(1)) };
        let net = Net::new(chance.fork(2));
        let hub = Hub::new(net.clone(), chance.fork(3));
        let checker = Checker::default();
        let crews = checker.clone();
        let around = Surroundings { net, hub, checker, streams: plan.streams.clone(), replay: plan.replay };
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
            owners: BTreeMap::new(),
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
            self.note_reach(now);
        }
        let runs = self.units.values().map(|unit| (unit.host, unit.run)).collect();
        let takes = self.takes.all().clone();
        let is_strict = self.plan.is_strict;
        let (lost_tags, losses) = (metrics::lost_tags(), log::lines_with("media was lost"));
        let kept = (metrics::most_kept(), self.plan.replay.bytes);
        judge(&self.around.checker, &Facts { is_strict, takes, runs, lost_tags, losses, kept });
        self.around.checker.failures()
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
        use futures::FutureExt as _;
        let Some(rest) = host.strip_prefix(OWNER) else { return host };
        let stream = rest.split('#').next().and_then(|stream| stream.parse().ok()).expect("a stream's name");
        let owner = || {
            let owner = self.around.hub.memory().owner(&stream).now_or_never()?.ok()??;
            Some(net::host(&owner.address))
        };
        self.owners.entry(host).or_insert_with(|| owner().unwrap_or(SERVERS[0]))
    }

    /// Whoever has stopped by itself is started again.
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
            Action::Drain(host) => self.unit(host).drain(),
            Action::CrashWorker(host) => self.unit(host).crew.crash(),
            Action::HangWorker(host) => self.unit(host).crew.hang(),
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
            Action::Intrude(stream) => self.publish(stream, true),
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
        let host = net::name(&format!("{}-{}", self.plan.streams[stream], self.takes.all().len()));
        let mut proxies = PROXIES.map(|proxy| format!("{proxy}:1935")).to_vec();
        proxies.rotate_left(self.chance.below(PROXIES.len() as u64) as usize);
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
        self.encoders.iter().for_each(|encoder| encoder.stop.cancel());
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
        let takes = self.takes.all().clone();
        for stream in &self.plan.streams {
            let live = takes.iter().enumerate().rfind(|(_, take)| {
                take.stream == *stream && take.accepted_ms.is_some() && take.end.is_none()
            });
            let Some((take, sent)) = live.map(|(take, of)| (take as u32, of.sent)) else {
                self.around.checker.fail(LIVE, &format!("nobody publishes {stream}"));
                continue;
            };
            for origin in ORIGINS {
                let seat = Seat { stream, origin, run: self.units[origin].run };
                let newest = self.around.checker.newest(seat);
                if newest.is_none_or(|newest| newest.take != take || newest.index + BEHIND < sent) {
                    let detail = format!("{seat:?} is at {newest:?} of {sent} of take {take}");
                    self.around.checker.fail(LIVE, &detail);
                }
            }
        }
    }
}
