//! Reports of broadcasts.

use std::time::Duration;

use headwater_media::broadcast::{BroadcastReport, PublisherReport};
use headwater_media::stats::{Expectations, HealthSample};
use headwater_media::{Epoch, PublisherFacts, PublisherStats, UnixMillis};

use super::{ConvertError, broadcast_id, invalid_field};
use crate::v2;
use crate::v2::broadcast::Publisher;

impl From<HealthSample> for v2::HealthSample {
    fn from(HealthSample { time, stats, frames_dropped }: HealthSample) -> Self {
        Self { unix_ms: time.0, stats: Some(stats.into()), frames_dropped }
    }
}

impl TryFrom<v2::HealthSample> for HealthSample {
    type Error = ConvertError;
    fn try_from(message: v2::HealthSample) -> Result<Self, ConvertError> {
        let stats = message.stats.ok_or(ConvertError::Missing("health.stats"))?;
        Ok(Self {
            time: UnixMillis(message.unix_ms),
            stats: PublisherStats::try_from(stats)?,
            frames_dropped: message.frames_dropped,
        })
    }
}

impl From<PublisherReport> for Publisher {
    fn from(PublisherReport { facts, proxy }: PublisherReport) -> Self {
        Self { facts: facts.map(Into::into), proxy }
    }
}

impl TryFrom<Publisher> for PublisherReport {
    type Error = ConvertError;
    fn try_from(Publisher { facts, proxy }: Publisher) -> Result<Self, ConvertError> {
        Ok(Self { facts: facts.map(PublisherFacts::try_from).transpose()?, proxy })
    }
}

impl TryFrom<v2::Broadcast> for BroadcastReport {
    type Error = ConvertError;
    fn try_from(message: v2::Broadcast) -> Result<Self, ConvertError> {
        let publisher = message.publisher.map(PublisherReport::try_from).transpose()?;
        // A server of an earlier release says no more than that there is a publisher.
        let publisher = publisher.or_else(|| message.publishing.then(PublisherReport::default));
        let facts = publisher.as_ref().and_then(|publisher| publisher.facts.as_ref());
        let segment_ms = message.settings.map_or(0, |settings| settings.segment_ms);
        let expectations = Expectations {
            announced: facts.map(|facts| facts.announced).unwrap_or_default(),
            segment: Duration::from_millis(segment_ms.into()),
            top_bitrate: message.top_bitrate,
        };
        Ok(Self {
            stream: message.stream.parse().map_err(|error| invalid_field("stream", error))?,
            broadcast: broadcast_id(&message.broadcast)?,
            epoch: Epoch(message.epoch),
            publisher,
            health: message.health.map(HealthSample::try_from).transpose()?,
            silent: Duration::from_millis(message.silent_ms),
            expectations,
        })
    }
}
