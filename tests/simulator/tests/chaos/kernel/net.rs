//! The network: connections with delay, limited speed and limited buffers. A cut link loses nothing, as TCP sends again.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::Waker;
use std::time::Duration;

use bytes::Bytes;
use headwater_media::lock::MutexExt;
use tokio::sync::mpsc;

use super::chance::Chance;
use super::socket::Socket;

/// A machine's name.
pub type Host = &'static str;

/// Bytes that may be on their way and unread in one direction of a connection: less than a second of a stream.
const BUFFER: usize = 128 << 10;
/// Connections that wait to be accepted.
const BACKLOG: usize = 128;
/// How often a connection attempt is repeated on a cut link.
const RETRY: Duration = Duration::from_millis(200);

#[derive(Clone)]
pub struct Net(Arc<Mutex<State>>);

struct State {
    now: u64,
    chance: Chance,
    listeners: BTreeMap<String, mpsc::Sender<Socket>>,
    connections: BTreeMap<u64, Connection>,
    made: u64,
    /// How often each link is cut; a link is named with the lesser host first.
    cuts: BTreeMap<(Host, Host), u32>,
    /// Hosts that nothing reaches.
    unplugged: BTreeMap<Host, u32>,
    /// Hosts that stay unplugged for good.
    lost: BTreeSet<Host>,
    links: BTreeMap<(Host, Host), Link>,
}

#[derive(Clone, Copy)]
struct Link {
    delay: u64,
    /// Bytes a millisecond.
    speed: u64,
}

struct Connection {
    hosts: [Host; 2],
    open: [bool; 2],
    /// From this end to the other one.
    pipes: [Pipe; 2],
}

