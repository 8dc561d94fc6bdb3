//! Media that is encoded for an output.

use headwater_media::{OutputTag, Period, TimelineEvent};

use super::{ConvertError, invalid_field, tag_of};
use crate::v2::publish_response::{self, output_tag::Media};

impl From<OutputTag> for publish_response::OutputTag {
    fn from(tag: OutputTag) -> Self {
        let media = match tag.media {
            TimelineEvent::Period(period) => Media::Period(period.into()),
            TimelineEvent::Tag(tag) => Media::Tag(tag.into()),
        };
        Self { output: tag.output.to_string(), media: Some(media) }
    }
}

/// Media of an output whose last period was `period`; none before its first one.
///
/// # Errors
/// An output without a name, no media, a tag without a period or of a track that the period does not have.
pub fn output_tag_of(
    period: Option<&Period>,
    message: publish_response::OutputTag,
) -> Result<OutputTag, ConvertError> {
    let output = message.output.parse().map_err(|error| invalid_field("output_tag.output", error))?;
    let media = match message.media.ok_or(ConvertError::Missing("output_tag.media"))? {
        Media::Period(period) => TimelineEvent::Period(period.try_into()?),
        Media::Tag(tag) => TimelineEvent::Tag(tag_of(period.ok_or(ConvertError::Missing("period"))?, tag)?),
    };
    Ok(OutputTag { output, media })
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use headwater_media::{PeriodNumber, SourceTime, Tag, TagKind, UnixMillis};

    use super::*;

    fn period() -> Period {
        Period {
            number: PeriodNumber(3),
            first_sequence: None,
            origin: SourceTime(40_000),
            wall_clock: UnixMillis(1_800_000_000_000),
            tracks: Period::tracks_of(Some(Bytes::from_static(b"record")), None),
        }
    }

    fn tag() -> TimelineEvent {
        TimelineEvent::Tag(Tag {
            track: Period::VIDEO_TRACK,
            kind: TagKind::Video { keyframe: true },
            time: SourceTime(80_000),
            composition_offset_us: 40_000,
            drift: -2,
            payload: Bytes::from_static(b"picture"),
        })
    }

    #[test]
    fn media_of_an_output_survives_the_wire() {
        for media in [TimelineEvent::Period(period()), tag()] {
            let sent = OutputTag { output: "0f3a".parse().unwrap(), media };
            assert_eq!(output_tag_of(Some(&period()), sent.clone().into()), Ok(sent));
        }
    }

    #[test]
    fn media_without_an_output_a_period_or_content_is_refused() {
        let whole =
            publish_response::OutputTag::from(OutputTag { output: "a".parse().unwrap(), media: tag() });
        let refused = |period: Option<&Period>, change: fn(&mut publish_response::OutputTag)| {
            let mut message = whole.clone();
            change(&mut message);
            output_tag_of(period, message).unwrap_err().to_string()
        };
        assert_eq!(refused(None, |_| {}), "the field `period` is missing");
        let period = period();
        assert_eq!(
            refused(Some(&period), |message| message.media = None),
            "the field `output_tag.media` is missing"
        );
        assert_eq!(
            refused(Some(&period), |message| message.output.clear()),
            "the field `output_tag.output` is wrong: a uid of an output must not be empty"
        );
    }
}
