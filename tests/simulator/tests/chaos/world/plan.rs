//! Plan of a run: its events and their times, drawn from the seed before anything happens.

use crate::kernel::chance::Chance;
use crate::kernel::net::{self, Host};
use crate::kernel::{registry, store};

/// The first fault comes when the broadcasts are on air, in milliseconds.
const FIRST: u64 = 7_000;
/// After the last one has begun, the longest outage may follow.
const LAST: u64 = 45_000;
/// When everything that is broken is mended.
pub const HEALED: u64 = 62_000;
/// When the encoders end their streams.
pub const STOPPED: u64 = 80_000;
/// When everything is over: after the reconnect window and the last media.
pub const OVER: u64 = STOPPED + 40_000;

/// A stream that costs more workers within a minute is refused (5.7); see `server.worker_restarts`.
const MAX_WORKER_FAULTS: usize = 3;

/// Begins the name of a host that is the owner of a stream: `owner:alpha#3`, for the third fault.
pub const OWNER: &str = "owner:";
/// The same for the proxy that the stream's newest encoder is connected to, and for that encoder's own host.
pub const PROXY: &str = "proxy-of:";
pub const ENCODER: &str = "encoder-of:";
/// The server that has most broadcasts.
pub const BUSIEST: Host = "busiest";
/// When one dies that has many.
pub const MANY_KILLED: u64 = 12_000;

pub const SERVERS: [Host; 3] = ["server-1", "server-2", "server-3"];
pub const PROXIES: [Host; 2] = ["proxy-1", "proxy-2"];
pub const ORIGINS: [Host; 2] = ["origin-1", "origin-2"];

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    Kill(Host),
    Start(Host),
    /// The machine goes, and nobody is told.
    Vanish(Host),
    /// A vanished one is back, with a new process.
    Return(Host),
    Freeze(Host),
    Thaw(Host),
    /// SIGTERM; it is started again when it has exited.
    Drain(Host),
    CrashWorker(Host),
    HangWorker(Host),
    /// It can't start workers any more; those that run go on.
    NoWorkers(Host),
    /// It can again.
    Workers(Host),
    Cut(Host, Host),
    Mend(Host, Host),
    /// Milliseconds of delay, bytes a millisecond.
    Slow(Host, Host, u64, u64),
    Fast(Host, Host),
    Unplug(Host),
    PlugIn(Host),
    EmptyRegistry,
    /// The encoder of this stream loses its connection, and is there again.
    Drop(usize),
    /// It loses its network, and comes back by another: the proxy knows nothing of it.
    HalfOpen(usize),
    /// A second encoder publishes the same stream, at this proxy first if there is one named.
    Intrude(usize, Option<Host>),
    /// The encoder of this stream loses its connection without a word, and connects to another proxy than before.
    Elsewhere(usize),
    /// The encoders of this stream end it.
    Finish(usize),
    /// An encoder of this stream connects to this proxy first.
    Publish(usize, Host),
    /// A stranger opens a call for this stream at this server, under an epoch that the registry never gave, and is refused.
    Forge(usize, Host),
    /// So many streams at least must be at the live edge now.
    ExpectLive(usize),
}

impl Action {
    /// The same with other hosts.
    pub fn map(self, mut host: impl FnMut(Host) -> Host) -> Self {
        match self {
            Self::Kill(at) => Self::Kill(host(at)),
            Self::Start(at) => Self::Start(host(at)),
            Self::Vanish(at) => Self::Vanish(host(at)),
            Self::Return(at) => Self::Return(host(at)),
            Self::Freeze(at) => Self::Freeze(host(at)),
            Self::Thaw(at) => Self::Thaw(host(at)),
            Self::Drain(at) => Self::Drain(host(at)),
            Self::CrashWorker(at) => Self::CrashWorker(host(at)),
            Self::HangWorker(at) => Self::HangWorker(host(at)),
            Self::NoWorkers(at) => Self::NoWorkers(host(at)),
            Self::Workers(at) => Self::Workers(host(at)),
            Self::Cut(one, other) => Self::Cut(host(one), host(other)),
            Self::Mend(one, other) => Self::Mend(host(one), host(other)),
            Self::Slow(one, other, delay, speed) => Self::Slow(host(one), host(other), delay, speed),
            Self::Fast(one, other) => Self::Fast(host(one), host(other)),
            Self::Publish(stream, at) => Self::Publish(stream, host(at)),
            Self::Forge(stream, at) => Self::Forge(stream, host(at)),
            other => other,
        }
    }
}

