//! A publisher's media, made by ffmpeg.

use std::process::Command;

use bytes::Bytes;
use headwater_media::timeline::{Announced, Limits, Timeline};
use headwater_media::{
    AudioMessage, FlvReader, MediaError, Period, PeriodNumber, SourceMedia, SourceTime, Tag, TagKind,
    TimelineEvent, UnixMillis, VideoMessage,
};

#[derive(Clone)]
pub struct Source {
    pub video: Option<Bytes>,
    pub audio: Option<Bytes>,
    pub tags: Vec<Tag>,
}

impl Source {
    /// Runs ffmpeg with these arguments, separated by spaces, and reads the FLV that it writes.
    pub fn ffmpeg(arguments: &str) -> Self {
        let output = Command::new("ffmpeg")
            .args(["-hide_banner", "-loglevel", "error", "-nostdin", "-y"])
            .args(arguments.split_whitespace())
            .args(["-flvflags", "no_duration_filesize", "-f", "flv", "-"])
            .output()
            .expect("ffmpeg must be installed for these tests");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Self::flv(&Bytes::from(output.stdout))
    }

    /// A test picture of this size and rate with a tone, for so many seconds; keyframes every second.
    pub fn usual(size: &str, rate: u32, seconds: u32) -> Self {
        Self::ffmpeg(&format!("{} {} {} {}", picture(size, rate, seconds), tone(seconds), h264(rate), AAC))
    }

    fn flv(file: &Bytes) -> Self {
        let mut source = Self { video: None, audio: None, tags: Vec::new() };
        // FLV 10.1 §E.2: a header of nine bytes, then tags of eleven bytes, body and four bytes of its length.
        let mut at = 9 + 4;
        while let Some(header) = file.get(at..at + 11) {
            let number = |bytes: &[u8]| bytes.iter().fold(0usize, |sum, byte| sum << 8 | usize::from(*byte));
            let length = number(&header[1..4]);
            let time = number(&header[4..7]) | usize::from(header[7]) << 24;
            source.message(
                header[0],
                SourceTime::from_millis(time as u64),
                &file.slice(at + 11..at + 11 + length),
            );
            at += 11 + length + 4;
        }
        source
    }

    fn message(&mut self, kind: u8, time: SourceTime, body: &Bytes) {
        let mut push = |track, kind, composition_offset_us, payload: Bytes| {
            self.tags.push(Tag { track, kind, time, composition_offset_us, drift: 0, payload });
        };
        match kind {
            8 => match AudioMessage::parse(body).unwrap() {
                AudioMessage::SequenceHeader(config) => self.audio = Some(config),
                AudioMessage::Frame(payload) => push(Period::AUDIO_TRACK, TagKind::Audio, 0, payload),
                AudioMessage::Ignored => {}
            },
            9 => match VideoMessage::parse(body).unwrap() {
                VideoMessage::SequenceHeader(config) => self.video = Some(config),
                VideoMessage::Frame { keyframe, composition_offset, payload } => {
                    push(
                        Period::VIDEO_TRACK,
                        TagKind::Video { keyframe },
                        composition_offset * 1_000,
                        payload,
                    );
                }
                VideoMessage::EndOfSequence | VideoMessage::Ignored => {}
            },
            _ => {}
        }
    }

    /// The same on a clock that started earlier.
    pub fn later(mut self, millis: u64) -> Self {
        self.tags.iter_mut().for_each(|tag| tag.time.0 += millis * 1_000);
        self
    }

    pub fn without_video(mut self) -> Self {
        self.video = None;
        self.tags.retain(|tag| !tag.is_video());
        self
    }

    pub fn without_audio(mut self) -> Self {
        self.audio = None;
        self.tags.retain(Tag::is_video);
        self
    }

    /// Leaves out tags, but not what the period knows of them.
    pub fn filtered(mut self, mut keep: impl FnMut(&Tag) -> bool) -> Self {
        self.tags.retain(|tag| keep(tag));
        self
    }

    /// Start of its period: the first picture, if there are any.
    pub fn origin(&self) -> SourceTime {
        let first = self.tags.iter().find(|tag| tag.is_keyframe()).or_else(|| self.tags.first());
        first.expect("a source has tags").presentation_time()
    }

    pub fn period(&self, number: u32) -> Period {
        Period {
            number: PeriodNumber(number),
            first_sequence: None,
            origin: self.origin(),
            wall_clock: UnixMillis(1_800_000_000_000),
            tracks: Period::tracks_of(self.video.clone(), self.audio.clone()),
        }
    }

    pub fn events(&self, number: u32) -> Vec<TimelineEvent> {
        let tags = self.tags.iter().cloned().map(TimelineEvent::Tag);
        std::iter::once(TimelineEvent::Period(self.period(number))).chain(tags).collect()
    }

