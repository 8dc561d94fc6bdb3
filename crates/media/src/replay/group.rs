//! Group of tags that are kept and dropped together: from one point where decoding can start to the next.

use std::time::Duration;

use crate::access_unit::Track;
use crate::tag::{Period, Tag};
use crate::time::SourceTime;

/// Bytes that a group is counted with besides its tags and its period's configuration: the same, and room for the
/// four tags that a vector begins with.
pub(super) const GROUP_COST: usize = 640;
const _: () = assert!(GROUP_COST >= 3 * size_of::<Group>() + 4 * size_of::<Tag>());
/// How long a group of a period without video is.
const AUDIO_GROUP: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct Group {
    pub period: Period,
    /// Presentation time of the first tag.
    pub start: SourceTime,
    /// Sound before this time may have been sent before the first tag.
    pub whole_from: SourceTime,
    pub tags: Vec<Tag>,
    /// Bytes that the group costs.
    pub bytes: usize,
    /// Decoding time of the first tag, and how long it lasts from there: until the next group of its period begins.
    span: Option<(SourceTime, Duration)>,
}

impl Group {
    /// With room for so many tags.
    pub fn new(period: Period, start: SourceTime, whole_from: SourceTime, tags: usize) -> Self {
        let config = period.tracks.iter().map(|track| size_of::<Track>() + track.configuration.len());
        let bytes = GROUP_COST + config.sum::<usize>();
        Self { period, start, whole_from, tags: Vec::with_capacity(tags), bytes, span: None }
    }

    /// Adds a tag.
    pub fn push(&mut self, tag: Tag) {
        self.reach(tag.time);
        self.bytes += tag.memory_cost();
        self.tags.push(tag);
    }

    /// It lasts until then, at least.
    pub fn reach(&mut self, time: SourceTime) {
        let (first, lasts) = self.span.unwrap_or((time, Duration::ZERO));
        self.span = Some((first, lasts.max(time.since(first))));
    }

    /// Duration from its first tag to the beginning of the next group of its period.
    pub fn duration(&self) -> Duration {
        self.span.map_or(Duration::ZERO, |(_, lasts)| lasts)
    }

    /// Decoding time of its end.
    pub fn end(&self) -> SourceTime {
        self.span.map_or(self.start, |(first, lasts)| first + lasts)
    }

    /// Whether this tag begins the next group.
    pub fn is_ended_by(&self, tag: &Tag) -> bool {
        match self.period.video() {
            Some(_) => tag.is_keyframe() && !self.tags.is_empty(),
            None => tag.time.since(self.start) >= AUDIO_GROUP,
        }
    }
}

/// Whether what comes from this tag on can be decoded without what was before it.
pub(super) fn can_begin(period: &Period, tag: &Tag) -> bool {
    period.video().is_none() || tag.is_keyframe()
}
