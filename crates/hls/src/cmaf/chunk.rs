//! Chunks: one `moof` and one `mdat` (ISO/IEC 23000-19 §7.3.2.3).

use bytes::Bytes;

use super::boxes::{full, plain, u32, u64};
use super::{DEPENDENT_SAMPLE, SYNC_SAMPLE, TRACK_ID};

/// Encoded frame. Times are in ticks of the track's timescale.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    pub decode_time: u64,
    pub duration: u32,
    /// Presentation time minus decode time.
    pub composition_offset: i32,
    /// Can be decoded without any other frame; true for every frame of audio.
    pub keyframe: bool,
    /// NAL units with length prefixes, or one raw AAC frame.
    pub data: Bytes,
}

impl Sample {
    fn flags(&self) -> u32 {
        if self.keyframe { SYNC_SAMPLE } else { DEPENDENT_SAMPLE }
    }
}

/// Makes a chunk of samples in decoding order; empty for no samples. Each payload is copied once.
///
/// `number` goes into `mfhd`; players don't need it.
pub fn chunk(number: u32, samples: &[Sample]) -> Bytes {
    let Some(first) = samples.first() else { return Bytes::new() };
    let payload: usize = samples.iter().map(|sample| sample.data.len()).sum();
    let mut out = Vec::with_capacity(HEADER_BYTES + samples.len() * 16 + payload);
    plain(&mut out, b"moof", |out| {
        full(out, b"mfhd", 0, 0, |out| u32(out, number));
        plain(out, b"traf", |out| {
            full(out, b"tfhd", 0, DEFAULT_BASE_IS_MOOF, |out| u32(out, TRACK_ID));
            full(out, b"tfdt", 1, 0, |out| u64(out, first.decode_time));
            track_run(out, samples);
        });
    });
    plain(&mut out, b"mdat", |out| samples.iter().for_each(|sample| out.extend_from_slice(&sample.data)));
    out.into()
}

/// Everything in a chunk but the rows of `trun` and the payload.
const HEADER_BYTES: usize = 8 + 16 + 8 + 16 + 20 + RUN_HEADER_BYTES + 8;
const RUN_HEADER_BYTES: usize = 20;

const DEFAULT_BASE_IS_MOOF: u32 = 0x02_0000;

// Flags of `trun` (ISO/IEC 14496-12 §8.8.8.1).
const DATA_OFFSET: u32 = 0x001;
const DURATIONS: u32 = 0x100;
const SIZES: u32 = 0x200;
const FLAGS: u32 = 0x400;
const COMPOSITION_OFFSETS: u32 = 0x800;

/// `trun` is the last box of `moof`, so the data starts right behind it and behind the header of `mdat`.
fn track_run(out: &mut Vec<u8>, samples: &[Sample]) {
    let reordered = samples.iter().any(|sample| sample.composition_offset != 0);
    let offsets = if reordered { COMPOSITION_OFFSETS } else { 0 };
    let version = u8::from(reordered); // 1: offsets are signed
    let moof_so_far = out.len();
    let rows = samples.len() * if reordered { 16 } else { 12 };
    full(out, b"trun", version, DATA_OFFSET | DURATIONS | SIZES | FLAGS | offsets, |out| {
        u32(out, samples.len() as u32);
        u32(out, (moof_so_far + RUN_HEADER_BYTES + rows + 8) as u32);
        for sample in samples {
            u32(out, sample.duration);
            u32(out, sample.data.len() as u32);
            u32(out, sample.flags());
            if reordered {
                u32(out, sample.composition_offset as u32);
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cmaf::walk::{Walk, be32};

    fn sample(decode_time: u64, composition_offset: i32, data: &'static [u8]) -> Sample {
        let keyframe = decode_time == 0x1_0000_0000;
        Sample { decode_time, duration: 3_000, composition_offset, keyframe, data: Bytes::from_static(data) }
    }

    fn two(offset: i32) -> Bytes {
        chunk(7, &[sample(0x1_0000_0000, 0, b"abc"), sample(0x1_0000_0bb8, offset, b"defg")])
    }

    #[test]
    fn a_chunk_holds_its_samples() {
        let bytes = two(0);
        let walk = Walk::new(&bytes);
        assert_eq!(walk.kinds(&[]), ["moof", "mdat"]);
        assert_eq!(walk.kinds(&["moof", "traf"]), ["tfhd", "tfdt", "trun"]);
        assert_eq!(walk.payload(&["mdat"]), b"abcdefg");
        assert_eq!(be32(walk.payload(&["moof", "mfhd"]), 4), 7);
        assert_eq!(walk.payload(&["moof", "traf", "tfhd"]), [0, 2, 0, 0, 0, 0, 0, 1]);
        assert_eq!(walk.payload(&["moof", "traf", "tfdt"]), [1, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0]);
        let trun = walk.payload(&["moof", "traf", "trun"]);
        assert_eq!((be32(trun, 0), be32(trun, 4)), (0x0000_0701, 2));
        assert_eq!(&bytes[be32(trun, 8) as usize..], b"abcdefg");
        let rows: Vec<_> = trun[12..].chunks(4).map(|row| be32(row, 0)).collect();
        assert_eq!(rows, [3_000, 3, 0x0200_0000, 3_000, 4, 0x0101_0000]);
    }

    #[test]
    fn composition_offsets_are_written_where_there_are_any_and_are_signed() {
        let bytes = two(-3_000);
        let trun = Walk::new(&bytes).payload(&["moof", "traf", "trun"]);
        assert_eq!(be32(trun, 0), 0x0100_0f01);
        assert_eq!(&bytes[be32(trun, 8) as usize..], b"abcdefg");
        assert_eq!((be32(trun, 24), be32(trun, 40) as i32), (0, -3_000));
    }

    #[test]
    fn the_size_is_known_beforehand() {
        let bytes = two(0);
        assert_eq!(bytes.len(), HEADER_BYTES + 2 * 12 + 7);
        assert!(chunk(1, &[]).is_empty());
    }
}
