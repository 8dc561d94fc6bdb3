//! The sample table of a stored segment in a few bytes, so that a file can be planned without reading the media again.
//!
//! All numbers are varints (LEB128), signed ones in zigzag order. The decode time of the first sample, and the number of
//! runs of samples that stand together; for each run the bytes before it since the last one, how many samples it has, and
//! how much later it begins than the last one ends. Then three lists, of durations, composition offsets and sizes, and
//! the lengths of the runs of samples that are keyframes and are not, in turn, from those that are not.
//!
//! A list is the largest unit that divides all its values, and either the number of its runs, each with its length and
//! value, or 0 and the values one by one: whichever is shorter.

use bytes::Bytes;

use super::read::{self, Placed, ReadError};

/// Bytes of a table at most: 10 s of 60 frames take 2 KB. A segment beyond it has none.
pub const MAX_TABLE_BYTES: usize = 8 << 10;
/// Samples of a segment at most, as a few bytes may say that there are many.
const MAX_SAMPLES: usize = 1 << 14;

/// The table of a segment; none where the segment is not made of whole chunks to its end, or the table would be too long.
pub fn table_of(segment: &[u8]) -> Option<Bytes> {
    let samples = read::samples(segment).ok()?;
    let is_whole = samples.last().is_some_and(|last| last.data.end == segment.len());
    let table = encode_samples(&samples).filter(|table| is_whole && table.len() <= MAX_TABLE_BYTES)?;
    Some(table.into())
}

/// The samples of a segment of `size` bytes, as [`read::samples`] finds them in its media.
///
/// # Errors
/// When the table is damaged, or of another segment: one whose last sample does not end with the segment.
pub fn read_table(table: &[u8], size: u64) -> Result<Vec<Placed>, ReadError> {
    let samples =
        decode_samples(&mut Reader(table)).ok_or(ReadError::Damaged("its sample table can't be read"))?;
    let ends = samples.iter().map(|sample| sample.data.end as u64).max();
    match samples.last().map(|last| last.data.end as u64) {
        Some(end) if end == size && ends == Some(size) => Ok(samples),
        _ => Err(ReadError::Damaged("its sample table is of another segment")),
    }
}

fn encode_samples(samples: &[Placed]) -> Option<Vec<u8>> {
    if samples.len() > MAX_SAMPLES {
        return None;
    }
    let mut out = Vec::with_capacity(64 + 2 * samples.len());
    put_number(&mut out, samples.first()?.decode_time);
    let runs: Vec<_> = samples.chunk_by(is_contiguous).collect();
    put_number(&mut out, runs.len() as u64);
    let mut at = 0;
    let mut time = samples.first()?.decode_time;
    for run in runs {
        let first = run.first()?;
        let last = run.last()?;
        put_signed(&mut out, signed_difference(first.data.start as u64, at)?);
        put_number(&mut out, run.len() as u64);
        put_signed(&mut out, signed_difference(first.decode_time, time)?);
        at = last.data.end as u64;
        time = end_time(last);
    }
    put_list(&mut out, samples.iter().map(|sample| sample.duration.into()));
    put_list(&mut out, samples.iter().map(|sample| zigzag(sample.composition_offset.into())));
    put_list(&mut out, samples.iter().map(|sample| sample.data.len() as u64));
    let mut is_key = false;
    let mut rest = samples;
    while !rest.is_empty() {
        let run = rest.iter().take_while(|sample| sample.keyframe == is_key).count();
        put_number(&mut out, run as u64);
        rest = &rest[run..];
        is_key = !is_key;
    }
    Some(out)
}

fn decode_samples(table: &mut Reader<'_>) -> Option<Vec<Placed>> {
    let mut time = table.read_number()?;
    let mut places = Vec::new();
    for _ in 0..table.read_number()? {
        let run = (table.read_signed()?, table.read_count(MAX_SAMPLES)?, table.read_signed()?);
        places.push(run);
    }
    let count = places.iter().map(|(_, count, _)| count).sum::<usize>();
    let count = Some(count).filter(|count| *count <= MAX_SAMPLES)?;
    let durations = table.read_list(count)?;
    let offsets = table.read_list(count)?;
    let sizes = table.read_list(count)?;
    let keyframes = table.read_flags(count)?;
    let mut rows = durations.into_iter().zip(offsets).zip(sizes).zip(keyframes);
    let mut at = 0u64;
    let mut samples = Vec::with_capacity(count);
    for (gap, count, jump) in places {
        at = at.checked_add_signed(gap)?;
        time = time.checked_add_signed(jump)?;
        for (((duration, offset), size), keyframe) in rows.by_ref().take(count) {
            let end = at.checked_add(size)?;
            let sample = Placed {
                decode_time: time,
                duration: duration.try_into().ok()?,
                composition_offset: from_zigzag(offset).try_into().ok()?,
                keyframe,
                data: at.try_into().ok()?..end.try_into().ok()?,
            };
            at = end;
            time = end_time(&sample);
            samples.push(sample);
        }
    }
    Some(samples)
}

/// Whether a sample stands and begins where the one before it ends.
fn is_contiguous(one: &Placed, next: &Placed) -> bool {
    one.data.end == next.data.start && end_time(one) == next.decode_time
}

fn end_time(sample: &Placed) -> u64 {
    sample.decode_time.saturating_add(sample.duration.into())
}

fn signed_difference(to: u64, from: u64) -> Option<i64> {
    i64::try_from(i128::from(to) - i128::from(from)).ok()
}

