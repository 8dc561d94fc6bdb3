//! A CMAF muxer for one track: init segments and chunks (ISO/IEC 23000-19, ISO/IEC 14496-12).
//!
//! It has no state: a chunk follows from its samples alone, so two producers given the same samples write the same
//! bytes. The only track has the number 1; there is no edit list, media time is presentation time.

pub(crate) mod boxes;
mod chunk;
pub(crate) mod init;
pub mod read;
pub mod table;
#[cfg(test)]
pub(crate) mod walk;

pub use chunk::{Sample, chunk};
pub use init::{audio_init, video_init};

/// Bytes in place of a segment that was announced and never made: no media, and a sign that nothing follows
/// (`styp` with the brand `lmsg`, ISO/IEC 23009-1).
pub const END_SEGMENT: [u8; 24] = *b"\0\0\0\x18stypmsdh\0\0\0\0msdhlmsg";

/// Number of the only track of a file.
const TRACK_ID: u32 = 1;

/// `sample_depends_on = 2`: does not depend on others (ISO/IEC 14496-12 §8.8.3.1).
const SYNC_SAMPLE: u32 = 0x0200_0000;
/// `sample_depends_on = 1` and `sample_is_non_sync_sample`.
const DEPENDENT_SAMPLE: u32 = 0x0101_0000;
