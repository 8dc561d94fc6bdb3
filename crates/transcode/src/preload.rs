//! Everything that a worker may need of GStreamer, loaded before it is shut in.

use crate::error::{Error, Result};
use crate::scale::avoid_gathers;

/// Every kind of element that pipelines are made of. Their plugins bring libav and x264 with them.
pub(crate) const ELEMENTS: [&str; 11] = [
    "appsrc",
    "appsink",
    "audioconvert",
    "audioresample",
    "avdec_aac",
    "avdec_h264",
    "avenc_aac",
    "capsfilter",
    "deinterlace",
    "identity",
    "x264enc",
];

/// The same of a process that makes still pictures.
pub(crate) const STILL_ELEMENTS: [&str; 4] = ["appsrc", "appsink", "avdec_h264", "jpegenc"];

/// Starts GStreamer and loads the plugins; no thread is started by it.
///
/// # Errors
/// A GStreamer that does not start, a plugin that is missing.
pub fn preload() -> Result<()> {
    load_elements(&ELEMENTS)
}

pub(crate) fn load_elements(elements: &[&'static str]) -> Result<()> {
    gst::init().map_err(Error::Init)?;
    for &name in elements {
        gst::ElementFactory::make(name).build().map_err(|source| Error::Missing { name, source })?;
    }
    avoid_gathers();
    Ok(())
}