fn put_number(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn put_signed(out: &mut Vec<u8>, value: i64) {
    put_number(out, zigzag(value));
}

fn put_list(out: &mut Vec<u8>, values: impl Iterator<Item = u64>) {
    let values: Vec<_> = values.collect();
    let unit = values.iter().fold(0, |unit, value| common_divisor(unit, *value)).max(1);
    put_number(out, unit);
    let mut in_runs = Vec::new();
    let mut one_by_one = vec![0];
    let runs: Vec<_> = values.chunk_by(PartialEq::eq).collect();
    put_number(&mut in_runs, runs.len() as u64);
    for run in runs {
        put_number(&mut in_runs, run.len() as u64);
        put_number(&mut in_runs, run[0] / unit);
    }
    values.iter().for_each(|value| put_number(&mut one_by_one, value / unit));
    out.extend(if in_runs.len() < one_by_one.len() { in_runs } else { one_by_one });
}

fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)).cast_unsigned()
}

fn from_zigzag(value: u64) -> i64 {
    (value >> 1).cast_signed() ^ -(value & 1).cast_signed()
}

fn common_divisor(mut one: u64, mut other: u64) -> u64 {
    while other != 0 {
        let rest = one % other;
        one = other;
        other = rest;
    }
    one
}

/// The rest of a table.
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn read_number(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let (&byte, rest) = self.0.split_first()?;
            self.0 = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    fn read_signed(&mut self) -> Option<i64> {
        self.read_number().map(from_zigzag)
    }

    fn read_count(&mut self, most: usize) -> Option<usize> {
        usize::try_from(self.read_number()?).ok().filter(|count| *count <= most)
    }

    fn read_list(&mut self, count: usize) -> Option<Vec<u64>> {
        let unit = self.read_number()?;
        let mut values = Vec::with_capacity(count);
        match self.read_count(count)? {
            0 => {
                for _ in 0..count {
                    values.push(self.read_number()?.checked_mul(unit)?);
                }
            }
            runs => {
                for _ in 0..runs {
                    let length = self.read_count(count - values.len())?;
                    let value = self.read_number()?;
                    values.resize(values.len() + length, value.checked_mul(unit)?);
                }
            }
        }
        Some(values).filter(|values| values.len() == count)
    }

    fn read_flags(&mut self, count: usize) -> Option<Vec<bool>> {
        let mut flags = Vec::with_capacity(count);
        let mut is_set = false;
        while flags.len() < count {
            let run = self.read_count(count - flags.len())?;
            flags.resize(flags.len() + run, is_set);
            is_set = !is_set;
        }
        Some(flags)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::cmaf::{Sample, chunk};

    /// Two seconds of chunks of `per` frames of a picture, whose sizes vary as those of an encoder do.
    fn segment(per: usize) -> Vec<u8> {
        let sample = |n: u64| Sample {
            decode_time: 162_000_000_000 + n * 3_000,
            duration: 3_000,
            composition_offset: 0,
            keyframe: n == 0,
            data: vec![7; if n == 0 { 60_000 } else { 5_000 + (n * 7_919 % 9_000) as usize }].into(),
        };
        let samples: Vec<_> = (0..60).map(sample).collect();
        samples.chunks(per).flat_map(|samples| chunk(1, samples)).collect()
    }

    #[test]
    fn a_table_says_what_the_media_does_in_little() {
        for per in [1, 10, 60] {
            let segment = segment(per);
            let table = table_of(&segment).unwrap();
            assert_eq!(read_table(&table, segment.len() as u64), read::samples(&segment));
            assert!(table.len() < 180 + 60 / per * 6, "{per}: {} bytes", table.len());
        }
    }

    #[test]
    fn a_segment_that_is_not_whole_has_no_table_and_a_table_fits_its_segment_only() {
        let segment = segment(10);
        assert_eq!(table_of(&segment[..segment.len() - 1]), None);
        assert_eq!(table_of(&[&segment[..], b"\0\0\0\x08free"].concat()), None);
        assert_eq!(table_of(b"nonsense"), None);
        let table = table_of(&segment).unwrap();
        assert!(read_table(&table, segment.len() as u64 + 1).is_err());
    }

    #[test]
    fn a_few_bytes_do_not_become_many_samples() {
        // One run of 2^40 samples, each of the same length.
        let mut table = vec![0, 1, 0];
        put_number(&mut table, 1 << 40);
        table.extend([0; 20]);
        assert!(read_table(&table, 0).is_err());
        assert_eq!(
            encode_samples(&vec![Placed { decode_time: 0, ..placed(0, 0, 0, false, 1) }; MAX_SAMPLES + 1]),
            None
        );
    }

    fn placed(decode_time: u64, duration: u32, offset: i32, keyframe: bool, size: usize) -> Placed {
        Placed { decode_time, duration, composition_offset: offset, keyframe, data: 0..size }
    }

    proptest! {
        #[test]
        fn every_table_is_read_as_it_was_written(
            rows in proptest::collection::vec(
                (0u64..1 << 50, any::<u32>(), any::<i32>(), any::<bool>(), 0usize..1 << 30, 0usize..1_000), 1..100,
            ),
        ) {
            let mut at = 0;
            let samples: Vec<_> = rows.into_iter().map(|(time, duration, offset, keyframe, size, gap)| {
                let start = at + gap;
                at = start + size;
                Placed { data: start..at, ..placed(time, duration, offset, keyframe, 0) }
            }).collect();
            let table = encode_samples(&samples).unwrap();
            prop_assert_eq!(read_table(&table, at as u64), Ok(samples));
        }

        #[test]
        fn noise_is_survived(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = read_table(&bytes, 7);
        }
    }
}
