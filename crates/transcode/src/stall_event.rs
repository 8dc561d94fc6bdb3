//! Event that tells a track, in order with its media, that it has fallen behind.

use std::sync::Arc;

use gst::prelude::*;
use headwater_media::SourceTime;

use crate::error::{Error, Result};
use crate::fault::Flow;

const EVENT_NAME: &str = "headwater-stalled";

/// A track that can go on without its source.
pub(crate) trait Stallable: Send + Sync + 'static {
    /// An access unit of this time reaches the decoder. All before it were decoded.
    fn handle_unit(&self, time: SourceTime) -> Flow;
    /// Brings the track to `until` without samples, as none came for so long.
    fn bridge_stall(&self, until: SourceTime) -> Flow;
}

/// Travels in order with the access units, up to the decoder.
pub(crate) fn make_event(until: SourceTime) -> gst::Event {
    let structure = gst::Structure::builder(EVENT_NAME).field("until", until.0).build();
    gst::event::CustomDownstream::new(structure)
}

/// Tells `track` what arrives at the decoder, in the thread that decodes: when an event is here, every access unit
/// before it was decoded, and none behind it.
pub(crate) fn watch_decoder(decoder: &gst::Element, track: Arc<dyn Stallable>) -> Result<()> {
    let pad = decoder.static_pad("sink").ok_or_else(|| Error::Build {
        pipeline: decoder.name().to_string(),
        what: "the decoder has no input".into(),
    })?;
    let mask = gst::PadProbeType::EVENT_DOWNSTREAM | gst::PadProbeType::BUFFER;
    pad.add_probe(mask, move |_, info| match &info.data {
        Some(gst::PadProbeData::Buffer(unit)) => {
            let time = unit.dts_or_pts().map(|time| SourceTime(time.useconds()));
            probe_return(time.map_or(Ok(()), |time| track.handle_unit(time)))
        }
        Some(gst::PadProbeData::Event(event)) => match stall_end(event) {
            Some(until) => {
                let _ = track.bridge_stall(until);
                gst::PadProbeReturn::Handled
            }
            None => gst::PadProbeReturn::Ok,
        },
        _ => gst::PadProbeReturn::Ok,
    });
    Ok(())
}

/// Lets a sample pass, except where the worker is stopping and no more needs to be decoded. (`Drop` would release memory
/// that the bindings have released already.)
fn probe_return(flow: Flow) -> gst::PadProbeReturn {
    match flow {
        Ok(()) => gst::PadProbeReturn::Ok,
        Err(_) => gst::PadProbeReturn::Handled,
    }
}

fn stall_end(event: &gst::Event) -> Option<SourceTime> {
    let structure = event.structure().filter(|structure| structure.name() == EVENT_NAME)?;
    structure.get("until").ok().map(SourceTime)
}
