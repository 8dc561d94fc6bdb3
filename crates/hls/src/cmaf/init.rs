//! Init segments: `ftyp` and a `moov` without samples (ISO/IEC 23000-19 §7.3.1).

use bytes::Bytes;

use super::boxes::{descriptor, full, plain, u16, u32, zeros};
use super::{DEPENDENT_SAMPLE, SYNC_SAMPLE, TRACK_ID};

/// The init segment of an H.264 track.
///
/// `avcc` is an `AVCDecoderConfigurationRecord` (ISO/IEC 14496-15 §5.3.3.1); `width` and `height` are pixels, at
/// most 65,535; `timescale` is ticks a second.
pub fn video_init(avcc: &[u8], width: u32, height: u32, timescale: u32) -> Bytes {
    let header = TrackHeader { handler: b"vide", width, height, volume: 0, timescale };
    init(&header, |out| {
        plain(out, b"avc1", |out| {
            sample_entry(out);
            zeros(out, 16); // pre_defined and reserved
            u16(out, clamped(width));
            u16(out, clamped(height));
            u32(out, 0x0048_0000); // 72 dpi, horizontally
            u32(out, 0x0048_0000); // and vertically
            u32(out, 0);
            u16(out, 1); // frames in a sample
            zeros(out, 32); // compressorname
            u16(out, 24); // depth: colour without alpha
            u16(out, u16::MAX); // pre_defined = -1
            plain(out, b"avcC", |out| out.extend_from_slice(avcc));
        });
    })
}

/// The init segment of an AAC track.
///
/// `asc` is an `AudioSpecificConfig` (ISO/IEC 14496-3 §1.6.2.1); `rate` is samples a second, `timescale` ticks a
/// second, usually the same.
pub fn audio_init(asc: &[u8], channels: u32, rate: u32, timescale: u32) -> Bytes {
    let header = TrackHeader { handler: b"soun", width: 0, height: 0, volume: 0x0100, timescale };
    init(&header, |out| {
        plain(out, b"mp4a", |out| {
            sample_entry(out);
            zeros(out, 8);
            u16(out, clamped(channels));
            u16(out, 16); // bits a sample, by convention
            zeros(out, 4);
            // 16.16 fixed point; zero where the rate doesn't fit: the AudioSpecificConfig has it anyway.
            u32(out, u16::try_from(rate).map_or(0, |rate| u32::from(rate) << 16));
            full(out, b"esds", 0, 0, |out| elementary_stream(out, asc));
        });
    })
}

/// Differences between the two kinds of track outside their sample entries.
struct TrackHeader {
    handler: &'static [u8; 4],
    width: u32,
    height: u32,
    /// 8.8 fixed point.
    volume: u16,
    timescale: u32,
}

impl TrackHeader {
    fn is_video(&self) -> bool {
        self.handler == b"vide"
    }
}

fn init(header: &TrackHeader, entry: impl FnOnce(&mut Vec<u8>)) -> Bytes {
    let mut out = Vec::with_capacity(1024);
    plain(&mut out, b"ftyp", |out| {
        out.extend_from_slice(b"cmfc");
        u32(out, 0);
        out.extend_from_slice(b"iso6cmfc");
    });
    plain(&mut out, b"moov", |out| {
        movie_header(out, header.timescale);
        plain(out, b"trak", |out| {
            track_header(out, header);
            plain(out, b"mdia", |out| media(out, header, entry));
        });
        plain(out, b"mvex", |out| full(out, b"trex", 0, 0, |out| track_extends(out, header)));
    });
    out.into()
}

fn movie_header(out: &mut Vec<u8>, timescale: u32) {
    full(out, b"mvhd", 0, 0, |out| {
        zeros(out, 8); // creation and modification time
        u32(out, timescale);
        u32(out, 0); // duration: fragments only
        u32(out, 0x0001_0000); // rate 1.0
        u16(out, 0x0100); // volume 1.0
        zeros(out, 10);
        unity_matrix(out);
        zeros(out, 24);
        u32(out, TRACK_ID + 1); // next_track_ID
    });
}

fn track_header(out: &mut Vec<u8>, header: &TrackHeader) {
    const ENABLED_IN_MOVIE_AND_PREVIEW: u32 = 7;
    full(out, b"tkhd", 0, ENABLED_IN_MOVIE_AND_PREVIEW, |out| {
        zeros(out, 8);
        u32(out, TRACK_ID);
        zeros(out, 4 + 4 + 8); // reserved, duration, reserved
        zeros(out, 4); // layer, alternate group
        u16(out, header.volume);
        zeros(out, 2);
        unity_matrix(out);
        u32(out, u32::from(clamped(header.width)) << 16);
        u32(out, u32::from(clamped(header.height)) << 16);
    });
}

fn media(out: &mut Vec<u8>, header: &TrackHeader, entry: impl FnOnce(&mut Vec<u8>)) {
    full(out, b"mdhd", 0, 0, |out| {
        zeros(out, 8);
        u32(out, header.timescale);
        u32(out, 0);
        u16(out, 0x55c4); // language: und
        zeros(out, 2);
    });
    handler(out, header.handler);
    plain(out, b"minf", |out| {
        media_header(out, header.is_video());
        data_here(out);
        plain(out, b"stbl", |out| sample_table(out, entry));
    });
}

/// Writes the kind of media, `vide` or `soun`.
pub(crate) fn handler(out: &mut Vec<u8>, kind: &[u8; 4]) {
    full(out, b"hdlr", 0, 0, |out| {
        zeros(out, 4);
        out.extend_from_slice(kind);
        zeros(out, 12 + 1); // reserved, empty name
    });
}

