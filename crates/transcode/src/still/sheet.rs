//! Pictures on one canvas, scaled to fit.

use gst_video::VideoFormat::I420;
use gst_video::{VideoFrameRef, VideoInfo};
use headwater_wire::v2::StillRequest;

use crate::error::{Error, Result};
use crate::scale::Scaler;

/// Pictures of one request at most.
const MAX_PICTURES: u32 = 100;
/// Pixels of a canvas at most in either direction.
const LARGEST_SIDE: u32 = 4_096;

/// Sheet that pictures are put on. Sizes are in pixels, and even: chroma has half of them.
pub(super) struct Sheet {
    columns: u32,
    rows: u32,
    height: u32,
    /// 0 until the only picture says it.
    width: u32,
    canvas: Option<Canvas>,
}

/// I420 as JPEG has it.
pub(super) struct Canvas {
    pub(super) info: VideoInfo,
    pub(super) buffer: gst::Buffer,
}

impl Sheet {
    pub(super) fn from_request(request: &StillRequest) -> Result<Self> {
        let StillRequest { columns, rows, height, width, ref pictures } = *request;
        let places = columns.saturating_mul(rows);
        let is_even = |side: u32| side.is_multiple_of(2);
        let fits = |side: u32, count: u32| side.saturating_mul(count) <= LARGEST_SIDE;
        let right = (1..=MAX_PICTURES).contains(&places)
            && pictures.len() <= places as usize
            && height >= 2
            && is_even(height)
            && is_even(width)
            && fits(height, rows)
            && fits(width, columns)
            && (width > 0 || places == 1)
            && !pictures.is_empty();
        if !right {
            return Err(Error::Protocol("the sizes of this still picture make no sense".into()));
        }
        Ok(Self { columns, rows, height, width, canvas: None })
    }

    /// Puts a decoded picture on its place, counted row by row.
    pub(super) fn put_picture(&mut self, place: u32, picture: &gst::Sample) -> Result<()> {
        let (source, buffer) = open_picture(picture)?;
        let (width, height) = self.fitted_size(&source);
        if self.width == 0 {
            (self.width, self.height) = (width, height);
        }
        let info = canvas_info(width, height)?;
        let mut scaled = Canvas::new(info)?;
        scaled.scale_picture(&source, buffer)?;
        let left = place % self.columns * self.width;
        let top = place / self.columns * self.height;
        let middle = |room: u32, size: u32| (room - size) / 4 * 2;
        let at = (left + middle(self.width, width), top + middle(self.height, height));
        self.make_canvas()?.copy_canvas(&scaled, at)
    }

    pub(super) fn into_canvas(mut self) -> Result<Canvas> {
        self.make_canvas()?;
        self.canvas.ok_or_else(|| unlikely_failure("no canvas"))
    }

    fn make_canvas(&mut self) -> Result<&mut Canvas> {
        if self.canvas.is_none() {
            self.canvas =
                Some(Canvas::new(canvas_info(self.width * self.columns, self.height * self.rows)?)?);
        }
        self.canvas.as_mut().ok_or_else(|| unlikely_failure("no canvas"))
    }

    /// The size of a picture on its place: its aspect as it is shown, nothing enlarged.
    fn fitted_size(&self, source: &VideoInfo) -> (u32, u32) {
        let pixel = source.par();
        let numer = f64::from(pixel.numer().max(1));
        let denom = f64::from(pixel.denom().max(1));
        let shown = (f64::from(source.width()) * numer / denom, f64::from(source.height()));
        let room = if self.width == 0 { LARGEST_SIDE } else { self.width };
        let scale = (f64::from(self.height) / shown.1).min(f64::from(room) / shown.0).min(1.0);
        let even = |side: f64, most: u32| (((side * scale / 2.0).round() * 2.0) as u32).clamp(2, most);
        (even(shown.0, room), even(shown.1, self.height))
    }
}

impl Canvas {
    /// Black.
    fn new(info: VideoInfo) -> Result<Self> {
        let mut bytes = vec![128; info.size()];
        bytes[..info.offset()[1]].fill(0);
        Ok(Self { buffer: gst::Buffer::from_mut_slice(bytes), info })
    }

    fn scale_picture(&mut self, source: &VideoInfo, picture: &gst::BufferRef) -> Result<()> {
        let unscaled = || Error::Unsupported("this kind of picture can't be scaled".into());
        let mut scaler = Scaler::for_jpeg(source, &self.info).ok_or_else(unscaled)?;
        let from = VideoFrameRef::from_buffer_ref_readable(picture, source).map_err(|_| unscaled())?;
        let to = self.buffer.get_mut().ok_or_else(|| unlikely_failure("a canvas in use"))?;
        let mut to = VideoFrameRef::from_buffer_ref_writable(to, &self.info).map_err(|_| unscaled())?;
        scaler.scale_frame(&from, &mut to).then_some(()).ok_or_else(unscaled)
    }

    /// Puts a smaller canvas on this one; `at` is even, and leaves room for it.
    fn copy_canvas(&mut self, other: &Self, at: (u32, u32)) -> Result<()> {
        let from =
            other.buffer.map_readable().map_err(|_| unlikely_failure("a picture that can't be read"))?;
        let buffer = self.buffer.get_mut().ok_or_else(|| unlikely_failure("a canvas in use"))?;
        let mut to = buffer.map_writable().map_err(|_| unlikely_failure("a canvas that can't be written"))?;
        for plane in 0..3 {
            let half = |side: u32| if plane == 0 { side as usize } else { side as usize / 2 };
            let stride = |info: &VideoInfo| info.stride()[plane] as usize;
            for row in 0..half(other.info.height()) {
                let length = half(other.info.width());
                let start = other.info.offset()[plane] + row * stride(&other.info);
                let target = self.info.offset()[plane] + (half(at.1) + row) * stride(&self.info) + half(at.0);
                to[target..target + length].copy_from_slice(&from[start..start + length]);
            }
        }
        Ok(())
    }
}

fn open_picture(picture: &gst::Sample) -> Result<(VideoInfo, &gst::BufferRef)> {
    let none = || Error::Unsupported("the decoder gave no picture".into());
    let info = picture.caps().and_then(|caps| VideoInfo::from_caps(caps).ok()).ok_or_else(none)?;
    Ok((info, picture.buffer().ok_or_else(none)?))
}

fn canvas_info(width: u32, height: u32) -> Result<VideoInfo> {
    VideoInfo::builder(I420, width, height).build().map_err(|_| unlikely_failure("a canvas of no size"))
}

fn unlikely_failure(what: &str) -> Error {
    Error::Packaging(format!("the still picture ended in {what}"))
}
