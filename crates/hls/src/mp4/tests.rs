use headwater_media::{RenditionId, RenditionKind};

use super::*;
use crate::cmaf::walk::{Walk, be32};
use crate::cmaf::{Sample, audio_init, chunk, read, video_init};

fn rendition(id: &str, kind: RenditionKind) -> Rendition {
    let id: RenditionId = id.parse().unwrap();
    Rendition { id, kind, codecs: String::new(), declared_bitrate: 1 }
}

fn video() -> Rendition {
    rendition("720p", RenditionKind::Video { width: 1280, height: 720, frame_rate: 30.0 })
}

fn audio() -> Rendition {
    rendition("audio", RenditionKind::Audio { channels: 2, sample_rate: 48_000 })
}

/// A segment of chunks of `per` samples, from `time` on; each sample's bytes say which it is.
fn segment(time: u64, duration: u32, per: usize, name: &str, count: usize) -> Vec<u8> {
    let sample = |n: usize| Sample {
        decode_time: time + n as u64 * u64::from(duration),
        duration,
        composition_offset: 0,
        keyframe: n == 0 || name == "a",
        data: Bytes::from(format!("{name}{time}+{n};")),
    };
    let samples: Vec<_> = (0..count).map(sample).collect();
    samples.chunks(per).flat_map(|samples| chunk(1, samples)).collect()
}

/// Two periods of one segment of a second each, the second one with another clock and picture; the segments, in order.
fn plan() -> (Mp4, Vec<Vec<u8>>) {
    let v = video();
    let a = audio();
    let mut plan = Plan::new(&[&v, &a]);
    let sound = audio_init(&[0x11, 0x90], 2, 48_000, 48_000);
    let mut segments = Vec::new();
    for (period, (record, start)) in
        [(b"first", 5_000_000u64), (b"other", 77_000_000)].into_iter().enumerate()
    {
        let picture = video_init(record, 1280, 720, 90_000);
        plan.period(&[Some(&picture), Some(&sound)]).unwrap();
        let sequence = MediaSequence(10 + period as u64);
        let both =
            [segment(start * 9 / 100, 3_000, 10, "v", 30), segment(start * 6 / 125, 1_024, 16, "a", 47)];
        for (track, bytes) in both.into_iter().enumerate() {
            plan.segment(track, sequence, MediaTime(start), &read::samples(&bytes).unwrap()).unwrap();
            segments.push(bytes);
        }
    }
    (plan.finish(), segments)
}

fn assembled(mp4: &Mp4, segments: &[Vec<u8>], range: Range<u64>) -> Vec<u8> {
    let head = &mp4.head
        [range.start.min(mp4.head.len() as u64) as usize..range.end.min(mp4.head.len() as u64) as usize];
    let mut file = head.to_vec();
    for (piece, part) in mp4.needed(range) {
        let segment = &segments[(piece.sequence.0 - 10) as usize * 2 + piece.track];
        file.extend_from_slice(&segment[part.start as usize..part.end as usize]);
    }
    file
}

/// Bytes that the sample tables of a track point at, sample by sample, with the sample's description.
fn samples(file: &[u8], head: usize, track: usize) -> Vec<(String, u32)> {
    let moov = Walk::new(Walk::new(&file[..head - 16]).payload(&["moov"]));
    let stbl = Walk::new(moov.nth("trak", track)).payload(&["mdia", "minf", "stbl"]);
    let table = |kind: &str| Walk::new(stbl).payload(&[kind]);
    let stsz = table("stsz");
    let stsc = table("stsc");
    let stco = table("stco");
    let mut sizes = stsz[12..].chunks(4).map(|row| be32(row, 0) as usize);
    let mut found = Vec::new();
    for (number, offset) in (1..).zip(stco[8..].chunks(4)) {
        let row = stsc[8..].chunks(12).take_while(|row| be32(row, 0) <= number).last().unwrap();
        let mut at = be32(offset, 0) as usize;
        for size in sizes.by_ref().take(be32(row, 4) as usize) {
            found.push((String::from_utf8(file[at..at + size].to_vec()).unwrap(), be32(row, 8)));
            at += size;
        }
    }
    found
}

#[test]
fn the_tables_lead_to_every_sample_in_order() {
    let (mp4, segments) = plan();
    let file = assembled(&mp4, &segments, 0..mp4.length);
    assert_eq!(file.len() as u64, mp4.length);
    assert_eq!(Walk::new(&file[..mp4.head.len() - 16]).kinds(&[]), ["ftyp", "moov"]);
    let expected = |name: &str, starts: [u64; 2], count: usize| -> Vec<_> {
        let sample = |(nth, start): (u32, u64)| (0..count).map(move |n| (format!("{name}{start}+{n};"), nth));
        (1..)
            .zip(starts)
            .map(|(nth, start)| (if name == "a" { 1 } else { nth }, start))
            .flat_map(sample)
            .collect()
    };
    // The picture's second period has a description of its own, the sound's is the same.
    assert_eq!(samples(&file, mp4.head.len(), 0), expected("v", [450_000, 6_930_000], 30));
    assert_eq!(samples(&file, mp4.head.len(), 1), expected("a", [240_000, 3_696_000], 47));
}

