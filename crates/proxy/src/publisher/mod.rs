//! A publisher on the air: events of its source in, tags of the timeline out.

mod admission;
mod end;
mod failover;
mod finish;
mod reconnect;
mod replay;
mod responses;
mod tracks;

use headwater_hls::ResumePoint;
use headwater_media::timeline::{Limits, Timeline};
use headwater_media::{Epoch, TimelineEvent};
use headwater_registry::ServerId;
use headwater_runtime::clock;
use headwater_wire::publish::{CallOver, Uplink};
use metrics::Counter;
use tokio::time::{Instant, timeout, timeout_at};
use tracing::Instrument;

use crate::context::Edge;
use crate::counted::Counted;
use crate::refusal::Refusal;
use crate::routing::{Found, Order};
use crate::source::{Source, SourceError, SourceEvent};

pub use self::admission::publish;
pub use self::end::PublisherEnd;
use self::end::Stop;
use self::finish::Rest;
use self::reconnect::Notice;
use self::replay::Replay;

struct Publisher<'a, S> {
    source: &'a mut S,
    uplink: Uplink,
    /// The server that has the stream, and under which epoch.
    server: ServerId,
    epoch: Epoch,
    order: Order,
    timeline: Timeline,
    replay: Replay,
    /// Where another server would go on.
    resume: ResumePoint,
    /// How often it has lost its server since the last commit.
    losses: u32,
    edge: &'a Edge,
    notice: Notice,
    /// Looked up once, not with every read.
    received: Counter,
    /// What its timeline had to put up with, as far as that was said.
    oddities: u64,
    /// When the encoder last sent something; none once it has left, and nothing more is read of it.
    heard: Option<Instant>,
}

impl<'a, S: Source> Publisher<'a, S> {
    fn new(source: &'a mut S, order: Order, found: Found, edge: &'a Edge) -> Self {
        let Found { uplink, server, epoch, resume } = found;
        let timeline = Timeline::new(resume.period, Limits::new(&resume.settings));
        let (replay, heard) = (Replay::new(edge.replay), Some(Instant::now()));
        let (losses, notice) = (0, Notice::None);
        let received = metrics::counter!("headwater_proxy_received_bytes_total");
        Self {
            source,
            uplink,
            server,
            epoch,
            order,
            timeline,
            replay,
            resume,
            losses,
            edge,
            notice,
            received,
            oddities: 0,
            heard,
        }
    }

    async fn run(mut self) -> Result<PublisherEnd, SourceError> {
        let on_air = Counted::new("headwater_proxy_publishers");
        let mut stop = self.publish().await;
        drop(on_air);
        let has_ended = matches!(stop, Stop::Unpublished | Stop::Source(_));
        let mut rest = Rest::Given;
        match stop {
            Stop::Lost { .. } => {}
            Stop::Succeeded => stop = self.see_off().await,
            Stop::Dismiss { .. } => rest = self.give_rest().await,
            Stop::Unpublished | Stop::Source(_) => {
                self.heard = None;
                rest = self.give_rest().await;
            }
        }
        self.edge.router.left(&self.order.stream);
        if has_ended {
            self.finish(stop.reason(), rest).await;
        } else if rest == Rest::Given {
            self.edge.tasks.spawn(finish::end_call(self.uplink, stop.reason()).in_current_span());
        }
        match stop {
            Stop::Unpublished | Stop::Succeeded => Ok(PublisherEnd::Unpublished),
            Stop::Source(error) => Err(error),
            Stop::Dismiss { reason, refusal } | Stop::Lost { reason, refusal } => {
                metrics::counter!("headwater_proxy_failed_total", "reason" => reason).increment(1);
                tracing::warn!(reason, description = refusal.text, "publisher sent away");
                self.source.fail(&refusal).await?;
                Ok(PublisherEnd::Dismissed)
            }
        }
    }

    async fn publish(&mut self) -> Stop {
        loop {
            if let Err(stop) = self.step().await {
                return stop;
            }
        }
    }

