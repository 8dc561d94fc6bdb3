//! The XML (ISO/IEC 23009-1 §5.2 and annex B); elements stand in the order that the schema wants.

use std::fmt::{self, Display, Write};

use headwater_media::{MediaTime, RenditionKind, UnixMillis};
use jiff::Timestamp;

use super::{Period, Presentation, State, Track};
use crate::object::{NUMBER_TEMPLATE, Object, TimedTemplate};
use crate::window::ANNOUNCED_SEGMENTS;

pub(super) fn mpd(presentation: &Presentation<'_>) -> String {
    let rows: usize = presentation.periods.iter().map(|period| period.tracks.len()).sum();
    let mut out = String::with_capacity(2_048 + 1_024 * rows);
    presentation.write(&mut out).expect("writing to a String does not fail");
    out
}

/// Live profile, CMAF, and the low-latency rules of DASH-IF.
const PROFILES: &str = "urn:mpeg:dash:profile:isoff-live:2011,urn:mpeg:dash:profile:cmaf:2019,\
                        http://www.dashif.org/guidelines/low-latency-live-v5";
/// Segment lengths that a player stays behind the live edge at most, as `HOLD-BACK` in HLS.
const DELAY_SEGMENTS: u64 = 3;
/// Distance that a low-latency player aims at (`Latency@target`): as many parts as `PART-HOLD-BACK` in HLS, and time to encode,
/// which HLS does not count.
const TARGET_PARTS: u64 = 3;
const ENCODING_DELAY: MediaTime = MediaTime::from_millis(1_000);
/// How much slower and faster it may play to get there; nobody hears that.
const PLAYBACK_RATES: (f64, f64) = (0.96, 1.04);
/// Scheme by which clients learn the origin's time, beside the MPD.
const TIME_SCHEME: &str = "urn:mpeg:dash:utc:http-xsdate:2014";
const TIME_URI: &str = "time";
/// A clock that is read with the MPD.
const DIRECT_SCHEME: &str = "urn:mpeg:dash:utc:direct:2014";

