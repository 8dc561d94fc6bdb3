//! Holders of tags over time, and the servers that an origin could reach: whether a missing tag could have been had.

use std::collections::BTreeMap;

use super::{Seat, now};
use crate::kernel::net::Host;
use crate::world::encoder::Take;
use crate::world::tag::Number;

/// How long an origin may take to get what it can reach, in milliseconds: a server that was given up is asked again after a
/// second, by an attempt that may take one, and it answers with its window.
const GRACE: u64 = 2_500;

/// Tags that all workers have given, and all times in which an origin and a server could speak.
#[derive(Clone, Default)]
pub struct Holders {
    made: BTreeMap<(usize, Number), Vec<Made>>,
    /// Every time at which another server than before gave something of an encoder's connection.
    turns: BTreeMap<u32, Vec<(u64, Host)>>,
    /// Of each of these connections.
    streams: Vec<&'static str>,
    /// From when to when, in order.
    reached: BTreeMap<(Host, Host), Vec<(u64, u64)>>,
    /// When there was no process on a server.
    down: BTreeMap<Host, Vec<u64>>,
    /// When a server was told to stop.
    drained: BTreeMap<Host, Vec<u64>>,
    /// When a server gave a stream up to another one, and what it had of it.
    given_up: Vec<GivenUp>,
}

/// A server gives up a stream that was claimed for another one.
#[derive(Clone)]
pub struct GivenUp {
    pub at: u64,
    pub server: String,
    pub stream: String,
}

/// A tag has come out of a worker.
#[derive(Clone, Copy)]
struct Made {
    at: u64,
    server: Host,
    sequence: u64,
}

impl Holders {
    /// A worker of this server gives a part of this segment with this tag in it.
    pub fn made(&mut self, server: Host, track: usize, sequence: u64, number: Number) {
        let at = now();
        self.made.entry((track, number)).or_default().push(Made { at, server, sequence });
        let turns = self.turns.entry(number.take).or_default();
        if turns.last().is_none_or(|(_, last)| *last != server) {
            turns.push((at, server));
        }
    }

    /// Whether they can speak in this step of the simulation, which ends at `to`.
    pub fn reach(&mut self, origin: Host, server: Host, from: u64, to: u64) {
        let times = self.reached.entry((origin, server)).or_default();
        match times.last_mut().filter(|(_, until)| *until == from) {
            Some((_, until)) => *until = to,
            None => times.push((from, to)),
        }
    }

    /// There is no process on this server now.
    pub fn down(&mut self, server: Host, now: u64) {
        self.down.entry(server).or_default().push(now);
    }

    /// This server is told to stop now.
    pub fn drain(&mut self, server: Host, now: u64) {
        self.drained.entry(server).or_default().push(now);
    }

    /// Which servers have gone on with what was made by another one until then, each with the milliseconds from then on.
    pub fn moves(&self, after: u64) -> Vec<(Host, u64)> {
        let first = |turns: &Vec<(u64, Host)>| turns.iter().find(|(at, _)| *at >= after).copied();
        self.turns.values().filter_map(first).map(|(at, server)| (server, at - after)).collect()
    }

    /// With the stream of each connection, and what was given up, for judgement.
    pub fn of(mut self, takes: &[Take], given_up: &[GivenUp]) -> Self {
        self.streams = takes.iter().map(|take| take.stream).collect();
        self.given_up = given_up.to_vec();
        self
    }

    /// The segments that a tag was made in, by anyone.
    pub fn segments_of(&self, track: usize, number: Number) -> impl Iterator<Item = u64> {
        self.made.get(&(track, number)).into_iter().flatten().map(|made| made.sequence)
    }

    /// The tags that were made in a segment.
    pub fn tags_in(&self, stream: &str, track: usize, sequence: u64) -> impl Iterator<Item = Number> {
        let has = move |made: &Vec<Made>| made.iter().any(|made| made.sequence == sequence);
        let of = self
            .made
            .iter()
            .filter(move |((on, number), made)| *on == track && self.is_of(number.take, stream) && has(made));
        of.map(|((_, number), _)| *number)
    }

    /// Server that could have given this tag to the origin, if any: one that had it, before another one went on in
    /// its place, and for how long they could speak.
    pub fn could_give(&self, seat: Seat, track: usize, number: Number) -> Option<String> {
        self.could_give_in(seat, track, number, |_| true)
    }

    /// The same for what was made in certain segments: after a loss, a tag may be in another one at the next server.
    pub fn could_give_in(
        &self,
        seat: Seat,
        track: usize,
        number: Number,
        is_it: impl Fn(u64) -> bool,
    ) -> Option<String> {
        let made = self.made.get(&(track, number)).into_iter().flatten();
        let made = made.filter(|made| is_it(made.sequence) && !self.is_held_back(seat, made));
        made.map(|made| (made, self.longest(seat, made))).find(|(_, longest)| *longest >= GRACE).map(
            |(made, longest)| {
                let Made { at, server, sequence } = made;
                format!("{server} had it in {sequence} from {at} ms on and could be reached for {longest} ms")
            },
        )
    }

    fn longest(&self, seat: Seat, made: &Made) -> u64 {
        let turns = self.turns.iter().filter(|(take, _)| self.is_of(**take, seat.stream));
        let next = turns.flat_map(|(_, turns)| turns).filter(|(at, by)| *at > made.at && *by != made.server);
        let next = next.map(|(at, _)| *at).min();
        let end = self.down.get(made.server).into_iter().flatten().find(|at| **at > made.at).copied();
        let is_it = |up: &&GivenUp| up.server == made.server && up.stream == seat.stream && up.at > made.at;
        let given_up = self.given_up.iter().filter(is_it).map(|given_up| given_up.at).min();
        let until = next.into_iter().chain(end).chain(given_up).min().unwrap_or(u64::MAX);
        let times = self.reached.get(&(seat.origin, made.server)).into_iter().flatten();
        times.map(|(from, to)| (*to).min(until).saturating_sub((*from).max(made.at))).max().unwrap_or(0)
    }

    /// Whether a server that stops leaves this to the next one, as it had not begun the segment when it was told to (5.5).
    fn is_held_back(&self, seat: Seat, made: &Made) -> bool {
        let told = self.drained.get(made.server).into_iter().flatten().filter(|at| **at <= made.at).max();
        let Some(told) = told else { return false };
        let mut down = self.down.get(made.server).into_iter().flatten();
        let is_another_process = down.any(|at| (*told..made.at).contains(at));
        let of = self.made.iter().filter(|((_, number), _)| self.is_of(number.take, seat.stream));
        let mut begun = of.flat_map(|(_, made)| made).filter(|other| {
            other.server == made.server && other.sequence == made.sequence && other.at <= *told
        });
        !is_another_process && begun.next().is_none()
    }

    fn is_of(&self, take: u32, stream: &str) -> bool {
        self.streams.get(take as usize).is_some_and(|of| *of == stream)
    }
}
