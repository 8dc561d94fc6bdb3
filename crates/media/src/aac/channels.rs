//! Channels: how many a configuration has, and where they are heard.

use crate::bits::{BitReader, OutOfBits};

/// Position that a channel is heard from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speaker {
    FrontLeft,
    FrontRight,
    FrontCentre,
    /// Between the centre and a front side.
    NearLeft,
    NearRight,
    /// Beside or behind the listener, or above.
    SurroundLeft,
    SurroundRight,
    SurroundCentre,
    LowFrequency,
}

use Speaker::{
    FrontCentre, FrontLeft, FrontRight, LowFrequency, NearLeft, NearRight, SurroundCentre, SurroundLeft,
    SurroundRight,
};

/// Channels by `channelConfiguration` (ISO/IEC 14496-3 §1.6.3.5, table 1.19); none for a map and what is reserved.
pub(super) fn channel_count(configuration: u8) -> Option<u8> {
    match configuration {
        1..=6 => Some(configuration),
        7 | 12 | 14 => Some(8),
        11 => Some(7),
        13 => Some(24),
        _ => None,
    }
}

/// Elements of one position in a map: whether each is a pair.
type Elements = Vec<bool>;

/// The channels of a `program_config_element` (§4.4.1.1), in its order.
pub(super) fn read_map(bits: &mut BitReader<'_>) -> Result<Vec<Speaker>, OutOfBits> {
    let _tag_profile_and_rate = bits.read_bits(10)?;
    let counts = [bits.read_bits(4)?, bits.read_bits(4)?, bits.read_bits(4)?];
    let low_frequency = usize::from(bits.read_small(2)?);
    let _associated_and_coupling = bits.read_bits(7)?;
    for mixdown_bits in [4, 4, 3] {
        if bits.read_flag()? {
            bits.read_bits(mixdown_bits)?;
        }
    }
    let [front, side, back] =
        [read_elements(bits, counts[0])?, read_elements(bits, counts[1])?, read_elements(bits, counts[2])?];
    let mut speakers = self::front_speakers(&front);
    // Nobody has a single speaker at the side; ffmpeg writes the low frequency channel of 5.1 like that.
    speakers.extend(surround_speakers(&side, LowFrequency));
    speakers.extend(surround_speakers(&back, SurroundCentre));
    speakers.extend(std::iter::repeat_n(LowFrequency, low_frequency));
    Ok(speakers)
}

fn read_elements(bits: &mut BitReader<'_>, count: u32) -> Result<Elements, OutOfBits> {
    let mut element = || {
        let is_pair = bits.read_flag()?;
        bits.read_bits(4).map(|_tag| is_pair)
    };
    (0..count).map(|_| element()).collect()
}

/// Front channels are listed from the centre outwards (§4.5.1.2): of two pairs the first lies between.
fn front_speakers(elements: &Elements) -> Vec<Speaker> {
    let pairs = count_pairs(elements);
    let pair =
        |number: usize| if number + 2 == pairs { [NearLeft, NearRight] } else { [FrontLeft, FrontRight] };
    place_speakers(elements, FrontCentre, pair)
}

fn surround_speakers(elements: &Elements, centre: Speaker) -> Vec<Speaker> {
    place_speakers(elements, centre, |_| [SurroundLeft, SurroundRight])
}

/// Two single channels next to each other are a pair too, unless there is an odd number of them: then the first is in
/// the centre.
fn place_speakers(
    elements: &Elements,
    centre: Speaker,
    pair: impl Fn(usize) -> [Speaker; 2],
) -> Vec<Speaker> {
    let mut centres = count_singles(elements) % 2;
    let mut speakers = Vec::new();
    let mut number = 0;
    let mut open = None;
    for &is_pair in elements {
        match (is_pair, open.take()) {
            (true, _) => speakers.extend(pair(number)),
            (false, _) if centres > 0 => {
                centres -= 1;
                speakers.push(centre);
                continue;
            }
            (false, None) => {
                let [left, right] = pair(number);
                speakers.push(left);
                open = Some(right);
                continue;
            }
            (false, Some(right)) => speakers.push(right),
        }
        number += 1;
    }
    speakers
}

fn count_singles(elements: &Elements) -> usize {
    elements.iter().filter(|is_pair| !**is_pair).count()
}

fn count_pairs(elements: &Elements) -> usize {
    elements.len() - count_singles(elements) + count_singles(elements) / 2
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAIR: bool = true;
    const SINGLE: bool = false;

    #[test]
    fn front_channels_are_listed_from_the_centre_outwards() {
        assert_eq!(front_speakers(&vec![SINGLE]), [FrontCentre]);
        assert_eq!(front_speakers(&vec![PAIR, SINGLE]), [FrontLeft, FrontRight, FrontCentre]);
        assert_eq!(
            front_speakers(&vec![SINGLE, PAIR, PAIR]),
            [FrontCentre, NearLeft, NearRight, FrontLeft, FrontRight]
        );
        assert_eq!(front_speakers(&vec![SINGLE, SINGLE]), [FrontLeft, FrontRight]);
    }

    #[test]
    fn what_is_behind_may_have_a_centre() {
        assert_eq!(
            surround_speakers(&vec![PAIR, SINGLE], SurroundCentre),
            [SurroundLeft, SurroundRight, SurroundCentre]
        );
        assert_eq!(surround_speakers(&vec![SINGLE, SINGLE], SurroundCentre), [SurroundLeft, SurroundRight]);
    }
}
