//! Frames that wait for their period to begin. Bounded in time and bytes.

use std::collections::VecDeque;
use std::time::Duration;

use super::limits::{Limits, MAX_TRACK_DISTANCE};
use crate::access_unit::TrackKind;
use crate::tag::Tag;
use crate::time::{SourceTime, UnixMillis};

#[derive(Clone, Debug)]
pub(super) struct HeldFrame {
    pub(super) received: UnixMillis,
    pub(super) tag: Tag,
}

impl HeldFrame {
    pub(super) fn track_kind(&self) -> TrackKind {
        if self.tag.is_video() { TrackKind::Video } else { TrackKind::Audio }
    }
}

/// Audio, and video from a keyframe on.
#[derive(Debug, Default)]
pub(super) struct Held {
    frames: VecDeque<HeldFrame>,
    bytes: usize,
    /// Times of the first and the newest frame seen since it was empty, whether held or not.
    span: Option<(SourceTime, SourceTime)>,
    video_seen: bool,
}

impl Held {
    /// Takes a frame in. Video before the first keyframe can't be shown and is only noted; while there is no
    /// keyframe the oldest audio gives way, as no picture that far behind is believed.
    pub(super) fn push_frame(&mut self, received: UnixMillis, tag: Tag, limits: &Limits) {
        let (first, newest) = self.span.unwrap_or((tag.time, tag.time));
        self.span = Some((first, newest.max(tag.time)));
        self.video_seen |= tag.is_video();
        if tag.is_video() && !tag.is_keyframe() && self.first_keyframe().is_none() {
            return;
        }
        self.bytes += tag.memory_cost();
        self.frames.push_back(HeldFrame { received, tag });
        if self.first_keyframe().is_none() {
            self.trim_frames(limits);
        }
    }

    /// Whether one of the limits is reached: nothing more can be waited for.
    pub(super) fn is_full(&self, limits: &Limits, is_picture_due: bool) -> bool {
        let length = self.span.map_or(Duration::ZERO, |(first, newest)| newest.since(first));
        let limit = Duration::from_millis(if is_picture_due { limits.picture_ms } else { limits.hold_ms });
        length >= limit || self.bytes >= limits.hold_bytes
    }

    pub(super) fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    pub(super) fn has_sound(&self) -> bool {
        self.first_audio().is_some()
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.frames.len()
    }

    /// Whether any video came, with a keyframe or not.
    pub(super) fn video_seen(&self) -> bool {
        self.video_seen
    }

    pub(super) fn first_keyframe(&self) -> Option<usize> {
        self.frames.iter().position(|frame| frame.tag.is_keyframe())
    }

    pub(super) fn first_audio(&self) -> Option<usize> {
        self.frames.iter().position(|frame| !frame.tag.is_video())
    }

    /// The frame at `index`, and the frames that may follow it: all audio, and the video received after it.
    pub(super) fn split_at(mut self, index: usize) -> Option<(HeldFrame, impl Iterator<Item = HeldFrame>)> {
        let first = self.frames.remove(index)?;
        let rest = self.frames.into_iter().enumerate();
        let rest =
            rest.filter(move |(at, frame)| *at >= index || !frame.tag.is_video()).map(|(_, frame)| frame);
        Some((first, rest))
    }

    pub(super) fn into_audio(self) -> impl Iterator<Item = Tag> {
        self.frames.into_iter().map(|frame| frame.tag).filter(|tag| !tag.is_video())
    }

    /// Forgets the video: its configuration has changed.
    pub(super) fn drop_video(&mut self) {
        self.retain_frames(|tag| !tag.is_video());
    }

    /// Forgets the audio: its configuration has changed.
    pub(super) fn drop_audio(&mut self) {
        self.retain_frames(Tag::is_video);
    }

    fn retain_frames(&mut self, kept: impl Fn(&Tag) -> bool) {
        self.frames.retain(|frame| kept(&frame.tag));
        self.bytes = self.frames.iter().map(|frame| frame.tag.memory_cost()).sum();
    }

    fn trim_frames(&mut self, limits: &Limits) {
        while let Some(front) = self.frames.front() {
            let age = self.span.map_or(Duration::ZERO, |(_, newest)| newest.since(front.tag.time));
            if age <= MAX_TRACK_DISTANCE && self.bytes <= limits.hold_bytes {
                return;
            }
            self.bytes -= front.tag.memory_cost();
            self.frames.pop_front();
        }
    }
}
