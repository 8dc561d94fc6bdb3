//! Reading what this muxer writes, from a source that need not be trusted: a wrong length is an error or the end, never a
//! panic. Bytes may be cut off anywhere; what is whole is found.

use std::ops::Range;

// Flags of `trun` (ISO/IEC 14496-12 §8.8.8.1).
const DATA_OFFSET: u32 = 0x001;
const FIRST_FLAGS: u32 = 0x004;
const DURATIONS: u32 = 0x100;
const SIZES: u32 = 0x200;
const FLAGS: u32 = 0x400;
const COMPOSITION_OFFSETS: u32 = 0x800;
/// `sample_is_non_sync_sample` (§8.8.3.1).
const NON_SYNC: u32 = 0x0001_0000;
/// Length of a sample entry before its boxes, in bytes: `SampleEntry`, then `VisualSampleEntry` (§12.1.3).
const VISUAL_ENTRY: usize = 78;

/// A sample of a chunk, and where its bytes are. Times are in ticks of the track's timescale.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placed {
    pub decode_time: u64,
    pub duration: u32,
    /// Presentation time minus decode time.
    pub composition_offset: i32,
    pub keyframe: bool,
    /// Within the bytes that were read.
    pub data: Range<usize>,
}

/// Why bytes are no chunk of this muxer's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    #[error("the media is damaged: {0}")]
    Damaged(&'static str),
}

/// The samples of chunks that follow each other, in decoding order. A last chunk that is cut off gives those of its
/// samples that are whole.
///
/// # Errors
/// When the boxes contradict each other.
pub fn samples(bytes: &[u8]) -> Result<Vec<Placed>, ReadError> {
    let mut found = Vec::new();
    for moof in Boxes::of(bytes, 0).filter(|found| found.kind == *b"moof" && found.is_whole) {
        let trafs = Boxes::of(moof.payload(bytes), moof.data.start).filter(|found| found.kind == *b"traf");
        for traf in trafs {
            track_fragment(bytes, &moof, &traf, &mut found)?;
        }
    }
    Ok(found)
}

/// From where to where chunks go, in ticks of the track's timescale; none where they are not whole, or do not follow each
/// other.
pub fn span(bytes: &[u8]) -> Option<(u64, u64)> {
    let end = Boxes::of(bytes, 0).try_fold(0, |_, found| found.is_whole.then_some(found.data.end));
    let samples = samples(bytes).ok().filter(|_| end == Some(bytes.len()))?;
    let first = samples.first()?.decode_time;
    let follow = |end: u64, next: &Placed| {
        (next.decode_time == end).then(|| end.saturating_add(u64::from(next.duration)))
    };
    Some((first, samples.iter().try_fold(first, follow)?))
}

/// The `AVCDecoderConfigurationRecord` of an H.264 track's init segment; none where there is none.
pub fn avc_record(init: &[u8]) -> Option<&[u8]> {
    let entry = Boxes::find(sample_entry(init)?, b"avc1")?;
    Boxes::find(entry.get(VISUAL_ENTRY..)?, b"avcC")
}

/// The first sample entry of an init segment's track, its box header included.
pub fn sample_entry(init: &[u8]) -> Option<&[u8]> {
    let path = [b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd"];
    let entries = path.iter().try_fold(init, |within, kind| Boxes::find(within, kind))?.get(8..)?;
    let entry = Boxes::of(entries, 0).next().filter(|entry| entry.is_whole)?;
    entries.get(entry.start..entry.data.end)
}

fn track_fragment(
    bytes: &[u8],
    moof: &Found,
    traf: &Found,
    found: &mut Vec<Placed>,
) -> Result<(), ReadError> {
    let payload = traf.payload(bytes);
    let tfdt = Boxes::find(payload, b"tfdt").ok_or(ReadError::Damaged("it has no time"))?;
    let mut time = match tfdt.first() {
        Some(1) => be64(tfdt, 4),
        _ => be32(tfdt, 4).map(u64::from),
    }
    .ok_or(ReadError::Damaged("its time is cut off"))?;
    for run in Boxes::of(payload, traf.data.start).filter(|found| found.kind == *b"trun") {
        time = track_run(run.payload(bytes), moof.start, bytes.len(), time, found)?;
    }
    Ok(())
}

/// Gives the time at its end.
fn track_run(
    run: &[u8],
    base: usize,
    length: usize,
    mut time: u64,
    found: &mut Vec<Placed>,
) -> Result<u64, ReadError> {
    let cut = ReadError::Damaged("a run of frames is cut off");
    let flags = be32(run, 0).ok_or(cut)? & 0x00FF_FFFF;
    let count = be32(run, 4).ok_or(cut)?;
    if flags & (DATA_OFFSET | DURATIONS | SIZES) != DATA_OFFSET | DURATIONS | SIZES {
        return Err(ReadError::Damaged("it is not of this kind"));
    }
    let mut at = base.checked_add(be32(run, 8).ok_or(cut)? as usize).ok_or(cut)?;
    let mut row = if flags & FIRST_FLAGS == 0 { 12 } else { 16 };
    for _ in 0..count {
        let mut next = |wanted: u32| -> Result<u32, ReadError> {
            if flags & wanted == 0 {
                return Ok(0);
            }
            row += 4;
            be32(run, row - 4).ok_or(cut)
        };
        let duration = next(DURATIONS)?;
        let size = next(SIZES)? as usize;
        let sample_flags = next(FLAGS)?;
        let offset = next(COMPOSITION_OFFSETS)?;
        let end = at.checked_add(size).ok_or(cut)?;
        if end <= length {
            found.push(Placed {
                decode_time: time,
                duration,
                composition_offset: offset.cast_signed(),
                keyframe: sample_flags & NON_SYNC == 0,
                data: at..end,
            });
        }
        at = end;
        time = time.saturating_add(u64::from(duration));
    }
    Ok(time)
}

/// A box, where it begins, and where its payload is.
struct Found {
    kind: [u8; 4],
    start: usize,
    data: Range<usize>,
    /// Not cut off.
    is_whole: bool,
}

impl Found {
    /// `bytes` are all that the positions count from.
    fn payload<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        bytes.get(self.data.clone()).unwrap_or_default()
    }
}

