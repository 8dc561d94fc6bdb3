//! A recording in memory, shared by all who send it.

use std::path::Path;

use anyhow::{Context, bail, ensure};
use bytes::Bytes;
use headwater_media::flv::{AudioMessage, VideoMessage};

/// The largest file that is read: ten minutes at 25 Mb/s. It is held in memory.
const MAX_FILE_BYTES: u64 = 2 << 30;
/// FLV 10.1 §E.3: signature, version, flags, length of the header.
const HEADER_BYTES: usize = 9;
/// FLV 10.1 §E.4.1: kind, length, timestamp, stream.
const TAG_HEADER: usize = 11;
/// FLV 10.1 §E.3: the length of the tag before stands in front of each.
const BACK_POINTER: usize = 4;

/// H.264 and AAC, in the order of the file.
pub struct Recording {
    /// The decoders' configurations.
    pub headers: Vec<Tag>,
    /// Never empty.
    pub frames: Vec<Tag>,
    /// From the first frame to the first one of the next round, in milliseconds.
    pub length: u64,
    pub video: bool,
    pub audio: bool,
}

/// The body of an FLV tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tag {
    pub track: Track,
    /// Milliseconds since the first frame.
    pub time: u32,
    pub payload: Bytes,
}

/// Track that a tag belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Track {
    Video,
    Audio,
}

impl Recording {
    /// # Errors
    /// When the file can't be read, is too large, or is no FLV file with H.264 or AAC.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let name = path.display();
        let size = std::fs::metadata(path).with_context(|| format!("{name} can't be read"))?.len();
        ensure!(
            size <= MAX_FILE_BYTES,
            "{name} has {size} bytes; {MAX_FILE_BYTES} are the most that is held in memory"
        );
        let file = std::fs::read(path).with_context(|| format!("{name} can't be read"))?;
        Self::parse(&file.into()).with_context(|| format!("{name} can't be published"))
    }

    fn parse(file: &Bytes) -> anyhow::Result<Self> {
        ensure!(file.starts_with(b"FLV") && file.len() >= HEADER_BYTES, "it is no FLV file");
        let start = u32::from_be_bytes([file[5], file[6], file[7], file[8]]) as usize;
        let mut rest = file.slice(start.min(file.len())..);
        let mut headers = Vec::new();
        let mut frames = Vec::new();
        // A tag that is cut short at the end is what a recorder leaves that was killed.
        while let Some(tag) = next_tag(&mut rest)? {
            match tag {
                Found::Header(tag) if frames.is_empty() => headers.push(tag),
                Found::Frame(tag) => frames.push(tag),
                Found::Header(_) | Found::Other => {}
            }
        }
        Self::new(headers, frames)
    }

    fn new(mut headers: Vec<Tag>, mut frames: Vec<Tag>) -> anyhow::Result<Self> {
        let Some(first) = frames.iter().map(|tag| tag.time).min() else {
            bail!("it has no H.264 pictures and no AAC sound")
        };
        headers.iter_mut().for_each(|tag| tag.time = 0);
        frames.iter_mut().for_each(|tag| tag.time -= first);
        let has = |track| frames.iter().any(|tag| tag.track == track);
        let video = has(Track::Video);
        let audio = has(Track::Audio);
        let length = track_length(&frames, Track::Video).max(track_length(&frames, Track::Audio));
        Ok(Self { headers, frames, length, video, audio })
    }
}

/// The track's end: its last frame lasts as long as its frames do in the middle.
fn track_length(frames: &[Tag], track: Track) -> u64 {
    let times: Vec<_> = frames.iter().filter(|tag| tag.track == track).map(|tag| tag.time).collect();
    let (Some(first), Some(last)) = (times.first(), times.last()) else { return 0 };
    let steps = (times.len() as u64 - 1).max(1);
    u64::from(*last) + (u64::from(last.saturating_sub(*first)) / steps).max(1)
}

enum Found {
    Header(Tag),
    Frame(Tag),
    Other,
}

