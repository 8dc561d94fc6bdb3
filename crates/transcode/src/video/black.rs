//! A picture for a broadcast whose publisher has stopped sending pictures.

use headwater_media::SourceTime;

use super::FrameRate;
use crate::error::{Error, Result};

pub(super) fn black_caps(size: (u32, u32), frame_rate: FrameRate) -> Result<gst::Caps> {
    let format = picture_info(size).fps(frame_rate.fraction()).build();
    let caps = format.and_then(|info| info.to_caps());
    caps.map_err(|error| Error::Build { pipeline: "black picture".into(), what: error.to_string() })
}

/// I420 in the video range: black is 16 in the luma plane, 128 in the chroma planes.
pub(super) fn black_picture(size: (u32, u32), time: SourceTime) -> gst::Buffer {
    let bytes = picture_info(size).build().map_or(Vec::new(), |info| {
        let luma = info.offset()[1];
        let mut bytes = vec![128; info.size()];
        bytes[..luma].fill(16);
        bytes
    });
    let mut buffer = gst::Buffer::from_slice(bytes);
    buffer.make_mut().set_pts(gst::ClockTime::from_useconds(time.0));
    buffer
}

fn picture_info((width, height): (u32, u32)) -> gst_video::VideoInfoBuilder<'static> {
    gst_video::VideoInfo::builder(gst_video::VideoFormat::I420, width, height)
}
