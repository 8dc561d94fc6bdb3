use super::*;
use proptest::prelude::*;

fn video(bytes: &[u8]) -> Result<VideoMessage, MediaError> {
    VideoMessage::parse(&Bytes::copy_from_slice(bytes))
}

fn audio(bytes: &[u8]) -> Result<AudioMessage, MediaError> {
    AudioMessage::parse(&Bytes::copy_from_slice(bytes))
}

fn frame(keyframe: bool, composition_offset: i32, payload: &'static [u8]) -> VideoMessage {
    VideoMessage::Frame { keyframe, composition_offset, payload: Bytes::from_static(payload) }
}

#[test]
fn h264_as_flash_defined_it() {
    assert_eq!(video(b"\x17\x00\x00\x00\x00conf"), Ok(VideoMessage::SequenceHeader("conf".into())));
    assert_eq!(video(b"\x17\x01\x00\x00\x50nalu"), Ok(frame(true, 80, b"nalu")));
    assert_eq!(video(b"\x27\x01\xff\xff\xfenalu"), Ok(frame(false, -2, b"nalu")));
    assert_eq!(video(b"\x17\x02\x00\x00\x00"), Ok(VideoMessage::EndOfSequence));
    assert_eq!(video(b"\x17\x02"), Ok(VideoMessage::EndOfSequence));
}

#[test]
fn aac_as_flash_defined_it() {
    assert_eq!(audio(b"\xaf\x00\x11\x90"), Ok(AudioMessage::SequenceHeader(Bytes::from_static(b"\x11\x90"))));
    assert_eq!(audio(b"\xaf\x01raw"), Ok(AudioMessage::Frame("raw".into())));
}

#[test]
fn payloads_are_slices_of_the_message() {
    let message = Bytes::from_static(b"\x17\x01\x00\x00\x00nalu");
    let Ok(VideoMessage::Frame { payload, .. }) = VideoMessage::parse(&message) else { panic!("a frame") };
    assert_eq!(payload.as_ptr(), message[5..].as_ptr());
}

#[test]
fn what_shows_nothing_is_ignored() {
    for empty in
        [&b""[..], b"\x17\x00\x00\x00\x00", b"\x27\x01\x00\x00\x00", b"\x57\x00", b"\x52\x01", b"\xd1avc1"]
    {
        assert_eq!(video(empty), Ok(VideoMessage::Ignored), "{empty:?}");
    }
    for empty in [&b""[..], b"\xaf", b"\xaf\x00", b"\xaf\x01", b"\x90mp4a"] {
        assert_eq!(audio(empty), Ok(AudioMessage::Ignored), "{empty:?}");
    }
}

#[test]
fn a_header_cut_short_is_refused() {
    for short in
        [&b"\x17"[..], b"\x17\x00\x00", b"\x17\x01\x00\x00", b"\x91avc", b"\x91avc1\x00\x00", b"\x97\x05\x00"]
    {
        assert!(matches!(video(short), Err(MediaError::Malformed { .. })), "{short:?}");
    }
}

#[test]
fn enhanced_h264() {
    assert_eq!(video(b"\x90avc1conf"), Ok(VideoMessage::SequenceHeader("conf".into())));
    assert_eq!(video(b"\x91avc1\x00\x00\x21nalu"), Ok(frame(true, 33, b"nalu")));
    assert_eq!(video(b"\xa3avc1nalu"), Ok(frame(false, 0, b"nalu")));
    assert_eq!(video(b"\x92avc1"), Ok(VideoMessage::EndOfSequence));
    assert_eq!(video(b"\x94avc1amf"), Ok(VideoMessage::Ignored));
}

#[test]
fn enhanced_aac() {
    assert_eq!(audio(b"\x90mp4aconf"), Ok(AudioMessage::SequenceHeader("conf".into())));
    assert_eq!(audio(b"\x91mp4araw"), Ok(AudioMessage::Frame("raw".into())));
}

#[test]
fn modifiers_are_skipped() {
    assert_eq!(video(b"\x97\x02abc\x01avc1\x00\x00\x00nalu"), Ok(frame(true, 0, b"nalu")));
    let mut long = b"\x97\xff\x01\x00".to_vec();
    long.extend([0; 257]);
    long.extend(b"\x03avc1nalu");
    assert_eq!(video(&long), Ok(frame(true, 0, b"nalu")));
}

#[test]
fn of_several_tracks_the_first_is_taken() {
    assert_eq!(video(b"\x96\x03avc1\x00nalu"), Ok(frame(true, 0, b"nalu")));
    assert_eq!(video(b"\x96\x03avc1\x01nalu"), Ok(VideoMessage::Ignored));
    assert_eq!(video(b"\x96\x13avc1\x01\x00\x00\x02xx\x00\x00\x00\x04nalu"), Ok(frame(true, 0, b"nalu")));
    assert_eq!(video(b"\x96\x23hvc1\x01\x00\x00\x02xxavc1\x00\x00\x00\x04nalu"), Ok(frame(true, 0, b"nalu")));
    assert_eq!(audio(b"\x95\x01mp4a\x00raw"), Ok(AudioMessage::Frame("raw".into())));
}

#[test]
fn other_codecs_are_named() {
    let texts = [
        (
            video(b"\x1c\x01\x00\x00\x00x"),
            "HEVC is not supported: choose H.264 in your encoder's output settings",
        ),
        (video(b"\x90hvc1x"), "HEVC is not supported: choose H.264 in your encoder's output settings"),
        (video(b"\x90av01x"), "AV1 is not supported: choose H.264 in your encoder's output settings"),
        (video(b"\x14"), "VP6 is not supported: choose H.264 in your encoder's output settings"),
        (
            video(b"\x90\"\n\0\xff"),
            r#"video codec "\"\n\x00\xff" is not supported: choose H.264 in your encoder's output settings"#,
        ),
    ];
    for (result, text) in texts {
        assert_eq!(result.unwrap_err().to_string(), text);
    }
    let names = [
        (&b"\x2f"[..], "MP3 audio"),
        (b"\x3f", "PCM audio"),
        (b"\x5f", "Nellymoser audio"),
        (b"\x7f", "G.711 audio"),
        (b"\xbf", "Speex audio"),
        (b"\x90Opus", "Opus audio"),
        (b"\x91ec-3", "E-AC-3 audio"),
        (b"\xf0", "audio codec number 15"),
    ];
    for (message, name) in names {
        let text = format!("{name} is not supported: choose AAC in your encoder's output settings");
        assert_eq!(audio(message).unwrap_err().to_string(), text);
    }
}

proptest! {
    #[test]
    fn any_bytes_are_survived(bytes: Vec<u8>) {
        let _ = video(&bytes);
        let _ = audio(&bytes);
    }
}
