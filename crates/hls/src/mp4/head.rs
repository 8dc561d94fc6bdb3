//! `ftyp`, `moov` and the header of `mdat`.

use bytes::Bytes;

use super::track::{Chunk, Track};
use crate::cmaf::boxes::{full, plain, u16, u32, u64, zeros};
use crate::cmaf::init::{clamped, data_here, handler, media_header, unity_matrix};
use headwater_media::RenditionKind;

/// Ticks a second of the movie's own clock.
const MOVIE_TIMESCALE: u32 = 1_000;
/// `mdat`'s header with a 64-bit size.
const MDAT_HEADER: u64 = 16;

/// `media` is how many bytes follow.
pub(super) fn head(tracks: &[Track], media: u64) -> Bytes {
    let tracks: Vec<_> = tracks.iter().filter(|track| !track.sizes.is_empty()).collect();
    // The tables are as long whatever the offsets in them are.
    let length = written(&tracks, media, 0).len() as u64;
    written(&tracks, media, length).into()
}

/// `offset` is where the media begins in the file.
fn written(tracks: &[&Track], media: u64, offset: u64) -> Vec<u8> {
    let samples: usize = tracks.iter().map(|track| track.sizes.len()).sum();
    let mut out = Vec::with_capacity(4096 + samples * 6);
    plain(&mut out, b"ftyp", |out| {
        out.extend_from_slice(b"isom");
        u32(out, 0x200);
        out.extend_from_slice(b"isomiso2avc1mp41");
    });
    plain(&mut out, b"moov", |out| {
        let duration = tracks.iter().map(|track| track.end().as_millis()).max().unwrap_or(0);
        movie_header(out, duration, tracks.len() as u32 + 1);
        for (number, track) in (1..).zip(tracks) {
            plain(out, b"trak", |out| self::track(out, number, track, Offsets { from: offset, media }));
        }
    });
    u32(&mut out, 1); // the size follows
    out.extend_from_slice(b"mdat");
    u64(&mut out, media + MDAT_HEADER);
    out
}

/// Offsets that chunks are counted from, and their reach.
#[derive(Clone, Copy)]
struct Offsets {
    from: u64,
    media: u64,
}

impl Offsets {
    /// Whether an offset may not fit into 32 bits. The head itself is never near that.
    fn are_long(self) -> bool {
        self.media > u64::from(u32::MAX / 2)
    }
}

fn movie_header(out: &mut Vec<u8>, duration: u64, next_track: u32) {
    full(out, b"mvhd", 1, 0, |out| {
        zeros(out, 16); // creation and modification time
        u32(out, MOVIE_TIMESCALE);
        u64(out, duration);
        u32(out, 0x0001_0000); // rate 1.0
        u16(out, 0x0100); // volume 1.0
        zeros(out, 10);
        unity_matrix(out);
        zeros(out, 24);
        u32(out, next_track);
    });
}

fn track(out: &mut Vec<u8>, number: u32, track: &Track, offsets: Offsets) {
    let (width, height) = match track.kind {
        RenditionKind::Video { width, height, .. } => (width, height),
        RenditionKind::Audio { .. } => (0, 0),
    };
    const ENABLED_IN_MOVIE: u32 = 3;
    full(out, b"tkhd", 1, ENABLED_IN_MOVIE, |out| {
        zeros(out, 16);
        u32(out, number);
        zeros(out, 4);
        u64(out, track.end().as_millis());
        zeros(out, 8 + 4); // reserved; layer, alternate group
        u16(out, if width == 0 { 0x0100 } else { 0 }); // volume
        zeros(out, 2);
        unity_matrix(out);
        u32(out, u32::from(clamped(width)) << 16);
        u32(out, u32::from(clamped(height)) << 16);
    });
    edit_list(out, track);
    plain(out, b"mdia", |out| {
        full(out, b"mdhd", 1, 0, |out| {
            zeros(out, 16);
            u32(out, track.timescale);
            u64(out, track.media_ticks());
            u16(out, 0x55c4); // language: und
            zeros(out, 2);
        });
        handler(out, if width == 0 { b"soun" } else { b"vide" });
        plain(out, b"minf", |out| {
            media_header(out, width > 0);
            data_here(out);
            plain(out, b"stbl", |out| sample_table(out, track, offsets));
        });
    });
}

/// A track that begins later than the other one waits for so long (ISO/IEC 14496-12 §8.6.6).
fn edit_list(out: &mut Vec<u8>, track: &Track) {
    let wait = track.first.unwrap_or(0) * u64::from(MOVIE_TIMESCALE) / u64::from(track.timescale);
    if wait == 0 {
        return;
    }
    const EMPTY: u64 = u64::MAX; // media_time -1
    plain(out, b"edts", |out| {
        full(out, b"elst", 1, 0, |out| {
            u32(out, 2);
            for (duration, media_time) in [(wait, EMPTY), (track.end().as_millis() - wait, 0)] {
                u64(out, duration);
                u64(out, media_time);
                u32(out, 0x0001_0000); // rate 1.0
            }
        });
    });
}

fn sample_table(out: &mut Vec<u8>, track: &Track, offsets: Offsets) {
    full(out, b"stsd", 0, 0, |out| {
        u32(out, track.entries.len() as u32);
        track.entries.iter().for_each(|entry| out.extend_from_slice(entry));
    });
    let durations = track.durations();
    full(out, b"stts", 0, 0, |out| {
        table(out, &durations, |out, (count, duration)| pair(out, *count, *duration))
    });
    if track.offsets.iter().any(|(_, offset)| *offset != 0) {
        // Version 1: offsets are signed.
        full(out, b"ctts", 1, 0, |out| {
            table(out, &track.offsets, |out, (count, offset)| pair(out, *count, offset.cast_unsigned()));
        });
    }
    if track.keyframes.len() < track.sizes.len() {
        full(out, b"stss", 0, 0, |out| table(out, &track.keyframes, |out, number| u32(out, *number)));
    }
    full(out, b"stsc", 0, 0, |out| {
        let runs = track.chunks.chunk_by(|a, b| (a.samples, a.entry) == (b.samples, b.entry));
        let mut first = 1;
        let row = |run: &[Chunk]| {
            let row = (first, run[0].samples, run[0].entry);
            first += run.len() as u32;
            row
        };
        let rows: Vec<_> = runs.map(row).collect();
        table(out, &rows, |out, (first, samples, entry)| {
            pair(out, *first, *samples);
            u32(out, *entry);
        });
    });
    full(out, b"stsz", 0, 0, |out| {
        u32(out, 0); // sizes differ
        table(out, &track.sizes, |out, size| u32(out, *size));
    });
    if offsets.are_long() {
        full(out, b"co64", 0, 0, |out| {
            table(out, &track.chunks, |out, chunk| u64(out, offsets.from + chunk.at));
        })
    } else {
        full(out, b"stco", 0, 0, |out| {
            table(out, &track.chunks, |out, chunk| u32(out, (offsets.from + chunk.at) as u32));
        })
    }
}

fn table<T>(out: &mut Vec<u8>, rows: &[T], write: impl Fn(&mut Vec<u8>, &T)) {
    u32(out, rows.len() as u32);
    rows.iter().for_each(|row| write(out, row));
}

fn pair(out: &mut Vec<u8>, one: u32, two: u32) {
    u32(out, one);
    u32(out, two);
}