    /// Takes what has arrived, then waits for more of it or for a word from the server.
    async fn step(&mut self) -> Result<(), Stop> {
        while let Some(event) = self.source.next_event() {
            self.take(event).await?;
        }
        if let Some(end) = self.source.end() {
            return Err(Stop::Source(end));
        }
        let Self { source, uplink, edge, heard, notice, received, .. } = self;
        tokio::select! {
            read = read(*source, edge, *heard, received) => read?,
            response = uplink.next() => return self.answer(response).await,
            () = edge.drain.begun(), if *notice == Notice::None && edge.drain.lasts() => {
                return self.give_notice().await;
            }
        }
        self.take_in().await
    }

    /// Waits for what the encoder sends, and for nothing else. Nothing is lost when it is cancelled;
    /// [`take_in`](Self::take_in) comes after it.
    async fn read(&mut self) -> Result<(), Stop> {
        read(self.source, self.edge, self.heard, &self.received).await
    }

    /// Keeps what has arrived for the server that is to be found.
    fn keep(&mut self) -> Result<(), Stop> {
        while let Some(event) = self.source.next_event() {
            self.sort(event)?;
        }
        while let Some(event) = self.timeline.poll() {
            // It is kept, and that is all for now.
            let _ = self.replay.push(event);
        }
        self.source.end().map_or(Ok(()), |end| Err(Stop::Source(end)))
    }

    async fn take_in(&mut self) -> Result<(), Stop> {
        self.heard = Some(Instant::now());
        Ok(self.source.process_input().await?)
    }

    async fn take(&mut self, event: SourceEvent) -> Result<(), Stop> {
        self.sort(event)?;
        self.forward().await
    }

    fn sort(&mut self, event: SourceEvent) -> Result<(), Stop> {
        let sorted = self.sort_media(event);
        while let Some(notice) = self.timeline.poll_notice() {
            metrics::counter!("headwater_proxy_timestamps_moved_total", "of" => notice.kind()).increment(1);
            tracing::warn!("{notice}");
        }
        sorted
    }

    fn sort_media(&mut self, event: SourceEvent) -> Result<(), Stop> {
        match event {
            SourceEvent::Announced(announced) => self.timeline.push_metadata(announced),
            SourceEvent::Video { timestamp, payload } => {
                self.timeline.push_video(clock::now(), timestamp, payload)?
            }
            SourceEvent::Audio { timestamp, payload } => {
                self.timeline.push_audio(clock::now(), timestamp, payload)?
            }
            SourceEvent::Unpublished => return Err(Stop::Unpublished),
        }
        Ok(())
    }

    /// Says what is not shown as the encoder sent it.
    fn say_oddities(&mut self) {
        let oddities = self.timeline.rebased() + self.timeline.left_out();
        if oddities == self.oddities {
            return;
        }
        if self.oddities == 0 {
            tracing::warn!(
                "the encoder's clock jumps or its headers change all the time: jumps are taken out, and what can't be decoded is left out"
            );
        }
        metrics::counter!("headwater_proxy_oddities_total").increment(oddities - self.oddities);
        self.oddities = oddities;
    }

    async fn forward(&mut self) -> Result<(), Stop> {
        self.say_oddities();
        while let Some(event) = self.timeline.poll() {
            if let TimelineEvent::Period(period) = &event {
                tracks::log(period);
            }
            for event in self.replay.push(event) {
                match timeout(self.edge.stall_timeout, self.uplink.send(event)).await {
                    Ok(Ok(())) => {}
                    Ok(Err(CallOver)) => {
                        // All of them are replayed.
                        self.call_over().await?;
                        break;
                    }
                    Err(_) => return Err(Stop::stalled()),
                }
            }
        }
        Ok(())
    }
}

/// Waits for bytes of the encoder, for ever when it has left. Nothing is lost when it is cancelled.
async fn read<S: Source>(
    source: &mut S,
    edge: &Edge,
    heard: Option<Instant>,
    received: &Counter,
) -> Result<(), Stop> {
    let Some(heard) = heard else { return std::future::pending().await };
    tokio::select! {
        read = timeout_at(heard + edge.idle_timeout, source.read()) => match read {
            Ok(count) => received.increment(count? as u64),
            Err(_) => return Err(Stop::Dismiss { reason: "idle", refusal: Refusal::idle() }),
        },
        () = edge.drain.over() => {
            return Err(Stop::Dismiss { reason: "stopping", refusal: Refusal::stopping() });
        }
    }
    Ok(())
}