/// Which part of a proxy's network is away for a while.
#[derive(Clone, Copy, Debug)]
pub enum Healed {
    /// All of it.
    Host,
    /// Its links to the registry and to the owner of its stream, which comes back later.
    Links,
}

#[derive(Clone, Debug)]
pub struct Plan {
    pub streams: Vec<&'static str>,
    /// Whether nothing happens to proxies, encoders and their connections.
    pub is_strict: bool,
    pub actions: Vec<(u64, Action)>,
    /// Bytes of a picture besides its number.
    pub padding: usize,
    pub replay: Replay,
    /// The proxy that encoders connect to first, where that is not left to chance.
    pub first_proxy: Option<Host>,
    /// How many connections of encoders there may be, where somebody who was accepted must not have to connect again.
    pub most_takes: Option<usize>,
    /// Whether the owner of the first stream is killed as soon as its encoder has ended.
    pub kills_at_end: bool,
    /// Of each server. A broadcast is expected to need half of one.
    pub cores: f64,
    /// Whether its publishers are never away for longer than the reconnect window, so that viewers see one broadcast.
    pub is_one_broadcast: bool,
    /// Whether broadcasts are recorded, in a store that every server reaches by its own link.
    pub has_store: bool,
}

/// Limits of the media that proxies keep for each publisher.
#[derive(Clone, Copy, Debug)]
pub struct Replay {
    pub milliseconds: u64,
    pub bytes: u64,
}

impl Replay {
    /// Longer than all outages that a schedule puts in a row: then nothing may be lost.
    const AMPLE: Self = Self { milliseconds: 120_000, bytes: 32 << 20 };

    fn draw(chance: &mut Chance) -> Self {
        let milliseconds = chance.between(4_000, 10_000);
        let bytes = if chance.percent(50) { Self::AMPLE.bytes } else { chance.between(48 << 10, 256 << 10) };
        Self { milliseconds, bytes }
    }
}

impl Plan {
    pub fn draw(mut chance: Chance) -> Self {
        let streams = if chance.percent(40) { vec!["alpha", "beta"] } else { vec!["alpha"] };
        let is_strict = chance.percent(60);
        let padding = chance.between(0, 2_000) as usize;
        let mut plan = Self { is_strict, padding, ..Self::written(streams, Vec::new()) };
        for _ in 0..chance.between(1, 7) {
            plan.fault(&mut chance);
        }
        if chance.percent(25) {
            plan.replay = Replay::draw(&mut chance);
            plan.black_out(&mut chance);
        }
        plan.actions.sort_by_key(|(at, _)| *at);
        plan
    }

    /// An owner that was frozen wakes up, cannot reach the registry, and so does not know that it has lost the stream; an
    /// origin that has heard the next owner reaches only this one.
    pub fn late_owner() -> Self {
        let late = "owner:alpha#late";
        let next = "owner:alpha#next";
        let origin = ORIGINS[0];
        let actions = vec![
            (10_000, Action::Cut(late, registry::HOST)),
            (10_000, Action::Freeze(late)),
            (18_000, Action::Cut(origin, registry::HOST)),
            (19_000, Action::Cut(next, origin)),
            (20_000, Action::Thaw(late)),
            (30_000, Action::Mend(next, origin)),
            (34_000, Action::Mend(origin, registry::HOST)),
            (36_000, Action::Mend(late, registry::HOST)),
        ];
        Self { is_strict: true, ..Self::written(vec!["alpha"], actions) }
    }

