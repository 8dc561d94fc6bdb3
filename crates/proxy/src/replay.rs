//! The replay buffer of one publisher, with its size in the metrics.

use headwater_hls::ResumePoint;
use headwater_media::{
    MediaTime, Period, PeriodNumber, ReplayBuffer, ReplayLimits, TimelineEvent, UnixMillis,
};
use metrics::{Counter, Gauge};

pub struct Replay {
    limits: ReplayLimits,
    buffer: ReplayBuffer,
    /// Periods that were put in where media was lost. The numbers of the timeline are so much lower.
    inserted: u32,
    counted_bytes: usize,
    counted_lost: u64,
    metrics: Metrics,
}

/// Looked up once: doing so for every tag would cost as much as keeping it.
struct Metrics {
    bytes: Gauge,
    lost: Counter,
}

impl Replay {
    pub fn new(limits: ReplayLimits) -> Self {
        let buffer = ReplayBuffer::new(limits);
        let metrics = Metrics {
            bytes: metrics::gauge!("headwater_proxy_replay_bytes"),
            lost: metrics::counter!("headwater_proxy_replay_lost_tags_total"),
        };
        Self { limits, buffer, inserted: 0, counted_bytes: 0, counted_lost: 0, metrics }
    }

    /// Whether anything is kept, so that another server can take over.
    pub fn is_on(&self) -> bool {
        self.limits.duration_ms > 0
    }

    /// Keeps an event of the timeline, and gives it as servers are to know it.
    pub fn push(&mut self, event: TimelineEvent) -> TimelineEvent {
        if !self.is_on() {
            return event;
        }
        let event = later(event, self.inserted);
        self.buffer.push(&event);
        self.count();
        event
    }

    /// A server says that another one would go on here: what is not needed for that can go.
    pub fn commit(&mut self, point: &ResumePoint) {
        if !self.is_on() {
            return;
        }
        self.buffer.commit(point.period, point.start.map_or(MediaTime::ZERO, Into::into));
        self.count();
    }

    /// What a server that goes on at this point needs, in order. Where some of that is lost, what is left begins a new
    /// period, and the point becomes that period's start.
    pub fn from(&mut self, point: &mut ResumePoint) -> Vec<TimelineEvent> {
        let events: Vec<_> = self.buffer.events(point.period).collect();
        match (self.buffer.start(), events.first()) {
            (Some((number, start)), Some(TimelineEvent::Period(first)))
                if number > point.period || start > point.start.unwrap_or(first.origin) =>
            {
                let after = start.since(first.origin);
                let wall_clock = UnixMillis(first.wall_clock.0 + after);
                let first = Period { origin: start, wall_clock, ..first.clone() };
                self.begin_anew(point, first, events)
            }
            _ => events,
        }
    }

    fn begin_anew(
        &mut self,
        point: &mut ResumePoint,
        first: Period,
        events: Vec<TimelineEvent>,
    ) -> Vec<TimelineEvent> {
        // A worker that was told to go on in the old period needs to see it, even if nothing is left of it.
        let old =
            point.start.take().map(|start| Period { number: point.period, origin: start, ..first.clone() });
        let rest = events.into_iter().skip(1);
        let kept: Vec<_> =
            std::iter::once(TimelineEvent::Period(first)).chain(rest).map(|event| later(event, 1)).collect();
        (self.buffer, self.counted_lost) = (ReplayBuffer::new(self.limits), 0);
        kept.iter().for_each(|event| self.buffer.push(event));
        self.count();
        self.inserted += 1;
        point.period = self.buffer.start().map_or(point.period, |(number, _)| number);
        old.map(TimelineEvent::Period).into_iter().chain(kept).collect()
    }

    /// Tags that no server has finished and none can be given any more.
    pub fn lost(&self) -> u64 {
        self.buffer.lost()
    }