impl Presentation<'_> {
    fn write(&self, out: &mut String) -> fmt::Result {
        let segment = MediaTime::from_millis(u64::from(self.settings.segment_ms));
        let part = self.settings.part_target();
        write!(
            out,
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<MPD xmlns=\"urn:mpeg:dash:schema:mpd:2011\""
        )?;
        write!(out, " profiles=\"{PROFILES}\" minBufferTime=\"{}\"", Length(segment))?;
        // A segment is longer than its nominal length by less than a frame, and no frame lasts longer than a part.
        write!(out, " maxSegmentDuration=\"{}\"", Length(segment + part))?;
        match self.state {
            State::Dynamic { zero, published, depth, .. } => {
                write!(out, " type=\"dynamic\" availabilityStartTime=\"{}\"", Moment(zero))?;
                write!(
                    out,
                    " publishTime=\"{}\" minimumUpdatePeriod=\"{}\"",
                    Moment(published),
                    Length(segment)
                )?;
                let most = MediaTime(segment.0 * DELAY_SEGMENTS);
                // Players that do not follow `ServiceDescription` count from the end of what is announced (Shaka, VLC).
                let delay = MediaTime(most.0 + segment.0 * ANNOUNCED_SEGMENTS);
                write!(out, " timeShiftBufferDepth=\"{}\"", Length(depth))?;
                writeln!(out, " suggestedPresentationDelay=\"{}\">", Length(delay))?;
                self.service_description(out, most)?;
            }
            State::Ended { duration } | State::Stored { duration } => {
                writeln!(out, " type=\"static\" mediaPresentationDuration=\"{}\">", Length(duration))?;
            }
        }
        let last = self.periods.len().saturating_sub(1);
        for (at, period) in self.periods.iter().enumerate() {
            self.period(out, period, at == last)?;
        }
        if let State::Dynamic { reached, .. } = self.state {
            writeln!(out, "<UTCTiming schemeIdUri=\"{TIME_SCHEME}\" value=\"{TIME_URI}\"/>")?;
            writeln!(out, "<UTCTiming schemeIdUri=\"{DIRECT_SCHEME}\" value=\"{}\"/>", Moment(reached))?;
        }
        out.write_str("</MPD>\n")
    }

    fn is_dynamic(&self) -> bool {
        matches!(self.state, State::Dynamic { .. })
    }

    /// Writes the service's wishes to players (annex K).
    fn service_description(&self, out: &mut String, most: MediaTime) -> fmt::Result {
        let target = ENCODING_DELAY.as_millis() + TARGET_PARTS * self.settings.part_target().as_millis();
        let most = most.as_millis().max(target);
        write!(
            out,
            "<ServiceDescription id=\"0\"><Latency target=\"{target}\" max=\"{most}\" referenceId=\"0\"/>"
        )?;
        let (slowest, fastest) = PLAYBACK_RATES;
        writeln!(out, "<PlaybackRate min=\"{slowest}\" max=\"{fastest}\"/></ServiceDescription>")
    }

    fn period(&self, out: &mut String, period: &Period<'_>, is_last: bool) -> fmt::Result {
        write!(out, "<Period id=\"{}\" start=\"{}\"", period.id, Length(period.start))?;
        // Without it, a period lasts until the next one starts (§5.3.2.1). dash.js takes the sum of all durations for that of
        // the presentation, and waits for more after the last period where time passes between them.
        let is_told = match self.state {
            State::Dynamic { .. } => false,
            State::Ended { .. } => is_last,
            State::Stored { .. } => true,
        };
        if is_told {
            write!(out, " duration=\"{}\"", Length(period.length()))?;
        }
        out.write_str(">\n")?;
        let (videos, audios): (Vec<_>, Vec<_>) = period.tracks.iter().partition(|track| track.is_video());
        for (id, kind, tracks) in [(0, "video", videos), (1, "audio", audios)] {
            if !tracks.is_empty() {
                self.adaptation_set(out, period, (id, kind), &tracks)?;
            }
        }
        out.write_str("</Period>\n")
    }

    /// The renditions that a player may choose between.
    fn adaptation_set(
        &self,
        out: &mut String,
        period: &Period<'_>,
        (id, kind): (u32, &str),
        tracks: &[&Track<'_>],
    ) -> fmt::Result {
        write!(out, "<AdaptationSet id=\"{id}\" contentType=\"{kind}\" mimeType=\"{kind}/mp4\"")?;
        writeln!(out, " segmentAlignment=\"true\" startWithSAP=\"1\">")?;
        let timescale = tracks[0].rendition.timescale();
        if self.is_dynamic() {
            write!(out, "<ProducerReferenceTime id=\"0\" type=\"encoder\" wallClockTime=\"")?;
            let origin = period.about.origin.ticks(timescale);
            write!(out, "{}\" presentationTime=\"{origin}\">", Moment(period.about.wall_clock))?;
            writeln!(
                out,
                "<UTCTiming schemeIdUri=\"{TIME_SCHEME}\" value=\"{TIME_URI}\"/></ProducerReferenceTime>"
            )?;
        }
        let templates =
            tracks.iter().map(|track| self.template(period, track)).collect::<Result<Vec<_>, _>>()?;
        // Renditions are cut at the same places, so one timeline mostly holds for all of them.
        let shared = templates.iter().all(|template| *template == templates[0]);
        if shared {
            out.write_str(&templates[0])?;
        }
        for (track, template) in tracks.iter().zip(&templates) {
            representation(out, track, if shared { None } else { Some(template) })?;
        }
        out.write_str("</AdaptationSet>\n")
    }

    fn template(&self, period: &Period<'_>, track: &Track<'_>) -> Result<String, fmt::Error> {
        let mut out = String::with_capacity(512);
        let timescale = track.rendition.timescale();
        let from = period.from.ticks(timescale);
        let begun = period.about.first_sequence;
        let base = &self.base;
        let names = self.names;
        write!(out, "<SegmentTemplate timescale=\"{timescale}\" presentationTimeOffset=\"{from}\"")?;
        match self.state {
            State::Stored { .. } => {
                let first = track.timeline.first();
                write!(
                    out,
                    " startNumber=\"{first}\" media=\"{base}$RepresentationID$/{names}{NUMBER_TEMPLATE}\""
                )?;
            }
            State::Dynamic { .. } | State::Ended { .. } => {
                let media = TimedTemplate(begun);
                write!(out, " media=\"{base}$RepresentationID$/{names}{media}\"")?;
            }
        }
        let init = Object::Init(begun);
        write!(out, " initialization=\"{base}$RepresentationID$/{names}{init}\"")?;
        if self.is_dynamic() {
            // A segment may be asked for when its first part is there, and is sent as it is made (§5.3.9.5.3).
            let whole = MediaTime::from_millis(u64::from(self.settings.segment_ms));
            let offset = whole.saturating_sub(self.settings.part_target());
            write!(
                out,
                " availabilityTimeOffset=\"{}\" availabilityTimeComplete=\"false\"",
                Seconds(offset)
            )?;
        }
        out.write_str(">")?;
        track.timeline.write(&mut out, timescale)?;
        out.write_str("</SegmentTemplate>\n")?;
        Ok(out)
    }
}

