//! AAC configuration: `AudioSpecificConfig` (ISO/IEC 14496-3 §1.6.2.1).

use crate::bits::{BitReader, OutOfBits};
use crate::error::MediaError;

mod channels;

pub use channels::Speaker;

/// Contents of an `AudioSpecificConfig`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AudioConfig {
    /// Audio object type of the core: 2 is AAC-LC.
    pub object_type: u8,
    pub extension: AacExtension,
    /// Samples a second as decoded, with spectral band replication where it is signalled.
    pub sample_rate: u32,
    /// Channels as decoded; parametric stereo gives two.
    pub channels: u8,
    /// Channels in the order of the configuration's own map, where it has one.
    pub channel_map: Option<Vec<Speaker>>,
    /// Samples a channel in one frame as decoded.
    pub frame_samples: u32,
}

/// How a core of low bit rate is extended (HE-AAC), where the configuration says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AacExtension {
    None,
    /// Spectral band replication: HE-AAC.
    Sbr,
    /// Spectral band replication and parametric stereo: HE-AAC v2.
    ParametricStereo,
}

const HEADER_NAME: &str = "AAC sequence header";
const SBR: u8 = 5;
const PARAMETRIC_STEREO: u8 = 29;
const SYNC_EXTENSION: u32 = 0x2b7;
/// Of 22.2, the largest layout that has a name.
const MAX_CHANNELS: u8 = 24;

impl AudioConfig {
    /// # Errors
    /// A configuration that is cut short or contradicts itself, and kinds of AAC that aren't decoded here (xHE-AAC).
    pub fn parse(config: &[u8]) -> Result<Self, MediaError> {
        let raw = Raw::read_raw(config)
            .map_err(|OutOfBits| MediaError::malformed_header(HEADER_NAME, "it is cut short"))?;
        raw.check_support()
    }

    /// Codec string of RFC 6381 §3.3, such as `mp4a.40.2`.
    pub fn codec(&self) -> String {
        let kind = match self.extension {
            AacExtension::None => self.object_type,
            AacExtension::Sbr => SBR,
            AacExtension::ParametricStereo => PARAMETRIC_STEREO,
        };
        format!("mp4a.40.{kind}")
    }
}

/// The fields as they are written.
struct Raw {
    object_type: u8,
    extension: AacExtension,
    core_rate: Option<u32>,
    extension_rate: Option<u32>,
    channels: Option<u8>,
    channel_map: Option<Vec<Speaker>>,
    short_frames: bool,
}

impl Raw {
    fn read_raw(config: &[u8]) -> Result<Self, OutOfBits> {
        let bits = &mut BitReader::new(config);
        let mut object_type = read_object_type(bits)?;
        let core_rate = read_rate(bits)?;
        let channel_configuration = bits.read_small(4)?;
        let extension = match object_type {
            SBR => AacExtension::Sbr,
            PARAMETRIC_STEREO => AacExtension::ParametricStereo,
            _ => AacExtension::None,
        };
        let mut raw = Self {
            object_type,
            extension,
            core_rate,
            extension_rate: None,
            channels: channels::channel_count(channel_configuration),
            channel_map: None,
            short_frames: false,
        };
        if extension != AacExtension::None {
            raw.extension_rate = read_rate(bits)?;
            object_type = read_object_type(bits)?;
            raw.object_type = object_type;
        }
        if is_decodable(object_type) {
            raw.read_general_audio(bits, channel_configuration == 0)?;
        }
        Ok(raw)
    }

    /// `GASpecificConfig` (§4.4.1) and the extension written after it, which older decoders don't see (§1.6.5).
    fn read_general_audio(
        &mut self,
        bits: &mut BitReader<'_>,
        has_channel_map: bool,
    ) -> Result<(), OutOfBits> {
        self.short_frames = bits.read_flag()?;
        if bits.read_flag()? {
            let _core_coder_delay = bits.read_bits(14)?;
        }
        let _extension_flag = bits.read_flag()?;
        if has_channel_map {
            self.read_channel_map(bits)?;
        } else if self.extension == AacExtension::None && bits.bits_left() >= 16 {
            self.read_sync_extension(bits)?;
        }
        Ok(())
    }

    fn read_channel_map(&mut self, bits: &mut BitReader<'_>) -> Result<(), OutOfBits> {
        let map = channels::read_map(bits)?;
        self.channels = u8::try_from(map.len()).ok();
        self.channel_map = Some(map);
        Ok(())
    }

    fn read_sync_extension(&mut self, bits: &mut BitReader<'_>) -> Result<(), OutOfBits> {
        if bits.read_bits(11)? != SYNC_EXTENSION
            || read_object_type(bits)? != SBR
            || bits.bits_left() == 0
            || !bits.read_flag()?
        {
            return Ok(());
        }
        self.extension = AacExtension::Sbr;
        self.extension_rate = read_rate(bits)?;
        if bits.bits_left() >= 12 && bits.read_bits(11)? == 0x548 && bits.read_flag()? {
            self.extension = AacExtension::ParametricStereo;
        }
        Ok(())
    }

