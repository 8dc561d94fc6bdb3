//! Renditions of a period. Those that viewers know stay for the whole broadcast.

use bytes::Bytes;
use headwater_media::{Fitted, Ladder, Period, PeriodStart, Rendition, RenditionKind};

use crate::error::{Error, Result};
use crate::video::{self, FrameRate};

/// Pictures and sound that a period is encoded to.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct RenditionSet {
    /// Best first; empty for a broadcast that never had a picture.
    pub(crate) pictures: Vec<Fitted>,
    pub(crate) sound: bool,
}

/// The renditions of a period that another producer began. Whoever goes on with it makes them alike, or not at all.
#[derive(Clone, Debug)]
pub(crate) struct Model(Vec<(Rendition, Bytes)>);

impl From<PeriodStart> for Model {
    fn from(begun: PeriodStart) -> Self {
        Self(begun.renditions)
    }
}

impl Model {
    pub(crate) fn rendition_set(&self) -> RenditionSet {
        RenditionSet::from_renditions(self.0.iter().map(|(rendition, _)| rendition))
    }

    /// Of its pictures. A producer that measures the source somewhere else may come to another one.
    pub(crate) fn frame_rate(&self) -> Option<FrameRate> {
        self.0.iter().find_map(|(rendition, _)| match rendition.kind {
            RenditionKind::Video { frame_rate, .. } => FrameRate::from_declared(frame_rate),
            RenditionKind::Audio { .. } => None,
        })
    }

    /// With their init segments.
    pub(crate) fn announced_renditions(&self) -> Vec<(Rendition, Bytes)> {
        self.0.clone()
    }
}

impl RenditionSet {
    /// Renditions that a broadcast has shown so far.
    pub(crate) fn from_known(renditions: &[Rendition]) -> Self {
        Self::from_renditions(renditions.iter())
    }

    fn from_renditions<'a>(renditions: impl Iterator<Item = &'a Rendition> + Clone) -> Self {
        let fitted = |rendition: &Rendition| match rendition.kind {
            RenditionKind::Video { width, height, .. } => {
                let name = rendition.id.clone();
                let bitrate = rendition.declared_bitrate;
                Some(Fitted { name, width, height, bitrate })
            }
            RenditionKind::Audio { .. } => None,
        };
        let is_sound = |rendition: &Rendition| matches!(rendition.kind, RenditionKind::Audio { .. });
        Self {
            pictures: renditions.clone().filter_map(fitted).collect(),
            sound: renditions.clone().any(is_sound),
        }
    }

    /// Renditions of the next period: those that its source gives, and those that were there before.
    pub(crate) fn next_set(&self, period: &Period, ladder: &Ladder) -> Result<Self> {
        let pictures = match period.video() {
            Some(record) => {
                let source = video::read_picture(record)?;
                let aspect = source.sample_aspect;
                ladder.renditions_keeping(&self.pictures, source.width, source.height, aspect)
            }
            None => self.pictures.clone(),
        };
        if period.video().is_some() && pictures.is_empty() {
            return Err(Error::Protocol("the ladder has no rungs".into()));
        }
        Ok(Self { pictures, sound: self.sound || period.audio().is_some() })
    }
}
