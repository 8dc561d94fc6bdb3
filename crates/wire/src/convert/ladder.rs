//! The ladder, as a worker is told it.

use headwater_media::ladder::{Ladder, Rung};

use super::{ConvertError, invalid_field};
use crate::v2;

impl From<Ladder> for v2::Ladder {
    fn from(ladder: Ladder) -> Self {
        Self {
            rungs: ladder.rungs.into_iter().map(Into::into).collect(),
            preset: ladder.preset,
            crf: ladder.crf,
            max_frame_rate: ladder.max_frame_rate,
            audio_bitrate: ladder.audio_bitrate,
        }
    }
}

impl TryFrom<v2::Ladder> for Ladder {
    type Error = ConvertError;
    fn try_from(message: v2::Ladder) -> Result<Self, ConvertError> {
        Ok(Self {
            rungs: message.rungs.into_iter().map(TryInto::try_into).collect::<Result<_, _>>()?,
            preset: message.preset,
            crf: message.crf,
            max_frame_rate: message.max_frame_rate,
            audio_bitrate: message.audio_bitrate,
        })
    }
}

impl From<Rung> for v2::ladder::Rung {
    fn from(rung: Rung) -> Self {
        Self { name: rung.name.to_string(), width: rung.width, height: rung.height, bitrate: rung.bitrate }
    }
}

impl TryFrom<v2::ladder::Rung> for Rung {
    type Error = ConvertError;
    fn try_from(rung: v2::ladder::Rung) -> Result<Self, ConvertError> {
        let name = rung.name.parse().map_err(|error| invalid_field("rungs.name", error))?;
        Ok(Self { name, width: rung.width, height: rung.height, bitrate: rung.bitrate })
    }
}
