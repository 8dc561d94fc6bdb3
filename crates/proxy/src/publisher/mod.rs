//! Publisher on air: forwards the events of its source as tags of a timeline to the server that owns the stream.

mod end;
mod failover;
mod finish;
mod health;
mod reconnect;
mod replay;
mod request;
mod responses;
mod tracks;

use headwater_media::timeline::{Limits, Timeline};
use headwater_media::{Epoch, PublisherFacts, ResumePoint, TimelineEvent};
use headwater_registry::ServerId;
use headwater_runtime::clock;
use headwater_wire::publish::{CallEnded, PublishCall};
use metrics::Counter;
use tokio::time::{Instant, timeout, timeout_at};
use tracing::Instrument;

use crate::authority::Supervision;
use crate::context::Context;
use crate::gauge_guard::GaugeGuard;
use crate::refusal::Refusal;
use crate::routing::{Assignment, PublishSpec};
use crate::source::{Source, SourceError, SourceEvent};

use self::end::EndReason;
pub use self::end::PublisherEnd;
use self::finish::Rest;
use self::health::Health;
use self::reconnect::ReconnectState;
use self::replay::Replay;
use self::request::described;
pub use self::request::publish;

/// Publisher that was accepted, and its call.
struct Publisher<'a, S> {
    source: &'a mut S,
    call: PublishCall,
    /// Server that has the stream, under `epoch`.
    server: ServerId,
    epoch: Epoch,
    spec: PublishSpec,
    timeline: Timeline,
    replay: Replay,
    /// Point at which another server would go on.
    resume: ResumePoint,
    /// Servers that it has lost since the last commit.
    losses: u32,
    supervision: Supervision,
    context: &'a Context,
    reconnect: ReconnectState,
    health: Health,
    /// Facts that have changed since its server was told.
    untold_facts: Option<PublisherFacts>,
    /// Counter of received bytes, looked up once.
    received: Counter,
    /// Oddities of the timeline that were reported by now.
    oddities: u64,
    /// Time of the encoder's last bytes; none once it has left, and nothing more is read of it.
    heard: Option<Instant>,
}

impl<'a, S: Source> Publisher<'a, S> {
    fn new(
        source: &'a mut S,
        spec: PublishSpec,
        assignment: Assignment,
        supervision: Supervision,
        context: &'a Context,
    ) -> Self {
        let Assignment { call, server, epoch, resume } = assignment;
        let timeline = Timeline::new(resume.period, Limits::new(&resume.settings));
        Self {
            source,
            call,
            server,
            epoch,
            spec,
            timeline,
            replay: Replay::new(context.replay),
            resume,
            losses: 0,
            supervision,
            context,
            reconnect: ReconnectState::NotAsked,
            health: Health::new(),
            untold_facts: None,
            received: metrics::counter!("headwater_proxy_received_bytes_total"),
            oddities: 0,
            heard: Some(Instant::now()),
        }
    }

    async fn run(mut self) -> Result<PublisherEnd, SourceError> {
        let on_air = GaugeGuard::new("headwater_proxy_publishers");
        let mut end = self.publish().await;
        drop(on_air);
        let has_ended = matches!(end, EndReason::Unpublished | EndReason::SourceEnded(_));
        let mut rest = Rest::Given;
        match end {
            EndReason::Unserved { .. } => {}
            EndReason::Reconnected => end = self.drain_until_closed().await,
            EndReason::Dismissed { .. } => rest = self.flush().await,
            EndReason::Unpublished | EndReason::SourceEnded(_) => {
                self.heard = None;
                rest = self.flush().await;
            }
        }
        self.context.router.record_departure(&self.spec);
        if has_ended {
            self.finish_with_server(end.reason(), rest).await;
        } else if rest == Rest::Given {
            self.context.tasks.spawn(finish::end_call(self.call, end.reason()).in_current_span());
        }
        match end {
            EndReason::Unpublished | EndReason::Reconnected => Ok(PublisherEnd::Unpublished),
            EndReason::SourceEnded(error) => Err(error),
            EndReason::Dismissed { reason, refusal } | EndReason::Unserved { reason, refusal } => {
                metrics::counter!("headwater_proxy_failed_total", "reason" => reason).increment(1);
                tracing::warn!(reason, description = refusal.text, "publisher sent away");
                self.source.fail(&refusal).await?;
                Ok(PublisherEnd::Dismissed)
            }
        }
    }

    async fn publish(&mut self) -> EndReason {
        loop {
            if let Err(end) = self.run_step().await {
                return end;
            }
        }
    }