    fn count(&mut self) {
        let (bytes, lost) = (self.buffer.bytes(), self.buffer.lost());
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
mod tests {
    use bytes::Bytes;
    use headwater_media::{BroadcastId, MediaSequence, SegmentSettings, SourceTime, Tag, TagKind};
    use metrics_exporter_prometheus::PrometheusBuilder;

    use super::*;

    const LIMITS: ReplayLimits = ReplayLimits { bytes: 1 << 20, duration_ms: 5_000 };

    fn point(period: u32, start: Option<u64>) -> ResumePoint {
        ResumePoint {
            broadcast: BroadcastId::new(UnixMillis(0), &[1; 10]),
            settings: SegmentSettings::default(),
            period: PeriodNumber(period),
            start: start.map(SourceTime),
            next_sequence: MediaSequence(100),
            discontinuity_sequence: 0,
            kept: Vec::new(),
        }
    }

    fn period(number: u32, origin: u64) -> TimelineEvent {
        TimelineEvent::Period(Period {
            number: PeriodNumber(number),
            origin: SourceTime(origin),
            wall_clock: UnixMillis(1_000_000 + origin),
            video: Some(Bytes::from_static(b"avcC")),
            audio: None,
        })
    }

    /// Keyframes, one a second, of 100 bytes and a picture after each.
    fn pictures(replay: &mut Replay, times: std::ops::Range<u64>) {
        for time in times.step_by(500) {
            let (kind, payload) =
                (TagKind::Video { keyframe: time.is_multiple_of(1_000) }, Bytes::from_static(&[7; 100]));
            replay.push(TimelineEvent::Tag(Tag {
                kind,
                time: SourceTime(time),
                composition_offset: 0,
                payload,
            }));
        }
    }

    /// Numbers and origins of the periods, each with the time of its first tag.
    fn periods(events: &[TimelineEvent]) -> Vec<(u32, u64, Option<u64>)> {
        let first_of = |nth: usize| match events.get(nth + 1) {
            Some(TimelineEvent::Tag(tag)) => Some(tag.time.0),
            _ => None,
        };
        let described = events.iter().enumerate().filter_map(|(nth, event)| match event {
            TimelineEvent::Period(period) => {
                assert_eq!(period.wall_clock.0, 1_000_000 + period.origin.0);
                Some((period.number.0, period.origin.0, first_of(nth)))
            }
            TimelineEvent::Tag(_) => None,
        });
        described.collect()
    }

    #[test]
    fn without_a_duration_nothing_is_kept() {
        let mut replay = Replay::new(ReplayLimits { duration_ms: 0, ..LIMITS });
        replay.push(period(3, 0));
        pictures(&mut replay, 0..4_000);
        assert!(!replay.is_on() && replay.from(&mut point(3, None)).is_empty());
        assert_eq!((replay.buffer.bytes(), replay.lost()), (0, 0), "what was never kept is not lost");
    }

    #[test]
    fn what_is_all_there_is_given_as_it_was() {
        let mut replay = Replay::new(LIMITS);
        replay.push(period(3, 0));
        pictures(&mut replay, 0..4_000);
        let mut begun = point(3, None);
        assert_eq!(periods(&replay.from(&mut begun)), [(3, 0, Some(0))]);
        let mut later = point(3, Some(2_000));
        replay.commit(&later);
        assert_eq!(periods(&replay.from(&mut later)), [(3, 0, Some(1_000))]);
        assert_eq!((begun, later), (point(3, None), point(3, Some(2_000))));
    }

    #[test]
    fn what_is_left_after_a_loss_begins_a_period() {
        let mut replay = Replay::new(LIMITS);
        replay.push(period(3, 0));
        pictures(&mut replay, 0..20_000);
        let (lost, mut to) = (replay.lost(), point(3, Some(2_000)));
        assert!(lost > 0);
        let events = replay.from(&mut to);
        let start = replay.buffer.start().unwrap().1.0;
        assert!(start > 2_000 && start.is_multiple_of(1_000), "it begins with a keyframe");
        // The worker begins in the old one at the point that it was told.
        let TimelineEvent::Period(old) = &events[0] else { panic!("no period") };
        assert_eq!((old.number.0, old.origin.0), (3, 2_000));
        assert_eq!(periods(&events[1..]), [(4, start, Some(start))]);
        assert_eq!(to, point(4, None));
        assert_eq!(periods(&replay.from(&mut to)), [(4, start, Some(start))], "once");
        // The timeline does not know of it.
        let TimelineEvent::Period(next) = replay.push(period(4, 90_000)) else { panic!("no period") };
        assert_eq!(next.number, PeriodNumber(5));
        pictures(&mut replay, 90_000..110_000);
        let end = periods(&replay.from(&mut to));
        assert_eq!((end[0].0, to.period.0), (6, 6), "the whole period before it is lost, and more");
    }

    #[test]
    fn its_size_and_losses_are_counted() {
        let recorder = PrometheusBuilder::new().build_recorder();
        let text = || recorder.handle().render();
        metrics::with_local_recorder(&recorder, || {
            let mut replay = Replay::new(LIMITS);
            replay.push(period(0, 0));
            pictures(&mut replay, 0..4_000);
            assert!(text().contains("headwater_proxy_replay_bytes 800\n"), "{}", text());
            replay.commit(&point(0, Some(2_000)));
            assert!(text().contains("headwater_proxy_replay_bytes 600\n"), "{}", text());
            assert!(text().contains("headwater_proxy_replay_lost_tags_total 0\n"), "{}", text());
            pictures(&mut replay, 4_000..20_000);
            let lost = replay.lost();
            let counted = format!("headwater_proxy_replay_lost_tags_total {lost}\n");
            assert!(lost > 0 && text().contains(&counted), "{}", text());
            replay.from(&mut point(0, Some(2_000)));
            pictures(&mut replay, 20_000..30_000);
            let both = format!("headwater_proxy_replay_lost_tags_total {}\n", lost + replay.lost());
            assert!(replay.lost() > 0 && text().contains(&both), "{}", text());
            drop(replay);
        });
        assert!(text().contains("headwater_proxy_replay_bytes 0\n"), "{}", text());
    }
}
