//! A publisher on the air: RTMP messages in, tags of the timeline out.

mod failover;
mod reconnect;
mod replay;
mod tracks;

use headwater_hls::ResumePoint;
use headwater_media::timeline::{Announced, Limits, Timeline};
use headwater_media::{Epoch, MediaError, TimelineEvent};
use headwater_registry::ServerId;
use headwater_rtmp::{Event, Rejection};
use headwater_runtime::clock;
use headwater_wire::v1::publish_response::{Committed, Message as Response};
use metrics::Counter;
use tokio::time::{Instant, timeout, timeout_at};
use tracing::Instrument;

use crate::context::Edge;
use crate::counted::Counted;
use crate::refusal;
use crate::routing::Found;
use crate::rtmp::{Link, LinkError};
use crate::uplink::{CallOver, GOODBYE_TIMEOUT, Order, Uplink, UplinkError, resume_point};

use self::reconnect::Notice;
use self::replay::Replay;

pub struct Publisher<'a> {
    link: &'a mut Link,
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

/// How a publisher left.
pub enum PublisherEnd {
    /// It ended its stream, and may publish again.
    Unpublished,
    /// It was told why it has to leave. The connection is to be closed.
    Dismissed,
}

/// What became of the last of the media.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rest {
    Given,
    /// A server had taken a part of it, or none was found, when the time was over.
    Cut,
    /// No server takes it.
    Refused,
}

/// Why it can't go on.
enum Stop {
    Unpublished,
    Link(LinkError),
    /// The publisher has to leave.
    Dismiss {
        reason: &'static str,
        rejection: Rejection,
    },
    /// The publisher has connected again, as it was asked to, and its successor has the stream.
    Succeeded,
    /// The server takes nothing more, and so the publisher has to leave.
    Lost {
        reason: &'static str,
        rejection: Rejection,
    },
}

impl Stop {
    /// What the server is told.
    fn reason(&self) -> &'static str {
        match self {
            Self::Unpublished => "the publisher ended its stream",
            Self::Link(_) => "the publisher's connection ended",
            Self::Succeeded => "the publisher has connected again",
            Self::Dismiss { reason, .. } | Self::Lost { reason, .. } => reason,
        }
    }
}

impl From<LinkError> for Stop {
    fn from(error: LinkError) -> Self {
        Self::Link(error)
    }
}

impl From<MediaError> for Stop {
    fn from(error: MediaError) -> Self {
        Self::Dismiss { reason: "media", rejection: refusal::media(&error) }
    }
}

