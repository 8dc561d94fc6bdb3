//! Everything that one origin has ever shown of a stream.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use headwater_hls::{LiveWindow, playlist};
use headwater_media::{
    BroadcastId, BroadcastTag, Epoch, MediaEvent, MediaTime, Opening, PeriodStart, Rendition, RenditionId,
    RenditionKind, SegmentSettings,
};

use super::{Seat, now};
use crate::kernel::log::event;
use crate::world::ladder::RENDITIONS;
use crate::world::tag::{Number, numbers};

#[derive(Clone, Default)]
pub struct Shown {
    epoch: Epoch,
    pub broadcasts: Vec<Broadcast>,
    is_dark: bool,
}

#[derive(Clone)]
pub struct Broadcast {
    pub id: BroadcastId,
    settings: SegmentSettings,
    /// By rendition, segment and part.
    parts: BTreeMap<Place, Part>,
    /// Gaps that playlists have listed (`EXT-X-GAP`), by rendition and segment.
    pub gaps: BTreeSet<(usize, u64)>,
    /// First number of the playlists that were read last. A gap before it may have left them before anybody read it.
    listed_from: u64,
    /// First segments by the period's number.
    pub periods: BTreeMap<u32, u64>,
    /// Video renditions of its periods.
    ladder: Option<Vec<RenditionId>>,
    /// Oldest segment held, and the discontinuities before it.
    first: (u64, u64),
    next: u64,
    pub ended: bool,
}

pub type Place = (usize, u64, u32);

#[derive(Clone, PartialEq)]
struct Part {
    start: MediaTime,
    duration: MediaTime,
    bytes: Bytes,
}

