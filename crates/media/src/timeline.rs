//! Sorts a publisher's messages into periods: the place where every oddity of real encoders is met, so that nothing
//! behind it has to know them.

mod budget;
mod clock;
mod composition;
mod drift;
mod gop;
mod held;
mod keyframes;
mod limits;
mod notice;
mod steady;

use std::collections::VecDeque;
use std::mem;

use bytes::Bytes;

use crate::aac::AudioConfig;
use crate::access_unit::{AccessUnit, Codec, CodecConfiguration, SourceMedia, TrackKind};
use crate::avc::AvcConfig;
use crate::error::MediaError;
use crate::ids::PeriodNumber;
use crate::tag::{Period, Tag, TagKind, TimelineEvent};
use crate::time::{SourceTime, UnixMillis};
pub use budget::{PERIOD_INTERVAL, PeriodBudget};
use clock::{Clock, Step};
use composition::Composition;
pub use composition::MAX_COMPOSITION;
use drift::Drift;
use gop::Gop;
use held::{Held, HeldFrame};
use keyframes::Keyframes;
pub use limits::{Announced, Limits, MAX_TRACK_DISTANCE};
pub use notice::Notice;
use steady::Steady;

/// Turns what a source sends in one connection into [`TimelineEvent`]s.
///
/// A period begins with a keyframe where there is video, otherwise with an audio frame. Within a period the
/// configuration never changes, the decoding times of each track strictly increase, and no audio is presented
/// before the origin. Pictures before it only lead up to it: sound that begins late, or in another format than before,
/// begins a period in the middle of a group of pictures, which is sent once more from its keyframe on. Payloads and
/// configurations are memory of their own, whatever they came in. Call [`poll`](Self::poll) until it gives nothing after
/// every message.
#[derive(Debug)]
pub struct Timeline {
    limits: Limits,
    steady: Steady,
    clock: Clock,
    composition: Composition,
    keyframes: Keyframes,
    announced: Announced,
    /// The newest configuration of each track.
    video: Option<Bytes>,
    audio: Option<Bytes>,
    phase: Phase,
    held: Held,
    /// Of the present period.
    gop: Gop,
    next: PeriodNumber,
    /// The clock of periods that earlier ones have reached, and how far the wall clock was from it there.
    reached: UnixMillis,
    drift: Drift,
    ready: VecDeque<TimelineEvent>,
    left_out: u64,
    notices: VecDeque<Notice>,
}

/// Notices that nobody has asked for; more are left out.
const MAX_NOTICES: usize = 16;

#[derive(Debug)]
enum Phase {
    /// Before the first media: it is not known yet which tracks there are.
    Opening,
    /// The timestamps have jumped; the tracks are known.
    Resuming,
    /// On air. What is held belongs to the next period.
    Running(Running),
}

/// The present period.
#[derive(Debug)]
struct Running {
    video: Option<Bytes>,
    audio: Option<Bytes>,
    origin: SourceTime,
    wall_clock: UnixMillis,
    /// The latest presentation time.
    newest: SourceTime,
}

impl Timeline {
    /// A timeline whose first period has the number `first_period`.
    pub fn new(first_period: PeriodNumber, limits: Limits) -> Self {
        Self {
            limits,
            steady: Steady::new(limits.max_gap_us()),
            clock: Clock::new(limits.max_gap_us(), limits.hold_bytes),
            composition: Composition::default(),
            keyframes: Keyframes::default(),
            announced: Announced::Nothing,
            video: None,
            audio: None,
            phase: Phase::Opening,
            held: Held::default(),
            gop: Gop::default(),
            next: first_period,
            reached: UnixMillis(0),
            drift: Drift::default(),
            ready: VecDeque::new(),
            left_out: 0,
            notices: VecDeque::new(),
        }
    }

    /// Takes what the source sent at `now`.
    ///
    /// # Errors
    /// Media that can't be taken. The text is meant for the broadcaster; the timeline stays as it was.
    pub fn push(&mut self, now: UnixMillis, media: SourceMedia) -> Result<(), MediaError> {
        match media {
            SourceMedia::Configuration(CodecConfiguration { codec: Codec::H264, record }) => {
                self.configure_video(record)?;
                self.keyframes.check_waiting()
            }
            SourceMedia::Configuration(CodecConfiguration { codec: Codec::Aac, record }) => {
                self.configure_audio(record)
            }
            SourceMedia::AccessUnit(unit) => {
                let kind = unit.kind;
                self.push_unit(now, unit);
                if kind == TrackKind::Video { self.keyframes.check_waiting() } else { Ok(()) }
            }
        }
    }

