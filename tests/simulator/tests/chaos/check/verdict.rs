//! What must hold at the end of a schedule.

use std::collections::BTreeMap;

use super::{Checker, Seat, Shown};
use crate::kernel::log::event;
use crate::kernel::net::Host;
use crate::world::encoder::{End, Take};
use crate::world::ladder::RENDITIONS;

/// What is known of the schedule.
pub struct Facts {
    /// Whether nothing happened to proxies, encoders and their connections.
    pub is_strict: bool,
    pub takes: Vec<Take>,
    /// How often each origin was started.
    pub runs: BTreeMap<Host, u32>,
}

const ONCE: &str = "every tag is shown once, in order (5.2, 5.3)";
const WHOLE: &str = "every tag that was sent is shown (5.2)";
const PERIODS: &str = "no new period without a cause (5.3)";
const CONNECTION: &str = "the encoder's connection is not touched (5.2)";
const ENDS: &str = "a broadcast ends when its publisher stays away (3)";

pub fn judge(checker: &Checker, facts: &Facts) {
    if facts.is_strict {
        judge_takes(checker, &facts.takes);
    }
    for (seat, shown) in checker.seats() {
        (0..RENDITIONS.len()).for_each(|rendition| judge_order(checker, seat, &shown, rendition));
        if facts.is_strict {
            judge_strictly(checker, facts, seat, &shown);
        }
        let is_last = facts.runs.get(seat.origin) == Some(&seat.run);
        if is_last && !shown.broadcasts.is_empty() && !shown.has_ended() {
            checker.fail(ENDS, &format!("{seat:?}"));
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

/// Within a connection of the encoder no tag is missing, and none comes twice.
fn judge_order(checker: &Checker, seat: Seat, shown: &Shown, rendition: usize) {
    let mut last = None;
    for (sequence, number) in shown.numbers(rendition) {
        let fits =
            last.is_none_or(|(_, last): (u64, crate::world::tag::Number)| match number.take == last.take {
                true => number.index == last.index + 1,
                false => number > last && number.index == 0,
            });
        if !fits {
            let name = RENDITIONS[rendition];
            let detail = format!("{seat:?} {name}: {number:?} in {sequence} after {last:?}");
            event!("{:#?}", shown.around(rendition, sequence));
            return checker.fail(ONCE, &detail);
        }
        last = Some((sequence, number));
    }
}

fn judge_strictly(checker: &Checker, facts: &Facts, seat: Seat, shown: &Shown) {
    let periods: Vec<_> = shown.broadcasts.iter().map(|broadcast| broadcast.periods.len()).collect();
    if !periods.is_empty() && periods != [1] {
        checker.fail(PERIODS, &format!("{seat:?}: broadcasts with {periods:?} periods"));
    }
    // One that was there from the beginning has seen everything, one that was there at the end its end.
    let (is_first, is_last) = (seat.run == 1, facts.runs.get(seat.origin) == Some(&seat.run));
    let takes = facts.takes.iter().enumerate().filter(|(_, take)| take.stream == seat.stream);
    for (take, sent) in takes.map(|(take, of)| (take as u32, of.sent)) {
        for (rendition, name) in RENDITIONS.iter().enumerate() {
            let of_take = || shown.numbers(rendition).map(|(_, n)| n).filter(|n| n.take == take);
            let (first, last) = (of_take().next(), of_take().last());
            let misses_start = is_first && first.is_none_or(|first| first.index > 0);
            let misses_end = is_last && last.is_none_or(|last| last.index + 1 < sent);
            if misses_start || misses_end {
                checker
                    .fail(WHOLE, &format!("{seat:?} {name}: {first:?} to {last:?} of {sent} of take {take}"));
            }
        }
    }
}
