//! A test picture with sound: something to publish without an encoder.

use std::collections::BTreeSet;

use bytes::Bytes;
use gst::prelude::*;

use crate::error::{Error, Result};

/// The picture to make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Picture {
    /// Pixels; even.
    pub width: u32,
    pub height: u32,
    /// Frames a second.
    pub frame_rate: u32,
}

/// Kind of a tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TagKind {
    Video,
    Audio,
}

/// The body of a FLV tag (FLV 10.1 §E.4.1), as RTMP carries it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tag {
    pub kind: TagKind,
    /// Milliseconds, modulo 2^32.
    pub timestamp: u32,
    pub payload: Bytes,
}

/// Every kind of element that the test picture is made of, and the Debian package that has it.
const ELEMENTS: [(&str, &str); 10] = [
    ("appsink", "gstreamer1.0-plugins-base"),
    ("audiotestsrc", "gstreamer1.0-plugins-base"),
    ("videotestsrc", "gstreamer1.0-plugins-base"),
    ("clockoverlay", "gstreamer1.0-x"),
    ("timeoverlay", "gstreamer1.0-x"),
    ("aacparse", "gstreamer1.0-plugins-good"),
    ("flvmux", "gstreamer1.0-plugins-good"),
    ("h264parse", "gstreamer1.0-plugins-bad"),
    ("x264enc", "gstreamer1.0-plugins-ugly"),
    ("avenc_aac", "gstreamer1.0-libav"),
];

/// Finds out, before anybody is told of a broadcast, whether the test picture can be made here.
///
/// # Errors
/// A GStreamer that does not start, or elements that are missing, with the packages to install.
pub fn check() -> Result<()> {
    gst::init().map_err(Error::Init)?;
    let elements = missing_elements(|element| gst::ElementFactory::find(element).is_some());
    if elements.is_empty() { Ok(()) } else { Err(Error::Unsupported(install_advice(&elements))) }
}

/// The missing ones of [`ELEMENTS`].
fn missing_elements(is_there: impl Fn(&str) -> bool) -> Vec<(&'static str, &'static str)> {
    ELEMENTS.into_iter().filter(|(element, _)| !is_there(element)).collect()
}

fn install_advice(missing: &[(&str, &str)]) -> String {
    let elements: Vec<_> = missing.iter().map(|(element, _)| *element).collect();
    let packages: BTreeSet<_> = missing.iter().map(|(_, package)| *package).collect();
    let packages: Vec<_> = packages.into_iter().collect();
    format!(
        "GStreamer has no {}: install the plugins (Debian: apt-get install {})",
        elements.join(", "),
        packages.join(" ")
    )
}

/// A running test picture. It ends when this is dropped.
#[derive(Debug)]
pub struct Running(gst::Element);

impl Drop for Running {
    fn drop(&mut self) {
        // A live source has nothing to finish.
        let _ = self.0.set_state(gst::State::Null);
    }
}

/// Makes tags in real time, and gives each to `take`, in a thread of GStreamer's, until `take` says no.
///
/// The picture moves, and carries the time of day as well as the time since the start; a beep sounds every second.
///
/// # Errors
/// When an element is missing or refuses to start.
pub fn start(picture: Picture, take: impl FnMut(Tag) -> bool + Send + 'static) -> Result<Running> {
    gst::init().map_err(|error| demo_error(&error))?;
    let pipeline = gst::parse::launch(&pipeline_description(picture)).map_err(|error| demo_error(&error))?;
    let bin = pipeline.downcast_ref::<gst::Bin>().expect("several elements make a pipeline");
    let sink =
        bin.by_name("tags").and_downcast::<gst_app::AppSink>().expect("the description names an appsink");
    let mut take = take;
    let callbacks = gst_app::AppSinkCallbacks::builder().new_sample(move |sink| {
        let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
        let taken = read_tag(&sample).is_none_or(&mut take);
        if taken { Ok(gst::FlowSuccess::Ok) } else { Err(gst::FlowError::Eos) }
    });
    sink.set_callbacks(callbacks.build());
    pipeline.set_state(gst::State::Playing).map_err(|error| demo_error(&error))?;
    Ok(Running(pipeline))
}