    /// Without a configuration no access unit can be decoded.
    fn push_unit(&mut self, now: UnixMillis, unit: AccessUnit) {
        let is_configured = match unit.kind {
            TrackKind::Video => self.video.is_some(),
            TrackKind::Audio => self.audio.is_some(),
        };
        if !is_configured {
            return;
        }
        let payload = copy_apart(&unit.payload);
        let tag = match unit.kind {
            TrackKind::Video => Tag {
                track: Period::VIDEO_TRACK,
                kind: TagKind::Video { keyframe: unit.keyframe },
                time: SourceTime(0),
                composition_offset_us: self.compose_offset(unit.keyframe, unit.composition_offset_us),
                drift: 0,
                payload,
            },
            TrackKind::Audio => Tag {
                track: Period::AUDIO_TRACK,
                kind: TagKind::Audio,
                time: SourceTime(0),
                composition_offset_us: 0,
                drift: 0,
                payload,
            },
        };
        self.take_frame(now, unit.decoding_time_us, tag);
    }

    /// Takes what the publisher's metadata says about its tracks.
    pub fn push_metadata(&mut self, announced: Announced) {
        self.announced = announced;
        self.start_if_ready();
    }

    /// No more messages will come: what was held back is let go.
    pub fn finish(&mut self) {
        self.clock.release_aside();
        self.follow_clock();
        if !matches!(self.phase, Phase::Running(_)) {
            self.start_period(self.video.is_some() && self.held.first_keyframe().is_some());
        }
    }

    /// Takes the next event.
    pub fn poll(&mut self) -> Option<TimelineEvent> {
        self.ready.pop_front()
    }

    /// Jumps of the publisher's clock that came so often that they were taken out of it.
    pub fn rebased(&self) -> u64 {
        self.steady.rebased_jumps()
    }

    /// Frames that were left out, as their configuration came too soon after another one.
    pub fn left_out(&self) -> u64 {
        self.left_out
    }

    /// Takes the next notice, which the publisher should hear of once.
    pub fn poll_notice(&mut self) -> Option<Notice> {
        self.notices.pop_front()
    }

    fn compose_offset(&mut self, keyframe: bool, offset: i64) -> i32 {
        let (offset, notice) = self.composition.read_offset(keyframe, offset);
        self.push_notice(notice);
        offset
    }

    fn push_notice(&mut self, notice: Option<Notice>) {
        if self.notices.len() < MAX_NOTICES {
            self.notices.extend(notice);
        }
    }

    fn configure_video(&mut self, config: Bytes) -> Result<(), MediaError> {
        if self.video.as_ref() == Some(&config) {
            return Ok(());
        }
        let parsed = AvcConfig::parse(&config)?;
        let before = self.video.as_ref().and_then(|before| AvcConfig::parse(before).ok());
        if before.is_some_and(|before| before.decodes_like(&parsed)) {
            return Ok(());
        }
        let picture = parsed.picture()?;
        let Limits { max_width, max_height, .. } = self.limits;
        if picture.width > max_width || picture.height > max_height {
            let width = picture.width;
            let height = picture.height;
            return Err(MediaError::PictureTooLarge { width, height, max_width, max_height });
        }
        self.video = Some(copy_apart(&config));
        self.held.drop_video();
        self.gop.clear_pictures();
        self.clock.forget_aside(TrackKind::Video);
        Ok(())
    }

    fn configure_audio(&mut self, config: Bytes) -> Result<(), MediaError> {
        let parsed = AudioConfig::parse(&config)?;
        if self.audio.as_ref().is_some_and(|before| differs_by_padding(before, &config, parsed)) {
            return Ok(());
        }
        self.audio = Some(copy_apart(&config));
        self.held.drop_audio();
        self.clock.forget_aside(TrackKind::Audio);
        Ok(())
    }

    /// Takes a frame whose time is still to be read.
    fn take_frame(&mut self, received: UnixMillis, timestamp: i64, tag: Tag) {
        let frame = HeldFrame { received, tag };
        let timestamp = self.steady.read_timestamp(frame.track_kind(), timestamp);
        self.clock.push_frame(timestamp, frame);
        self.follow_clock();
    }

