//! Facts about a publisher.

use headwater_media::{AnnouncedRates, PublisherFacts, UnixMillis};

use super::{ConvertError, invalid_field};
use crate::v2::publish_request::Facts;

/// Characters of a text at most: encoders choose theirs, and operators read them.
const MAX_TEXT_CHARS: usize = 256;

impl From<PublisherFacts> for Facts {
    fn from(facts: PublisherFacts) -> Self {
        Self {
            connected_unix_ms: facts.connected.0,
            address: facts.address.map(|address| address.to_string()).unwrap_or_default(),
            protocol: facts.protocol,
            encoder: facts.encoder,
            frame_rate: facts.announced.frame_rate,
            video_bitrate: facts.announced.video_bitrate,
        }
    }
}

impl TryFrom<Facts> for PublisherFacts {
    type Error = ConvertError;
    fn try_from(message: Facts) -> Result<Self, ConvertError> {
        let address = Some(message.address).filter(|address| !address.is_empty());
        let address = address.map(|address| address.parse()).transpose();
        Ok(Self {
            connected: UnixMillis(message.connected_unix_ms),
            address: address.map_err(|error| invalid_field("facts.address", error))?,
            protocol: cut_text(&message.protocol),
            encoder: message.encoder.map(|encoder| cut_text(&encoder)),
            announced: AnnouncedRates {
                frame_rate: message.frame_rate.filter(|rate| rate.is_finite() && *rate > 0.0),
                video_bitrate: message.video_bitrate,
            },
        })
    }
}

/// Beginning of a text, without control characters.
fn cut_text(text: &str) -> String {
    text.chars().filter(|char| !char.is_control()).take(MAX_TEXT_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts() -> PublisherFacts {
        PublisherFacts {
            connected: UnixMillis(1_800_000_000_000),
            address: Some("2001:db8::7".parse().unwrap()),
            protocol: "rtmps".into(),
            encoder: Some("obs-output module".into()),
            announced: AnnouncedRates { frame_rate: Some(29.97), video_bitrate: Some(2_500_000) },
        }
    }

    #[test]
    fn facts_survive_the_wire() {
        for facts in [facts(), PublisherFacts::default()] {
            assert_eq!(PublisherFacts::try_from(Facts::from(facts.clone())), Ok(facts));
        }
    }

    #[test]
    fn texts_are_short_and_have_no_control_characters_and_an_address_is_one() {
        let encoder = Some(format!("a\u{1b}[31m{}", "x".repeat(1_000)));
        let frame_rate = Some(f64::NAN);
        let read = PublisherFacts::try_from(Facts { encoder, frame_rate, ..Facts::from(facts()) }).unwrap();
        let encoder = read.encoder.unwrap();
        assert!(encoder.starts_with("a[31mx") && encoder.len() == MAX_TEXT_CHARS, "{encoder}");
        assert_eq!(read.announced.frame_rate, None);
        let unreadable = Facts { address: "nowhere".into(), ..Facts::from(facts()) };
        let error = PublisherFacts::try_from(unreadable).unwrap_err().to_string();
        assert!(error.starts_with("the field `facts.address` is wrong: "), "{error}");
    }
}