fn pipeline_description(Picture { width, height, frame_rate }: Picture) -> String {
    let keyframes = 2 * frame_rate;
    format!(
        "flvmux name=mux streamable=true latency=20000000 ! appsink name=tags sync=false \
         videotestsrc is-live=true pattern=ball motion=sweep background-color=0xff14202e \
         ! video/x-raw,format=I420,width={width},height={height},framerate={frame_rate}/1 \
         ! clockoverlay time-format=%H:%M:%S halignment=center valignment=top font-desc=\"Sans, 28\" \
         ! timeoverlay halignment=center valignment=bottom font-desc=\"Sans, 20\" \
         ! x264enc tune=zerolatency speed-preset=veryfast bitrate=2500 key-int-max={keyframes} \
         ! video/x-h264,profile=high ! h264parse ! mux. \
         audiotestsrc is-live=true wave=ticks freq=880 volume=0.4 \
         ! audio/x-raw,rate=48000,channels=2 ! avenc_aac bitrate=128000 ! aacparse ! mux."
    )
}

/// Reads a buffer of the multiplexer: the file's header first, then one tag a buffer with its header of 11 bytes and its
/// length of 4 bytes behind it.
fn read_tag(sample: &gst::Sample) -> Option<Tag> {
    let buffer = sample.buffer()?.map_readable().ok()?;
    let (header, rest) = buffer.split_first_chunk::<11>()?;
    let kind = match header[0] {
        8 => TagKind::Audio,
        9 => TagKind::Video,
        _ => return None,
    };
    let length = u32::from_be_bytes([0, header[1], header[2], header[3]]) as usize;
    let timestamp = u32::from_be_bytes([header[7], header[4], header[5], header[6]]);
    Some(Tag { kind, timestamp, payload: Bytes::copy_from_slice(rest.get(..length)?) })
}

fn demo_error(error: &dyn std::error::Error) -> Error {
    Error::Build { pipeline: "demo".into(), what: error.to_string() }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;

    #[test]
    fn all_that_is_made_use_of_is_looked_for() {
        let description = pipeline_description(Picture { width: 320, height: 180, frame_rate: 30 });
        let is_name = |word: &&str| {
            word.starts_with(|c: char| c.is_ascii_lowercase())
                && word.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        };
        let made: BTreeSet<_> = description.split_whitespace().filter(is_name).collect();
        let known: BTreeSet<_> = ELEMENTS.iter().map(|(element, _)| *element).collect();
        assert_eq!(made, known);
        assert!(check().is_ok());
    }

    #[test]
    fn the_packages_of_what_is_missing_are_named_once() {
        let missing =
            missing_elements(|element| !["x264enc", "clockoverlay", "timeoverlay"].contains(&element));
        let advice = install_advice(&missing);
        assert!(advice.ends_with("apt-get install gstreamer1.0-plugins-ugly gstreamer1.0-x)"), "{advice}");
        assert!(advice.contains("no clockoverlay, timeoverlay, x264enc:"), "{advice}");
    }

    #[test]
    fn headers_and_frames_come_in_order() {
        let (send, tags) = mpsc::channel();
        let picture = Picture { width: 320, height: 180, frame_rate: 30 };
        let _running = start(picture, move |tag| send.send(tag).is_ok()).unwrap();
        let next = |kind| loop {
            let tag = tags.recv_timeout(Duration::from_secs(20)).unwrap();
            if tag.kind == kind {
                return tag;
            }
        };
        let header = next(TagKind::Video);
        assert_eq!(header.payload[..2], [0x17, 0], "an AVC sequence header");
        let keyframe = next(TagKind::Video);
        assert_eq!(keyframe.payload[..2], [0x17, 1], "a keyframe");
        let second = next(TagKind::Video);
        assert!((25..=42).contains(&(second.timestamp - keyframe.timestamp)), "{}", second.timestamp);
        assert_eq!(next(TagKind::Audio).payload[0] >> 4, 10, "AAC");
    }
}
