//! Sequence parameter set (ISO/IEC 14496-10 §7.3.2.1.1 and Annex E).

use crate::bits::{BitReader, OutOfBits};
use crate::error::MediaError;

/// Description of the picture in a sequence parameter set.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sps {
    pub profile_idc: u8,
    pub level_idc: u8,
    /// `chroma_format_idc`: 0 grey, 1 is 4:2:0, 2 is 4:2:2, 3 is 4:4:4.
    pub chroma_format: u8,
    /// Bits of a luma sample.
    pub bit_depth: u8,
    /// Pixels, after cropping; 1 to 8192.
    pub width: u32,
    pub height: u32,
    /// Width and height of a pixel; 1:1 where nothing is said.
    pub sample_aspect: (u32, u32),
    /// Frames a second, where the timing is given.
    pub frame_rate: Option<f64>,
    /// May hold fields.
    pub interlaced: bool,
    /// Colours that the samples stand for, where they are given.
    pub colours: Option<Colours>,
}

/// The colour description of §E.2.1, as code points of ISO/IEC 23091-2 (1 is BT.709, 2 unspecified, 6 SMPTE 170M).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Colours {
    pub primaries: u8,
    pub transfer: u8,
    pub matrix: u8,
    /// Luma and chroma use all values.
    pub full_range: bool,
}

/// The largest picture that is taken, in pixels on each side: H.264 level 5.2 ends here, and so do the decoders. What is
/// advised to a broadcaster whose picture is refused is therefore taken.
pub const MAX_PICTURE_SIDE: u32 = 4096;
/// Beyond this nothing that calls itself live video is sane.
const MAX_SANE_SIDE: u32 = 8192;
const HEADER_NAME: &str = "H.264 sequence header";

impl Sps {
    /// Parses a NAL unit of type 7.
    ///
    /// # Errors
    /// A damaged parameter set, or a picture of more than 8192 pixels on a side.
    pub fn parse(nal: &[u8]) -> Result<Self, MediaError> {
        match nal.split_first() {
            Some((header, payload)) if header & 0x1f == 7 => {
                read_sps(&mut BitReader::new(&unescape_payload(payload))).map_err(MediaError::from)
            }
            _ => Err(MediaError::malformed_header(HEADER_NAME, "its parameter set is something else")),
        }
    }
}

enum Fault {
    OutOfBits,
    Implausible,
    TooLarge(u32, u32),
}

impl From<OutOfBits> for Fault {
    fn from(OutOfBits: OutOfBits) -> Self {
        Self::OutOfBits
    }
}

impl From<Fault> for MediaError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::OutOfBits => Self::malformed_header(HEADER_NAME, "its parameter set is cut short"),
            Fault::Implausible => Self::malformed_header(HEADER_NAME, "its parameter set contradicts itself"),
            Fault::TooLarge(width, height) => Self::PictureTooLarge {
                width,
                height,
                max_width: MAX_PICTURE_SIDE,
                max_height: MAX_PICTURE_SIDE,
            },
        }
    }
}

/// Takes the emulation prevention bytes out (§7.4.1): `00 00 03` stands for `00 00`.
fn unescape_payload(payload: &[u8]) -> Vec<u8> {
    let mut zeros = 0;
    let mut out = Vec::with_capacity(payload.len());
    for &byte in payload {
        if zeros >= 2 && byte == 3 {
            zeros = 0;
            continue;
        }
        zeros = if byte == 0 { zeros + 1 } else { 0 };
        out.push(byte);
    }
    out
}

