//! Headers that real encoders sent, for tests.

use bytes::Bytes;

/// x264 at 1280x720, 29.97 frames a second.
pub(crate) const AVCC_720P: &str =
    "0164001fffe100186764001facd9405005bb011000003e90000ea600f183196001000668ebe3cb22c0fdf8f800";
/// x264 at 640x360 with scaling lists.
pub(crate) const AVCC_360P: &str =
    "0164001effe100196764001eacd940a02ff9701100000303e90000ea600f162d9601000768ebe3cb3002c0fdf8f800";
/// x264 at 5120x2880.
pub(crate) const AVCC_5K: &str =
    "0142c03cffe100186742c03cda0050005a6c04400000fa40003a9803c2010a8001000468ce0fc8";

/// An `AVCDecoderConfigurationRecord` from its hexadecimal digits.
pub(crate) fn avcc(hex: &str) -> Bytes {
    let digit = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
    (0..hex.len()).step_by(2).map(digit).collect()
}
