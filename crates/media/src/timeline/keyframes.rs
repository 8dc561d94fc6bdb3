//! Whether keyframes come: without one nothing can be shown.

use crate::error::MediaError;
use crate::tag::Tag;
use crate::time::SourceTime;

/// How long a publisher's first keyframe is awaited, in milliseconds of its pictures.
const FIRST_MS: u64 = 5_000;
/// The same where one has come before: longer than encoders' default intervals (250 pictures) at 15 a second.
const NEXT_MS: u64 = 20_000;
/// Pictures that are farther apart count as so far apart.
const LONGEST_STEP_MS: u64 = 1_000;

/// Counts pictures that can't be shown because no keyframe has come.
#[derive(Debug, Default)]
pub(super) struct Keyframes {
    has_come: bool,
    waited_ms: u64,
    last: Option<SourceTime>,
}

impl Keyframes {
    /// `is_shown` says whether pictures can be shown without another keyframe.
    pub(super) fn note(&mut self, tag: &Tag, is_shown: bool) {
        if !tag.is_video() {
            return;
        }
        if tag.is_keyframe() || is_shown {
            self.has_come |= tag.is_keyframe();
            (self.waited_ms, self.last) = (0, None);
            return;
        }
        let step = self.last.map_or(0, |last| tag.time.since(last).min(LONGEST_STEP_MS));
        self.waited_ms += step;
        self.last = Some(tag.time);
    }

    /// # Errors
    /// When none has come for too long.
    pub(super) fn check(&self) -> Result<(), MediaError> {
        let limit_ms = if self.has_come { NEXT_MS } else { FIRST_MS };
        match self.waited_ms < limit_ms {
            true => Ok(()),
            false => Err(MediaError::NoKeyframe { seconds: limit_ms / 1_000 }),
        }
    }
}