#[test]
fn periods_are_shown_one_after_the_other() {
    let (mp4, _) = plan();
    let moov = Walk::new(Walk::new(&mp4.head[..mp4.head.len() - 16]).payload(&["moov"]));
    let stts = Walk::new(moov.nth("trak", 0)).payload(&["mdia", "minf", "stbl", "stts"]);
    let rows: Vec<_> = stts[8..].chunks(8).map(|row| (be32(row, 0), be32(row, 4))).collect();
    // The sound of the first period is 2.67 ms longer than its picture, whose last frame lasts as long.
    assert_eq!(rows, [(29, 3_000), (1, 3_240), (30, 3_000)]);
    assert_eq!(be32(moov.payload(&["mvhd"]), 28), 2_005);
    let stss = Walk::new(moov.nth("trak", 0)).payload(&["mdia", "minf", "stbl", "stss"]);
    assert_eq!((be32(stss, 8), be32(stss, 12)), (1, 31));
}

#[test]
fn any_range_is_the_same_bytes() {
    let (mp4, segments) = plan();
    let file = assembled(&mp4, &segments, 0..mp4.length);
    let head = mp4.head.len() as u64;
    for start in [0, head - 1, head, head + 1, head + 95, mp4.length - 1] {
        for length in [1, 7, 100, 1_000] {
            let end = (start + length).min(mp4.length);
            assert_eq!(assembled(&mp4, &segments, start..end), &file[start as usize..end as usize]);
        }
    }
}

#[test]
fn sound_that_begins_late_waits() {
    let v = video();
    let a = audio();
    let mut plan = Plan::new(&[&v, &a]);
    let picture = video_init(b"x", 2, 2, 90_000);
    let sound = audio_init(&[0x11, 0x90], 2, 48_000, 48_000);
    plan.period(&[Some(&picture), Some(&sound)]).unwrap();
    let start = MediaTime::from_millis(1_000);
    let frames = segment(90_000, 3_000, 10, "v", 30);
    let beeps = segment(72_000, 1_024, 16, "a", 16);
    plan.segment(0, MediaSequence(1), start, &read::samples(&frames).unwrap()).unwrap();
    plan.segment(1, MediaSequence(1), start, &read::samples(&beeps).unwrap()).unwrap();
    let head = plan.finish().head;
    let moov = Walk::new(Walk::new(&head[..head.len() - 16]).payload(&["moov"]));
    let elst = Walk::new(moov.nth("trak", 1)).payload(&["edts", "elst"]);
    assert_eq!((be32(elst, 4), be32(elst, 12), &elst[16..24]), (2, 500, &[0xff; 8][..]));
    assert_eq!(Walk::new(moov.nth("trak", 0)).kinds(&[]), ["tkhd", "mdia"]);
}

/// A second, of which `lost` is nowhere, and another period of a second.
fn with_gap(lost: Range<u64>) -> Vec<(u32, u32)> {
    let v = video();
    let mut plan = Plan::new(&[&v]);
    let picture = video_init(b"x", 2, 2, 90_000);
    plan.period(&[Some(&picture)]).unwrap();
    for nth in 0..4 {
        let start = MediaTime::from_millis(5_000 + nth * 250);
        if lost.contains(&nth) {
            plan.add_gap(start, MediaTime::from_millis(250))
        } else {
            let frames = segment(450_000 + nth * 22_500, 22_500, 1, "v", 1);
            plan.segment(0, MediaSequence(nth), start, &read::samples(&frames).unwrap()).unwrap();
        }
    }
    plan.period(&[Some(&picture)]).unwrap();
    let frames = segment(0, 22_500, 1, "v", 4);
    plan.segment(0, MediaSequence(4), MediaTime::ZERO, &read::samples(&frames).unwrap()).unwrap();
    let head = plan.finish().head;
    let moov = Walk::new(Walk::new(&head[..head.len() - 16]).payload(&["moov"]));
    assert_eq!(be32(moov.payload(&["mvhd"]), 28), 2_000, "all of it takes two seconds");
    let stts = Walk::new(moov.nth("trak", 0)).payload(&["mdia", "minf", "stbl", "stts"]);
    stts[8..].chunks(8).map(|row| (be32(row, 0), be32(row, 4))).collect()
}

#[test]
fn gaps_keep_their_time() {
    assert_eq!(with_gap(0..0), [(8, 22_500)]);
    assert_eq!(with_gap(1..3), [(1, 67_500), (5, 22_500)]);
    assert_eq!(with_gap(2..4), [(1, 22_500), (1, 67_500), (4, 22_500)], "at a period's end");
    assert_eq!(with_gap(0..2), [(6, 22_500)], "at the beginning");
}

#[test]
fn a_segment_before_any_period_is_refused() {
    let v = video();
    let mut plan = Plan::new(&[&v]);
    assert_eq!(plan.segment(0, MediaSequence(1), MediaTime::ZERO, &[]), Err(PlanError::NoPeriod));
    assert_eq!(plan.period(&[Some(b"none")]), Err(PlanError::Init));
}