fn read_sps(bits: &mut BitReader<'_>) -> Result<Sps, Fault> {
    let profile_idc = bits.read_small(8)?;
    let _constraints = bits.read_bits(8)?;
    let level_idc = bits.read_small(8)?;
    let _id = bits.read_ue()?;
    let (chroma_format, bit_depth) = if has_chroma_fields(profile_idc) { read_chroma(bits)? } else { (1, 8) };
    let _log2_max_frame_num = bits.read_ue()?;
    skip_picture_order(bits)?;
    let _reference_frames = bits.read_ue()?;
    let _gaps_allowed = bits.read_flag()?;
    let (width, height, interlaced) = read_size(bits, chroma_format)?;
    let usability = if bits.read_flag()? { read_usability(bits) } else { Usability::default() };
    Ok(Sps {
        profile_idc,
        level_idc,
        chroma_format,
        bit_depth,
        width,
        height,
        sample_aspect: usability.sample_aspect,
        frame_rate: usability.frame_rate,
        interlaced,
        colours: usability.colours,
    })
}

fn has_chroma_fields(profile_idc: u8) -> bool {
    matches!(profile_idc, 100 | 110 | 122 | 244 | 44 | 83 | 86 | 118 | 128 | 138 | 139 | 134 | 135)
}

fn read_chroma(bits: &mut BitReader<'_>) -> Result<(u8, u8), Fault> {
    let chroma_format = check_bound(bits.read_ue()?, 3)?;
    if chroma_format == 3 {
        let _separate_planes = bits.read_flag()?;
    }
    let bit_depth = 8 + check_bound(bits.read_ue()?, 6)?;
    let _bit_depth_chroma = check_bound(bits.read_ue()?, 6)?;
    let _lossless = bits.read_flag()?;
    if bits.read_flag()? {
        let lists = if chroma_format == 3 { 12 } else { 8 };
        for list in 0..lists {
            if bits.read_flag()? {
                skip_scaling_list(bits, if list < 6 { 16 } else { 64 })?;
            }
        }
    }
    Ok((chroma_format as u8, bit_depth as u8))
}

/// `scaling_list()`, §7.3.2.1.1.1.
fn skip_scaling_list(bits: &mut BitReader<'_>, size: u32) -> Result<(), Fault> {
    let mut last = 8;
    let mut next = 8;
    for _ in 0..size {
        if next != 0 {
            next = (last + bits.read_se()?).rem_euclid(256);
        }
        last = if next == 0 { last } else { next };
    }
    Ok(())
}

fn skip_picture_order(bits: &mut BitReader<'_>) -> Result<(), Fault> {
    match bits.read_ue()? {
        0 => {
            bits.read_ue()?;
        }
        1 => {
            bits.read_flag()?;
            bits.read_se()?;
            bits.read_se()?;
            for _ in 0..check_bound(bits.read_ue()?, 255)? {
                bits.read_se()?;
            }
        }
        2 => {}
        _ => return Err(Fault::Implausible),
    }
    Ok(())
}

/// Width and height after cropping (§7.4.2.1.1), and whether there may be fields.
fn read_size(bits: &mut BitReader<'_>, chroma_format: u8) -> Result<(u32, u32, bool), Fault> {
    let columns = u64::from(bits.read_ue()?) + 1;
    let rows = u64::from(bits.read_ue()?) + 1;
    let frames_only = bits.read_flag()?;
    let fields = if frames_only { 1 } else { 2 };
    if !frames_only {
        let _adaptive = bits.read_flag()?;
    }
    let _direct_8x8_inference = bits.read_flag()?;
    let (crop_x, crop_y) = if bits.read_flag()? { read_crop(bits, chroma_format, fields)? } else { (0, 0) };
    // What is cropped away has to be decoded all the same.
    let coded_width = cropped_side(columns * 16, 0)?;
    let coded_height = cropped_side(rows * 16 * fields, 0)?;
    if coded_width > MAX_SANE_SIDE || coded_height > MAX_SANE_SIDE {
        return Err(Fault::TooLarge(coded_width, coded_height));
    }
    let width = cropped_side(columns * 16, crop_x)?;
    let height = cropped_side(rows * 16 * fields, crop_y)?;
    Ok((width, height, !frames_only))
}

