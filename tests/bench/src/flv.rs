//! FLV files: what a proxy makes of them (the same timeline, without RTMP), and what it leaves out.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use headwater_media::timeline::{Limits, Timeline};
use headwater_media::{FlvReader, PeriodNumber, TimelineEvent, UnixMillis};

/// FLV 10.1 §E.2, §E.3: the file's header, and the length of the tag before each tag.
const HEADER: usize = 9;
const BACK_POINTER: usize = 4;
/// FLV 10.1 §E.4.1: kind, length, timestamp, stream.
const TAG_HEADER: usize = 11;
const AUDIO: u8 = 8;
const VIDEO: u8 = 9;
/// FLV 10.1 §E.4.3.1: a keyframe of AVC; and what says that a body of AVC or AAC is a frame (§E.4.2.1 too).
const KEYFRAME: u8 = 0x17;
const FRAME: u8 = 1;

pub fn read(path: &Path) -> Result<Vec<TimelineEvent>> {
    let file = std::fs::read(path).with_context(|| format!("{} can't be read", path.display()))?;
    events(&file.into()).with_context(|| format!("{} can't be published", path.display()))
}

/// Frames, and bytes of their bodies, that no decoder can show, and that the proxy therefore does not forward: pictures
/// before the first keyframe, and sound from before that one is presented.
pub fn unshown(path: &Path) -> Result<(u64, u64)> {
    let file = std::fs::read(path).with_context(|| format!("{} can't be read", path.display()))?;
    Ok(before_first_picture(&tags(&file.into())?))
}

/// Told from the bytes alone, not by the code that is measured.
fn before_first_picture(tags: &[(u8, u32, Bytes)]) -> (u64, u64) {
    let is_keyframe = |kind, body: &[u8]| kind == VIDEO && body.starts_with(&[KEYFRAME, FRAME]);
    let Some(first) = tags.iter().position(|(kind, _, body)| is_keyframe(*kind, body)) else { return (0, 0) };
    let (_, time, body) = &tags[first];
    // Big-endian, behind the two bytes; not negative at the first keyframe.
    let shown = time + body.get(2..5).map_or(0, |c| u32::from_be_bytes([0, c[0], c[1], c[2]]));
    let is_left_out = |(at, (kind, time, body)): (usize, &(u8, u32, Bytes))| {
        let is_frame = body.get(1) == Some(&FRAME);
        is_frame && ((*kind == VIDEO && at < first) || (*kind == AUDIO && *time < shown))
    };
    let left_out = tags.iter().enumerate().filter(|tag| is_left_out(*tag)).map(|(_, (.., body))| body.len());
    left_out.fold((0, 0), |(count, bytes), length| (count + 1, bytes + length as u64))
}

fn tags(file: &Bytes) -> Result<Vec<(u8, u32, Bytes)>> {
    ensure!(file.starts_with(b"FLV") && file.len() >= HEADER, "it is no FLV file");
    let mut rest = file.slice(HEADER..);
    Ok(std::iter::from_fn(|| next(&mut rest)).collect())
}

fn events(file: &Bytes) -> Result<Vec<TimelineEvent>> {
    let mut timeline = Timeline::new(PeriodNumber(0), Limits::default());
    let mut reader = FlvReader::default();
    let mut events = Vec::new();
    for (kind, time, payload) in tags(file)? {
        // The wall clock is what the file says, so that every run is the same.
        let now = UnixMillis(time.into());
        let media = match kind {
            VIDEO => reader.video(time, &payload)?,
            AUDIO => reader.audio(time, &payload)?,
            _ => None,
        };
        if let Some(media) = media {
            timeline.push(now, media)?;
        }
        events.extend(std::iter::from_fn(|| timeline.poll()));
    }
    timeline.finish();
    events.extend(std::iter::from_fn(|| timeline.poll()));
    ensure!(!events.is_empty(), "it holds no media");
    Ok(events)
}

/// Kind, milliseconds and body; none at the end.
fn next(rest: &mut Bytes) -> Option<(u8, u32, Bytes)> {
    let at = BACK_POINTER + TAG_HEADER;
    let header = rest.get(BACK_POINTER..at)?.to_vec();
    let length = u32::from_be_bytes([0, header[1], header[2], header[3]]) as usize;
    // The highest byte of the timestamp stands last.
    let time = u32::from_be_bytes([header[7], header[4], header[5], header[6]]);
    if rest.len() < at + length {
        return None;
    }
    let payload = rest.split_to(at + length).slice(at..);
    Some((header[0] & 0x1f, time, payload))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tag(kind: u8, time: u32, payload: &[u8]) -> Vec<u8> {
        let [high, a, b, c] = time.to_be_bytes();
        let length = u8::try_from(payload.len()).unwrap();
        [&[0, 0, 0, 0, kind, 0, 0, length, a, b, c, high, 0, 0, 0], payload].concat()
    }

    #[test]
    fn sound_comes_out_as_a_period_with_its_frames() {
        let tags = [tag(18, 0, b"meta"), tag(8, 0, &[0xaf, 0, 0x11, 0x90]), tag(8, 5, &[0xaf, 1, 7])];
        let cut = tag(8, 30, &[0xaf, 1, 8]);
        let file = [&b"FLV\x01\x05\0\0\0\x09"[..], &tags.concat(), &cut[..cut.len() - 1]].concat();
        let events = events(&file.into()).unwrap();
        assert!(matches!(events[..], [TimelineEvent::Period(_), TimelineEvent::Tag(_)]), "{events:?}");
    }

    #[test]
    fn what_comes_before_the_first_picture_is_left_out() {
        let tags = [
            tag(9, 0, &[0x17, 0, 0, 0, 0, 1]),
            tag(8, 0, &[0xaf, 0, 0x11, 0x90]),
            tag(9, 0, &[0x27, 1, 0, 0, 0, 1, 2]),
            tag(8, 79, &[0xaf, 1, 7]),
            tag(9, 40, &[0x17, 1, 0, 0, 40, 1]),
            tag(8, 79, &[0xaf, 1, 7, 8]),
            tag(8, 80, &[0xaf, 1, 7, 8]),
            tag(9, 80, &[0x27, 1, 0, 0, 40, 1]),
        ];
        let file = [&b"FLV\x01\x05\0\0\0\x09"[..], &tags.concat()].concat().into();
        assert_eq!(before_first_picture(&super::tags(&file).unwrap()), (3, 7 + 3 + 4));
    }

    #[test]
    fn other_files_are_refused() {
        assert!(events(&Bytes::from_static(b"\0\0\0\x18ftypisom")).is_err());
        assert!(events(&Bytes::from_static(b"FLV\x01\x05\0\0\0\x09")).is_err());
    }
}
