//! Parameter sets that x264 wrote.

use super::*;
use crate::avc::AvcConfig;
use crate::testing::{AVCC_5K, AVCC_360P, AVCC_720P, avcc};

fn picture(hex: &str) -> Sps {
    AvcConfig::parse(&avcc(hex)).unwrap().picture().unwrap()
}

fn size(hex: &str) -> (u32, u32) {
    let picture = picture(hex);
    (picture.width, picture.height)
}

#[test]
fn sizes_with_cropping() {
    assert_eq!(size(AVCC_720P), (1280, 720));
    assert_eq!(size(AVCC_360P), (640, 360));
    assert_eq!(size(AVCC_5K), (5120, 2880));
    let portrait =
        "01640028ffe1001967640028acd9404403c797c04400000fa40003a9803c60c65801000668ebe3cb22c0fdf8f800";
    assert_eq!(size(portrait), (1080, 1920));
    let baseline = "0142c028ffe100186742c028d900780227e5c04400000fa40003a9803c60c92001000568cb83cb20";
    assert_eq!(
        (size(baseline), picture(baseline).profile_idc, picture(baseline).level_idc),
        ((1920, 1080), 66, 40)
    );
    let tiny = "0164000bffe100186764000bacd9428df9301100000303e90000ea600f14299601000668ebe3cb22c0fdf8f800";
    assert_eq!(size(tiny), (160, 90));
}

#[test]
fn odd_sizes_of_full_chroma() {
    let picture = picture(
        "01f4001fffe1001967f4001f919b281b07bc656022000007d20001d4c01e30632c01000668ebe3c44844fff8f800",
    );
    assert_eq!((picture.width, picture.height, picture.chroma_format), (853, 479, 3));
}

#[test]
fn fields_and_pixels_that_are_not_square() {
    let interlaced =
        picture("0164001fffe100176764001facd940b424d818800001f4800075300f8b16cb01000668fba3cb22c0fdf8f800");
    assert_eq!((interlaced.width, interlaced.height, interlaced.interlaced), (720, 576, true));
    assert_eq!(interlaced.sample_aspect, (10, 11));
    let extended = picture(
        "017a001effe1001c677a001ebcd940b43dbff0040002d100000303e90000ea600f162d9601000668ebe3cb22c0fef8f800",
    );
    assert_eq!((extended.sample_aspect, extended.chroma_format), ((64, 45), 2));
}

#[test]
fn frame_rate_from_the_timing() {
    let rate = picture(AVCC_720P).frame_rate.unwrap();
    assert!((rate - 29.97).abs() < 0.01, "{rate}");
}

#[test]
fn a_picture_beyond_sanity_is_refused() {
    // Baseline, set 0, frame_num 4 bits, order type 2, 1 reference; 2^20 macroblocks wide (ue of 41 bits), 1 high.
    let mut bits = String::from("1 1 011 010 0");
    bits += &("0".repeat(20) + "1" + &"0".repeat(20));
    bits += " 1 1 1 0 0 1";
    let nal = [&[0x67, 66, 0, 30][..], &packed(&bits)].concat();
    assert!(matches!(
        Sps::parse(&nal),
        Err(MediaError::PictureTooLarge { width: 16_777_216, height: 16, .. })
    ));
}

#[test]
fn the_size_that_is_advised_is_taken() {
    // Baseline as above, 1000 macroblocks wide (ue of 19 bits: 9 zeros, then 1000), 4 high.
    let wide = "1 1 011 010 0 0000000001111101000 00100 1 1 0 0 1".to_owned();
    let nal = [&[0x67, 66, 0, 30][..], &packed(&wide)].concat();
    let Err(MediaError::PictureTooLarge { width: 16_000, height: 64, max_width, max_height }) =
        Sps::parse(&nal)
    else {
        panic!("{:?}", Sps::parse(&nal))
    };
    // 256 macroblocks on each side.
    assert_eq!((max_width, max_height), (256 * 16, 256 * 16));
    let advised = "1 1 011 010 0 00000000100000000 00000000100000000 1 1 0 0 1";
    let sps = Sps::parse(&[&[0x67, 66, 0, 30][..], &packed(advised)].concat()).unwrap();
    assert_eq!((sps.width, sps.height), (max_width, max_height));
}

#[test]
fn a_small_piece_of_a_picture_beyond_sanity_is_refused() {
    // As above, 1024 macroblocks wide (ue of 21 bits), of which 8184 units of two pixels are cropped away.
    let mut bits = String::from("1 1 011 010 0");
    bits += &("0".repeat(10) + "1" + &"0".repeat(10));
    bits += &(" 1 1 1 1 1 ".to_owned() + &"0".repeat(12) + "1111111111001 1 1 0 1");
    let nal = [&[0x67, 66, 0, 30][..], &packed(&bits)].concat();
    assert!(matches!(Sps::parse(&nal), Err(MediaError::PictureTooLarge { width: 16_384, height: 16, .. })));
}

#[test]
fn cropping_everything_away_is_refused() {
    // As above, 16x16 with 8 units of two pixels cropped on the right.
    let nal = [&[0x67, 66, 0, 30][..], &packed("1 1 011 010 0 1 1 1 1 1 1 0001001 1 1 0 1")].concat();
    assert_eq!(
        Sps::parse(&nal),
        Err(MediaError::malformed_header(HEADER_NAME, "its parameter set contradicts itself"))
    );
}

fn packed(bits: &str) -> Vec<u8> {
    let bits: Vec<u8> = bits.bytes().filter(|b| *b != b' ').map(|b| b - b'0').collect();
    bits.chunks(8).map(|c| c.iter().enumerate().fold(0, |byte, (i, b)| byte | b << (7 - i))).collect()
}
