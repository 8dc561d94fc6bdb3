//! Which renditions a period has. Those that viewers know stay for the whole broadcast.

use headwater_hls::{Rendition, RenditionKind};
use headwater_media::{Fitted, Ladder, Period};

use crate::error::{Error, Result};
use crate::video;

#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Cast {
    /// Best first; empty for a broadcast that never had a picture.
    pub(crate) pictures: Vec<Fitted>,
    pub(crate) sound: bool,
}

impl Cast {
    /// What a broadcast has shown so far.
    pub(crate) fn known(renditions: &[Rendition]) -> Self {
        let fitted = |rendition: &Rendition| match rendition.kind {
            RenditionKind::Video { width, height, .. } => {
                let (name, bitrate) = (rendition.id.clone(), rendition.declared_bitrate);
                Some(Fitted { name, width, height, bitrate })
            }
            RenditionKind::Audio { .. } => None,
        };
        let is_sound = |rendition: &Rendition| matches!(rendition.kind, RenditionKind::Audio { .. });
        Self {
            pictures: renditions.iter().filter_map(fitted).collect(),
            sound: renditions.iter().any(is_sound),
        }
    }

    /// What the next period shows: what its source gives, and what was there before.
    pub(crate) fn follow(&self, period: &Period, ladder: &Ladder) -> Result<Self> {
        let pictures = match &period.video {
            Some(record) => {
                let source = video::picture(record)?;
                let aspect = source.sample_aspect;
                ladder.renditions_keeping(&self.pictures, source.width, source.height, aspect)
            }
            None => self.pictures.clone(),
        };
        if period.video.is_some() && pictures.is_empty() {
            return Err(Error::Protocol("the ladder has no rungs".into()));
        }
        Ok(Self { pictures, sound: self.sound || period.audio.is_some() })
    }
}