    /// Events that a proxy replays for a producer that continues at `time`: from the keyframe at or before it.
    pub fn replay(&self, number: u32, time: SourceTime) -> Vec<TimelineEvent> {
        let from = self.tags.iter().rposition(|tag| tag.is_keyframe() && tag.presentation_time() <= time);
        let tags = self.tags[from.unwrap_or(0)..].iter().cloned().map(TimelineEvent::Tag);
        std::iter::once(TimelineEvent::Period(self.period(number))).chain(tags).collect()
    }

    /// Events that a proxy makes of the same tags when they arrive in this order, with these timestamps.
    pub fn through_timeline(&self) -> Vec<TimelineEvent> {
        self.through(&self.audio, None)
    }

    /// The same where the sound is announced by nothing before it begins.
    pub fn through_timeline_with_late_sound(&self) -> Vec<TimelineEvent> {
        self.through(&None, None)
    }

    /// The same where the sound is another source's from a time on.
    pub fn through_timeline_with_sound_of(&self, other: &Self, from_ms: u64) -> Vec<TimelineEvent> {
        let sound = other.tags.iter().filter(|tag| !tag.is_video() && tag.time.as_millis() >= from_ms);
        let mut both = Self { tags: self.tags.iter().chain(sound).cloned().collect(), ..self.clone() };
        both.tags.sort_by_key(|tag| tag.time);
        both.through(&self.audio, other.audio.as_ref().map(|config| (config, from_ms)))
    }

    fn through(&self, audio_at_first: &Option<Bytes>, later: Option<(&Bytes, u64)>) -> Vec<TimelineEvent> {
        let mut timeline = Timeline::new(PeriodNumber(0), Limits::default());
        timeline.push_metadata(Announced::new(self.video.is_some(), audio_at_first.is_some()));
        let now = UnixMillis(1_800_000_000_000);
        let mut reader = FlvReader::default();
        let push = |timeline: &mut Timeline, media: Result<Option<SourceMedia>, MediaError>| {
            media.unwrap().into_iter().for_each(|media| timeline.push(now, media).unwrap());
        };
        if let Some(config) = &self.video {
            let header = [&[0x17, 0, 0, 0, 0][..], config].concat().into();
            push(&mut timeline, reader.video(0, &header));
        }
        let header = |config: &Bytes| Bytes::from([&[0xaf, 0][..], config].concat());
        if let Some(config) = audio_at_first {
            push(&mut timeline, reader.audio(0, &header(config)));
        }
        let first_sound = self.tags.iter().position(|tag| !tag.is_video());
        let changes = |from| self.tags.iter().position(|tag| !tag.is_video() && tag.time.as_millis() >= from);
        let later = later.and_then(|(config, from)| Some((config, changes(from)?)));
        let mut events = Vec::new();
        for (number, tag) in self.tags.iter().enumerate() {
            if let Some(config) = self.audio.as_ref().filter(|_| Some(number) == first_sound) {
                push(&mut timeline, reader.audio(0, &header(config)));
            }
            if let Some((config, _)) = later.filter(|(_, at)| *at == number) {
                push(&mut timeline, reader.audio(0, &header(config)));
            }
            let timestamp = tag.time.as_millis() as u32;
            let media = match tag.kind {
                TagKind::Audio => reader.audio(timestamp, &[&[0xaf, 1][..], &tag.payload].concat().into()),
                TagKind::Video { keyframe } => {
                    let [_, a, b, c] = (tag.composition_offset_us / 1_000).to_be_bytes();
                    let head = [if keyframe { 0x17 } else { 0x27 }, 1, a, b, c];
                    reader.video(timestamp, &[&head[..], &tag.payload].concat().into())
                }
            };
            push(&mut timeline, media);
            events.extend(std::iter::from_fn(|| timeline.poll()));
        }
        timeline.finish();
        events.extend(std::iter::from_fn(|| timeline.poll()));
        events
    }

    /// The same with the sound arriving so many milliseconds earlier than the picture that belongs to it.
    pub fn with_sound_ahead(mut self, millis: i64) -> Self {
        let arrival = |tag: &Tag| tag.time.as_millis() as i64 - if tag.is_video() { 0 } else { millis };
        self.tags.sort_by_key(arrival);
        self
    }

    /// The same with other timestamps.
    pub fn on_clocks(mut self, clock: impl Fn(&Tag) -> u64) -> Self {
        self.tags.iter_mut().for_each(|tag| tag.time = SourceTime::from_millis(clock(tag)));
        self
    }

    pub fn pictures(&self) -> usize {
        self.tags.iter().filter(|tag| tag.is_video()).count()
    }
}

pub fn picture(size: &str, rate: u32, seconds: u32) -> String {
    format!("-f lavfi -i testsrc2=size={size}:rate={rate}:duration={seconds}")
}

pub fn tone(seconds: u32) -> String {
    format!("-f lavfi -i sine=frequency=440:sample_rate=44100:duration={seconds}")
}

pub fn h264(rate: u32) -> String {
    format!("-c:v libx264 -preset ultrafast -tune zerolatency -pix_fmt yuv420p -g {rate} -sc_threshold 0")
}

pub const AAC: &str = "-c:a aac -b:a 96k";
