//! What a publisher sent and no server has finished yet: kept by the proxy, so that another server can take over.

use std::collections::VecDeque;

use crate::ids::PeriodNumber;
use crate::tag::{Period, Tag, TimelineEvent};
use crate::time::{MediaTime, SourceTime};

/// Bounds of a replay buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplayLimits {
    /// Payload bytes at most.
    pub bytes: usize,
    /// Milliseconds of media at most, counted over the tags of one period.
    pub duration_ms: u64,
}

/// Sound is sent up to so much before the picture that it belongs to. What is kept for a commit reaches back this much
/// further, so that no sound is missing at the boundary.
const INTERLEAVING_MS: u64 = 1_000;
/// How long a group of a period without video is, in milliseconds.
const AUDIO_GROUP_MS: u64 = 1_000;

/// Every tag since the keyframe at or before the last commit, in groups that can be decoded from their start.
///
/// Nothing is taken out before a commit covers it, unless a limit is reached: then the oldest groups go, and
/// [`lost`](Self::lost) counts them.
#[derive(Debug)]
pub struct ReplayBuffer {
    limits: ReplayLimits,
    groups: VecDeque<Group>,
    bytes: usize,
    lost: u64,
    /// What the last commit covers: everything before this time of this period.
    finished: (PeriodNumber, MediaTime),
}

/// Tags from one point where decoding can start to the next.
#[derive(Debug)]
struct Group {
    period: Period,
    /// Presentation time of the first tag.
    start: SourceTime,
    tags: Vec<Tag>,
    bytes: usize,
}

impl ReplayBuffer {
    pub fn new(limits: ReplayLimits) -> Self {
        let finished = (PeriodNumber(0), MediaTime::ZERO);
        Self { limits, groups: VecDeque::new(), bytes: 0, lost: 0, finished }
    }