    /// A proxy is cut off, its encoder comes back through the other one, and the cut heals: the first proxy still holds
    /// what it was sent, and has nobody behind it any more.
    pub fn healed_proxy(cut: Healed, lasts: u64) -> Self {
        let one = PROXIES[0];
        let back = 10_000 + lasts;
        let links = match cut {
            Healed::Host => vec![(Action::Unplug(one), back, Action::PlugIn(one))],
            Healed::Links => [(registry::HOST, back), ("owner:alpha#1", back + 1_500)]
                .map(|(host, back)| (Action::Cut(one, host), back, Action::Mend(one, host)))
                .to_vec(),
        };
        let mut actions = vec![(10_500, Action::Elsewhere(0))];
        for (begin, back, end) in links {
            actions.extend([(10_000, begin), (back, end)]);
        }
        Self { first_proxy: Some(one), most_takes: Some(2), ..Self::written(vec!["alpha"], actions) }
    }

    /// A stream has ended at one server and begun at another one. An encoder comes through a proxy that does not reach the
    /// registry, and knows only the first of them.
    pub fn guessed_epoch(after: u64) -> Self {
        let one = PROXIES[0];
        let other = PROXIES[1];
        let actions = vec![
            (8_000, Action::Finish(0)),
            (29_500, Action::Publish(0, other)),
            (29_500 + after, Action::Cut(one, registry::HOST)),
            (29_500 + after, Action::Intrude(0, Some(one))),
            (29_500 + after + 2_500, Action::Mend(one, registry::HOST)),
        ];
        Self { first_proxy: Some(one), most_takes: Some(3), ..Self::written(vec!["alpha"], actions) }
    }

    /// A schedule in which a second encoder comes through a proxy that does not reach the stream's owner, which lives and
    /// has a publisher.
    pub fn unreachable_owner() -> Self {
        let owner = "owner:alpha#1";
        let other = PROXIES[1];
        let actions = vec![
            (9_000, Action::Cut(other, owner)),
            (9_500, Action::Intrude(0, Some(other))),
            (40_000, Action::Mend(other, owner)),
        ];
        Self { first_proxy: Some(PROXIES[0]), most_takes: Some(2), ..Self::written(vec!["alpha"], actions) }
    }

    /// A server dies that has a third of many broadcasts or more. What is left has room for just as many.
    pub fn many() -> Self {
        let streams = vec!["a", "b", "c", "d", "e", "f", "g", "h"];
        let actions =
            vec![(MANY_KILLED, Action::Kill(BUSIEST)), (MANY_KILLED + 15_000, Action::Start(BUSIEST))];
        Self { is_strict: true, cores: 2.1, ..Self::written(streams, actions) }
    }

    /// A machine dies that carries the stream's proxy and its owner; or the owner alone dies, while the publisher is away.
    pub fn owner_and_publisher(are_one: bool, away: u64) -> Self {
        let owner = "owner:alpha#1";
        let proxy = PROXIES[0];
        let mut actions = vec![(17_000, Action::Kill(owner)), (30_000, Action::Start(owner))];
        if are_one {
            actions.extend([(17_000, Action::Kill(proxy)), (30_000, Action::Start(proxy))])
        } else {
            actions.extend([(14_000, Action::Finish(0)), (17_000 + away, Action::Publish(0, PROXIES[1]))])
        }
        let one = Self { first_proxy: Some(proxy), ..Self::written(vec!["alpha"], actions) };
        Self { is_one_broadcast: true, ..one }
    }

    /// A call under the highest number that there is was refused; then the owner dies.
    pub fn forged_epoch() -> Self {
        let owner = "owner:alpha#1";
        let actions = vec![
            (8_000, Action::Forge(0, owner)),
            (16_000, Action::Kill(owner)),
            (26_000, Action::Start(owner)),
            (30_000, Action::Kill("owner:alpha#2")),
        ];
        Self { is_strict: true, ..Self::written(vec!["alpha"], actions) }
    }