fn representation(out: &mut String, track: &Track<'_>, template: Option<&String>) -> fmt::Result {
    let rendition = track.rendition;
    let bandwidth = track.bandwidth;
    write!(out, "<Representation id=\"{}\" bandwidth=\"{bandwidth}\"", rendition.id)?;
    write!(out, " codecs=\"{}\"", Escaped(&rendition.codecs))?;
    match rendition.kind {
        RenditionKind::Video { width, height, frame_rate } => {
            write!(out, " width=\"{width}\" height=\"{height}\" frameRate=\"{}\">", FrameRate(frame_rate))?;
        }
        RenditionKind::Audio { channels, sample_rate } => {
            write!(out, " audioSamplingRate=\"{sample_rate}\">")?;
            channel_configuration(out, channels)?;
        }
    }
    template.map_or(Ok(()), |template| out.write_str(template))?;
    out.write_str("</Representation>\n")
}

/// By the numbers of ISO/IEC 23003-3, which are those of AAC; optional, so left out where there is none.
fn channel_configuration(out: &mut String, channels: u32) -> fmt::Result {
    let number = match channels {
        1..=6 => channels,
        8 => 7,
        _ => return Ok(()),
    };
    const SCHEME: &str = "urn:mpeg:dash:23003:3:audio_channel_configuration:2011";
    write!(out, "<AudioChannelConfiguration schemeIdUri=\"{SCHEME}\" value=\"{number}\"/>")
}

/// `xs:duration`.
struct Length(MediaTime);

impl Display for Length {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PT{}S", Seconds(self.0))
    }
}

/// Without digits that say nothing.
struct Seconds(MediaTime);

impl Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.0.to_string();
        f.write_str(text.trim_end_matches('0').trim_end_matches('.'))
    }
}

/// `xs:dateTime`.
pub(super) struct Moment(pub(super) UnixMillis);

impl Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // No calendar reaches further than its last day.
        let millis = i64::try_from(self.0.0).unwrap_or(i64::MAX);
        write!(f, "{:.3}", Timestamp::from_millisecond(millis).unwrap_or(Timestamp::MAX))
    }
}

/// Frames a second, as a fraction where the rate is one of television's (`FrameRateType`).
struct FrameRate(f64);

impl Display for FrameRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const NEAR: f64 = 0.001;
        let whole = self.0.round();
        let television = (self.0 * 1.001).round();
        if (self.0 - whole).abs() < NEAR && whole >= 1.0 {
            write!(f, "{whole}")
        } else if (self.0 - television / 1.001).abs() < NEAR && television >= 1.0 {
            write!(f, "{}/1001", television * 1_000.0)
        } else {
            write!(f, "{}/1000", (self.0 * 1_000.0).round().max(1.0))
        }
    }
}

/// Text inside an attribute.
struct Escaped<'a>(&'a str);

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|c| match c {
            '&' => f.write_str("&amp;"),
            '<' => f.write_str("&lt;"),
            '"' => f.write_str("&quot;"),
            c if c.is_control() => Ok(()),
            c => f.write_char(c),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frame_rates_are_fractions() {
        for (rate, text) in [
            (30.0, "30"),
            (29.97, "30000/1001"),
            (23.976, "24000/1001"),
            (12.5, "12500/1000"),
            (60_000.0 / 1_001.0, "60000/1001"),
            (0.0, "1/1000"),
        ] {
            assert_eq!(FrameRate(rate).to_string(), text);
        }
    }

    #[test]
    fn attributes_hold_any_text() {
        assert_eq!(Escaped("a\"<&\n>").to_string(), "a&quot;&lt;&amp;>");
    }

    #[test]
    fn durations_are_short() {
        assert_eq!(Length(MediaTime(2_000_000)).to_string(), "PT2S");
        assert_eq!(Length(MediaTime(10_050_000)).to_string(), "PT10.05S");
        assert_eq!(Length(MediaTime(0)).to_string(), "PT0S");
    }
}