    /// Handles the events that have arrived, then waits for more bytes or for a response of the server.
    async fn run_step(&mut self) -> Result<(), EndReason> {
        while let Some(event) = self.source.next_event() {
            self.handle_event(event).await?;
        }
        if let Some(end) = self.source.end() {
            return Err(EndReason::SourceEnded(end));
        }
        let Self { source, call, supervision, context, heard, reconnect, received, .. } = self;
        tokio::select! {
            read = read_source(*source, supervision, context, *heard, received) => read?,
            response = call.next_response() => return self.handle_call_result(response).await,
            () = context.drain.begun(), if *reconnect == ReconnectState::NotAsked && context.drain.has_time() => {
                return self.request_reconnect().await;
            }
        }
        self.process_input().await
    }

    /// Waits for bytes of the encoder, and for nothing else. Nothing is lost when it is cancelled;
    /// [`process_input`](Self::process_input) has to follow.
    async fn read_input(&mut self) -> Result<(), EndReason> {
        read_source(self.source, &mut self.supervision, self.context, self.heard, &self.received).await
    }

    /// Keeps the events that have arrived for the server that is to be found.
    fn buffer_input(&mut self) -> Result<(), EndReason> {
        while let Some(event) = self.source.next_event() {
            self.push_to_timeline(event)?;
        }
        while let Some(event) = self.timeline.poll() {
            // The event is kept; no server can be sent it yet.
            let _ = self.replay.push(event);
        }
        self.source.end().map_or(Ok(()), |end| Err(EndReason::SourceEnded(end)))
    }

    async fn process_input(&mut self) -> Result<(), EndReason> {
        self.heard = Some(Instant::now());
        Ok(self.source.process_input().await?)
    }

    async fn handle_event(&mut self, event: SourceEvent) -> Result<(), EndReason> {
        self.push_to_timeline(event)?;
        self.forward_events().await
    }

    fn push_to_timeline(&mut self, event: SourceEvent) -> Result<(), EndReason> {
        let sorted = self.push_media(event);
        while let Some(notice) = self.timeline.poll_notice() {
            metrics::counter!("headwater_proxy_timestamps_moved_total", "of" => notice.kind()).increment(1);
            tracing::warn!("{notice}");
        }
        sorted
    }

    fn push_media(&mut self, event: SourceEvent) -> Result<(), EndReason> {
        match event {
            SourceEvent::Announced(announced) => {
                self.timeline.push_metadata(announced);
                self.update_facts();
            }
            SourceEvent::Media(media) => self.timeline.push(clock::now(), media)?,
            SourceEvent::Unusable(error) => return Err(error.into()),
            SourceEvent::Unpublished => return Err(EndReason::Unpublished),
        }
        Ok(())
    }

    /// Takes over the facts that the encoder has announced.
    fn update_facts(&mut self) {
        let facts = described(self.spec.facts.clone(), self.source.description());
        if facts != self.spec.facts {
            self.spec.facts = facts.clone();
            self.untold_facts = Some(facts);
        }
    }

    /// Tells the server of facts that have changed. A call that has ended is noticed by the next event.
    async fn tell_facts(&mut self) {
        if let Some(facts) = self.untold_facts.take() {
            let _ = timeout(self.context.stall_timeout, self.call.send_facts(facts)).await;
        }
    }

    /// Logs and counts media that is not shown as the encoder sent it.
    fn report_oddities(&mut self) {
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

    async fn forward_events(&mut self) -> Result<(), EndReason> {
        self.report_oddities();
        self.tell_facts().await;
        while let Some(event) = self.timeline.poll() {
            if let TimelineEvent::Period(period) = &event {
                tracks::log_period(period);
            }
            for event in self.replay.push(event) {
                match timeout(self.context.stall_timeout, self.call.send_event(event)).await {
                    Ok(Ok(())) => {}
                    Ok(Err(CallEnded)) => {
                        // The replay has sent all of them.
                        self.replace_ended_call().await?;
                        break;
                    }
                    Err(_) => return Err(EndReason::stalled()),
                }
            }
        }
        Ok(())
    }
}

/// Waits for bytes of the encoder, for ever when it has left. Nothing is lost when it is cancelled.
async fn read_source<S: Source>(
    source: &mut S,
    supervision: &mut Supervision,
    context: &Context,
    heard: Option<Instant>,
    received: &Counter,
) -> Result<(), EndReason> {
    let Some(heard) = heard else { return std::future::pending().await };
    tokio::select! {
        read = timeout_at(heard + context.idle_timeout, source.read()) => match read {
            Ok(count) => received.increment(count? as u64),
            Err(_) => return Err(EndReason::Dismissed { reason: "idle", refusal: Refusal::idle() }),
        },
        error = supervision.withdrawn() => {
            return Err(EndReason::Dismissed { reason: error.metric_label(), refusal: Refusal::key(&error) });
        }
        () = context.drain.over() => {
            return Err(EndReason::Dismissed { reason: "stopping", refusal: Refusal::stopping() });
        }
    }
    Ok(())
}