    fn check_support(self) -> Result<AudioConfig, MediaError> {
        if !is_decodable(self.object_type) {
            return Err(match self.object_type {
                42 => MediaError::audio_codec("xHE-AAC audio"),
                0 => MediaError::malformed_header(HEADER_NAME, "it has no object type"),
                other => MediaError::audio_codec(format!("AAC audio of object type {other}")),
            });
        }
        let core_rate = plausible_rate(self.core_rate)?;
        let extended = self.extension != AacExtension::None;
        let sample_rate = if extended { plausible_rate(self.extension_rate)? } else { core_rate };
        let channels = match (self.channels, self.extension) {
            (Some(1), AacExtension::ParametricStereo) => 2,
            (Some(count), _) if count > MAX_CHANNELS => {
                return Err(MediaError::TooManyChannels { max: MAX_CHANNELS });
            }
            (Some(count @ 1..), _) => count,
            _ => return Err(MediaError::malformed_header(HEADER_NAME, "its channels are unknown")),
        };
        let core_samples = if self.short_frames { 960 } else { 1024 };
        let frame_samples = if extended && sample_rate > core_rate { 2 * core_samples } else { core_samples };
        Ok(AudioConfig {
            object_type: self.object_type,
            extension: self.extension,
            sample_rate,
            channels,
            channel_map: self.channel_map,
            frame_samples,
        })
    }
}

/// AAC Main, Low Complexity and Long Term Prediction.
fn is_decodable(object_type: u8) -> bool {
    matches!(object_type, 1 | 2 | 4)
}

fn plausible_rate(rate: Option<u32>) -> Result<u32, MediaError> {
    rate.filter(|rate| (7_350..=96_000).contains(rate))
        .ok_or(MediaError::malformed_header(HEADER_NAME, "its sample rate is unknown"))
}

fn read_object_type(bits: &mut BitReader<'_>) -> Result<u8, OutOfBits> {
    match bits.read_small(5)? {
        31 => Ok(32 + bits.read_small(6)?),
        object_type => Ok(object_type),
    }
}

/// None for a reserved index.
fn read_rate(bits: &mut BitReader<'_>) -> Result<Option<u32>, OutOfBits> {
    const RATES: [u32; 13] = [
        96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000, 7_350,
    ];
    match bits.read_small(4)? {
        15 => bits.read_bits(24).map(Some),
        index => Ok(RATES.get(usize::from(index)).copied()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(bytes: &[u8]) -> AudioConfig {
        AudioConfig::parse(bytes).unwrap()
    }

    #[test]
    fn low_complexity() {
        let config = parse(&[0x11, 0x90]);
        assert_eq!((config.sample_rate, config.channels, config.frame_samples), (48_000, 2, 1024));
        assert_eq!(config.codec(), "mp4a.40.2");
        // As ffmpeg's encoder writes it: with the extension saying that there is no SBR.
        assert_eq!(parse(&[0x12, 0x10, 0x56, 0xe5, 0x00]).codec(), "mp4a.40.2");
        assert_eq!(parse(&[0x12, 0x08]).channels, 1);
    }

    #[test]
    fn high_efficiency_said_first() {
        // Object type 5, core 22,050 Hz, stereo, extended to 44,100 Hz, core type 2.
        let config = parse(&[0x2b, 0x92, 0x08, 0x00]);
        assert_eq!((config.sample_rate, config.channels, config.frame_samples), (44_100, 2, 2048));
        assert_eq!((config.object_type, config.codec().as_str()), (2, "mp4a.40.5"));
    }

    #[test]
    fn parametric_stereo_makes_two_channels_of_one() {
        // Object type 29, core 22,050 Hz, mono, extended to 44,100 Hz, core type 2.
        let config = parse(&[0xeb, 0x8a, 0x08, 0x00]);
        assert_eq!((config.channels, config.codec().as_str()), (2, "mp4a.40.29"));
    }

    #[test]
    fn high_efficiency_said_last() {
        // Core type 2 at 24,000 Hz, stereo; 0x2b7, type 5, present, 48,000 Hz.
        let config = parse(&[0x13, 0x10, 0x56, 0xe5, 0x98]);
        assert_eq!((config.sample_rate, config.extension), (48_000, AacExtension::Sbr));
    }

    #[test]
    fn channels_from_a_map() {
        // Type 2, 48,000 Hz, configuration 0; the map has one front pair and one low frequency channel.
        // 00010 0011 0000 000 | 0000 01 0011 | 0001 0000 0000 01 000 0000 0 0 0 | 1 0000 | 0000
        let bits = "000100011000000000000100110001000000000100000000001000000000";
        let bytes: Vec<u8> = bits
            .as_bytes()
            .chunks(8)
            .map(|c| c.iter().enumerate().fold(0, |byte, (i, b)| byte | (b - b'0') << (7 - i)))
            .collect();
        let map = vec![Speaker::FrontLeft, Speaker::FrontRight, Speaker::LowFrequency];
        assert_eq!((parse(&bytes).channels, parse(&bytes).channel_map), (3, Some(map)));
    }

    #[test]
    fn what_cannot_be_decoded_is_refused() {
        assert_eq!(
            AudioConfig::parse(&[0x12]),
            Err(MediaError::malformed_header(HEADER_NAME, "it is cut short"))
        );
        assert_eq!(AudioConfig::parse(&[0xf9, 0x46, 0x40]), Err(MediaError::audio_codec("xHE-AAC audio")));
        assert!(AudioConfig::parse(&[0x17, 0x10]).is_err(), "a reserved rate");
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes: Vec<u8>) {
            let _ = AudioConfig::parse(&bytes);
        }
    }
}
