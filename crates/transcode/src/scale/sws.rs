//! libswscale behind a safe face.

use std::ffi::{CStr, c_char, c_double, c_int, c_void};
use std::ptr::{NonNull, null, null_mut};

use gst_video::VideoFormat::{self, *};
use gst_video::prelude::*;
use gst_video::{VideoColorMatrix, VideoColorRange, VideoColorimetry, VideoFrameRef, VideoInfo};

/// Every format that an H.264 decoder gives, with libavutil's name for it. The planes of both are in the same order.
const FORMATS: [(VideoFormat, &CStr); 15] = [
    (I420, c"yuv420p"),
    (Y42b, c"yuv422p"),
    (Y444, c"yuv444p"),
    (Nv12, c"nv12"),
    (Gray8, c"gray"),
    (Gbr, c"gbrp"),
    (I42010le, c"yuv420p10le"),
    (I42210le, c"yuv422p10le"),
    (Y44410le, c"yuv444p10le"),
    (Gbr10le, c"gbrp10le"),
    (I42012le, c"yuv420p12le"),
    (I42212le, c"yuv422p12le"),
    (Y44412le, c"yuv444p12le"),
    (Gbr12le, c"gbrp12le"),
    (Gray16Le, c"gray16le"),
];

/// Sharp enough for text, a quarter of the cost of Lanczos.
const SWS_BICUBIC: c_int = 4;
/// Bytes. Rows that begin elsewhere libswscale writes by its oldest code, which makes a picture cost a third to a half more.
pub(super) const ROW_ALIGNMENT: u32 = 64;
const SWS_CS_ITU709: c_int = 1;
const SWS_CS_FCC: c_int = 4;
const SWS_CS_ITU601: c_int = 5;
const SWS_CS_SMPTE240M: c_int = 7;
const SWS_CS_BT2020: c_int = 9;
/// I420 with luma and chroma over the full range.
const FULL_RANGE: &CStr = c"yuvj420p";
/// 1.0 in the 16.16 fixed point of `sws_setColorspaceDetails`.
const FIXED_POINT_ONE: c_int = 1 << 16;

#[link(name = "swscale")]
unsafe extern "C" {
    fn sws_getContext(
        source_width: c_int,
        source_height: c_int,
        source_format: c_int,
        target_width: c_int,
        target_height: c_int,
        target_format: c_int,
        flags: c_int,
        source_filter: *mut c_void,
        target_filter: *mut c_void,
        parameters: *const c_double,
    ) -> *mut c_void;
    fn sws_getCoefficients(colorspace: c_int) -> *const c_int;
    fn sws_setColorspaceDetails(
        context: *mut c_void,
        source_table: *const c_int,
        source_full_range: c_int,
        target_table: *const c_int,
        target_full_range: c_int,
        brightness: c_int,
        contrast: c_int,
        saturation: c_int,
    ) -> c_int;
    fn sws_scale(
        context: *mut c_void,
        source: *const *const u8,
        source_strides: *const c_int,
        first_row: c_int,
        rows: c_int,
        target: *const *mut u8,
        target_strides: *const c_int,
    ) -> c_int;
    fn sws_freeContext(context: *mut c_void);
}

#[link(name = "avutil")]
unsafe extern "C" {
    fn av_get_pix_fmt(name: *const c_char) -> c_int;
    fn av_get_cpu_flags() -> c_int;
    fn av_force_cpu_flags(flags: c_int);
}

/// Of libavutil/cpu.h: don't gather.
const AV_CPU_FLAG_SLOW_GATHER: c_int = 0x200_0000;

/// For scalers made from now on. Many processors gather slowly, some only since they must not leak what they gather
/// (Downfall), and libswscale knows few of them: without, the same picture of 640x360 costs a third less on an EPYC.
pub(crate) fn avoid_gathers() {
    // SAFETY: both take and give plain values, and are atomic. Less is allowed than the processor can do.
    unsafe { av_force_cpu_flags(av_get_cpu_flags() | AV_CPU_FLAG_SLOW_GATHER) }
}

/// Formats that a [`Scaler`] takes.
pub(super) fn supported_formats() -> impl Iterator<Item = VideoFormat> {
    FORMATS.iter().map(|(format, _)| *format)
}

/// Whether a format's colours must be turned into luma and chroma.
pub(crate) fn is_rgb(format: VideoFormat) -> bool {
    matches!(format, Gbr | Gbr10le | Gbr12le)
}

/// Turns pictures of one size and format into another.
pub(crate) struct Scaler {
    context: NonNull<c_void>,
    source: Shape,
    target: Shape,
}

type Shape = (VideoFormat, u32, u32);

// SAFETY: a context is not bound to the thread that made it, and `scale` takes it exclusively.
unsafe impl Send for Scaler {}

impl Scaler {
    /// None where libswscale can't do it.
    pub(super) fn new(source: &VideoInfo, target: &VideoInfo) -> Option<Self> {
        let scaler = Self::to_format(source, target, av_format(target.format())?)?;
        if is_rgb(source.format()) {
            scaler.convert_to_bt709()
        } else {
            scaler.keep_range()
        }
        Some(scaler)
    }

