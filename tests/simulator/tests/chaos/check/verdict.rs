//! Verdict at the end of a schedule.

use std::collections::{BTreeMap, BTreeSet};

use super::{Checker, GivenUp, Holders, Seat, Shown};
use crate::kernel::log::event;
use crate::kernel::net::Host;
use crate::world::encoder::{End, Take};
use crate::world::ladder::RENDITIONS;
use crate::world::tag::{FRAME_MS, Number};

/// Facts about the schedule.
pub struct Facts {
    /// Whether nothing happened to proxies, encoders and their connections.
    pub is_strict: bool,
    pub takes: Vec<Take>,
    /// How often each origin was started.
    pub runs: BTreeMap<Host, u32>,
    /// Tags that proxies report as not kept, and how often they were missed.
    pub lost_tags: u64,
    pub losses: usize,
    /// Bytes that were kept for a publisher at most, and that may be.
    pub kept: (u64, u64),
    /// Milliseconds of media that may be kept for a publisher.
    pub kept_ms: u64,
    /// Streams that servers have given up to others.
    pub given_up: Vec<GivenUp>,
}

/// Tags of the two segments of which viewers may have a part.
const SEGMENTS: u32 = 2 * 20;

const ONCE: &str = "every tag is shown once, in order (5.2, 5.3)";
const GAPS: &str = "an origin misses only what it could not get anywhere, and says so (5.4)";
const WHOLE: &str = "every tag that was sent is shown (5.2)";
const PERIODS: &str = "no new period without a cause (5.3)";
const CONNECTION: &str = "the encoder's connection is not touched (5.2)";
const KEPT: &str = "what a proxy keeps is bounded (5.1)";
const LOST: &str = "what a proxy could not keep is counted (5.1)";
const URLS: &str = "a URL has one content, at every origin and for ever (4)";
const ENDS: &str = "a broadcast ends when its publisher stays away (3)";

pub fn judge(checker: &Checker, facts: &Facts) {
    if facts.is_strict {
        judge_takes(checker, &facts.takes);
    }
    if facts.kept.0 > facts.kept.1 {
        checker.fail(KEPT, &format!("{} bytes of {}", facts.kept.0, facts.kept.1));
    }
    judge_urls(checker);
    let holders = checker.note(|holders| holders.clone()).of(&facts.takes, &facts.given_up);
    let mut lost = BTreeSet::new();
    for (seat, shown) in checker.seats() {
        for rendition in 0..RENDITIONS.len() {
            lost.extend(judge_order(checker, facts, &holders, seat, &shown, rendition));
            judge_gaps(checker, &holders, seat, &shown, rendition);
        }
        if facts.is_strict {
            judge_strictly(checker, facts, seat, &shown);
        }
        let is_last = facts.runs.get(seat.origin) == Some(&seat.run);
        if is_last && !shown.broadcasts.is_empty() && !shown.has_ended() {
            checker.fail(ENDS, &format!("{seat:?}"));
        }
    }
    if lost.len() as u64 > facts.lost_tags {
        checker.fail(LOST, &format!("{} of {} tags: {lost:?}", facts.lost_tags, lost.len()));
    }
}

/// Origins that have a part have the same one.
fn judge_urls(checker: &Checker) {
    let mut urls = BTreeMap::new();
    for (seat, shown) in checker.seats() {
        for (url, content) in shown.contents() {
            let (first, other) = urls.entry((seat.stream, url)).or_insert((seat, content));
            if *other != content {
                checker.fail(URLS, &format!("{url:?} is {other:?} at {first:?} and {content:?} at {seat:?}"));
                return;
            }
        }
    }
}

fn judge_takes(checker: &Checker, takes: &[Take]) {
    for (number, take) in takes.iter().enumerate() {
        if !matches!(take.end, Some((_, End::Finished))) {
            checker.fail(CONNECTION, &format!("take {number}: {take:?}"));
        }
    }
}