    /// All broadcasts but one of a server have workers that are stuck, and more media than any buffer holds; the other one
    /// goes on.
    pub fn stuck_workers() -> Self {
        let streams = vec!["alpha", "beta", "gamma", "delta", "epsilon", "zeta"];
        // Everybody is at the first server, by one proxy.
        let mut actions = vec![(0, Action::Kill(SERVERS[1])), (0, Action::Kill(SERVERS[2]))];
        actions.extend((1..streams.len() as u64).map(|n| (10_000 + 200 * n, Action::HangWorker(SERVERS[0]))));
        // Before the first one is given up.
        actions.push((19_900, Action::ExpectLive(1)));
        let first_proxy = Some(PROXIES[0]);
        let padding = 48_000;
        Self { is_strict: true, first_proxy, padding, ..Self::written(streams, actions) }
    }

    /// A server loses its workers and can't start others: its broadcasts go on elsewhere, and it is given no other one.
    pub fn no_workers() -> Self {
        let unable = "owner:alpha#unable";
        let actions = vec![
            (10_000, Action::NoWorkers(unable)),
            (10_500, Action::CrashWorker(unable)),
            (20_000, Action::CrashWorker("owner:beta#other")),
            (45_000, Action::Workers(unable)),
        ];
        Self { is_strict: true, ..Self::written(vec!["alpha", "beta"], actions) }
    }

    /// An owner dies between the end of its encoder and the last segment.
    pub fn killed_at_end() -> Self {
        Self { is_strict: true, kills_at_end: true, ..Self::written(vec!["alpha", "beta"], Vec::new()) }
    }

    /// All servers are away for longer than media is kept; the first one that is back makes many segments at once, and its
    /// proxy, which was cut off from it, hears of none.
    pub fn unheard(after: u64) -> Self {
        let first = SERVERS[0];
        let proxy = PROXIES[0];
        let kills = SERVERS.map(|server| (10_000, Action::Kill(server)));
        let mut actions = kills.to_vec();
        actions.extend([
            (18_000, Action::Start(first)),
            (18_000 + after, Action::Cut(proxy, first)),
            (18_500 + after, Action::Start(SERVERS[1])),
            (24_000, Action::Mend(proxy, first)),
            (24_000, Action::Start(SERVERS[2])),
        ]);
        let replay = Replay { milliseconds: 6_000, bytes: Replay::AMPLE.bytes };
        let is_at_one = Self { first_proxy: Some(proxy), ..Self::written(vec!["alpha"], actions) };
        Self { is_strict: true, replay, ..is_at_one }
    }

    /// An owner dies and is started again, while its publisher's proxy reaches it, and not the registry.
    pub fn back_without_registry(lasts: u64) -> Self {
        let owner = "owner:alpha#1";
        let proxy = PROXIES[0];
        let actions = vec![
            (10_000, Action::Cut(proxy, registry::HOST)),
            (10_100, Action::Kill(owner)),
            (10_000 + lasts, Action::Start(owner)),
            (25_000, Action::Mend(proxy, registry::HOST)),
        ];
        let is_at_one = Self { first_proxy: Some(proxy), ..Self::written(vec!["alpha"], actions) };
        Self { is_strict: true, ..is_at_one }
    }

    /// An owner that was frozen wakes up when the registry has just lost everything, and is the first to renew its lease,
    /// while the next owner stops.
    pub fn past_owner(after: u64) -> Self {
        let past = "owner:alpha#past";
        let next = "owner:alpha#next";
        let actions = vec![
            (10_000, Action::Freeze(past)),
            (20_000 + after, Action::Drain(next)),
            (20_100 + after, Action::EmptyRegistry),
            (20_105 + after, Action::Thaw(past)),
        ];
        Self { is_strict: true, ..Self::written(vec!["alpha"], actions) }
    }

    /// An owner is cut off for long: from the registry only, so that others find a recording without an owner; or from the
    /// store only, so that its recording shows no sign of life.
    pub fn recorded_through_cut(way: u64) -> Self {
        let owner = "owner:alpha#1";
        let far = if way.is_multiple_of(2) { registry::HOST } else { store::HOST };
        let actions = vec![(8_000 + 500 * way, Action::Cut(owner, far))];
        let recorded = Self { has_store: true, ..Self::written(vec!["alpha", "beta"], actions) };
        Self { is_strict: true, is_one_broadcast: true, ..recorded }
    }

