//! A publisher on the air: RTMP messages in, tags of the timeline out.

use std::time::{SystemTime, UNIX_EPOCH};

use headwater_hls::ResumePoint;
use headwater_media::timeline::{Announced, Limits, Timeline};
use headwater_media::{Epoch, MediaError, UnixMillis};
use headwater_registry::ServerId;
use headwater_rtmp::{Event, Rejection};
use headwater_wire::v1::publish_response::{Committed, Message as Response};
use tokio::time::{Instant, timeout, timeout_at};
use tracing::Instrument;

use crate::connection::Edge;
use crate::counted::Counted;
use crate::link::{Link, LinkError};
use crate::refusal;
use crate::replay::Replay;
use crate::routing::Found;
use crate::uplink::{CallOver, Order, Uplink, UplinkError, resume_point};

pub struct Publisher<'a> {
    link: &'a mut Link,
    pub(crate) uplink: Uplink,
    /// The server that has the stream, and under which epoch.
    pub(crate) server: ServerId,
    pub(crate) epoch: Epoch,
    pub(crate) order: Order,
    timeline: Timeline,
    pub(crate) replay: Replay,
    /// Where another server would go on.
    pub(crate) resume: ResumePoint,
    pub(crate) edge: &'a Edge,
    /// When the encoder last sent something.
    heard: Instant,
}

/// How a publisher left.
pub enum PublisherEnd {
    /// It ended its stream, and may publish again.
    Unpublished,
    /// It was told why it has to leave. The connection is to be closed.
    Dismissed,
}

/// Why it can't go on.
pub(crate) enum Stop {
    Unpublished,
    Link(LinkError),
    /// The publisher has to leave.
    Dismiss {
        reason: &'static str,
        rejection: Rejection,
    },
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
        let (replay, heard) = (Replay::new(edge.replay), Instant::now());
        Self { link, uplink, server, epoch, order, timeline, replay, resume, edge, heard }
    }

    pub async fn run(mut self) -> Result<PublisherEnd, LinkError> {
        let on_air = Counted::new("headwater_proxy_publishers");
        let stop = self.publish().await;
        drop(on_air);
        if !matches!(stop, Stop::Lost { .. }) {
            // What the timeline still holds goes on air too. When the server does not take it, it is too late to say so.
            self.timeline.finish();
            let _ = timeout(self.edge.stall_timeout, self.forward()).await;
        }
        self.edge.tasks.spawn(self.uplink.end(stop.reason()).in_current_span());
        match stop {
            Stop::Unpublished => Ok(PublisherEnd::Unpublished),
            Stop::Link(error) => Err(error),
            Stop::Dismiss { reason, rejection } | Stop::Lost { reason, rejection } => {
                metrics::counter!("headwater_proxy_failed_total", "reason" => reason).increment(1);
                tracing::warn!(reason, description = rejection.description, "publisher sent away");
                self.link.fail(&rejection).await?;
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
        while let Some(event) = self.link.next_event() {
            self.take(event).await?;
        }
        if self.link.close_requested() {
            return Err(Stop::Link(LinkError::Closed));
        }
        let Self { link, uplink, edge, heard, .. } = self;
        tokio::select! {
            read = read(link, edge, *heard) => read?,
            response = uplink.next() => return self.answer(response).await,
        }
        self.take_in().await
    }

    /// Waits for what the encoder sends, and for nothing else. Nothing is lost when it is cancelled;
    /// [`take_in`](Self::take_in) comes after it.
    pub(crate) async fn read(&mut self) -> Result<(), Stop> {
        read(self.link, self.edge, self.heard).await
    }

    /// Keeps what has arrived for the server that is to be found.
    pub(crate) fn keep(&mut self) -> Result<(), Stop> {
        while let Some(event) = self.link.next_event() {
            self.sort(event)?;
        }
        while let Some(event) = self.timeline.poll() {
            self.replay.push(&event);
        }
        match self.link.close_requested() {
            true => Err(Stop::Link(LinkError::Closed)),
            false => Ok(()),
        }
    }

    pub(crate) async fn take_in(&mut self) -> Result<(), Stop> {
        self.heard = Instant::now();
        Ok(self.link.take_in().await?)
    }

    async fn take(&mut self, event: Event) -> Result<(), Stop> {
        self.sort(event)?;
        self.forward().await
    }

    fn sort(&mut self, event: Event) -> Result<(), Stop> {
        match event {
            Event::Metadata(metadata) => {
                self.timeline.push_metadata(Announced::new(metadata.video, metadata.audio))
            }
            Event::Video { timestamp, payload } => self.timeline.push_video(now(), timestamp, payload)?,
            Event::Audio { timestamp, payload } => self.timeline.push_audio(now(), timestamp, payload)?,
            Event::Unpublish => return Err(Stop::Unpublished),
            Event::Publish(request) => {
                tracing::debug!(?request, "a second publish on one connection is ignored");
            }
            Event::PlayRefused => {}
        }
        Ok(())
    }

    async fn forward(&mut self) -> Result<(), Stop> {
        while let Some(event) = self.timeline.poll() {
            self.replay.push(&event);
            match timeout(self.edge.stall_timeout, self.uplink.send(event)).await {
                Ok(Ok(())) => {}
                Ok(Err(CallOver)) => {
                    let cause = self.last_word().await;
                    self.fail_over(cause).await?;
                }
                Err(_) => return Err(Stop::Lost { reason: "stalled", rejection: refusal::stalled() }),
            }
        }
        Ok(())
    }

    /// Why the server has ended the call.
    pub(crate) async fn last_word(&mut self) -> UplinkError {
        let words = async {
            loop {
                match self.uplink.next().await {
                    Ok(Response::Rejected(failure)) => return UplinkError::Rejected(failure),
                    Ok(Response::Accepted(_) | Response::Committed(_)) => {}
                    Err(error) => return error,
                }
            }
        };
        timeout(self.edge.stall_timeout, words).await.unwrap_or(UplinkError::Timeout)
    }

    async fn answer(&mut self, response: Result<Response, UplinkError>) -> Result<(), Stop> {
        let cause = match response {
            Ok(Response::Committed(Committed { resume })) => match resume_point(resume) {
                Ok(resume) => {
                    self.replay.commit(&resume);
                    self.resume = resume;
                    return Ok(());
                }
                Err(error) => error.into(),
            },
            Ok(Response::Accepted(_)) => return Ok(()),
            Ok(Response::Rejected(failure)) => UplinkError::Rejected(failure),
            Err(error) => error,
        };
        self.fail_over(cause).await
    }
}

/// Waits for bytes of the encoder. Nothing is lost when it is cancelled.
async fn read(link: &mut Link, edge: &Edge, heard: Instant) -> Result<(), Stop> {
    tokio::select! {
        read = timeout_at(heard + edge.idle_timeout, link.read()) => match read {
            Ok(count) => metrics::counter!("headwater_proxy_received_bytes_total").increment(count? as u64),
            Err(_) => return Err(Stop::Dismiss { reason: "idle", rejection: refusal::idle() }),
        },
        () = edge.stop.cancelled() => {
            return Err(Stop::Dismiss { reason: "stopping", rejection: refusal::stopping() });
        }
    }
    Ok(())
}

fn now() -> UnixMillis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixMillis(since.as_millis() as u64)
}