/// Within a connection of the encoder no tag comes twice, and none is missing that the origin could have had. Gives those
/// that only a loss of a proxy's can explain.
fn judge_order(
    checker: &Checker,
    facts: &Facts,
    holders: &Holders,
    seat: Seat,
    shown: &Shown,
    rendition: usize,
) -> BTreeSet<(usize, Number)> {
    let name = RENDITIONS[rendition];
    let mut lost = BTreeSet::new();
    let mut last: Option<(u64, Number)> = None;
    for (sequence, number) in shown.numbers(rendition) {
        let wrong = last.and_then(|(at, last)| {
            let may_be_lost = facts.losses > 0 && shown.has_break(at, sequence);
            if number <= last {
                // What is left may begin with what viewers have of the segment that was interrupted, or of all that a
                // server has made unheard of the media that the proxy keeps.
                let kept = SEGMENTS.max((facts.kept_ms / FRAME_MS) as u32);
                let is_again = may_be_lost && number.take == last.take && last.index - number.index < kept;
                return (!is_again).then(|| (ONCE, String::new()));
            }
            let first = if number.take == last.take { last.index + 1 } else { 0 };
            let mut missing = (first..number.index).map(|index| Number { index, ..number });
            let why = missing.find_map(|it| match excuse(holders, seat, shown, rendition, at, it) {
                Err(_) if may_be_lost && holders.could_give(seat, rendition, it).is_none() => {
                    lost.extend(
                        holders.segments_of(rendition, it).next().is_none().then_some((rendition, it)),
                    );
                    None
                }
                excused => excused.err(),
            });
            why.map(|why| (GAPS, why))
        });
        if let Some((invariant, why)) = wrong {
            event!("{:#?}", shown.around(rendition, sequence));
            let detail = format!("{seat:?} {name}: {number:?} in {sequence} after {last:?}; {why}");
            checker.fail(invariant, &detail);
            return lost;
        }
        last = Some((sequence, number));
    }
    lost
}

/// Whether a tag may be missing that belongs behind what is shown of segment `after`: it was in the rest of that segment, or
/// in one that playlists call a gap, and the origin could not get it.
fn excuse(
    holders: &Holders,
    seat: Seat,
    shown: &Shown,
    rendition: usize,
    after: u64,
    missing: Number,
) -> Result<(), String> {
    let is_gap = |sequence| shown.broadcasts.iter().any(|b| b.gaps.contains(&(rendition, sequence)));
    let mut segments = holders.segments_of(rendition, missing).peekable();
    if segments.peek().is_none() {
        return Err(format!("nobody has made {missing:?}"));
    }
    if !segments.any(|sequence| sequence == after || is_gap(sequence)) {
        return Err(format!("no gap is said for {missing:?}"));
    }
    holders.could_give(seat, rendition, missing).map_or(Ok(()), Err)
}

/// Checks that the origin could not have had any segment that it lists as a gap.
fn judge_gaps(checker: &Checker, holders: &Holders, seat: Seat, shown: &Shown, rendition: usize) {
    let gaps = shown.broadcasts.iter().flat_map(|broadcast| &broadcast.gaps);
    for (_, sequence) in gaps.filter(|(of, _)| *of == rendition) {
        let mut tags = holders.tags_in(seat.stream, rendition, *sequence);
        if let Some(why) =
            tags.find_map(|number| holders.could_give_in(seat, rendition, number, |made| made == *sequence))
        {
            checker.fail(GAPS, &format!("{seat:?} {}: {sequence} is a gap; {why}", RENDITIONS[rendition]));
        }
    }
}

fn judge_strictly(checker: &Checker, facts: &Facts, seat: Seat, shown: &Shown) {
    let periods: Vec<_> = shown.broadcasts.iter().map(|broadcast| broadcast.periods.len()).collect();
    if !periods.is_empty() && (periods.len() > 1 || periods[0] > 1 + facts.losses) {
        checker.fail(
            PERIODS,
            &format!("{seat:?}: broadcasts with {periods:?} periods, {} losses", facts.losses),
        );
    }
    // One that was there from the beginning has seen everything, one that was there at the end its end.
    let is_first = seat.run == 1;
    let is_last = facts.runs.get(seat.origin) == Some(&seat.run);
    let takes = facts.takes.iter().enumerate().filter(|(_, take)| take.stream == seat.stream);
    for (take, sent) in takes.map(|(take, of)| (take as u32, of.sent)) {
        for (rendition, name) in RENDITIONS.iter().enumerate() {
            let of_take = || shown.numbers(rendition).map(|(_, n)| n).filter(|n| n.take == take);
            let first = of_take().next();
            let last = of_take().last();
            let misses_start = is_first && first.is_none_or(|first| first.index > 0);
            let misses_end = is_last && last.is_none_or(|last| last.index + 1 < sent);
            if misses_start || misses_end {
                checker
                    .fail(WHOLE, &format!("{seat:?} {name}: {first:?} to {last:?} of {sent} of take {take}"));
            }
        }
    }
}