    /// A recorded broadcast's owner dies, and the next one stops later.
    pub fn recorded_through_death(after: u64) -> Self {
        let first = "owner:alpha#1";
        let actions = vec![
            (10_000 + after, Action::Kill(first)),
            (20_000 + after, Action::Start(first)),
            (30_000 + after, Action::Drain("owner:alpha#2")),
        ];
        let recorded = Self { has_store: true, ..Self::written(vec!["alpha"], actions) };
        Self { is_strict: true, is_one_broadcast: true, ..recorded }
    }

    /// A server takes a publisher while the registry is away, gets an epoch for it when the registry is back, and dies before
    /// it has made another segment.
    pub fn raised_turn(after: u64) -> Self {
        let owner = "owner:alpha#1";
        let actions = vec![
            (10_000, Action::Unplug(registry::HOST)),
            (10_100, Action::Kill(owner)),
            (10_900, Action::Start(owner)),
            (16_000, Action::PlugIn(registry::HOST)),
            (16_300 + after, Action::Kill(owner)),
            (18_500 + after, Action::Start(owner)),
        ];
        Self { is_strict: true, ..Self::written(vec!["alpha"], actions) }
    }

    /// Plan that was not drawn, in which anything may happen to encoders and proxies.
    fn written(streams: Vec<&'static str>, actions: Vec<(u64, Action)>) -> Self {
        let first_proxy = None;
        let most_takes = None;
        let is_strict = false;
        let padding = 100;
        let replay = Replay::AMPLE;
        Self {
            streams,
            is_strict,
            actions,
            padding,
            replay,
            first_proxy,
            most_takes,
            kills_at_end: false,
            cores: 8.0,
            is_one_broadcast: false,
            has_store: false,
        }
    }

    fn fault(&mut self, chance: &mut Chance) {
        let at = chance.between(FIRST, LAST);
        let server = self.server(chance);
        match chance.below(if self.is_strict { 14 } else { 24 }) {
            0 | 1 => self.pair(at, chance.between(100, 12_000), Action::Kill(server), Action::Start(server)),
            2 => self.pair(at, chance.between(1_000, 12_000), Action::Vanish(server), Action::Return(server)),
            3 => self.pair(at, chance.between(100, 16_000), Action::Freeze(server), Action::Thaw(server)),
            4 => self.actions.push((at, Action::Drain(server))),
            5 | 6 if self.worker_faults() == MAX_WORKER_FAULTS => {}
            5 => self.actions.push((at, Action::CrashWorker(server))),
            6 => self.actions.push((at, Action::HangWorker(server))),
            7 => self.cut(at, chance.between(200, 10_000), chance.pick(&PROXIES), server),
            8 => self.cut(at, chance.between(200, 12_000), server, chance.pick(&ORIGINS)),
            9 => self.cut_registry(at, chance),
            10 => self.actions.push((at, Action::EmptyRegistry)),
            11 => self.origin(at, chance),
            12 => self.slow(at, chance),
            13 => {
                let lasts = chance.between(500, 16_000);
                self.pair(at, lasts, Action::NoWorkers(server), Action::Workers(server));
            }
            14 => {
                let proxy = chance.pick(&PROXIES);
                self.pair(at, chance.between(500, 10_000), Action::Kill(proxy), Action::Start(proxy));
            }
            15 => self.actions.push((at, Action::Drain(chance.pick(&PROXIES)))),
            16 => {
                let proxy = chance.pick(&PROXIES);
                self.pair(at, chance.between(500, 10_000), Action::Freeze(proxy), Action::Thaw(proxy));
            }
            17 => self.actions.push((at, Action::Drop(self.stream(chance)))),
            18 => self.actions.push((at, Action::HalfOpen(self.stream(chance)))),
            19 => self.move_away(at, chance),
            20 => {
                let stream = self.stream(chance);
                let encoder = self.of(ENCODER, stream);
                let proxy = self.of(PROXY, stream);
                self.cut(at, chance.between(200, 10_000), encoder, proxy);
            }
            21 => {
                let proxy = self.of(PROXY, self.stream(chance));
                self.cut(at, chance.between(200, 16_000), proxy, registry::HOST);
            }
            22 => {
                let proxy = self.of(PROXY, self.stream(chance));
                self.cut(at, chance.between(200, 10_000), proxy, server);
            }
            _ => self.actions.push((at, Action::Intrude(self.stream(chance), None))),
        }
    }

