//! Replay buffer of one publisher, with its size in the metrics.

use headwater_media::{
    Loss, MediaSequence, MediaTime, Period, PeriodNumber, ReplayBuffer, ReplayLimits, ResumePoint,
    SegmentSettings, SourceTime, Tag, TimelineEvent, UnixMillis,
};
use metrics::{Counter, Gauge};

/// Replay buffer of one publisher, and the periods that were inserted where media was lost.
pub struct Replay {
    limits: ReplayLimits,
    buffer: ReplayBuffer,
    /// Periods that were inserted where media was lost. The numbers of the timeline are so much lower.
    inserted: u32,
    /// First segment of the period that the next keyframe begins, while nothing is left that decoding could start with.
    /// The server gets nothing until then.
    waiting: Option<MediaSequence>,
    /// Extents of the periods since the last commit, oldest first.
    extents: Vec<Extent>,
    /// Tags that had to go before the last commit, and so are not missed.
    committed_loss: Loss,
    counted_bytes: usize,
    counted_lost: u64,
    metrics: Metrics,
}

/// Metrics, looked up once: looking them up for every tag would cost as much as keeping it.
struct Metrics {
    bytes: Gauge,
    lost: Counter,
}

/// Events for a server that goes on.
#[derive(Debug, Default)]
pub struct Replayed {
    pub events: Vec<TimelineEvent>,
    /// Media that the server would need before them and that is not there any more.
    pub lost: Option<Loss>,
}

impl Replay {
    /// Empty buffer with these limits.
    pub fn new(limits: ReplayLimits) -> Self {
        Self {
            limits,
            buffer: ReplayBuffer::new(limits),
            inserted: 0,
            waiting: None,
            extents: Vec::new(),
            committed_loss: Loss::default(),
            counted_bytes: 0,
            counted_lost: 0,
            metrics: Metrics {
                bytes: metrics::gauge!("headwater_proxy_replay_bytes"),
                lost: metrics::counter!("headwater_proxy_replay_lost_tags_total"),
            },
        }
    }

    /// Whether anything is kept, so that another server can take over.
    pub fn is_on(&self) -> bool {
        !self.limits.duration.is_zero()
    }

    /// Keeps an event of the timeline, and gives the events that the server is to be sent, numbered as servers know
    /// them.
    pub fn push(&mut self, event: TimelineEvent) -> impl Iterator<Item = TimelineEvent> + use<> {
        if !self.is_on() {
            return None.into_iter().chain(Some(event));
        }
        let mut event = raise_period(event, self.inserted);
        let begun = match &mut event {
            TimelineEvent::Tag(tag) => self.begin_at_keyframe(tag),
            TimelineEvent::Period(period) => {
                period.first_sequence = self.waiting.take();
                None
            }
        };
        self.push_to_buffer(&event);
        self.update_metrics();
        let given = self.waiting.is_none().then_some(event);
        begun.into_iter().chain(given)
    }

    /// Drops the media that is not needed to go on at this point, which a server has committed.
    pub fn commit(&mut self, point: &ResumePoint) {
        if !self.is_on() {
            return;
        }
        self.extents.retain(|extent| extent.period >= point.period);
        self.buffer.commit(point.period, point.start.map_or(MediaTime::ZERO, Into::into));
        self.committed_loss = self.buffer.lost();
        self.update_metrics();
    }

    /// Events that a server needs to go on at this point, in order. Where some of them are lost, the remaining ones
    /// begin a new period, and the point becomes that period's start.
    pub fn events_from(&mut self, point: &mut ResumePoint) -> Replayed {
        let mut events = Vec::with_capacity(self.buffer.count());
        events.extend(self.buffer.events(point.period));
        match (self.buffer.start(), events.first()) {
            (Some((number, start)), Some(TimelineEvent::Period(first)))
                if number > point.period || start > point.start.unwrap_or(first.origin) =>
            {
                let left = Remaining { period: first.clone(), start };
                self.begin_new_period(point, left, events)
            }
            (Some(_), _) => Replayed { events, lost: None },
            (None, _) => self.wait_for_keyframe(point),
        }
    }

    /// Number of the first segment that viewers have nothing of, whatever a lost server has made of the media since this
    /// point: its commits may not have arrived. At most a live window is left out, so that a live window that has none of
    /// those segments can go on.
    pub fn first_unseen(&self, point: &ResumePoint) -> MediaSequence {
        let made = |extent: &Extent| match point.start {
            Some(start) if extent.period == point.period => extent.segments_from(start, &point.settings),
            _ => extent.segments_from(extent.origin, &point.settings),
        };
        let since = self.extents.iter().filter(|extent| extent.period >= point.period);
        let made = since.map(made).sum::<u64>().min(point.window_segments.into());
        point.free.max(MediaSequence(point.next_sequence.0 + made))
    }

    /// Begins a new period at this point, as no server can go on with the old one. Nothing is lost; viewers are shown
    /// once more the media that they have of the segments behind the point.
    pub fn restart_period(&mut self, point: &mut ResumePoint) {
        let events: Vec<_> = self.buffer.events(point.period).collect();
        let (Some((number, reaches_back)), Some(TimelineEvent::Period(first))) =
            (self.buffer.start(), events.first())
        else {
            return;
        };
        let start = point.start.unwrap_or(first.origin);
        // Where something is missing, `events_from` begins a new period anyway.
        if number == point.period && reaches_back <= start {
            self.begin_new_period(point, Remaining { period: first.clone(), start }, events);
        }
    }

