//! Whole pictures of a source that sends fields.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use gst::prelude::*;
use headwater_media::Sps;
use headwater_media::lock::MutexExt;

use crate::error::{Error, Result};
use crate::pipeline::{caps_filter, make_element};
use crate::scale::Scale;

/// How many pictures the deinterlacer may hold: it looks at the one before and the one behind.
const MAX_HELD_PICTURES: usize = 4;

/// Elements between the decoder and whoever takes its pictures. They make one picture of each frame, at its time, so that
/// nothing else has to know of fields.
///
/// The decoder marks each picture as its fields or its SEI say; what isn't marked passes untouched. Only where the
/// parameter set speaks of fields, more than 8 bits are reduced to 8 first: everything that is shown has 8 in the end.
pub(super) fn deinterlacing_chain(picture: &Sps) -> Result<Vec<gst::Element>> {
    let mut chain = Vec::new();
    if picture.bit_depth > 8 {
        if !picture.interlaced {
            return Ok(chain);
        }
        chain.extend([Scale::make_element("deinterlacer's input"), caps_filter(&eight_bits(picture))?]);
    }
    let deinterlacer = make_element("deinterlace", "deinterlacer")?;
    deinterlacer.set_property_from_str("mode", "auto");
    deinterlacer.set_property_from_str("method", "yadif");
    // As many pictures as there were frames.
    deinterlacer.set_property_from_str("fields", "top");
    keep_times(&deinterlacer)?;
    chain.push(deinterlacer);
    Ok(chain)
}

/// Gives each picture the time that its frame came with: GStreamer 1.22's deinterlacer gives the first and the last one
/// their neighbours' times.
fn keep_times(deinterlacer: &gst::Element) -> Result<()> {
    let times = Arc::<Mutex<VecDeque<Option<gst::ClockTime>>>>::default();
    let came = times.clone();
    static_pad(deinterlacer, "sink")?.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
        let mut came = came.lock_ignoring_poison();
        came.extend(info.buffer().map(|picture| picture.pts()));
        if came.len() > MAX_HELD_PICTURES {
            came.pop_front();
        }
        gst::PadProbeReturn::Ok
    });
    static_pad(deinterlacer, "src")?.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
        let time = times.lock_ignoring_poison().pop_front();
        if let Some((picture, time)) =
            info.buffer_mut().zip(time).filter(|(picture, time)| picture.pts() != *time)
        {
            picture.make_mut().set_pts(time);
        }
        gst::PadProbeReturn::Ok
    });
    Ok(())
}

fn static_pad(element: &gst::Element, name: &str) -> Result<gst::Pad> {
    let missing =
        || Error::Build { pipeline: element.name().to_string(), what: format!("it has no {name} pad") };
    element.static_pad(name).ok_or_else(missing)
}

fn eight_bits(picture: &Sps) -> gst::Caps {
    let size = gst_video::VideoCapsBuilder::new().width(picture.width as i32).height(picture.height as i32);
    size.format(gst_video::VideoFormat::I420).build()
}