    /// An encoder's proxy is cut off, wholly or from some, and the encoder goes to another one meanwhile or later.
    fn move_away(&mut self, at: u64, chance: &mut Chance) {
        let stream = self.stream(chance);
        let proxy = self.of(PROXY, stream);
        let lasts = chance.between(500, 15_000);
        if chance.percent(50) {
            self.pair(at, lasts, Action::Unplug(proxy), Action::PlugIn(proxy))
        } else {
            let owner = self.of(OWNER, stream);
            self.cut(at, lasts, proxy, registry::HOST);
            self.cut(at, lasts + chance.between(0, 2_000), proxy, owner);
        }
        self.actions.push((at + chance.between(100, 8_000), Action::Elsewhere(stream)));
    }

    /// All servers are away for about as long as proxies keep media, or for longer; one or two of them come back first.
    fn black_out(&mut self, chance: &mut Chance) {
        let at = chance.between(FIRST, LAST);
        let lasts = self.replay.milliseconds + chance.between(0, 6_000) - 1_000;
        for server in SERVERS {
            let early = chance.between(0, 300);
            let late = chance.between(0, 1_500);
            self.pair(at + early, lasts + late, Action::Kill(server), Action::Start(server));
        }
    }

    fn worker_faults(&self) -> usize {
        let is_one =
            |(_, action): &&(u64, Action)| matches!(action, Action::CrashWorker(_) | Action::HangWorker(_));
        self.actions.iter().filter(is_one).count()
    }

    /// Most faults concern a server that has a stream. Which one that is, is known when the time has come.
    fn server(&self, chance: &mut Chance) -> Host {
        if chance.percent(30) {
            return chance.pick(&SERVERS);
        }
        self.of(OWNER, self.stream(chance))
    }

    /// A name for what the stream has when the time has come: its owner, its proxy, its encoder.
    fn of(&self, what: &str, stream: usize) -> Host {
        net::name(&format!("{what}{}#{}", self.streams[stream], self.actions.len()))
    }

    fn stream(&self, chance: &mut Chance) -> usize {
        chance.below(self.streams.len() as u64) as usize
    }

    fn pair(&mut self, at: u64, lasts: u64, begin: Action, end: Action) {
        self.actions.extend([(at, begin), (at + lasts, end)]);
    }

    fn cut(&mut self, at: u64, lasts: u64, one: Host, other: Host) {
        self.pair(at, lasts, Action::Cut(one, other), Action::Mend(one, other));
    }

    fn cut_registry(&mut self, at: u64, chance: &mut Chance) {
        let lasts = chance.between(200, 16_000);
        if chance.percent(40) {
            return self.pair(at, lasts, Action::Unplug(registry::HOST), Action::PlugIn(registry::HOST));
        }
        let hosts = [&SERVERS[..], &PROXIES, &ORIGINS].concat();
        self.cut(at, lasts, chance.pick(&hosts), registry::HOST);
    }

    fn origin(&mut self, at: u64, chance: &mut Chance) {
        let origin = chance.pick(&ORIGINS);
        if chance.percent(50) {
            self.pair(at, chance.between(100, 8_000), Action::Kill(origin), Action::Start(origin))
        } else {
            self.pair(at, chance.between(100, 8_000), Action::Freeze(origin), Action::Thaw(origin))
        }
    }

    fn slow(&mut self, at: u64, chance: &mut Chance) {
        let server = self.server(chance);
        let other = chance.pick(&[&PROXIES[..], &ORIGINS].concat());
        let delay = chance.between(20, 300);
        let speed = chance.between(60, 1_000);
        let lasts = chance.between(1_000, 15_000);
        self.pair(at, lasts, Action::Slow(server, other, delay, speed), Action::Fast(server, other));
    }
}
