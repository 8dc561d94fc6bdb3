//! Whether keyframes come: without one nothing can be shown.

use std::time::Duration;

use crate::error::MediaError;
use crate::tag::Tag;
use crate::time::SourceTime;

/// How long a publisher's first keyframe is awaited, by the time of its pictures.
const FIRST_TIMEOUT: Duration = Duration::from_secs(5);
/// The same where one has come before: longer than encoders' default intervals (250 pictures) at 15 a second.
const NEXT_TIMEOUT: Duration = Duration::from_secs(20);
/// Pictures that are farther apart count as so far apart.
const MAX_STEP: Duration = Duration::from_secs(1);

/// Counts pictures that can't be shown because no keyframe has come.
#[derive(Debug, Default)]
pub(super) struct Keyframes {
    has_come: bool,
    waited: Duration,
    last: Option<SourceTime>,
}

impl Keyframes {
    /// `is_shown` says whether pictures can be shown without another keyframe.
    pub(super) fn note_tag(&mut self, tag: &Tag, is_shown: bool) {
        if !tag.is_video() {
            return;
        }
        if tag.is_keyframe() || is_shown {
            self.has_come |= tag.is_keyframe();
            (self.waited, self.last) = (Duration::ZERO, None);
            return;
        }
        let step = self.last.map_or(Duration::ZERO, |last| tag.time.since(last).min(MAX_STEP));
        self.waited += step;
        self.last = Some(tag.time);
    }

    /// # Errors
    /// When none has come for too long.
    pub(super) fn check_waiting(&self) -> Result<(), MediaError> {
        let limit = if self.has_come { NEXT_TIMEOUT } else { FIRST_TIMEOUT };
        if self.waited < limit {
            return Ok(());
        }
        Err(MediaError::NoKeyframe { seconds: limit.as_secs() })
    }
}
