//! Which decoded channel is which.

use headwater_media::aac::Speaker;

use super::downmix::Downmix;
use Speaker::{
    FrontCentre, FrontLeft, FrontRight, LowFrequency, NearLeft, NearRight, SurroundCentre, SurroundLeft,
    SurroundRight,
};

/// Speakers by the bits of GStreamer's channel mask. Channels come in this order.
const BY_BIT: [Speaker; 28] = [
    FrontLeft,
    FrontRight,
    FrontCentre,
    LowFrequency,
    SurroundLeft,
    SurroundRight,
    NearLeft,
    NearRight,
    SurroundCentre,
    LowFrequency,
    // At the sides.
    SurroundLeft,
    SurroundRight,
    // Above: in front, in the middle, behind, at the sides.
    SurroundLeft,
    SurroundRight,
    SurroundCentre,
    SurroundCentre,
    SurroundLeft,
    SurroundRight,
    SurroundLeft,
    SurroundRight,
    SurroundCentre,
    // Below, in front.
    FrontCentre,
    FrontLeft,
    FrontRight,
    // Wide, and two more surround channels.
    FrontLeft,
    FrontRight,
    SurroundLeft,
    SurroundRight,
];

/// The decoder's present layout, and how it becomes stereo.
#[derive(Debug)]
pub(super) struct Layout {
    /// The publisher's map of channels that the decoder has no name for.
    map: Option<Vec<Speaker>>,
    present: Option<(gst::Caps, Downmix)>,
}

impl Layout {
    pub(super) fn new(map: Option<Vec<Speaker>>) -> Self {
        Self { map, present: None }
    }

    /// For samples with these caps.
    pub(super) fn update_downmix(&mut self, caps: &gst::CapsRef) -> &Downmix {
        let present = self.present.take().filter(|(known, _)| known.as_ref() == caps);
        let present = present.unwrap_or_else(|| (caps.to_owned(), Downmix::new(&self.speakers_of(caps))));
        &self.present.insert(present).1
    }

    fn speakers_of(&self, caps: &gst::CapsRef) -> Vec<Speaker> {
        let structure = caps.structure(0);
        let channels =
            structure.and_then(|caps| caps.get::<i32>("channels").ok()).unwrap_or(1).max(1) as usize;
        let mask = structure.and_then(|caps| caps.get::<gst::Bitmask>("channel-mask").ok());
        let named = speakers_of(mask.map_or(0, |mask| mask.0));
        match &self.map {
            _ if named.len() == channels => named,
            Some(map) if map.len() == channels => map.clone(),
            _ => (0..channels).map(|channel| usual_speaker(channel, channels)).collect(),
        }
    }
}

fn speakers_of(mask: u64) -> Vec<Speaker> {
    BY_BIT.iter().enumerate().filter(|(bit, _)| mask >> bit & 1 == 1).map(|(_, speaker)| *speaker).collect()
}

/// Usual position of a channel where none is given: two sides, a centre, from six channels on a low frequency channel, and pairs behind.
fn usual_speaker(channel: usize, channels: usize) -> Speaker {
    match channel {
        0 => FrontLeft,
        1 => FrontRight,
        2 => FrontCentre,
        3 if channels >= 6 => LowFrequency,
        channel if (channel + usize::from(channels >= 6)).is_multiple_of(2) => SurroundRight,
        _ => SurroundLeft,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caps(channels: i32, mask: u64) -> gst::Caps {
        let caps = gst::Caps::builder("audio/x-raw").field("channels", channels);
        caps.field("channel-mask", gst::Bitmask::new(mask)).build()
    }

    #[test]
    fn names_come_from_the_decoder_then_the_map_then_what_is_usual() {
        gst::init().unwrap();
        let layout = Layout::new(Some(vec![FrontCentre, SurroundLeft, SurroundRight]));
        assert_eq!(layout.speakers_of(&caps(3, 0b1011)), [FrontLeft, FrontRight, LowFrequency]);
        assert_eq!(layout.speakers_of(&caps(3, 0)), [FrontCentre, SurroundLeft, SurroundRight]);
        let usual = [FrontLeft, FrontRight, FrontCentre, LowFrequency, SurroundLeft, SurroundRight];
        assert_eq!(layout.speakers_of(&caps(6, 0)), usual);
        assert_eq!(layout.speakers_of(&caps(5, 0))[3..], [SurroundLeft, SurroundRight]);
    }
}