/// Pixels cut off the coded width and height.
fn read_crop(bits: &mut BitReader<'_>, chroma_format: u8, fields: u64) -> Result<(u64, u64), Fault> {
    let unit_x = if matches!(chroma_format, 1 | 2) { 2 } else { 1 };
    let unit_y = if chroma_format == 1 { 2 } else { 1 } * fields;
    let [left, right, top, bottom] =
        [bits.read_ue()?, bits.read_ue()?, bits.read_ue()?, bits.read_ue()?].map(u64::from);
    Ok(((left + right) * unit_x, (top + bottom) * unit_y))
}

fn cropped_side(coded: u64, cropped: u64) -> Result<u32, Fault> {
    match coded.checked_sub(cropped) {
        None | Some(0) => Err(Fault::Implausible),
        Some(side) => Ok(u32::try_from(side).unwrap_or(u32::MAX)),
    }
}

struct Usability {
    sample_aspect: (u32, u32),
    colours: Option<Colours>,
    frame_rate: Option<f64>,
}

impl Default for Usability {
    fn default() -> Self {
        Self { sample_aspect: (1, 1), colours: None, frame_rate: None }
    }
}

/// The start of `vui_parameters()`, §E.1.1. Encoders cut it short now and then; what is missing is not said.
fn read_usability(bits: &mut BitReader<'_>) -> Usability {
    let mut usability = Usability::default();
    if let Ok(aspect) = read_sample_aspect(bits) {
        usability.sample_aspect = aspect;
        if let Ok(colours) = read_colours(bits) {
            usability.colours = colours;
            usability.frame_rate = read_frame_rate(bits).unwrap_or(None);
        }
    }
    usability
}

fn read_sample_aspect(bits: &mut BitReader<'_>) -> Result<(u32, u32), OutOfBits> {
    const EXTENDED: u8 = 255;
    /// Table E-1, from 1 on.
    const TABLE: [(u32, u32); 16] = [
        (1, 1),
        (12, 11),
        (10, 11),
        (16, 11),
        (40, 33),
        (24, 11),
        (20, 11),
        (32, 11),
        (80, 33),
        (18, 11),
        (15, 11),
        (64, 33),
        (160, 99),
        (4, 3),
        (3, 2),
        (2, 1),
    ];
    if !bits.read_flag()? {
        return Ok((1, 1));
    }
    let aspect = match bits.read_small(8)? {
        EXTENDED => (bits.read_bits(16)?, bits.read_bits(16)?),
        index => usize::from(index).checked_sub(1).and_then(|i| TABLE.get(i)).copied().unwrap_or((1, 1)),
    };
    Ok(if aspect.0 == 0 || aspect.1 == 0 { (1, 1) } else { aspect })
}

fn read_colours(bits: &mut BitReader<'_>) -> Result<Option<Colours>, OutOfBits> {
    const UNSPECIFIED: u8 = 2;
    if bits.read_flag()? {
        let _overscan_appropriate = bits.read_flag()?;
    }
    if !bits.read_flag()? {
        return Ok(None);
    }
    let _format = bits.read_bits(3)?;
    let full_range = bits.read_flag()?;
    let [primaries, transfer, matrix] = if bits.read_flag()? {
        [bits.read_small(8)?, bits.read_small(8)?, bits.read_small(8)?]
    } else {
        [UNSPECIFIED; 3]
    };
    Ok(Some(Colours { primaries, transfer, matrix, full_range }))
}

fn read_frame_rate(bits: &mut BitReader<'_>) -> Result<Option<f64>, OutOfBits> {
    if bits.read_flag()? {
        let _chroma_location = (bits.read_ue()?, bits.read_ue()?);
    }
    if !bits.read_flag()? {
        return Ok(None);
    }
    let units_in_tick = bits.read_bits(32)?;
    let time_scale = bits.read_bits(32)?;
    let rate = f64::from(time_scale) / (2.0 * f64::from(units_in_tick));
    Ok((0.1..=1_000.0).contains(&rate).then_some(rate))
}

fn check_bound(value: u32, most: u32) -> Result<u32, Fault> {
    if value <= most { Ok(value) } else { Err(Fault::Implausible) }
}

#[cfg(test)]
mod tests;
