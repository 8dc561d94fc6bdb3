//! Buffer of the media that a publisher sent and no server has finished: a proxy keeps it so that another server can take over.

mod group;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::time::Duration;

use crate::ids::PeriodNumber;
use crate::tag::{Period, Tag, TimelineEvent};
use crate::time::{MediaTime, SourceTime};
use group::{Group, can_begin};

/// Bounds of a replay buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplayLimits {
    /// Bytes at most; see [`ReplayBuffer`].
    pub bytes: usize,
    /// Media at most, counted inside periods: a gap between two of them costs nothing.
    pub duration: Duration,
}

/// Duration by which the media kept for a commit reaches back further than to the newest sound that was sent before its
/// keyframe, so that no sound is missing at the boundary.
const INTERLEAVING_MARGIN: Duration = Duration::from_secs(1);

/// Every tag since the keyframe at or before the last commit, in groups that can be decoded from their start.
///
/// Nothing is taken out before a commit covers it, unless a limit is reached: then the oldest groups go, whole, and
/// [`lost`](Self::lost) counts them. Where the newest group alone is too much, it goes too, and what follows is lost up
/// to the next point where decoding can start.
///
/// So it never holds more than its limits after a [`push`](Self::push), whatever comes: a tag is counted with its payload
/// and 200 bytes, a group (a keyframe and what follows, a second of sound alone, an empty period) with 640 bytes and its
/// codec configuration, and that covers what they take in memory: the payloads of a [timeline](crate::timeline::Timeline)
/// are no slices of anything larger.
#[derive(Debug)]
pub struct ReplayBuffer {
    limits: ReplayLimits,
    /// The one that tags belong to now.
    period: Option<Period>,
    groups: VecDeque<Group>,
    /// The newest sound of the period: it may be sent long before the picture that it belongs to.
    newest_sound: Option<SourceTime>,
    /// The decoding time up to which all was lost, while nothing is kept because decoding can't start.
    skipped_to: Option<SourceTime>,
    bytes: usize,
    duration: Duration,
    lost: Loss,
    /// Extent of the last commit: everything before this time of this period.
    finished: (PeriodNumber, MediaTime),
}

/// Media that was dropped before a commit covered it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Loss {
    pub tags: u64,
    pub duration: Duration,
}

impl ReplayBuffer {
    /// An empty buffer with these limits.
    pub fn new(limits: ReplayLimits) -> Self {
        Self {
            limits,
            period: None,
            groups: VecDeque::new(),
            newest_sound: None,
            skipped_to: None,
            bytes: 0,
            duration: Duration::ZERO,
            lost: Loss::default(),
            finished: (PeriodNumber(0), MediaTime::ZERO),
        }
    }

    /// Takes what is sent to the server. Tags before the first period are left out.
    pub fn push(&mut self, event: &TimelineEvent) {
        match event {
            TimelineEvent::Period(period) => {
                self.period = Some(period.clone());
                (self.skipped_to, self.newest_sound) = (None, None);
                self.begin_group(period.clone(), period.origin);
            }
            TimelineEvent::Tag(tag) => self.take_tag(tag),
        }
        while self.is_over() {
            self.lose_oldest();
        }
    }

    /// Everything before `end` of this period is whole in every rendition: what only led up to it can go.
    pub fn commit(&mut self, period: PeriodNumber, end: MediaTime) {
        self.finished = self.finished.max((period, end));
        while self.is_oldest_covered(period, end) {
            self.drop_oldest();
        }
    }

    /// Events that a new server needs which starts in this period, in order: each period before its tags.
    pub fn events(&self, from: PeriodNumber) -> impl Iterator<Item = TimelineEvent> {
        let mut told = None;
        self.groups.iter().filter(move |group| group.period.number >= from).flat_map(move |group| {
            let is_new = told.replace(group.period.number) != Some(group.period.number);
            let period = is_new.then(|| TimelineEvent::Period(group.period.clone()));
            period.into_iter().chain(group.tags.iter().cloned().map(TimelineEvent::Tag))
        })
    }