/// The boxes that follow each other; ends at what is none.
struct Boxes<'a> {
    bytes: &'a [u8],
    at: usize,
    /// Of `bytes`, in what positions count from.
    base: usize,
}

impl<'a> Boxes<'a> {
    fn of(bytes: &'a [u8], base: usize) -> Self {
        Self { bytes, at: 0, base }
    }

    /// The payload of the first box of this kind.
    fn find(bytes: &'a [u8], kind: &[u8; 4]) -> Option<&'a [u8]> {
        let found = Self::of(bytes, 0).find(|found| found.kind == *kind)?;
        bytes.get(found.data)
    }
}

impl Iterator for Boxes<'_> {
    type Item = Found;

    fn next(&mut self) -> Option<Found> {
        let start = self.at;
        let size = be32(self.bytes, self.at)? as usize;
        let kind = *self.bytes.get(start + 4..)?.first_chunk::<4>()?;
        if size < 8 {
            return None;
        }
        let end = start.checked_add(size)?;
        let is_whole = end <= self.bytes.len();
        let end = end.min(self.bytes.len());
        self.at = end;
        let data = self.base + start + 8..self.base + end;
        let start = self.base + start;
        Some(Found { kind, start, data, is_whole })
    }
}

fn be32(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn be64(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_be_bytes(*bytes.get(at..)?.first_chunk()?))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;
    use crate::cmaf::{Sample, chunk, video_init};

    fn sample(decode_time: u64, composition_offset: i32, data: &'static [u8]) -> Sample {
        let keyframe = decode_time == 9_000;
        Sample { decode_time, duration: 3_000, composition_offset, keyframe, data: Bytes::from_static(data) }
    }

    fn two_chunks() -> Vec<u8> {
        let first = chunk(1, &[sample(9_000, 0, b"abc"), sample(12_000, 6_000, b"defg")]);
        [first, chunk(2, &[sample(15_000, -3_000, b"h")])].concat()
    }

    #[test]
    fn what_was_written_is_read() {
        let bytes = two_chunks();
        let read = samples(&bytes).unwrap();
        let times: Vec<_> =
            read.iter().map(|s| (s.decode_time, s.composition_offset, s.keyframe, s.duration)).collect();
        assert_eq!(
            times,
            [(9_000, 0, true, 3_000), (12_000, 6_000, false, 3_000), (15_000, -3_000, false, 3_000)]
        );
        let data: Vec<_> = read.iter().map(|s| &bytes[s.data.clone()]).collect();
        assert_eq!(data, [&b"abc"[..], b"defg", b"h"]);
    }

    #[test]
    fn what_is_cut_off_gives_what_is_whole() {
        let bytes = two_chunks();
        let first = samples(&bytes).unwrap()[0].data.end;
        assert_eq!(samples(&bytes[..first]).unwrap().len(), 1);
        assert_eq!(samples(&bytes[..first - 1]).unwrap().len(), 0);
        assert_eq!(samples(&bytes[..20]), Ok(Vec::new()));
    }

    #[test]
    fn the_configuration_is_found() {
        let init = video_init(b"\x01record", 640, 360, 90_000);
        assert_eq!(avc_record(&init), Some(&b"\x01record"[..]));
        assert_eq!(avc_record(&init[..init.len() - 200]), None);
        assert_eq!(avc_record(b""), None);
    }

    proptest! {
        #[test]
        fn damaged_bytes_are_survived(at in 0usize..400, value: u8, cut in 0usize..400) {
            let mut bytes = two_chunks();
            let length = bytes.len();
            bytes[at % length] = value;
            bytes.truncate(cut.min(length));
            for sample in samples(&bytes).unwrap_or_default() {
                prop_assert!(bytes.get(sample.data).is_some());
            }
        }

        #[test]
        fn noise_is_survived(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = samples(&bytes);
            let _ = avc_record(&bytes);
        }
    }
}