    /// To I420 as JPEG has it: the matrix of BT.601 and the full range (JFIF, ITU-T T.871 §7).
    pub(crate) fn for_jpeg(source: &VideoInfo, target: &VideoInfo) -> Option<Self> {
        let scaler = Self::to_format(source, target, format_number(FULL_RANGE)?)?;
        scaler.convert_for_jpeg(source);
        Some(scaler)
    }

    fn to_format(source: &VideoInfo, target: &VideoInfo, format: c_int) -> Option<Self> {
        let size = |value: u32| c_int::try_from(value).ok();
        // SAFETY: plain values; the filters and parameters may be null (libswscale/swscale.h).
        let context = unsafe {
            sws_getContext(
                size(source.width())?,
                size(source.height())?,
                av_format(source.format())?,
                size(target.width())?,
                size(target.height())?,
                format,
                SWS_BICUBIC,
                null_mut(),
                null_mut(),
                null(),
            )
        };
        Some(Self {
            context: NonNull::new(context)?,
            source: picture_shape(source),
            target: picture_shape(target),
        })
    }

    /// False when the frames are not what the scaler was made for.
    pub(crate) fn scale_frame(
        &mut self,
        source: &VideoFrameRef<&gst::BufferRef>,
        target: &mut VideoFrameRef<&mut gst::BufferRef>,
    ) -> bool {
        if picture_shape(source.info()) != self.source || picture_shape(target.info()) != self.target {
            return false;
        }
        let (from, from_strides) = source_planes(source);
        let (to, to_strides) = target_planes(target);
        let rows = source.height() as c_int;
        // SAFETY: the context was made for these formats and sizes. A mapped video frame holds every row of every
        // plane of its format at its stride, and the target is mapped for writing and borrowed exclusively.
        // libswscale reads and writes within the rows (`tests` holds it to that for the target).
        let written = unsafe {
            sws_scale(
                self.context.as_ptr(),
                from.as_ptr(),
                from_strides.as_ptr(),
                0,
                rows,
                to.as_ptr(),
                to_strides.as_ptr(),
            )
        };
        written >= 0
    }

    fn convert_for_jpeg(&self, source: &VideoInfo) {
        let colorimetry = source.colorimetry();
        let is_full = colorimetry.range() == VideoColorRange::Range0_255 || is_rgb(source.format());
        // SAFETY: the context lives; the tables are constants of the library.
        unsafe {
            let from = sws_getCoefficients(colour_matrix(&colorimetry));
            let to = sws_getCoefficients(SWS_CS_ITU601);
            sws_setColorspaceDetails(
                self.context.as_ptr(),
                from,
                is_full.into(),
                to,
                1,
                0,
                FIXED_POINT_ONE,
                FIXED_POINT_ONE,
            );
        }
    }

    /// Numbers stay what they are. Left to itself, libswscale takes grey for full range, and makes it limited.
    fn keep_range(&self) {
        // SAFETY: the context lives; the table is a constant of the library.
        unsafe {
            let table = sws_getCoefficients(SWS_CS_ITU709);
            sws_setColorspaceDetails(
                self.context.as_ptr(),
                table,
                0,
                table,
                0,
                0,
                FIXED_POINT_ONE,
                FIXED_POINT_ONE,
            );
        }
    }

    /// RGB knows no matrix of its own; what follows is labelled BT.709 with limited range.
    fn convert_to_bt709(&self) {
        // SAFETY: the context lives; the table is a constant of the library.
        unsafe {
            let table = sws_getCoefficients(SWS_CS_ITU709);
            sws_setColorspaceDetails(
                self.context.as_ptr(),
                table,
                1,
                table,
                0,
                0,
                FIXED_POINT_ONE,
                FIXED_POINT_ONE,
            );
        }
    }
}

impl Drop for Scaler {
    fn drop(&mut self) {
        // SAFETY: made by sws_getContext, freed once.
        unsafe { sws_freeContext(self.context.as_ptr()) }
    }
}

fn picture_shape(info: &VideoInfo) -> Shape {
    (info.format(), info.width(), info.height())
}

fn av_format(format: VideoFormat) -> Option<c_int> {
    let (_, name) = FORMATS.iter().find(|(known, _)| *known == format)?;
    format_number(name)
}

fn colour_matrix(colorimetry: &VideoColorimetry) -> c_int {
    match colorimetry.matrix() {
        VideoColorMatrix::Bt601 => SWS_CS_ITU601,
        VideoColorMatrix::Fcc => SWS_CS_FCC,
        VideoColorMatrix::Smpte240m => SWS_CS_SMPTE240M,
        VideoColorMatrix::Bt2020 => SWS_CS_BT2020,
        _ => SWS_CS_ITU709,
    }
}

fn format_number(name: &CStr) -> Option<c_int> {
    // SAFETY: a C string with a terminator.
    let number = unsafe { av_get_pix_fmt(name.as_ptr()) };
    (number >= 0).then_some(number)
}