    fn push_to_buffer(&mut self, event: &TimelineEvent) {
        match event {
            TimelineEvent::Period(period) => self.extents.push(Extent::new(period)),
            TimelineEvent::Tag(tag) => {
                if let Some(extent) = self.extents.last_mut() {
                    extent.newest = extent.newest.max(tag.presentation_time());
                }
            }
        }
        self.buffer.push(event);
    }

    /// Waits for the next keyframe, which begins a new period: nothing is left that decoding could start with.
    fn wait_for_keyframe(&mut self, point: &mut ResumePoint) -> Replayed {
        // A publisher that has sent nothing has lost nothing.
        let Some(period) = self.buffer.period() else { return Replayed::default() };
        if self.waiting.is_some() {
            return Replayed::default();
        }
        let next = PeriodNumber(period.number.0 + 1);
        let lost = self.loss_before(point, None);
        self.waiting = Some(skip_lost(point, next));
        Replayed { events: Vec::new(), lost: Some(lost) }
    }

    /// Ends the wait for a keyframe, if decoding can start with this tag.
    fn begin_at_keyframe(&mut self, tag: &Tag) -> Option<TimelineEvent> {
        let first_sequence = self.waiting?;
        let last = self.buffer.period().filter(|_| self.buffer.can_begin_with(tag))?;
        let number = PeriodNumber(last.number.0 + 1);
        let period = period_from(number, first_sequence, tag.presentation_time(), last);
        let period = TimelineEvent::Period(period);
        self.push_to_buffer(&period);
        self.inserted += 1;
        self.waiting = None;
        Some(period)
    }

    /// Makes a new period of the remaining events.
    fn begin_new_period(
        &mut self,
        point: &mut ResumePoint,
        left: Remaining,
        events: Vec<TimelineEvent>,
    ) -> Replayed {
        let lost = self.loss_before(point, Some(&left));
        let number = PeriodNumber(left.period.number.0 + 1);
        let first = period_from(number, skip_lost(point, number), left.start, &left.period);
        let rest = events.into_iter().skip(1).map(|event| raise_period(event, 1));
        let events: Vec<_> = std::iter::once(TimelineEvent::Period(first)).chain(rest).collect();
        self.buffer = ReplayBuffer::new(self.limits);
        self.counted_lost = 0;
        self.committed_loss = Loss::default();
        self.extents.clear();
        events.iter().for_each(|event| self.push_to_buffer(event));
        self.update_metrics();
        self.inserted += 1;
        Replayed { events, lost: Some(lost) }
    }

    /// Media that is missing between this point and the remaining events. Within a period its length is known
    /// exactly; the media that led up to the point was lost too, but is not missed.
    fn loss_before(&self, point: &ResumePoint, left: Option<&Remaining>) -> Loss {
        let Loss { tags, duration } = self.buffer.lost();
        let since =
            Loss { tags: tags - self.committed_loss.tags, duration: duration - self.committed_loss.duration };
        match (left, point.start) {
            (Some(left), Some(start)) if left.period.number == point.period => {
                Loss { duration: left.start.since(start), ..since }
            }
            _ => since,
        }
    }

    fn update_metrics(&mut self) {
        let bytes = self.buffer.bytes();
        let lost = self.buffer.lost().tags;
        self.metrics.bytes.increment(bytes as f64 - self.counted_bytes as f64);
        if lost > self.counted_lost {
            self.metrics.lost.increment(lost - self.counted_lost);
        }
        self.counted_bytes = bytes;
        self.counted_lost = lost;
    }
}

impl Drop for Replay {
    fn drop(&mut self) {
        self.metrics.bytes.decrement(self.counted_bytes as f64);
    }
}

/// Extent of the media of one period.
struct Extent {
    period: PeriodNumber,
    origin: SourceTime,
    newest: SourceTime,
}

impl Extent {
    fn new(period: &Period) -> Self {
        Self { period: period.number, origin: period.origin, newest: period.origin }
    }

    /// Number of the segments that hold media from this time on.
    fn segments_from(&self, start: SourceTime, settings: &SegmentSettings) -> u64 {
        let cell = |time: SourceTime| settings.cell(MediaTime::from(time).saturating_sub(self.origin.into()));
        (cell(self.newest) + 1).saturating_sub(cell(start))
    }
}

/// Remaining events of those that a server would need.
struct Remaining {
    /// Period as it was sent.
    period: Period,
    /// Time of the first remaining event.
    start: SourceTime,
}

/// Makes the point the start of this period, behind all that viewers may have. Gives the number of the period's first
/// segment.
fn skip_lost(point: &mut ResumePoint, period: PeriodNumber) -> MediaSequence {
    let first = point.free;
    *point = point.clone().left_out(period).begun();
    first
}

/// Period like this one that begins at another time.
fn period_from(number: PeriodNumber, first: MediaSequence, origin: SourceTime, like: &Period) -> Period {
    let wall_clock = (like.wall_clock.0 + origin.as_millis()).saturating_sub(like.origin.as_millis());
    let wall_clock = UnixMillis(wall_clock);
    Period { number, first_sequence: Some(first), origin, wall_clock, ..like.clone() }
}

/// Event with its period's number raised.
fn raise_period(event: TimelineEvent, periods: u32) -> TimelineEvent {
    match event {
        TimelineEvent::Period(period) => {
            TimelineEvent::Period(Period { number: PeriodNumber(period.number.0 + periods), ..period })
        }
        tag @ TimelineEvent::Tag(_) => tag,
    }
}

#[cfg(test)]
mod tests;
