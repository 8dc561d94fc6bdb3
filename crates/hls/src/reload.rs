//! Delivery directives and when a blocked playlist request is due (RFC 8216bis §6.2.5).

use headwater_media::{MediaSequence, PartIndex, RenditionId};

use crate::window::LiveWindow;

/// Delivery directives of a request for a media playlist, from the query of its URL.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Directives {
    /// `_HLS_msn` and `_HLS_part`: answer when this is there.
    pub until: Option<Until>,
    /// `_HLS_skip`: leave out what the client has.
    pub skip: Option<Skip>,
}

/// Segment or part that must be in a playlist before it is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    Segment(MediaSequence),
    Part(MediaSequence, PartIndex),
}

/// Extent of a delta update (RFC 8216bis §6.2.5.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Skip {
    /// Older segments.
    Segments,
    /// Older segments and date ranges. There are no date ranges, so it is the same here.
    SegmentsAndDateRanges,
}

/// Why a query was refused; the text is for the client that sent it. Status: 400.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DirectivesError {
    #[error("_HLS_msn and _HLS_part take a whole number each")]
    Number,
    #[error("_HLS_part needs _HLS_msn beside it")]
    PartWithoutSequence,
    #[error("_HLS_skip takes YES or v2")]
    Skip,
    #[error("each directive may be given once")]
    Repeated,
}

/// Whether a playlist is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readiness {
    Ready,
    /// It will be after one of the next events. A server that has waited for three target durations answers 503.
    Wait,
    /// So far ahead that waiting makes no sense. Status: 400.
    TooFarAhead,
}

impl Directives {
    /// Reads the query of a URL, without its question mark. Parameters that are not directives are ignored.
    ///
    /// # Errors
    /// When a directive has no value that it could have, stands twice, or lacks the other one it needs.
    pub fn parse(query: &str) -> Result<Self, DirectivesError> {
        let mut sequence = None;
        let mut part = None;
        let mut skip = None;
        for (name, value) in query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, ""))) {
            let repeated = match name {
                "_HLS_msn" => sequence.replace(number(value)?).is_some(),
                "_HLS_part" => part.replace(number(value)?).is_some(),
                "_HLS_skip" => skip.replace(parse_skip(value)?).is_some(),
                _ => false,
            };
            if repeated {
                return Err(DirectivesError::Repeated);
            }
        }
        Ok(Self { until: until(sequence, part)?, skip })
    }
}

fn until(sequence: Option<u64>, part: Option<u64>) -> Result<Option<Until>, DirectivesError> {
    match (sequence.map(MediaSequence), part) {
        (None, None) => Ok(None),
        (None, Some(_)) => Err(DirectivesError::PartWithoutSequence),
        (Some(sequence), None) => Ok(Some(Until::Segment(sequence))),
        (Some(sequence), Some(part)) => {
            let part = u32::try_from(part).map_err(|_| DirectivesError::Number)?;
            Ok(Some(Until::Part(sequence, PartIndex(part))))
        }
    }
}

fn number(value: &str) -> Result<u64, DirectivesError> {
    let digits = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
    if digits { value.parse().map_err(|_| DirectivesError::Number) } else { Err(DirectivesError::Number) }
}

fn parse_skip(value: &str) -> Result<Skip, DirectivesError> {
    match value {
        "YES" => Ok(Skip::Segments),
        "v2" => Ok(Skip::SegmentsAndDateRanges),
        _ => Err(DirectivesError::Skip),
    }
}

/// RFC 8216bis §6.2.5.2: a request may name a segment this far behind the last one.
const SEGMENTS_AHEAD: u64 = 2;

impl LiveWindow {
    /// Whether the playlist of a rendition may be sent to a client with these directives.
    ///
    /// After the end of the broadcast it always may, as for a rendition that does not go on.
    pub fn readiness(&self, rendition: &RenditionId, directives: &Directives) -> Readiness {
        let Some(until) = directives.until else { return Readiness::Ready };
        let Some(next) = self.next_part(rendition) else { return Readiness::Ready };
        if self.contains(rendition, until) {
            Readiness::Ready
        } else if self.is_too_far(rendition, until, next) {
            Readiness::TooFarAhead
        } else {
            Readiness::Wait
        }
    }

    fn is_too_far(&self, rendition: &RenditionId, until: Until, next: (MediaSequence, PartIndex)) -> bool {
        let last = self.last(rendition).map_or(next.0.0.saturating_sub(1), |(sequence, _)| sequence.0);
        match until {
            Until::Part(wanted, part) if wanted == next.0 => {
                u64::from(part.0) >= u64::from(next.1.0) + self.parts_ahead()
            }
            Until::Segment(wanted) | Until::Part(wanted, _) => wanted.0 > last + SEGMENTS_AHEAD,
        }
    }

    /// Whether a rendition has this or anything later. A part beyond the end of its segment is the first part of the
    /// next one.
    fn contains(&self, rendition: &RenditionId, until: Until) -> bool {
        let Some((last, segment)) = self.last(rendition) else { return false };
        match until {
            Until::Segment(wanted) => wanted < last || wanted == last && segment.is_whole(),
            Until::Part(wanted, part) => {
                wanted < last || wanted == last && (part.0 as usize) < segment.parts().len()
            }
        }
    }

    /// The Advance Part Limit of RFC 8216bis §6.2.5.2: three seconds of parts, at least three parts.
    fn parts_ahead(&self) -> u64 {
        3_000_000u64.div_ceil(self.opening().settings.part_target().0.max(1)).max(3)
    }
}
