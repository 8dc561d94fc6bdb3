//! The adaptive ladder: what an operator asks for, and what a source of a given size gets of it.

mod fit;
mod rung;

use crate::ids::RenditionId;

pub use fit::Fitted;

/// Rung as configured: the box that the picture must fit into. Written `1280x720@2800k`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rung {
    /// The rendition's name, such as `720p`.
    pub name: RenditionId,
    /// Pixels; turned for a portrait source.
    pub width: u32,
    pub height: u32,
    /// Bits a second that the encoder is held to.
    pub bitrate: u32,
}

/// Ladder: rungs of video, and the sound beside them.
#[derive(Clone, Debug, PartialEq)]
pub struct Ladder {
    /// Best first.
    pub rungs: Vec<Rung>,
    /// An x264 speed preset.
    pub preset: String,
    /// Constant rate factor of x264; the rung's bit rate is the ceiling.
    pub crf: f64,
    /// Frames a second at most.
    pub max_frame_rate: u32,
    /// Bits a second of the AAC audio.
    pub audio_bitrate: u32,
}

/// Error of a ladder or a rung.
#[derive(Clone, Debug, thiserror::Error, PartialEq)]
pub enum LadderError {
    #[error("a rung is written WIDTHxHEIGHT@BITRATE, as in \"1280x720@2800k\", not \"{0}\"")]
    Syntax(String),
    #[error("{width}x{height}: both sides of a rung must be even and from {MIN_SIDE} to {MAX_SIDE} pixels")]
    Size { width: u32, height: u32 },
    #[error("{0}: a rung's bit rate must be from 50k to 100M bits a second")]
    Bitrate(u32),
    #[error("a ladder has 1 to {MAX_RUNGS} rungs, not {0}")]
    Count(usize),
    #[error("two rungs are named \"{0}\": names must differ")]
    Name(RenditionId),
    #[error("the rung \"{0}\" is larger than the one before it: the best comes first")]
    Order(RenditionId),
    #[error(
        "\"{0}\" is not an x264 preset: use one of ultrafast, superfast, veryfast, faster, fast, medium, slow"
    )]
    Preset(String),
    #[error("the rate factor (crf) must be from 1 to 51, not {0}")]
    RateFactor(f64),
    #[error("the highest frame rate must be from 1 to 240, not {0}")]
    FrameRate(u32),
    #[error("the audio bit rate must be from 16000 to 512000 bits a second, not {0}")]
    AudioBitrate(u32),
}

/// More rungs than this no machine encodes and no player needs.
const MAX_RUNGS: usize = 8;
/// Side of the smallest picture that is encoded, in pixels: one macroblock.
const MIN_SIDE: u32 = 16;
const MAX_SIDE: u32 = 4096;
/// The slower presets of x264 are not for live encoding.
const PRESETS: [&str; 7] = ["ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow"];

impl Default for Ladder {
    fn default() -> Self {
        let rungs = ["1280x720@2800k", "854x480@1400k", "640x360@800k"];
        Self {
            rungs: rungs
                .iter()
                .map(|text| text.parse().expect("the default rungs are well-formed"))
                .collect(),
            preset: "veryfast".to_owned(),
            crf: 20.0,
            max_frame_rate: 60,
            audio_bitrate: 128_000,
        }
    }
}

impl Ladder {
    /// Checks everything that the types leave open.
    ///
    /// # Errors
    /// Every mistake at once, for whoever wrote the configuration.
    pub fn validate(&self) -> Result<(), Vec<LadderError>> {
        let mistakes: Vec<_> = self.rung_mistakes().chain(self.setting_mistakes()).collect();
        if mistakes.is_empty() { Ok(()) } else { Err(mistakes) }
    }

    fn rung_mistakes(&self) -> impl Iterator<Item = LadderError> {
        let count = self.rungs.len();
        let counted = (!(1..=MAX_RUNGS).contains(&count)).then_some(LadderError::Count(count));
        let single = self.rungs.iter().filter_map(|rung| rung.check_rung().err());
        let named = self.rungs.iter().enumerate().filter_map(|(at, rung)| {
            let taken = self.rungs[..at].iter().any(|before| before.name == rung.name);
            taken.then(|| LadderError::Name(rung.name.clone()))
        });
        let larger = self.rungs.windows(2).filter(|pair| pair[1].pixel_count() > pair[0].pixel_count());
        let ordered = larger.map(|pair| LadderError::Order(pair[1].name.clone()));
        counted.into_iter().chain(single).chain(named).chain(ordered)
    }

    fn setting_mistakes(&self) -> impl Iterator<Item = LadderError> {
        let preset =
            (!PRESETS.contains(&self.preset.as_str())).then(|| LadderError::Preset(self.preset.clone()));
        let crf = (!(1.0..=51.0).contains(&self.crf)).then_some(LadderError::RateFactor(self.crf));
        let rate = self.max_frame_rate;
        let rate = (!(1..=240).contains(&rate)).then_some(LadderError::FrameRate(rate));
        let audio = self.audio_bitrate;
        let audio = (!(16_000..=512_000).contains(&audio)).then_some(LadderError::AudioBitrate(audio));
        [preset, crf, rate, audio].into_iter().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_what_the_documentation_says() {
        let ladder = Ladder::default();
        let rungs: Vec<_> =
            ladder.rungs.iter().map(|r| (r.name.as_str(), r.width, r.height, r.bitrate)).collect();
        assert_eq!(
            rungs,
            [("720p", 1280, 720, 2_800_000), ("480p", 854, 480, 1_400_000), ("360p", 640, 360, 800_000)]
        );
        assert_eq!(ladder.validate(), Ok(()));
    }

    #[test]
    fn every_mistake_is_reported_at_once() {
        let mut ladder =
            Ladder { preset: "placebo".into(), crf: f64::NAN, max_frame_rate: 0, ..Ladder::default() };
        ladder.rungs.swap(0, 1);
        ladder.rungs[2].name = "720p".parse().unwrap();
        ladder.rungs[2].width = 641;
        ladder.audio_bitrate = 1;
        let mistakes = ladder.validate().unwrap_err();
        assert_eq!(mistakes.len(), 7, "{mistakes:?}");
        assert!(mistakes.contains(&LadderError::Size { width: 641, height: 360 }));
        assert!(mistakes.contains(&LadderError::Name("720p".parse().unwrap())));
        assert!(mistakes.contains(&LadderError::Order("720p".parse().unwrap())));
        ladder.rungs.clear();
        assert!(ladder.validate().unwrap_err().contains(&LadderError::Count(0)));
    }
}