pub(crate) fn media_header(out: &mut Vec<u8>, is_video: bool) {
    if is_video {
        full(out, b"vmhd", 0, 1, |out| zeros(out, 8))
    } else {
        full(out, b"smhd", 0, 0, |out| zeros(out, 4))
    }
}

/// All media is in this file.
pub(crate) fn data_here(out: &mut Vec<u8>) {
    plain(out, b"dinf", |out| {
        full(out, b"dref", 0, 0, |out| {
            u32(out, 1);
            full(out, b"url ", 0, 1, |_| {});
        });
    });
}

/// The one sample entry; the tables themselves are empty, the samples are in the fragments.
fn sample_table(out: &mut Vec<u8>, entry: impl FnOnce(&mut Vec<u8>)) {
    full(out, b"stsd", 0, 0, |out| {
        u32(out, 1);
        entry(out);
    });
    full(out, b"stts", 0, 0, |out| u32(out, 0));
    full(out, b"stsc", 0, 0, |out| u32(out, 0));
    full(out, b"stsz", 0, 0, |out| zeros(out, 8));
    full(out, b"stco", 0, 0, |out| u32(out, 0));
}

fn track_extends(out: &mut Vec<u8>, header: &TrackHeader) {
    u32(out, TRACK_ID);
    u32(out, 1); // sample description
    u32(out, 0); // duration
    u32(out, 0); // size
    u32(out, if header.is_video() { DEPENDENT_SAMPLE } else { SYNC_SAMPLE });
}

/// Writes the start of every sample entry.
fn sample_entry(out: &mut Vec<u8>) {
    zeros(out, 6);
    u16(out, 1); // data reference
}

/// `ES_Descriptor` (ISO/IEC 14496-14 §3.1.2: its number is 0 inside a file).
fn elementary_stream(out: &mut Vec<u8>, asc: &[u8]) {
    const MPEG4_AUDIO: u8 = 0x40;
    const AUDIO_STREAM: u8 = 5 << 2 | 1;
    let mut decoder = vec![MPEG4_AUDIO, AUDIO_STREAM];
    zeros(&mut decoder, 3 + 4 + 4); // buffer size and bit rates: not said
    descriptor(&mut decoder, 0x05, asc);
    let mut stream = vec![0, 0, 0];
    descriptor(&mut stream, 0x04, &decoder);
    descriptor(&mut stream, 0x06, &[2]); // SLConfig: as defined for MP4 files
    descriptor(out, 0x03, &stream);
}

pub(crate) fn unity_matrix(out: &mut Vec<u8>) {
    for value in [0x0001_0000, 0, 0, 0, 0x0001_0000, 0, 0, 0, 0x4000_0000] {
        u32(out, value);
    }
}

pub(crate) fn clamped(value: u32) -> u16 {
    u16::try_from(value).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cmaf::walk::{Walk, be32};

    const AVCC: &[u8] = &[1, 0x64, 0, 0x1f, 0xff, 0xe1, 0, 2, 0x67, 0x64, 1, 0, 1, 0x68];

    #[test]
    fn a_video_track_says_its_size_its_timescale_and_its_configuration() {
        let init = video_init(AVCC, 854, 480, 90_000);
        let walk = Walk::new(&init);
        assert_eq!(walk.kinds(&[]), ["ftyp", "moov"]);
        assert_eq!(&walk.payload(&["ftyp"])[..4], b"cmfc");
        assert_eq!(walk.kinds(&["moov"]), ["mvhd", "trak", "mvex"]);
        assert_eq!(be32(walk.payload(&["moov", "trak", "mdia", "mdhd"]), 12), 90_000);
        let tkhd = walk.payload(&["moov", "trak", "tkhd"]);
        assert_eq!((be32(tkhd, 76) >> 16, be32(tkhd, 80) >> 16), (854, 480));
        let stsd = walk.payload(&["moov", "trak", "mdia", "minf", "stbl", "stsd"]);
        let avc1 = Walk::new(&stsd[8..]).payload(&["avc1"]);
        assert_eq!(avc1[24..28], [3, 86, 1, 224]);
        assert_eq!(Walk::new(&avc1[78..]).payload(&["avcC"]), AVCC);
        assert_eq!(be32(walk.payload(&["moov", "mvex", "trex"]), 4), 1);
    }

    #[test]
    fn an_audio_track_carries_its_configuration_in_a_descriptor() {
        let asc = [0x11, 0x90];
        let init = audio_init(&asc, 2, 48_000, 48_000);
        let walk = Walk::new(&init);
        let stsd = walk.payload(&["moov", "trak", "mdia", "minf", "stbl", "stsd"]);
        let mp4a = Walk::new(&stsd[8..]).payload(&["mp4a"]);
        assert_eq!((mp4a[17], be32(mp4a, 24)), (2, 48_000 << 16));
        let esds = Walk::new(&mp4a[28..]).payload(&["esds"]);
        let expected =
            [&[0x03, 25, 0, 0, 0, 0x04, 17, 0x40, 0x15][..], &[0; 11], &[0x05, 2, 0x11, 0x90, 0x06, 1, 2]];
        assert_eq!(&esds[4..], expected.concat());
    }

    #[test]
    fn a_long_descriptor_says_its_length_in_groups_of_seven_bits() {
        let mut out = Vec::new();
        descriptor(&mut out, 5, &[9; 300]);
        assert_eq!(out[..4], [5, 0x82, 0x2c, 9]);
        assert_eq!(out.len(), 303);
    }

    #[test]
    fn a_rate_that_does_not_fit_is_left_to_the_configuration() {
        let init = audio_init(&[0x10, 0x10], 2, 96_000, 96_000);
        let stsd = Walk::new(&init).payload(&["moov", "trak", "mdia", "minf", "stbl", "stsd"]);
        assert_eq!(be32(Walk::new(&stsd[8..]).payload(&["mp4a"]), 24), 0);
    }
}