pub type Failures = Vec<(&'static str, String)>;

pub const EPOCHS: &str = "epochs never fall at an origin (5.4)";
pub const BYTES: &str = "what was shown keeps its bytes (5.4)";
pub const VANISHED: &str = "nothing that the window holds vanishes (5.4)";
pub const NUMBERS: &str = "media sequence numbers never go back and never skip (4)";
pub const DISCONTINUITY: &str = "the discontinuity sequence grows with periods only (4)";
pub const TARGET: &str = "the target duration never changes (4)";
pub const LADDER: &str = "a broadcast keeps its ladder on all its servers (4)";
pub const AFTER_END: &str = "nothing comes after the end of a broadcast (5)";

pub const BOUNDED: &str = "the window is bounded (8)";

/// Segments that a window of the default length may hold, however short they are (see `LiveWindow`).
const MAX_SEGMENTS: usize = 70;

impl Shown {
    pub fn dark(&mut self, seat: Seat) {
        self.is_dark = true;
        event!("{:<9} shows nothing of {}", seat.origin, seat.stream);
    }

    pub fn see(&mut self, seat: Seat, window: &LiveWindow, failures: &mut Failures) {
        let opening = window.opening();
        if opening.epoch < self.epoch {
            failures.push((EPOCHS, format!("epoch {} after {}", opening.epoch, self.epoch)));
        }
        if opening.epoch != self.epoch || std::mem::take(&mut self.is_dark) {
            event!("{:<9} shows {} of epoch {}", seat.origin, seat.stream, opening.epoch);
        }
        self.epoch = opening.epoch;
        if self.broadcasts.last().is_none_or(|last| last.id != opening.broadcast) {
            event!("{:<9} shows broadcast {} of {}", seat.origin, opening.broadcast, seat.stream);
            if self.broadcasts.iter().any(|before| before.id == opening.broadcast) {
                failures.push((NUMBERS, format!("broadcast {} again", opening.broadcast)));
            }
            self.broadcasts.push(Broadcast::new(opening));
        }
        if let Some(last) = self.broadcasts.last_mut() {
            last.see(seat, window, failures);
        }
    }

    /// The tags of a rendition, in the order in which they are played.
    pub fn numbers(&self, rendition: usize) -> impl Iterator<Item = (u64, Number)> {
        self.broadcasts.iter().flat_map(move |broadcast| broadcast.numbers(rendition))
    }

    /// Segments that are shown whole: id of the broadcast, media sequence number, and bytes of all parts.
    pub fn whole_segments(&self) -> impl Iterator<Item = (BroadcastId, u64, Vec<u8>)> {
        self.broadcasts.iter().flat_map(|broadcast| {
            let mut segments: BTreeMap<(usize, u64), Vec<u8>> = BTreeMap::new();
            for ((rendition, sequence, _), part) in &broadcast.parts {
                segments.entry((*rendition, *sequence)).or_default().extend_from_slice(&part.bytes);
            }
            let last = broadcast.parts.keys().map(|(_, sequence, _)| *sequence).max();
            let whole = segments.into_iter().filter(move |((_, at), _)| broadcast.ended || Some(*at) != last);
            whole.map(|((_, sequence), bytes)| (broadcast.id, sequence, bytes))
        })
    }

    /// The parts of the segments next to this one, for a message.
    pub fn around(&self, rendition: usize, sequence: u64) -> Vec<String> {
        let parts = self.broadcasts.iter().flat_map(|broadcast| &broadcast.parts);
        let near = parts.filter(|((of, at, _), _)| *of == rendition && at.abs_diff(sequence) <= 1);
        let line = |((_, at, index), part): (&Place, &Part)| {
            let tags: Vec<_> = numbers(&part.bytes).map(|number| number.index).collect();
            format!("{at}.{index} from {} s: {tags:?}", part.start.as_secs_f64())
        };
        near.map(line).collect()
    }

    /// Whether a period begins behind this segment, and not behind the other one.
    pub fn has_break(&self, after: u64, upto: u64) -> bool {
        let mut firsts = self.broadcasts.iter().flat_map(|broadcast| broadcast.periods.values());
        firsts.any(|first| *first > after && *first <= upto)
    }

    /// Every part by what its URL says, with its start and its first tag. What follows may have been cut off.
    pub fn contents(&self) -> impl Iterator<Item = ((BroadcastTag, Place), (MediaTime, Option<Number>))> {
        let parts = self
            .broadcasts
            .iter()
            .flat_map(|broadcast| broadcast.parts.iter().map(move |it| (broadcast.id.tag(), it)));
        parts.map(|(tag, (place, part))| ((tag, *place), (part.start, numbers(&part.bytes).next())))
    }

    pub fn newest(&self) -> Option<Number> {
        self.broadcasts.last()?.numbers(0).last().map(|(_, number)| number)
    }

    pub fn has_ended(&self) -> bool {
        self.broadcasts.last().is_some_and(|broadcast| broadcast.ended)
    }
}

impl Broadcast {
    fn new(opening: &Opening) -> Self {
        Self {
            id: opening.broadcast,
            settings: opening.settings,
            parts: BTreeMap::new(),
            gaps: BTreeSet::new(),
            listed_from: 0,
            periods: BTreeMap::new(),
            ladder: None,
            first: (opening.first_sequence.0, opening.discontinuity_sequence),
            next: opening.first_sequence.0,
            ended: false,
        }
    }

    fn see(&mut self, seat: Seat, window: &LiveWindow, failures: &mut Failures) {
        let opening = window.opening();
        if self.parts.is_empty() && self.gaps.is_empty() {
            // No playlist has named a number yet: the window of an owner that has just begun is empty.
            self.first = (opening.first_sequence.0, opening.discontinuity_sequence);
            self.next = self.next.max(opening.first_sequence.0);
        }
        if opening.settings != self.settings {
            failures.push((TARGET, format!("{:?} after {:?}", opening.settings, self.settings)));
        }
        let next = window.next_sequence().0;
        if next < self.next || opening.first_sequence.0 < self.first.0 || opening.first_sequence.0 > self.next
        {
            let to = opening.first_sequence;
            failures.push((NUMBERS, format!("{to} to {next} after {} to {}", self.first.0, self.next)));
        }
        let mut held = BTreeMap::new();
        let mut begun = BTreeSet::new();
        for event in window.events() {
            match event {
                MediaEvent::PeriodStart(period) => {
                    let number = period.number.0;
                    let first = period.first_sequence.0;
                    begun.insert(number);
                    self.check_ladder(&period, failures);
                    if self.periods.insert(number, first).is_none() {
                        event!(
                            "{:<9} shows period {number} of {} from {first} at {}",
                            seat.origin,
                            seat.stream,
                            period.origin
                        );
                    }
                }
                MediaEvent::Part { rendition, sequence, index, start, duration, bytes, .. } => {
                    let rendition = RENDITIONS.iter().position(|id| *id == rendition.as_str()).unwrap_or(9);
                    held.insert((rendition, sequence.0, index.0), Part { start, duration, bytes });
                }
                MediaEvent::SegmentEnd { .. } | MediaEvent::Drift { .. } | MediaEvent::BroadcastEnd => {}
            }
        }
        // A period that nobody has seen a part of gives way to the next one, wherever that begins.
        self.periods.retain(|number, first| begun.contains(number) || *first < opening.first_sequence.0);
        self.compare(&held, opening.first_sequence.0, failures);
        self.count_discontinuities(opening, failures);
        if self.ended && held.len() > self.parts.len() {
            failures.push((AFTER_END, format!("parts of {}", self.id)));
        }
        self.parts.extend(held);
        (self.next, self.ended) = (next, window.ended());
        self.read_gaps(seat, window);
        self.check_holes(opening.first_sequence.0, failures);
    }

    fn check_ladder(&mut self, period: &PeriodStart, failures: &mut Failures) {
        let video = |rendition: &Rendition| matches!(rendition.kind, RenditionKind::Video { .. });
        let rungs = period.renditions.iter().map(|(rendition, _)| rendition).filter(|it| video(it));
        let rungs: Vec<_> = rungs.map(|rendition| rendition.id.clone()).collect();
        let before = self.ladder.get_or_insert_with(|| rungs.clone());
        if *before != rungs {
            failures.push((LADDER, format!("{rungs:?} in period {} after {before:?}", period.number)));
        }
    }

    /// Reads the playlists, as a player does, where something is missing.
    fn read_gaps(&mut self, seat: Seat, window: &LiveWindow) {
        for (rendition, name) in RENDITIONS.iter().enumerate() {
            let mut held: Vec<u64> = self
                .parts
                .keys()
                .filter(|(of, ..)| *of == rendition)
                .map(|(_, sequence, _)| *sequence)
                .collect();
            held.dedup();
            let newest = held.last().is_none_or(|newest| newest + 1 == self.next);
            if newest && held.windows(2).all(|pair| (pair[0] + 1..pair[1]).all(|n| self.is_gap(rendition, n)))
            {
                continue;
            }
            let name = name.parse().expect("a rendition's name");
            let Some(text) = playlist::media(window, &name, Default::default()) else { continue };
            self.listed_from = first_listed(&text);
            for sequence in gaps(&text) {
                if self.gaps.insert((rendition, sequence)) {
                    event!("{:<9} shows a gap at {sequence} of {} {name}", seat.origin, seat.stream);
                }
            }
        }
    }

    fn is_gap(&self, rendition: usize, sequence: u64) -> bool {
        self.gaps.contains(&(rendition, sequence))
    }

    fn compare(&self, held: &BTreeMap<Place, Part>, from: u64, failures: &mut Failures) {
        for (place, part) in self.parts.iter().filter(|((_, sequence, _), _)| *sequence >= from) {
            match held.get(place) {
                None => failures.push((VANISHED, format!("no part {place:?} any more, which it had"))),
                Some(other) if other != part => {
                    failures.push((BYTES, format!("another part {place:?} at {}", now())))
                }
                Some(_) => {}
            }
        }
    }

    fn count_discontinuities(&mut self, opening: &Opening, failures: &mut Failures) {
        let (first, before) = self.first;
        let to = opening.first_sequence.0;
        let passed = self.periods.iter().filter(|(number, at)| **number > 0 && **at >= first && **at < to);
        let places: BTreeSet<_> = passed.map(|(_, at)| *at).collect();
        let expected = before + places.len() as u64;
        if opening.discontinuity_sequence != expected {
            let got = opening.discontinuity_sequence;
            failures.push((DISCONTINUITY, format!("{got} before {to} where it should be {expected}")));
        }
        self.first = (to, opening.discontinuity_sequence);
    }

    /// Every segment up to the newest is there in some rendition, or said to be missing.
    fn check_holes(&self, from: u64, failures: &mut Failures) {
        let parts = self.parts.keys().map(|(_, sequence, _)| *sequence);
        let gaps = self.gaps.iter().map(|(_, sequence)| *sequence);
        let from = from.max(self.listed_from);
        let mut seen: Vec<u64> = parts.chain(gaps).filter(|s| *s >= from).collect();
        seen.sort_unstable();
        seen.dedup();
        if seen.len() > MAX_SEGMENTS {
            failures.push((BOUNDED, format!("{} segments", seen.len())));
        }
        if let Some(hole) = seen.windows(2).find(|pair| pair[1] != pair[0] + 1) {
            failures.push((NUMBERS, format!("{} right after {}", hole[1], hole[0])));
        }
    }

    fn numbers(&self, of: usize) -> impl Iterator<Item = (u64, Number)> {
        let parts = self.parts.iter().filter(move |((rendition, _, _), _)| *rendition == of);
        parts.flat_map(|((_, sequence, _), part)| numbers(&part.bytes).map(|number| (*sequence, number)))
    }
}

/// The segments that a playlist says are missing (RFC 8216bis §4.4.4.7).
fn gaps(playlist: &str) -> Vec<u64> {
    let mut gaps = Vec::new();
    let mut sequence = 0;
    let mut is_gap = false;
    for line in playlist.lines() {
        if let Some(first) = line.strip_prefix("#EXT-X-MEDIA-SEQUENCE:") {
            sequence = first.parse().expect("a number");
        } else if line == "#EXT-X-GAP" {
            is_gap = true;
        } else if !line.is_empty() && !line.starts_with('#') {
            gaps.extend(std::mem::take(&mut is_gap).then_some(sequence));
            sequence += 1;
        }
    }
    gaps
}

/// Number of the first segment that a playlist lists (RFC 8216bis §4.4.3.2).
fn first_listed(playlist: &str) -> u64 {
    let first = playlist.lines().find_map(|line| line.strip_prefix("#EXT-X-MEDIA-SEQUENCE:"));
    first.map_or(0, |first| first.parse().expect("a number"))
}