    /// Takes what is sent to the server.
    pub fn push(&mut self, event: &TimelineEvent) {
        match event {
            TimelineEvent::Period(period) => self.begin(period.clone(), period.origin),
            TimelineEvent::Tag(tag) => self.take(tag),
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

    /// What a new server needs that starts in this period, in order: each period before its tags.
    pub fn events(&self, from: PeriodNumber) -> impl Iterator<Item = TimelineEvent> {
        let mut told = None;
        self.groups.iter().filter(move |group| group.period.number >= from).flat_map(move |group| {
            let is_new = told.replace(group.period.number) != Some(group.period.number);
            let period = is_new.then(|| TimelineEvent::Period(group.period.clone()));
            period.into_iter().chain(group.tags.iter().cloned().map(TimelineEvent::Tag))
        })
    }

    /// Payload bytes held.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Tags that had to go before a commit covered them.
    pub fn lost(&self) -> u64 {
        self.lost
    }

    /// The period and the presentation time from which everything is there; none before the first period.
    pub fn start(&self) -> Option<(PeriodNumber, SourceTime)> {
        self.groups.front().map(|group| (group.period.number, group.start))
    }

    fn take(&mut self, tag: &Tag) {
        let Some(last) = self.groups.back() else { return };
        if last.is_ended_by(tag) {
            self.begin(last.period.clone(), tag.presentation_time());
        }
        let bytes = tag.payload.len();
        self.bytes += bytes;
        if let Some(group) = self.groups.back_mut() {
            group.bytes += bytes;
            group.tags.push(tag.clone());
        }
    }

    fn begin(&mut self, period: Period, start: SourceTime) {
        // It will be about as long as the one before.
        let tags = Vec::with_capacity(self.groups.back().map_or(0, |group| group.tags.len()));
        self.groups.push_back(Group { period, start, tags, bytes: 0 });
    }

    /// The oldest group can go when its period is over, or when a server that starts with the next one can still make
    /// everything from `end` on.
    fn is_oldest_covered(&self, period: PeriodNumber, end: MediaTime) -> bool {
        let (Some(oldest), Some(next)) = (self.groups.front(), self.groups.get(1)) else { return false };
        let reach = MediaTime::from_millis(next.start.0 + INTERLEAVING_MS);
        oldest.period.number < period || (next.period.number == period && reach <= end)
    }

    /// The newest group always stays: without its keyframe nothing after it could be shown.
    fn is_over(&self) -> bool {
        self.groups.len() > 1 && (self.bytes > self.limits.bytes || self.duration() > self.limits.duration_ms)
    }

    fn duration(&self) -> u64 {
        let spans = self
            .groups
            .iter()
            .filter_map(|group| Some(group.tags.last()?.time.since(group.tags.first()?.time)));
        spans.sum()
    }

    fn lose_oldest(&mut self) {
        let Some(group) = self.drop_oldest() else { return };
        let is_lost = |tag: &&Tag| self.finished <= (group.period.number, tag.presentation_time().into());
        self.lost += group.tags.iter().filter(is_lost).count() as u64;
    }

    fn drop_oldest(&mut self) -> Option<Group> {
        let group = self.groups.pop_front()?;
        self.bytes -= group.bytes;
        Some(group)
    }
}

impl Group {
    fn is_ended_by(&self, tag: &Tag) -> bool {
        match self.period.video {
            Some(_) => tag.is_keyframe() && !self.tags.is_empty(),
            None => tag.time.since(self.start) >= AUDIO_GROUP_MS,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tag::TagKind;
    use crate::time::UnixMillis;
    use bytes::Bytes;

    const LIMITS: ReplayLimits = ReplayLimits { bytes: 1 << 20, duration_ms: 60_000 };

    fn period(number: u32, video: bool) -> TimelineEvent {
        TimelineEvent::Period(Period {
            number: PeriodNumber(number),
            origin: SourceTime(0),
            wall_clock: UnixMillis(0),
            video: video.then(|| Bytes::from_static(b"avcC")),
            audio: Some(Bytes::from_static(b"asc")),
        })
    }

    fn tag(kind: TagKind, time: u64) -> TimelineEvent {
        let payload = Bytes::from(vec![0; 100]);
        TimelineEvent::Tag(Tag { kind, time: SourceTime(time), composition_offset: 0, payload })
    }

    /// Ten pictures a second, a keyframe every second.
    fn pictures(buffer: &mut ReplayBuffer, from: u64, to: u64) {
        for time in (from..to).step_by(100) {
            buffer.push(&tag(TagKind::Video { keyframe: time % 1_000 == 0 }, time));
            buffer.push(&tag(TagKind::Audio, time));
        }
    }

    fn times(buffer: &ReplayBuffer) -> Vec<u64> {
        let tags = buffer.events(PeriodNumber(0)).filter_map(|event| match event {
            TimelineEvent::Tag(tag) if tag.is_video() => Some(tag.time.0),
            _ => None,
        });
        tags.collect()
    }

    #[test]
    fn a_commit_leaves_everything_from_a_keyframe_before_it() {
        let mut buffer = ReplayBuffer::new(LIMITS);
        buffer.push(&period(0, true));
        pictures(&mut buffer, 0, 5_000);
        buffer.commit(PeriodNumber(0), MediaTime::from_millis(3_500));
        assert_eq!(times(&buffer).first(), Some(&2_000));
        assert!(matches!(buffer.events(PeriodNumber(0)).next(), Some(TimelineEvent::Period(_))));
        assert_eq!((buffer.lost(), buffer.bytes()), (0, 60 * 100));
    }

    #[test]
    fn a_commit_of_a_later_period_lets_earlier_ones_go() {
        let mut buffer = ReplayBuffer::new(LIMITS);
        buffer.push(&period(0, true));
        pictures(&mut buffer, 0, 3_000);
        buffer.push(&period(1, true));
        pictures(&mut buffer, 0, 3_000);
        let periods = |from| {
            let events = buffer.events(PeriodNumber(from));
            events.filter(|event| matches!(event, TimelineEvent::Period(_))).count()
        };
        assert_eq!((periods(0), periods(1)), (2, 1));
        buffer.commit(PeriodNumber(1), MediaTime::from_millis(0));
        assert_eq!(buffer.start(), Some((PeriodNumber(1), SourceTime(0))));
        buffer.commit(PeriodNumber(0), MediaTime::from_millis(9_000));
        assert_eq!(buffer.start(), Some((PeriodNumber(1), SourceTime(0))), "an old commit changes nothing");
    }

    #[test]
    fn what_exceeds_a_limit_goes_oldest_first_and_is_counted() {
        for limits in [ReplayLimits { bytes: 5_000, ..LIMITS }, ReplayLimits { duration_ms: 2_500, ..LIMITS }]
        {
            let mut buffer = ReplayBuffer::new(limits);
            buffer.push(&period(0, true));
            pictures(&mut buffer, 0, 6_000);
            assert!(buffer.bytes() <= limits.bytes && buffer.duration() <= limits.duration_ms);
            assert_eq!(times(&buffer)[0] % 1_000, 0, "it starts with a keyframe");
            assert_eq!(buffer.lost() as usize, 120 - buffer.events(PeriodNumber(0)).count() + 1);
        }
    }

    #[test]
    fn what_a_commit_covers_is_not_lost() {
        let mut buffer = ReplayBuffer::new(ReplayLimits { duration_ms: 2_500, ..LIMITS });
        buffer.push(&period(0, true));
        pictures(&mut buffer, 0, 2_000);
        buffer.commit(PeriodNumber(0), MediaTime::from_millis(1_500));
        pictures(&mut buffer, 2_000, 3_600);
        assert_eq!((buffer.start(), buffer.lost()), (Some((PeriodNumber(0), SourceTime(1_000))), 0));
        pictures(&mut buffer, 3_600, 4_600);
        assert_eq!((buffer.start(), buffer.lost()), (Some((PeriodNumber(0), SourceTime(2_000))), 10));
    }

    #[test]
    fn one_group_larger_than_the_limit_stays_whole() {
        let mut buffer = ReplayBuffer::new(ReplayLimits { bytes: 500, ..LIMITS });
        buffer.push(&period(0, true));
        pictures(&mut buffer, 0, 1_000);
        assert_eq!(times(&buffer).len(), 10);
    }

    #[test]
    fn sound_alone_is_kept_in_groups_of_a_second() {
        let mut buffer = ReplayBuffer::new(LIMITS);
        buffer.push(&period(0, false));
        for time in (0..10_000).step_by(20) {
            buffer.push(&tag(TagKind::Audio, time));
        }
        buffer.commit(PeriodNumber(0), MediaTime::from_millis(8_000));
        assert_eq!(buffer.start(), Some((PeriodNumber(0), SourceTime(7_000))));
    }
}