    /// How many events [`events`](Self::events) gives at most.
    pub fn count(&self) -> usize {
        self.groups.iter().map(|group| group.tags.len() + 1).sum()
    }

    /// Bytes that it is counted with.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Media that was dropped before a commit covered it.
    pub fn lost(&self) -> Loss {
        self.lost
    }

    /// The period and the presentation time from which everything is there; none before the first period, and while
    /// nothing is kept.
    pub fn start(&self) -> Option<(PeriodNumber, SourceTime)> {
        self.groups.front().map(|group| (group.period.number, group.start))
    }

    /// The period that tags belong to now.
    pub fn period(&self) -> Option<&Period> {
        self.period.as_ref()
    }

    /// Whether decoding can start with this tag, if it is the next one.
    pub fn can_begin_with(&self, tag: &Tag) -> bool {
        self.period.as_ref().is_some_and(|period| can_begin(period, tag))
    }

    fn take_tag(&mut self, tag: &Tag) {
        let Some(period) = &self.period else { return };
        let begins = match self.groups.back() {
            Some(newest) => newest.is_ended_by(tag),
            None => can_begin(period, tag),
        };
        if begins {
            let period = period.clone();
            self.extend_group(|newest| newest.reach(tag.time));
            self.begin_group(period, tag.presentation_time());
        }
        if let Some(lost_to) = self.skipped_to {
            self.lost.duration += tag.time.since(lost_to);
            self.skipped_to = (!begins).then_some(lost_to.max(tag.time));
        }
        if self.groups.is_empty() {
            self.lost.tags += 1;
        }
        self.extend_group(|newest| newest.push(tag.clone()));
        if !tag.is_video() {
            self.newest_sound = self.newest_sound.max(Some(tag.time));
        }
    }

    fn begin_group(&mut self, period: Period, start: SourceTime) {
        // It will be about as long as the one before.
        let tags = self.groups.back().map_or(0, |group| group.tags.len());
        let whole_from = start.max(self.newest_sound.unwrap_or(start));
        let group = Group::new(period, start, whole_from, tags);
        self.bytes += group.bytes;
        self.groups.push_back(group);
    }

    /// Changes the newest group, if there is one.
    fn extend_group(&mut self, change: impl FnOnce(&mut Group)) {
        let Some(newest) = self.groups.back_mut() else { return };
        let bytes = newest.bytes;
        let duration = newest.duration();
        change(newest);
        self.bytes += newest.bytes - bytes;
        self.duration += newest.duration() - duration;
    }

    /// The oldest group can go when its period is over, or when a server that starts with the next one can still make
    /// everything from `end` on.
    fn is_oldest_covered(&self, period: PeriodNumber, end: MediaTime) -> bool {
        let (Some(oldest), Some(next)) = (self.groups.front(), self.groups.get(1)) else { return false };
        let reach = MediaTime::from(next.whole_from + INTERLEAVING_MARGIN);
        oldest.period.number < period || (next.period.number == period && reach <= end)
    }

    fn is_over(&self) -> bool {
        self.bytes > self.limits.bytes || self.duration > self.limits.duration
    }

    fn lose_oldest(&mut self) {
        let Some(group) = self.drop_oldest() else { return };
        let is_lost = |tag: &&Tag| self.finished <= (group.period.number, tag.presentation_time().into());
        self.lost.tags += group.tags.iter().filter(is_lost).count() as u64;
        let lost = group.tags.iter().find(is_lost).map_or(Duration::ZERO, |tag| group.end().since(tag.time));
        self.lost.duration += lost;
        if self.groups.is_empty() {
            self.skipped_to = Some(group.end());
        }
    }

    fn drop_oldest(&mut self) -> Option<Group> {
        let group = self.groups.pop_front()?;
        self.bytes -= group.bytes;
        self.duration -= group.duration();
        Some(group)
    }
}
