//! An encoder's description of its stream (`onMetaData`, FLV 10.1 annex E.5). Hints only: the media itself counts.

use crate::amf::{Object, Value};

/// No encoder's name is longer; it goes into logs and pages.
const ENCODER_LIMIT: usize = 128;

/// Values of `onMetaData`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Metadata {
    /// Whether a video track is announced.
    pub video: bool,
    /// Whether an audio track is announced.
    pub audio: bool,
    /// Pixels.
    pub width: Option<u32>,
    pub height: Option<u32>,
    /// Frames a second.
    pub frame_rate: Option<f64>,
    /// Kilobits a second.
    pub video_kbps: Option<u32>,
    pub audio_kbps: Option<u32>,
    /// Hertz.
    pub sample_rate: Option<u32>,
    pub channels: Option<u32>,
    /// The software that made it.
    pub encoder: Option<String>,
}

impl Metadata {
    /// Reads a data message; none when it is not about metadata. `@setDataFrame` comes before the name when the
    /// server is to keep it; some encoders leave it out.
    pub(crate) fn from_values(values: &[Value]) -> Option<Self> {
        let values = match values {
            [Value::String(name), rest @ ..] if name == "@setDataFrame" => rest,
            all => all,
        };
        match values {
            [Value::String(name), Value::Object(object), ..] if name == "onMetaData" => {
                Some(Self::new(object))
            }
            _ => None,
        }
    }

    fn new(object: &Object) -> Self {
        let whole = |name| {
            object.number_property(name).filter(|n| *n >= 1.0 && *n <= f64::from(u32::MAX)).map(|n| n as u32)
        };
        let width = whole("width");
        let height = whole("height");
        Self {
            video: announced_flag(object, "hasVideo", "videocodecid").unwrap_or(width.is_some()),
            audio: announced_flag(object, "hasAudio", "audiocodecid").unwrap_or_default(),
            width,
            height,
            frame_rate: object.number_property("framerate").filter(|n| *n > 0.0 && *n < 1_000.0),
            video_kbps: whole("videodatarate"),
            audio_kbps: whole("audiodatarate"),
            sample_rate: whole("audiosamplerate"),
            channels: whole("audiochannels").or_else(|| channel_count(object)),
            encoder: object.string_property("encoder").map(|name| name.chars().take(ENCODER_LIMIT).collect()),
        }
    }

    /// The values of the data message that announces a stream to another server.
    pub(crate) fn to_values(&self) -> Vec<Value> {
        let mut object = Object::default();
        let mut number = |name: &str, value: Option<f64>| {
            if let Some(value) = value {
                object.0.push((name.to_owned(), value.into()));
            }
        };
        number("width", self.width.map(f64::from));
        number("height", self.height.map(f64::from));
        number("framerate", self.frame_rate);
        number("videocodecid", self.video.then_some(H264));
        number("videodatarate", self.video_kbps.map(f64::from));
        number("audiocodecid", self.audio.then_some(AAC));
        number("audiodatarate", self.audio_kbps.map(f64::from));
        number("audiosamplerate", self.sample_rate.map(f64::from));
        number("audiochannels", self.channels.map(f64::from));
        if let Some(encoder) = &self.encoder {
            object = object.with_property("encoder", encoder.as_str());
        }
        vec!["@setDataFrame".into(), "onMetaData".into(), object.into()]
    }
}

/// FLV codec ids of what we take and send.
const H264: f64 = 7.0;
const AAC: f64 = 10.0;

/// A flag where there is one; else a codec id, which may be a number (0: none) or a name.
fn announced_flag(object: &Object, flag: &str, codec: &str) -> Option<bool> {
    match (object.get(flag), object.get(codec)) {
        (Some(Value::Boolean(flag)), _) => Some(*flag),
        (_, Some(Value::Number(id))) => Some(*id != 0.0),
        (_, Some(Value::String(name))) => Some(!name.is_empty()),
        _ => None,
    }
}

fn channel_count(object: &Object) -> Option<u32> {
    match object.get("stereo")? {
        Value::Boolean(true) => Some(2),
        Value::Boolean(false) => Some(1),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(object: Object) -> Metadata {
        Metadata::from_values(&["onMetaData".into(), object.into()]).unwrap()
    }

    #[test]
    fn what_is_written_is_read() {
        let metadata = Metadata {
            video: true,
            audio: true,
            width: Some(1280),
            height: Some(720),
            frame_rate: Some(29.97),
            video_kbps: Some(2_800),
            audio_kbps: Some(128),
            sample_rate: Some(48_000),
            channels: Some(2),
            encoder: Some("headwater".into()),
        };
        assert_eq!(Metadata::from_values(&metadata.to_values()), Some(metadata));
    }

    #[test]
    fn tracks_are_announced_by_flag_codec_number_or_codec_name() {
        let object =
            Object::default().with_property("videocodecid", "avc1").with_property("audiocodecid", 10.0);
        assert!(read(object.clone()).video && read(object).audio);
        let object = Object::default()
            .with_property("videocodecid", 0.0)
            .with_property("hasAudio", false)
            .with_property("audiocodecid", 10.0);
        assert!(!read(object.clone()).video && !read(object).audio);
        assert!(!read(Object::default()).audio);
    }

    #[test]
    fn senseless_values_are_left_out() {
        let object = Object::default()
            .with_property("width", f64::NAN)
            .with_property("height", -1.0)
            .with_property("framerate", 1e300);
        let metadata = read(object.with_property("encoder", "x".repeat(5_000).as_str()));
        assert_eq!((metadata.width, metadata.height, metadata.frame_rate), (None, None, None));
        assert_eq!(metadata.encoder.unwrap().len(), ENCODER_LIMIT);
    }

    #[test]
    fn set_data_frame_alone_is_nothing() {
        assert_eq!(Metadata::from_values(&["@setDataFrame".into()]), None);
        assert_eq!(Metadata::from_values(&["@setDataFrame".into(), "onMetaData".into()]), None);
        assert_eq!(Metadata::from_values(&[]), None);
    }
}