#[derive(Default)]
struct Pipe {
    under_way: VecDeque<(u64, Packet)>,
    last_due: u64,
    arrived: VecDeque<Bytes>,
    buffered: usize,
    finished: bool,
    /// When the writer learns that nobody reads any more.
    refused: Option<u64>,
    broken: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

enum Packet {
    Data(Bytes),
    Fin,
}

impl Net {
    pub fn new(chance: Chance) -> Self {
        Self(Arc::new(Mutex::new(State {
            now: 0,
            chance,
            listeners: BTreeMap::new(),
            connections: BTreeMap::new(),
            made: 0,
            cuts: BTreeMap::new(),
            unplugged: BTreeMap::new(),
            lost: BTreeSet::new(),
            links: BTreeMap::new(),
        })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock_ignoring_poison()
    }

    /// Connections to this address, from now on.
    pub fn listen(&self, address: &str) -> mpsc::Receiver<Socket> {
        let (sender, receiver) = mpsc::channel(BACKLOG);
        self.state().listeners.insert(address.to_owned(), sender);
        receiver
    }

    pub async fn connect(&self, from: Host, to: &str) -> io::Result<Socket> {
        loop {
            let delay = self.state().delay(from, host(to));
            tokio::time::sleep(Duration::from_millis(2 * delay)).await;
            if self.is_cut(from, host(to)) {
                tokio::time::sleep(RETRY).await;
                continue;
            }
            let (ours, theirs) = self.state().connect(self, from, host(to));
            let listener = self.state().listeners.get(to).cloned();
            match listener.map(|listener| listener.try_send(theirs)) {
                Some(Ok(())) => return Ok(ours),
                _ => return Err(io::ErrorKind::ConnectionRefused.into()),
            }
        }
    }

    /// Moves what is due to where it goes.
    pub fn deliver(&self, now: u64) {
        let mut woken = Vec::new();
        let mut state = self.state();
        state.now = now;
        let State { connections, cuts, unplugged, .. } = &mut *state;
        connections.retain(|_, connection| {
            if !is_cut(cuts, unplugged, connection.hosts) {
                connection.pipes.iter_mut().for_each(|pipe| pipe.deliver(now, &mut woken));
            }
            connection.open.contains(&true) || connection.pipes.iter().any(Pipe::is_busy)
        });
        drop(state);
        // Not under the lock: a task that ends with its waker may own a socket.
        woken.into_iter().for_each(Waker::wake);
    }

    pub fn cut(&self, one: Host, other: Host) {
        *self.state().cuts.entry(link(one, other)).or_default() += 1;
    }

    pub fn mend(&self, one: Host, other: Host) {
        self.state().cuts.entry(link(one, other)).and_modify(|cuts| *cuts -= 1);
    }

    pub fn unplug(&self, host: Host) {
        *self.state().unplugged.entry(host).or_default() += 1;
    }

    /// For good.
    pub fn lose(&self, host: Host) {
        self.unplug(host);
        self.state().lost.insert(host);
    }

    pub fn plug_in(&self, host: Host) {
        self.state().unplugged.entry(host).and_modify(|times| *times -= 1);
    }

    /// Every link is as it was at first; hosts that are lost stay so.
    pub fn heal(&self) {
        let mut state = self.state();
        state.cuts.clear();
        state.links.clear();
        let State { unplugged, lost, .. } = &mut *state;
        unplugged.retain(|host, _| lost.contains(host));
    }

    pub fn is_cut(&self, one: Host, other: Host) -> bool {
        let state = self.state();
        is_cut(&state.cuts, &state.unplugged, [one, other])
    }

    /// Makes a link slow; without numbers it is as it was.
    pub fn slow(&self, one: Host, other: Host, how: Option<(u64, u64)>) {
        let mut state = self.state();
        match how {
            Some((delay, speed)) => state.links.insert(link(one, other), Link { delay, speed }),
            None => state.links.remove(&link(one, other)),
        };
    }

    pub(super) fn read(&self, id: u64, end: usize, waker: &Waker) -> Option<io::Result<Option<Bytes>>> {
        let mut state = self.state();
        let connection = state.connections.get_mut(&id)?;
        let pipe = &mut connection.pipes[1 - end];
        if let Some(bytes) = pipe.arrived.pop_front() {
            pipe.buffered -= bytes.len();
            let writer = pipe.writer.take();
            drop(state);
            writer.into_iter().for_each(Waker::wake);
            return Some(Ok(Some(bytes)));
        }
        if pipe.finished {
            return Some(Ok(None));
        }
        pipe.reader = Some(waker.clone());
        None
    }

    /// Puts back what was too much at once.
    pub(super) fn unread(&self, id: u64, end: usize, rest: Bytes) {
        if let Some(connection) = self.state().connections.get_mut(&id) {
            let pipe = &mut connection.pipes[1 - end];
            pipe.buffered += rest.len();
            pipe.arrived.push_front(rest);
        }
    }

    pub(super) fn write(
        &self,
        id: u64,
        end: usize,
        bytes: &[u8],
        waker: &Waker,
    ) -> Option<io::Result<usize>> {
        let mut state = self.state();
        let Some(hosts) = state.connections.get(&id).map(|connection| connection.hosts) else {
            return Some(Err(io::ErrorKind::BrokenPipe.into()));
        };
        let now = state.now;
        let delay = state.delay(hosts[0], hosts[1]);
        let speed = state.link(hosts[0], hosts[1]).speed;
        let pipe = &mut state.connections.get_mut(&id)?.pipes[end];
        if pipe.broken {
            return Some(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let count = bytes.len().min(BUFFER.saturating_sub(pipe.buffered));
        if count == 0 && !bytes.is_empty() {
            pipe.writer = Some(waker.clone());
            return None;
        }
        pipe.buffered += count;
        pipe.send(now + delay, count as u64 / speed, Packet::Data(Bytes::copy_from_slice(&bytes[..count])));
        Some(Ok(count))
    }

    /// This end says nothing more.
    pub(super) fn finish(&self, id: u64, end: usize) {
        let mut state = self.state();
        let Some(hosts) = state.connections.get(&id).map(|connection| connection.hosts) else { return };
        let due = state.now + state.delay(hosts[0], hosts[1]);
        if let Some(connection) = state.connections.get_mut(&id) {
            connection.pipes[end].send(due, 0, Packet::Fin);
        }
    }

    /// This end is gone: nobody reads here, either.
    pub(super) fn close(&self, id: u64, end: usize) {
        self.finish(id, end);
        let mut state = self.state();
        let now = state.now;
        if let Some(connection) = state.connections.get_mut(&id) {
            connection.open[end] = false;
            let due = connection.pipes[end].last_due.max(now);
            connection.pipes[1 - end].refused = Some(due);
        }
    }
}

impl State {
    fn connect(&mut self, net: &Net, from: Host, to: &str) -> (Socket, Socket) {
        self.made += 1;
        let id = self.made;
        let hosts = [from, name(to)];
        self.connections.insert(id, Connection { hosts, open: [true; 2], pipes: Default::default() });
        (Socket::new(net.clone(), id, 0), Socket::new(net.clone(), id, 1))
    }

    fn link(&self, one: Host, other: &str) -> Link {
        let usual = Link { delay: 2, speed: 10_000 };
        self.links.get(&link(one, name(other))).copied().unwrap_or(usual)
    }

    /// How long something takes, this time.
    fn delay(&mut self, one: Host, other: &str) -> u64 {
        let Link { delay, .. } = self.link(one, other);
        delay + self.chance.below(delay + 8)
    }
}

impl Pipe {
    fn send(&mut self, due: u64, takes: u64, packet: Packet) {
        self.last_due = due.max(self.last_due) + takes;
        self.under_way.push_back((self.last_due, packet));
    }

    fn is_busy(&self) -> bool {
        !self.under_way.is_empty()
    }

    fn deliver(&mut self, now: u64, woken: &mut Vec<Waker>) {
        let before = self.under_way.len();
        while self.under_way.front().is_some_and(|(due, _)| *due <= now) {
            match self.under_way.pop_front() {
                Some((_, Packet::Data(bytes))) => self.arrived.push_back(bytes),
                _ => self.finished = true,
            }
        }
        if self.under_way.len() < before {
            woken.extend(self.reader.take());
        }
        if self.refused.is_some_and(|due| due <= now) && !self.broken {
            (self.broken, self.buffered) = (true, 0);
            self.under_way.clear();
            self.arrived.clear();
            woken.extend(self.writer.take());
        }
    }
}

fn is_cut(
    cuts: &BTreeMap<(Host, Host), u32>,
    unplugged: &BTreeMap<Host, u32>,
    [one, other]: [Host; 2],
) -> bool {
    let is_unplugged = |host| unplugged.get(host).is_some_and(|times| *times > 0);
    cuts.get(&link(one, other)).is_some_and(|cuts| *cuts > 0) || is_unplugged(one) || is_unplugged(other)
}

fn link(one: Host, other: Host) -> (Host, Host) {
    if one < other { (one, other) } else { (other, one) }
}

/// The host of an address.
pub fn host(address: &str) -> Host {
    name(address.split(':').next().unwrap_or(address))
}

/// The one copy of a host's name; there are some dozens of them in a process.
pub fn name(host: &str) -> Host {
    static NAMES: Mutex<BTreeMap<String, Host>> = Mutex::new(BTreeMap::new());
    let mut names = NAMES.lock_ignoring_poison();
    names.entry(host.to_owned()).or_insert_with(|| Box::leak(host.to_owned().into_boxed_str()))
}
