//! The replay buffer of one publisher, with its size in the metrics.

use headwater_hls::ResumePoint;
use headwater_media::{
    Loss, MediaTime, Period, PeriodNumber, ReplayBuffer, ReplayLimits, SourceTime, Tag, TimelineEvent,
    UnixMillis,
};
use metrics::{Counter, Gauge};

pub struct Replay {
    limits: ReplayLimits,
    buffer: ReplayBuffer,
    /// Periods that were put in where media was lost. The numbers of the timeline are so much lower.
    inserted: u32,
    /// Whether nothing that decoding can start with was left for the server: it gets nothing until there is.
    is_waiting: bool,
    /// What was lost before the last commit, and so after all was not.
    settled: Loss,
    counted_bytes: usize,
    counted_lost: u64,
    metrics: Metrics,
}

/// Looked up once: doing so for every tag would cost as much as keeping it.
struct Metrics {
    bytes: Gauge,
    lost: Counter,
}

/// What a server gets that goes on.
#[derive(Debug, Default)]
pub struct Replayed {
    pub events: Vec<TimelineEvent>,
    /// What it would need before them and is not there any more.
    pub lost: Option<Loss>,
}

impl Replay {
    pub fn new(limits: ReplayLimits) -> Self {
        let (buffer, settled) = (ReplayBuffer::new(limits), Loss::default());
        let metrics = Metrics {
            bytes: metrics::gauge!("headwater_proxy_replay_bytes"),
            lost: metrics::counter!("headwater_proxy_replay_lost_tags_total"),
        };
        let (counted_bytes, counted_lost) = (0, 0);
        Self { limits, buffer, inserted: 0, is_waiting: false, settled, counted_bytes, counted_lost, metrics }
    }

    /// Whether anything is kept, so that another server can take over.
    pub fn is_on(&self) -> bool {
        self.limits.duration_ms > 0
    }

    /// Keeps an event of the timeline, and gives what the server is to be sent, as servers are to know it.
    pub fn push(&mut self, event: TimelineEvent) -> impl Iterator<Item = TimelineEvent> + use<> {
        if !self.is_on() {
            return None.into_iter().chain(Some(event));
        }
        let event = later(event, self.inserted);
        let begun = match &event {
            TimelineEvent::Tag(tag) if self.is_waiting => self.begin_with(tag),
            TimelineEvent::Tag(_) => None,
            TimelineEvent::Period(_) => {
                self.is_waiting = false;
                None
            }
        };
        self.buffer.push(&event);
        self.count();
        let given = (!self.is_waiting).then_some(event);
        begun.into_iter().chain(given)
    }

    /// A server says that another one would go on here: what is not needed for that can go.
    pub fn commit(&mut self, point: &ResumePoint) {
        if !self.is_on() {
            return;
        }
        self.buffer.commit(point.period, point.start.map_or(MediaTime::ZERO, Into::into));
        self.settled = self.buffer.lost();
        self.count();
    }

    /// What a server that goes on at this point needs, in order. Where some of that is lost, what is left begins a new
    /// period, and the point becomes that period's start.
    pub fn from(&mut self, point: &mut ResumePoint) -> Replayed {
        let events: Vec<_> = self.buffer.events(point.period).collect();
        match (self.buffer.start(), events.first()) {
            (Some((number, start)), Some(TimelineEvent::Period(first)))
                if number > point.period || start > point.start.unwrap_or(first.origin) =>
            {
                let first = beginning(first.number, start, first);
                self.begin_anew(point, first, events)
            }
            (Some(_), _) => Replayed { events, lost: None },
            (None, _) => self.wait(point),
        }
    }

    /// Nothing that decoding could start with is left: the next keyframe begins a new period.
    fn wait(&mut self, point: &mut ResumePoint) -> Replayed {
        // A publisher that has sent nothing has lost nothing.
        let Some(period) = self.buffer.period().cloned() else { return Replayed::default() };
        let is_news = !std::mem::replace(&mut self.is_waiting, true);
        let lost = is_news.then(|| self.lost_before(point, None));
        let old = told(point, &period);
        point.period = PeriodNumber(period.number.0 + 1);
        Replayed { events: old.into_iter().collect(), lost }
    }

    /// Ends the wait for something to start with, if this tag is it.
    fn begin_with(&mut self, tag: &Tag) -> Option<TimelineEvent> {
        let last = self.buffer.period().filter(|_| self.buffer.can_begin_with(tag))?;
        let number = PeriodNumber(last.number.0 + 1);
        let period = TimelineEvent::Period(beginning(number, tag.presentation_time(), last));
        self.buffer.push(&period);
        self.inserted += 1;
        self.is_waiting = false;
        Some(period)
    }

    fn begin_anew(&mut self, point: &mut ResumePoint, first: Period, events: Vec<TimelineEvent>) -> Replayed {
        let lost = self.lost_before(point, Some(&first));
        let old = told(point, &first);
        let rest = events.into_iter().skip(1);
        let kept: Vec<_> =
            std::iter::once(TimelineEvent::Period(first)).chain(rest).map(|event| later(event, 1)).collect();
        self.buffer = ReplayBuffer::new(self.limits);
        (self.counted_lost, self.settled) = (0, Loss::default());
        kept.iter().for_each(|event| self.buffer.push(event));
        self.count();
        self.inserted += 1;
        point.period = self.buffer.start().map_or(point.period, |(number, _)| number);
        Replayed { events: old.into_iter().chain(kept).collect(), lost: Some(lost) }
    }

    /// What is missing between this point and what is left. Within a period that is known to the millisecond; what led up
    /// to the point was lost too, but is not missed.
    fn lost_before(&self, point: &ResumePoint, left: Option<&Period>) -> Loss {
        let Loss { tags, duration_ms } = self.buffer.lost();
        let since =
            Loss { tags: tags - self.settled.tags, duration_ms: duration_ms - self.settled.duration_ms };
        match (left, point.start) {
            (Some(left), Some(start)) if left.number == point.period => {
                Loss { duration_ms: left.origin.since(start), ..since }
            }
            _ => since,
        }
    }

    fn count(&mut self) {
        let (bytes, lost) = (self.buffer.bytes(), self.buffer.lost().tags);
        self.metrics.bytes.increment(bytes as f64 - self.counted_bytes as f64);
        if lost > self.counted_lost {
            self.metrics.lost.increment(lost - self.counted_lost);
        }
        (self.counted_bytes, self.counted_lost) = (bytes, lost);
    }
}

impl Drop for Replay {
    fn drop(&mut self) {
        self.metrics.bytes.decrement(self.counted_bytes as f64);
    }
}

/// What a worker that was told to go on in the old period needs to see of it, even if nothing is left. The point becomes
/// the start of a period.
fn told(point: &mut ResumePoint, like: &Period) -> Option<TimelineEvent> {
    let start = point.start.take()?;
    Some(TimelineEvent::Period(beginning(point.period, start, like)))
}

/// A period like this one that begins at another time.
fn beginning(number: PeriodNumber, origin: SourceTime, like: &Period) -> Period {
    let wall_clock = (like.wall_clock.0 + origin.0).saturating_sub(like.origin.0);
    Period { number, origin, wall_clock: UnixMillis(wall_clock), ..like.clone() }
}

/// The event with its period's number raised.
fn later(event: TimelineEvent, periods: u32) -> TimelineEvent {
    match event {
        TimelineEvent::Period(period) => {
            TimelineEvent::Period(Period { number: PeriodNumber(period.number.0 + periods), ..period })
        }
        tag @ TimelineEvent::Tag(_) => tag,
    }
}

#[cfg(test)]
mod tests;
