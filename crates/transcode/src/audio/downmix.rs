//! Good stereo of every layout that a publisher may send.

use headwater_media::aac::Speaker;

use super::clock::CHANNELS;

/// Gains of a decoded channel to the left and to the right side.
type Gain = [f32; CHANNELS];

/// -3 dB: half of the power.
const HALF_POWER_GAIN: f32 = std::f32::consts::FRAC_1_SQRT_2;
/// Between the centre and a side, at the same power.
const NEAR_SIDE_GAIN: f32 = 0.92;
const FAR_SIDE_GAIN: f32 = 0.38;
/// From here on what is added up from several channels is bent instead of cut off.
const KNEE_LEVEL: f32 = 0.8;

/// Mixes decoded channels to stereo as ITU-R BS.775 does: the front sides as they are, the centre and the surround
/// channels at -3 dB, no low frequency effects. Levels stay those of the source; where several channels together are
/// louder than full scale, only those peaks are pressed down. Stereo passes untouched.
#[derive(Debug)]
pub(super) enum Downmix {
    Stereo,
    Mixed(Vec<Gain>),
}

impl Downmix {
    /// For channels in this order.
    pub(super) fn new(speakers: &[Speaker]) -> Self {
        match speakers {
            [Speaker::FrontLeft, Speaker::FrontRight] => Self::Stereo,
            [_] => Self::Mixed(vec![[1.0, 1.0]]),
            speakers => Self::Mixed(speakers.iter().copied().map(speaker_gain).collect()),
        }
    }

    /// Interleaved samples of all channels, as interleaved samples of two.
    pub(super) fn mix_samples(&self, samples: Vec<f32>) -> Vec<f32> {
        match self {
            Self::Stereo => samples,
            Self::Mixed(gains) => {
                samples.chunks_exact(gains.len()).flat_map(|frame| sum_channels(frame, gains)).collect()
            }
        }
    }
}

fn sum_channels(frame: &[f32], gains: &[Gain]) -> [f32; CHANNELS] {
    let side = |side: usize| frame.iter().zip(gains).map(|(sample, gain)| sample * gain[side]).sum();
    match gains.len() {
        1 => [side(0), side(1)],
        _ => [bend_peak(side(0)), bend_peak(side(1))],
    }
}

/// Never beyond full scale, and unchanged below the knee.
fn bend_peak(sample: f32) -> f32 {
    let above = sample.abs() - KNEE_LEVEL;
    if above <= 0.0 {
        return sample;
    }
    let room = 1.0 - KNEE_LEVEL;
    (KNEE_LEVEL + room * (above / room).tanh()).copysign(sample)
}

fn speaker_gain(speaker: Speaker) -> Gain {
    match speaker {
        Speaker::FrontLeft => [1.0, 0.0],
        Speaker::FrontRight => [0.0, 1.0],
        Speaker::FrontCentre => [HALF_POWER_GAIN, HALF_POWER_GAIN],
        Speaker::NearLeft => [NEAR_SIDE_GAIN, FAR_SIDE_GAIN],
        Speaker::NearRight => [FAR_SIDE_GAIN, NEAR_SIDE_GAIN],
        Speaker::SurroundLeft => [HALF_POWER_GAIN, 0.0],
        Speaker::SurroundRight => [0.0, HALF_POWER_GAIN],
        Speaker::SurroundCentre => [HALF_POWER_GAIN * HALF_POWER_GAIN, HALF_POWER_GAIN * HALF_POWER_GAIN],
        Speaker::LowFrequency => [0.0, 0.0],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Speaker::{FrontCentre, FrontLeft, FrontRight, LowFrequency};

    #[test]
    fn stereo_is_untouched_and_mono_is_on_both_sides() {
        assert_eq!(Downmix::new(&[FrontLeft, FrontRight]).mix_samples(vec![1.5, -2.0]), [1.5, -2.0]);
        assert_eq!(Downmix::new(&[FrontCentre]).mix_samples(vec![0.9, -0.9]), [0.9, 0.9, -0.9, -0.9]);
    }

    #[test]
    fn a_cut_frame_at_the_end_is_left_out() {
        let mix = Downmix::new(&[FrontLeft, FrontRight, LowFrequency]);
        assert_eq!(mix.mix_samples(vec![0.5, 0.25, 1.0, 0.5]), [0.5, 0.25]);
    }

    #[test]
    fn peaks_stay_within_full_scale_and_keep_their_order() {
        let bent: Vec<_> = (0..50).map(|n| bend_peak(n as f32 / 10.0)).collect();
        assert!(bent.windows(2).all(|pair| pair[0] <= pair[1]) && bent.iter().all(|sample| *sample <= 1.0));
        assert_eq!((bent[5], super::bend_peak(-0.8)), (0.5, -0.8));
    }
}
