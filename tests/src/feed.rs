//! A server's own events of a stream, taken from it by gRPC as an origin takes them.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use headwater_wire::v2::delivery_client::DeliveryClient;
use headwater_wire::v2::media_event::{BroadcastEnd, Event, Part, SegmentEnd};
use headwater_wire::v2::{MediaEvent, Opening, WatchRequest};
use tonic::Streaming;

use crate::stack::channels;

/// More than any segment of the tests has.
const MESSAGE_LIMIT: usize = 16 << 20;

/// A server's events, as far as they have come.
pub struct Feed {
    pub opening: Opening,
    /// By rendition and sequence.
    pub segments: BTreeMap<(String, u64), ShownByServer>,
    pub ended: bool,
    events: Streaming<MediaEvent>,
}

#[derive(Debug, Default)]
pub struct ShownByServer {
    pub parts: u32,
    /// Whether the server has said that no further part comes.
    pub whole: bool,
}

impl Feed {
    /// Watches a stream at the server with this address, from its window on.
    pub async fn open(address: &str, stream: &str) -> Result<Self> {
        let mut client =
            DeliveryClient::new(channels().dedicated(address)?).max_decoding_message_size(MESSAGE_LIMIT);
        let mut events = client.watch(WatchRequest { stream: stream.into() }).await?.into_inner();
        let first = events.message().await?.context("a feed begins with its opening")?;
        let Some(Event::Opening(opening)) = first.event else { anyhow::bail!("it begins with {first:?}") };
        Ok(Self { opening, segments: BTreeMap::new(), ended: false, events })
    }

    /// Takes what comes until the server ends the call, or dies.
    pub async fn follow(mut self) -> Result<Self> {
        while let Ok(Some(message)) = self.events.message().await {
            self.take(message.event.context("an event")?)?;
        }
        Ok(self)
    }

    /// The number of the last segment, where every rendition has the same and it is whole in all of them.
    pub fn last_whole(&self) -> Result<u64> {
        let mut last: BTreeMap<&str, u64> = BTreeMap::new();
        for ((rendition, sequence), segment) in &self.segments {
            ensure!(segment.whole, "{rendition} {sequence} was begun and not ended: {segment:?}");
            last.insert(rendition, *sequence);
        }
        let newest = *last.values().max().context("no segment was shown")?;
        ensure!(last.values().all(|sequence| *sequence == newest), "the renditions end apart: {last:?}");
        Ok(newest)
    }

    fn take(&mut self, event: Event) -> Result<()> {
        match event {
            Event::Part(Part { rendition, sequence, index, .. }) => {
                let segment = self.segments.entry((rendition, sequence)).or_default();
                ensure!(index == segment.parts && !segment.whole, "part {index} after {segment:?}");
                segment.parts += 1;
            }
            Event::SegmentEnd(SegmentEnd { rendition, sequence }) => {
                let segment = self.segments.entry((rendition, sequence)).or_default();
                ensure!(!segment.whole, "it ends twice");
                segment.whole = true;
            }
            Event::BroadcastEnd(BroadcastEnd {}) => self.ended = true,
            Event::Opening(_)
            | Event::PeriodStart(_)
            | Event::Drift(_)
            | Event::Stored(_)
            | Event::CaughtUp(_) => {}
        }
        Ok(())
    }
}