    fn follow_clock(&mut self) {
        while let Some(step) = self.clock.poll() {
            match step {
                Step::Frame(frame) => self.take_step(frame),
                Step::Leave => self.leave_timeline(),
                Step::Moved { track, by_us } => {
                    self.push_notice(Some(Notice::track_moved(track, by_us / 1_000)))
                }
            }
        }
    }

    fn take_step(&mut self, HeldFrame { received, tag }: HeldFrame) {
        self.keyframes.note_tag(&tag, self.shows_video());
        if matches!(self.phase, Phase::Running(_)) {
            self.run(received, tag);
        } else {
            self.held.push_frame(received, tag, &self.limits);
            self.start_if_ready();
        }
    }

    /// Whether pictures of the newest configuration belong to the present period, or to the next one that begins; and the
    /// sound that comes with them does, too.
    fn shows_video(&self) -> bool {
        match &self.phase {
            // In a group of pictures that is too long to be kept, new sound waits for the next one.
            Phase::Running(period) => {
                period.video == self.video && !(self.new_sound_waits(period) && self.gop.is_empty())
            }
            Phase::Opening | Phase::Resuming => self.held.first_keyframe().is_some(),
        }
    }

    /// Forgets the timeline up to here.
    fn leave_timeline(&mut self) {
        self.held = Held::default();
        self.gop.clear_pictures();
        if let Phase::Running(period) = &self.phase {
            self.reached = period.reached_clock();
            self.phase = Phase::Resuming;
        }
    }

    fn run(&mut self, now: UnixMillis, tag: Tag) {
        let Phase::Running(period) = &mut self.phase else { return };
        let same_video = period.video == self.video;
        let same_audio = period.audio == self.audio;
        // A track that is new counts once its first frame is there.
        let audio_due = !same_audio && (period.audio.is_some() || !self.held.is_empty());
        let has_video = period.video.is_some();
        match tag.kind {
            TagKind::Video { keyframe: true } if (!same_video || audio_due) && self.steady.may_begin() => {
                self.restart_period(now, tag, true);
            }
            TagKind::Video { .. }
                if same_video && audio_due && self.may_begin_within(&tag) && self.steady.may_begin() =>
            {
                self.begin_within(now, tag);
            }
            TagKind::Video { .. } if same_video => self.admit_tag(Some(now), tag),
            TagKind::Audio if same_audio => self.admit_tag(Some(now), tag),
            TagKind::Audio if has_video => self.held.push_frame(now, tag, &self.limits),
            TagKind::Audio if self.steady.may_begin() => self.restart_period(now, tag, false),
            // Of a new configuration: not decodable before its first keyframe, or too soon after another one.
            TagKind::Video { .. } | TagKind::Audio => self.left_out += 1,
        }
    }

    /// Admits a tag. A tag that was held tells nothing of the clocks any more: its time of arrival is not known here.
    fn admit_tag(&mut self, received: Option<UnixMillis>, mut tag: Tag) {
        let Phase::Running(period) = &mut self.phase else { return };
        let clock = period.clock_at(tag.presentation_time());
        tag.drift =
            received.map_or(self.drift.shown_drift(), |received| self.drift.read_drift(clock, received));
        if tag.is_video() {
            self.gop.push_picture(&tag, self.limits.hold_bytes);
        }
        self.ready.extend(period.admit_tag(tag));
    }

    /// Whether a period with new sound can begin with this picture: it is shown after all before it, and what it is decoded
    /// from is there.
    fn may_begin_within(&self, tag: &Tag) -> bool {
        let Phase::Running(period) = &self.phase else { return false };
        self.new_sound_waits(period) && !self.gop.is_empty() && tag.presentation_time() > period.newest
    }

    /// Whether there is sound of another configuration than the period's.
    fn new_sound_waits(&self, period: &Running) -> bool {
        period.audio != self.audio && self.held.has_sound()
    }