impl<'a> Publisher<'a> {
    pub fn new(link: &'a mut Link, order: Order, found: Found, edge: &'a Edge) -> Self {
        let Found { uplink, server, epoch, resume } = found;
        let timeline = Timeline::new(resume.period, Limits::new(&resume.settings));
        let (replay, heard) = (Replay::new(edge.replay), Some(Instant::now()));
        let (losses, notice) = (0, Notice::None);
        let received = metrics::counter!("headwater_proxy_received_bytes_total");
        Self {
            link,
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

    pub async fn run(mut self) -> Result<PublisherEnd, LinkError> {
        let on_air = Counted::new("headwater_proxy_publishers");
        let mut stop = self.publish().await;
        drop(on_air);
        let has_ended = matches!(stop, Stop::Unpublished | Stop::Link(_));
        let mut rest = Rest::Given;
        match stop {
            Stop::Lost { .. } => {}
            Stop::Succeeded => stop = self.see_off().await,
            Stop::Dismiss { .. } => rest = self.give_rest().await,
            Stop::Unpublished | Stop::Link(_) => {
                self.heard = None;
                rest = self.give_rest().await;
            }
        }
        self.edge.router.left(&self.order.stream);
        if has_ended {
            self.finish(stop.reason(), rest).await;
        } else if rest == Rest::Given {
            self.edge.tasks.spawn(self.uplink.end(stop.reason()).in_current_span());
        }
        match stop {
            Stop::Unpublished | Stop::Succeeded => Ok(PublisherEnd::Unpublished),
            Stop::Link(error) => Err(error),
            Stop::Dismiss { reason, rejection } | Stop::Lost { reason, rejection } => {
                metrics::counter!("headwater_proxy_failed_total", "reason" => reason).increment(1);
                tracing::warn!(reason, description = rejection.description, "publisher sent away");
                self.link.fail(&rejection).await?;
                Ok(PublisherEnd::Dismissed)
            }
        }
    }

    /// What the timeline still holds goes on air too, and what a lost server has not finished. When it is not taken, it is
    /// too late to say so.
    async fn give_rest(&mut self) -> Rest {
        self.timeline.finish();
        let limit = self.edge.stall_timeout;
        let given = async {
            self.forward().await?;
            match self.uplink.is_over() {
                true => self.call_over().await,
                false => Ok(()),
            }
        };
        let rest = match timeout(limit, given).await {
            Ok(Ok(())) => return Rest::Given,
            Ok(Err(_)) => Rest::Refused,
            Err(_) => Rest::Cut,
        };
        tracing::warn!("the last of the media could not be given to a server");
        rest
    }

    /// Stays until a server has made everything that the publisher has sent: one that is lost before is replaced.
    /// Where the rest is not given, its call ends in the middle, and a goodbye would pass for the end of the media.
    async fn finish(&mut self, reason: &'static str, rest: Rest) {
        if rest == Rest::Refused {
            return;
        }
        let finished = async {
            if rest == Rest::Cut {
                self.fail_over(UplinkError::Timeout).await?;
                self.forward().await?;
            }
            while let Err(cause) = self.goodbye(reason).await {
                self.fail_over(cause).await?;
            }
            Ok::<_, Stop>(())
        };
        if !matches!(timeout(GOODBYE_TIMEOUT, finished).await, Ok(Ok(()))) {
            tracing::warn!("the end of the media may be lost: no server has finished it");
        }
    }

    /// Waits until the server has worked off what it was sent.
    async fn goodbye(&mut self, reason: &'static str) -> Result<(), UplinkError> {
        // One that is gone takes none, and its last word is the error.
        let _ = self.uplink.say_goodbye(reason).await;
        while let Some(response) = self.uplink.next_of_last().await? {
            self.note(response)?;
        }
        Ok(())
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
        while let Some(event) = self.link.next_event() {
            self.take(event).await?;
        }
        if let Some(end) = self.link.ended() {
            return Err(Stop::Link(end));
        }
        let Self { link, uplink, edge, heard, notice, received, .. } = self;
        tokio::select! {
            read = read(link, edge, *heard, received) => read?,
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
        read(self.link, self.edge, self.heard, &self.received).await
    }

    /// Keeps what has arrived for the server that is to be found.
    fn keep(&mut self) -> Result<(), Stop> {
        while let Some(event) = self.link.next_event() {
            self.sort(event)?;
        }
        while let Some(event) = self.timeline.poll() {
            // It is kept, and that is all for now.
            let _ = self.replay.push(event);
        }
        self.link.ended().map_or(Ok(()), |end| Err(Stop::Link(end)))
    }

    async fn take_in(&mut self) -> Result<(), Stop> {
        self.heard = Some(Instant::now());
        Ok(self.link.take_in().await?)
    }

    async fn take(&mut self, event: Event) -> Result<(), Stop> {
        self.sort(event)?;
        self.forward().await
    }

    fn sort(&mut self, event: Event) -> Result<(), Stop> {
        let sorted = self.sort_media(event);
        while let Some(notice) = self.timeline.poll_notice() {
            metrics::counter!("headwater_proxy_timestamps_moved_total", "of" => notice.kind()).increment(1);
            tracing::warn!("{notice}");
        }
        sorted
    }

    fn sort_media(&mut self, event: Event) -> Result<(), Stop> {
        match event {
            Event::Metadata(metadata) => {
                self.timeline.push_metadata(Announced::new(metadata.video, metadata.audio))
            }
            Event::Video { timestamp, payload } => {
                self.timeline.push_video(clock::now(), timestamp, payload)?
            }
            Event::Audio { timestamp, payload } => {
                self.timeline.push_audio(clock::now(), timestamp, payload)?
            }
            Event::Unpublish => return Err(Stop::Unpublished),
            Event::SecondStreamRefused => {
                tracing::info!(
                    "a second stream on this connection was refused; what it sends there is dropped"
                );
            }
            Event::Publish(_) | Event::PlayRefused | Event::AppRefused => {}
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
                    Err(_) => return Err(stalled()),
                }
            }
        }
        Ok(())
    }

    async fn call_over(&mut self) -> Result<(), Stop> {
        let cause = self.last_word().await;
        self.fail_over(cause).await
    }

    /// Why the server has ended the call. What it has committed before still counts.
    async fn last_word(&mut self) -> UplinkError {
        let until = Instant::now() + self.edge.stall_timeout;
        loop {
            let word = timeout_at(until, self.uplink.next()).await.unwrap_or(Err(UplinkError::Timeout));
            if let Err(cause) = word.and_then(|response| self.note(response)) {
                return cause;
            }
        }
    }

    async fn answer(&mut self, response: Result<Response, UplinkError>) -> Result<(), Stop> {
        match response.and_then(|response| self.note(response)) {
            Ok(()) => Ok(()),
            Err(cause) => self.fail_over(cause).await,
        }
    }

    /// Takes the server's word; an error is its last one.
    fn note(&mut self, response: Response) -> Result<(), UplinkError> {
        match response {
            Response::Committed(Committed { resume, epoch }) => {
                self.resume = resume_point(resume)?;
                if let Some(epoch) = epoch.map(Epoch).filter(|epoch| *epoch > self.epoch) {
                    self.epoch = epoch;
                    self.edge.router.raise(&self.order.stream, epoch);
                }
                self.replay.commit(&self.resume);
                self.losses = 0;
                Ok(())
            }
            Response::Accepted(_) => Ok(()),
            Response::Rejected(failure) => Err(UplinkError::Rejected(failure)),
        }
    }
}

/// The server takes nothing.
fn stalled() -> Stop {
    Stop::Lost { reason: "stalled", rejection: refusal::stalled() }
}

/// Waits for bytes of the encoder, for ever when it has left. Nothing is lost when it is cancelled.
async fn read(link: &mut Link, edge: &Edge, heard: Option<Instant>, received: &Counter) -> Result<(), Stop> {
    let Some(heard) = heard else { return std::future::pending().await };
    tokio::select! {
        read = timeout_at(heard + edge.idle_timeout, link.read()) => match read {
            Ok(count) => received.increment(count? as u64),
            Err(_) => return Err(Stop::Dismiss { reason: "idle", rejection: refusal::idle() }),
        },
        () = edge.drain.over() => {
            return Err(Stop::Dismiss { reason: "stopping", rejection: refusal::stopping() });
        }
    }
    Ok(())
}