fn source_planes(frame: &VideoFrameRef<&gst::BufferRef>) -> ([*const u8; 4], [c_int; 4]) {
    let mut planes = [null(); 4];
    let mut strides = [0; 4];
    for n in 0..frame.n_planes().min(4) {
        planes[n as usize] = frame.plane_data(n).map_or(null(), <[u8]>::as_ptr);
        strides[n as usize] = frame.plane_stride()[n as usize];
    }
    (planes, strides)
}

fn target_planes(frame: &mut VideoFrameRef<&mut gst::BufferRef>) -> ([*mut u8; 4], [c_int; 4]) {
    let mut planes = [null_mut(); 4];
    let mut strides = [0; 4];
    for n in 0..frame.n_planes().min(4) {
        planes[n as usize] = frame.plane_data_mut(n).map_or(null_mut(), <[u8]>::as_mut_ptr);
        strides[n as usize] = frame.plane_stride()[n as usize];
    }
    (planes, strides)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::str::FromStr;

    const GUARD: usize = 256;
    const MARK: u8 = 0xA5;

    fn frame(info: &VideoInfo, guard: usize, fill: u8) -> gst::Buffer {
        gst::Buffer::from_mut_slice([vec![fill; info.size()], vec![MARK; guard]].concat())
    }

    fn scaled(source: &VideoInfo, target: &VideoInfo, fill: u8) -> Vec<u8> {
        let from = frame(source, 0, fill);
        let mut to = frame(target, GUARD, 0);
        let from = VideoFrameRef::from_buffer_ref_readable(&from, source).unwrap();
        {
            let mut to = VideoFrameRef::from_buffer_ref_writable(to.get_mut().unwrap(), target).unwrap();
            assert!(Scaler::new(source, target).unwrap().scale_frame(&from, &mut to));
        }
        to.map_readable().unwrap().to_vec()
    }

    #[test]
    fn every_format_is_scaled_within_its_buffer() {
        gst::init().unwrap();
        for format in supported_formats() {
            for (width, height) in [(853, 479), (1280, 720), (121, 67)] {
                for (to_width, to_height) in [(640, 360), (426, 240), (98, 54), (850, 478)] {
                    let source = VideoInfo::builder(format, width, height).build().unwrap();
                    let target = VideoInfo::builder(I420, to_width, to_height).build().unwrap();
                    let bytes = scaled(&source, &target, 0x30);
                    assert!(
                        bytes[target.size()..].iter().all(|b| *b == MARK),
                        "{format:?} {width} -> {to_width}"
                    );
                }
            }
        }
    }

    #[test]
    fn white_in_rgb_is_white_in_luma() {
        gst::init().unwrap();
        let source = VideoInfo::builder(Gbr, 64, 64).build().unwrap();
        let target = VideoInfo::builder(I420, 32, 32).build().unwrap();
        let bytes = scaled(&source, &target, 255);
        let [luma, blue] = [0, 1].map(|plane| bytes[target.offset()[plane]]);
        assert!(luma.abs_diff(235) <= 1 && blue.abs_diff(128) <= 1, "{luma} {blue}");
    }

    /// Luma and chroma of a red of BT.709 with limited range, and of the same red in a JPEG.
    #[test]
    fn colours_of_a_jpeg_are_those_of_the_video() {
        gst::init().unwrap();
        let colorimetry = VideoColorimetry::from_str("bt709").unwrap();
        for target in [(64, 64), (32, 32)] {
            let source = VideoInfo::builder(I420, 64, 64).colorimetry(&colorimetry).build().unwrap();
            let target = VideoInfo::builder(I420, target.0, target.1).build().unwrap();
            let mut red = vec![63; 64 * 64];
            red.extend(std::iter::repeat_n(102, 32 * 32).chain(std::iter::repeat_n(240, 32 * 32)));
            let from = gst::Buffer::from_mut_slice(red);
            let from = VideoFrameRef::from_buffer_ref_readable(&from, &source).unwrap();
            let mut to = frame(&target, 0, 0);
            {
                let mut to = VideoFrameRef::from_buffer_ref_writable(to.get_mut().unwrap(), &target).unwrap();
                assert!(Scaler::for_jpeg(&source, &target).unwrap().scale_frame(&from, &mut to));
            }
            let bytes = to.map_readable().unwrap();
            let got = [0, 1, 2].map(|plane| bytes[target.offset()[plane]]);
            let near = got.iter().zip([76, 85, 255]).all(|(got, wanted)| got.abs_diff(wanted) <= 3);
            assert!(near, "{got:?} at {}", target.width());
        }
    }

    #[test]
    fn a_frame_of_another_size_is_refused() {
        gst::init().unwrap();
        let [small, large] = [32, 64].map(|size| VideoInfo::builder(I420, size, size).build().unwrap());
        let from = frame(&small, 0, 0);
        let mut to = frame(&small, 0, 0);
        let from = VideoFrameRef::from_buffer_ref_readable(&from, &small).unwrap();
        let mut to = VideoFrameRef::from_buffer_ref_writable(to.get_mut().unwrap(), &small).unwrap();
        assert!(!Scaler::new(&large, &small).unwrap().scale_frame(&from, &mut to));
    }
}
