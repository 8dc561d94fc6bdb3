//! The boundary at which a server that stops leaves a broadcast to another one: after the segment that is in the making, so
//! that no segment holds the pictures of two encoders.

use std::collections::VecDeque;
use std::time::Duration;

use headwater_media::{MediaEvent, MediaSequence};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::Session;

/// Longest time that the last segment takes beyond its own duration: encoders are up to 1.5 s behind, and the network of a
/// publisher may hiccup. Past it the publisher is silent or the worker stuck, and the segment is broken off: the next
/// server makes it anew, from its start. With the longest segment (10 s) a drain still fits into its usual grace of 30 s.
const LAST_SEGMENT_SLACK: Duration = Duration::from_secs(4);

/// The last segment of a session on a server that stops.
pub(super) struct DrainBoundary<'a> {
    session: &'a Session<'a>,
    /// Cancelled when the publisher has left: then nobody goes on elsewhere with what is left here, and all of it is
    /// shown.
    left: &'a CancellationToken,
    state: State,
}

enum State {
    /// The server does not stop.
    OnAir,
    /// Segments from this sequence on are another server's to make. They are held back for the case that the publisher leaves
    /// first; that is the media of some seconds at most.
    Leaving { next: MediaSequence, until: Instant, held: VecDeque<MediaEvent> },
    /// A period has ended, and with it all of its segments: that is shown, and the next one is another server's.
    Last(VecDeque<MediaEvent>),
    /// The publisher has left: what was held back is shown, and all that comes.
    PublisherLeft(VecDeque<MediaEvent>),
}

pub(super) enum Step {
    Show(MediaEvent),
    HandOver,
}

impl<'a> DrainBoundary<'a> {
    pub(super) fn new(session: &'a Session<'a>, left: &'a CancellationToken) -> Self {
        Self { session, left, state: State::OnAir }
    }

    /// Waits for the next step that does not come from the worker. Can be cancelled without loss.
    pub(super) async fn next_step(&mut self) -> Step {
        loop {
            if let State::PublisherLeft(held) | State::Last(held) = &mut self.state
                && let Some(event) = held.pop_front()
            {
                return Step::Show(event);
            }
            if self.is_done() {
                return Step::HandOver;
            }
            self.wait_for_change().await;
        }
    }

    /// The part of the worker's output that is to be shown.
    pub(super) fn pass_event(&mut self, event: MediaEvent) -> Option<MediaEvent> {
        let (next, held) = match &mut self.state {
            State::OnAir | State::PublisherLeft(_) => return Some(event),
            State::Last(_) => return None,
            State::Leaving { next, held, .. } => (next, held),
        };
        match &event {
            MediaEvent::Part { sequence, .. } | MediaEvent::SegmentEnd { sequence, .. }
                if sequence < next =>
            {
                Some(event)
            }
            MediaEvent::PeriodStart(_) => {
                held.push_back(event);
                self.state = State::Last(std::mem::take(held));
                None
            }
            _ => {
                held.push_back(event);
                None
            }
        }
    }

    /// Whether another server can begin.
    fn is_done(&self) -> bool {
        let (next, until) = match &self.state {
            State::OnAir | State::PublisherLeft(_) => return false,
            State::Last(_) => return true,
            State::Leaving { next, until, .. } => (next, until),
        };
        let is_late = *until <= Instant::now();
        if is_late {
            tracing::warn!(segment = %next, "the last segment takes too long: it is broken off");
        }
        is_late || self.session.on_air.feed.next_uncommitted() >= *next
    }

    /// Waits until the state is another one.
    async fn wait_for_change(&mut self) {
        match &mut self.state {
            State::OnAir => {
                self.session.stops_together().await;
                if self.left.is_cancelled() {
                    self.state = State::PublisherLeft(VecDeque::new());
                    return;
                }
                let feed = &self.session.on_air.feed;
                let limit = self.session.last_segment_limit();
                let next = feed.next_sequence();
                self.state = State::Leaving { next, until: Instant::now() + limit, held: VecDeque::new() };
            }
            State::Leaving { until, held, .. } => tokio::select! {
                () = sleep_until(*until) => {}
                () = self.left.cancelled() => self.state = State::PublisherLeft(std::mem::take(held)),
            },
            State::Last(_) | State::PublisherLeft(_) => std::future::pending().await,
        }
    }
}

impl Session<'_> {
    /// Waits until this server stops, where another one can go on with the broadcast.
    async fn stops_together(&self) {
        if self.others_may_come { self.stop.cancelled().await } else { std::future::pending().await }
    }

    fn last_segment_limit(&self) -> Duration {
        LAST_SEGMENT_SLACK + Duration::from_millis(u64::from(self.on_air.feed.segment_settings().segment_ms))
    }
}
