//! A publisher on the air: RTMP messages in, tags of the timeline out.

use std::time::{SystemTime, UNIX_EPOCH};

use headwater_media::timeline::{Announced, Limits, Timeline};
use headwater_media::{MediaError, UnixMillis};
use headwater_rtmp::{Event, Rejection};
use headwater_wire::v1::publish_response::Message as Response;
use tokio::time::{Instant, timeout, timeout_at};
use tracing::Instrument;

use crate::connection::Edge;
use crate::counted::Counted;
use crate::link::{Link, LinkError};
use crate::refusal;
use crate::uplink::{CallOver, Terms, Uplink, UplinkError};

pub struct Publisher<'a> {
    link: &'a mut Link,
    uplink: Uplink,
    timeline: Timeline,
    edge: &'a Edge,
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
enum Stop {
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
    pub fn new(link: &'a mut Link, uplink: Uplink, terms: Terms, edge: &'a Edge) -> Self {
        let timeline = Timeline::new(terms.first_period, Limits::new(&terms.settings));
        Self { link, uplink, timeline, edge, heard: Instant::now() }
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
        tokio::select! {
            read = timeout_at(self.heard + self.edge.idle_timeout, self.link.read()) => match read {
                Ok(count) => metrics::counter!("headwater_proxy_received_bytes_total").increment(count? as u64),
                Err(_) => return Err(Stop::Dismiss { reason: "idle", rejection: refusal::idle() }),
            },
            response = self.uplink.next() => return self.answer(response),
            () = self.edge.stop.cancelled() => {
                return Err(Stop::Dismiss { reason: "stopping", rejection: refusal::stopping() });
            }
        }
        self.heard = Instant::now();
        Ok(self.link.take_in().await?)
    }

    async fn take(&mut self, event: Event) -> Result<(), Stop> {
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
        self.forward().await
    }

    async fn forward(&mut self) -> Result<(), Stop> {
        while let Some(event) = self.timeline.poll() {
            match timeout(self.edge.stall_timeout, self.uplink.send(event)).await {
                Ok(Ok(())) => {}
                // The call is over; the server's last word says why.
                Ok(Err(CallOver)) => {
                    let last = timeout(self.edge.stall_timeout, self.uplink.next()).await;
                    return self.answer(last.unwrap_or(Err(UplinkError::Timeout)));
                }
                Err(_) => return Err(Stop::Lost { reason: "stalled", rejection: refusal::stalled() }),
            }
        }
        Ok(())
    }

    fn answer(&mut self, response: Result<Response, UplinkError>) -> Result<(), Stop> {
        let error = match response {
            Ok(Response::Committed(committed)) => {
                tracing::trace!(?committed);
                return Ok(());
            }
            Ok(Response::Accepted(_)) => return Ok(()),
            Ok(Response::Rejected(failure)) => UplinkError::Rejected(failure),
            Err(error) => error,
        };
        tracing::warn!(%error, "the server ended the call");
        Err(Stop::Lost { reason: "server", rejection: refusal::call_over(&error) })
    }
}

fn now() -> UnixMillis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixMillis(since.as_millis() as u64)
}