/// The next tag; none at the end.
fn next_tag(rest: &mut Bytes) -> anyhow::Result<Option<Found>> {
    let at = BACK_POINTER + TAG_HEADER;
    if rest.len() < at {
        return Ok(None);
    }
    let header = rest.split_to(at).slice(BACK_POINTER..);
    let length = u32::from_be_bytes([0, header[1], header[2], header[3]]) as usize;
    if rest.len() < length {
        return Ok(None);
    }
    // The highest byte of the timestamp stands last.
    let time = u32::from_be_bytes([header[7], header[4], header[5], header[6]]);
    let payload = rest.split_to(length);
    Ok(Some(match header[0] & 0x1f {
        9 => match VideoMessage::parse(&payload)? {
            VideoMessage::SequenceHeader(_) => Found::Header(Tag { track: Track::Video, time, payload }),
            VideoMessage::Frame { .. } => Found::Frame(Tag { track: Track::Video, time, payload }),
            VideoMessage::EndOfSequence | VideoMessage::Ignored => Found::Other,
        },
        8 => match AudioMessage::parse(&payload)? {
            AudioMessage::SequenceHeader(_) => Found::Header(Tag { track: Track::Audio, time, payload }),
            AudioMessage::Frame(_) => Found::Frame(Tag { track: Track::Audio, time, payload }),
            AudioMessage::Ignored => Found::Other,
        },
        _ => Found::Other,
    }))
}

#[cfg(test)]
pub mod tests {
    use super::*;

    const AVC: &[u8] = &[0x17, 0, 0, 0, 0, 1];
    const AAC: &[u8] = &[0xaf, 0, 0x11, 0x90];

    fn tag(kind: u8, time: u32, payload: &[u8]) -> Vec<u8> {
        let [high, a, b, c] = time.to_be_bytes();
        let length = payload.len() as u8;
        [&[0, 0, 0, 0, kind, 0, 0, length, a, b, c, high, 0, 0, 0], payload].concat()
    }

    fn file(tags: &[Vec<u8>]) -> Bytes {
        [&b"FLV\x01\x05\0\0\0\x09"[..], &tags.concat()].concat().into()
    }

    /// Four pictures at 25 a second and two frames of sound.
    pub fn short() -> Recording {
        let mut tags = vec![tag(18, 0, b"onMetaData"), tag(9, 0, AVC), tag(8, 0, AAC)];
        for (nth, time) in [1000, 1040, 1080, 1120].into_iter().enumerate() {
            tags.push(tag(9, time, &[if nth == 0 { 0x17 } else { 0x27 }, 1, 0, 0, 0, nth as u8]));
        }
        tags.extend([tag(8, 1_005, &[0xaf, 1, 7]), tag(8, 1_026, &[0xaf, 1, 8]), tag(9, 1_160, &[0x17, 2])]);
        Recording::parse(&file(&tags)).unwrap()
    }

    #[test]
    fn times_count_from_the_first_frame_and_the_last_one_has_its_length() {
        let recording = short();
        assert_eq!((recording.headers.len(), recording.frames.len()), (2, 6));
        assert_eq!(recording.frames[3].time, 120);
        assert_eq!(recording.length, 160);
        assert!(recording.video && recording.audio);
    }

    #[test]
    fn what_is_cut_short_is_left_out_and_what_cannot_be_sent_is_refused() {
        let whole =
            file(&[tag(9, 0, AVC), tag(9, 0, &[0x17, 1, 0, 0, 0, 1]), tag(9, 40, &[0x27, 1, 0, 0, 0, 1])]);
        let cut = Recording::parse(&whole.slice(..whole.len() - 1)).unwrap();
        assert_eq!((cut.frames.len(), cut.length), (1, 1));
        let error = |file: Bytes| format!("{:#}", Recording::parse(&file).err().unwrap());
        assert_eq!(error(Bytes::from_static(b"\0\0\0\x18ftypisom")), "it is no FLV file");
        assert!(error(file(&[tag(9, 0, AVC)])).contains("no H.264"));
        assert!(error(file(&[tag(9, 0, &[0x12, 0])])).contains("H.263"), "a codec that we don't send");
    }
}