    /// Sound has come that the present period can't have: the next one begins with this picture, without waiting for a
    /// keyframe.
    fn begin_within(&mut self, received: UnixMillis, tag: Tag) {
        if let Phase::Running(period) = &self.phase {
            self.reached = period.reached_clock();
        }
        let lead_in = mem::take(&mut self.gop).into_pictures();
        let sound = mem::take(&mut self.held).into_audio();
        let running = self.make_running(true, tag.presentation_time(), received);
        self.begin_period(running, lead_in.into_iter().chain([tag]).chain(sound));
    }

    fn restart_period(&mut self, now: UnixMillis, first: Tag, with_video: bool) {
        if let Phase::Running(period) = &self.phase {
            self.reached = period.reached_clock();
        }
        self.held.push_frame(now, first, &self.limits);
        self.start_period(with_video);
    }

    fn start_if_ready(&mut self) {
        let headers = (self.video.is_some(), self.audio.is_some());
        let complete = match (&self.phase, self.announced) {
            (Phase::Running(_), _) => return,
            (Phase::Resuming, _) => true,
            (Phase::Opening, Announced::VideoOnly) => headers.0,
            (Phase::Opening, Announced::AudioOnly) => headers.1,
            (Phase::Opening, Announced::Nothing | Announced::Both) => headers == (true, true),
        };
        let is_picture_due = self.video.is_some() && !self.held.video_seen();
        let full = self.held.is_full(&self.limits, is_picture_due);
        if complete || full {
            // A header alone is no picture: after a while the audio goes without it.
            self.start_period(self.video.is_some() && (self.held.video_seen() || !full));
        }
    }

    /// Begins a period with the first frame that is held and can begin one; does nothing when there is none.
    fn start_period(&mut self, with_video: bool) {
        let index = if with_video { self.held.first_keyframe() } else { self.held.first_audio() };
        let Some((first, rest)) = index.and_then(|index| mem::take(&mut self.held).split_at(index)) else {
            return;
        };
        let running = self.make_running(with_video, first.tag.presentation_time(), first.received);
        self.begin_period(running, [first].into_iter().chain(rest).map(|frame| frame.tag));
    }

    fn make_running(&mut self, with_video: bool, origin: SourceTime, received: UnixMillis) -> Running {
        let video = if with_video { self.video.clone() } else { None };
        let wall_clock = self.drift.period_clock(received).max(self.reached);
        self.drift.begin_period(wall_clock, received);
        Running { video, audio: self.audio.clone(), origin, wall_clock, newest: origin }
    }

    fn begin_period(&mut self, period: Running, tags: impl Iterator<Item = Tag>) {
        self.ready.push_back(TimelineEvent::Period(period.describe_period(self.next)));
        self.next = self.next.next();
        self.gop.clear_pictures();
        self.phase = Phase::Running(period);
        tags.for_each(|tag| self.admit_tag(None, tag));
    }
}

/// Whether two audio headers say the same, and one of them only goes on with bytes that say nothing.
fn differs_by_padding(before: &Bytes, config: &Bytes, parsed: AudioConfig) -> bool {
    let is_longer = before.starts_with(config) || config.starts_with(before);
    is_longer && AudioConfig::parse(before).is_ok_and(|before| before == parsed)
}

/// In memory of its own: a slice would hold on to all that was received with it (a block of other messages, an aggregate,
/// other tracks), for as long as it is kept.
fn copy_apart(slice: &Bytes) -> Bytes {
    Bytes::copy_from_slice(slice)
}

impl Running {
    fn describe_period(&self, number: PeriodNumber) -> Period {
        Period {
            number,
            first_sequence: None,
            origin: self.origin,
            wall_clock: self.wall_clock,
            tracks: Period::tracks_of(self.video.clone(), self.audio.clone()),
        }
    }

    /// The tag as an event, unless it is audio from before the origin.
    fn admit_tag(&mut self, tag: Tag) -> Option<TimelineEvent> {
        let time = tag.presentation_time();
        self.newest = self.newest.max(time);
        (tag.is_video() || time >= self.origin).then_some(TimelineEvent::Tag(tag))
    }

    /// The period's clock at the latest frame.
    fn reached_clock(&self) -> UnixMillis {
        self.clock_at(self.newest)
    }

    /// The period's clock when a frame of this time has come, which may be one of those that come out of order.
    fn clock_at(&self, time: SourceTime) -> UnixMillis {
        UnixMillis(self.wall_clock.0 + self.newest.max(time).since(self.origin).as_millis() as u64)
    }
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
