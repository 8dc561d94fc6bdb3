use std::fmt::{self, Write};

use headwater_media::{MediaSequence, MediaTime, RenditionId};

use super::bitrate::Bitrate;
use super::lines::{has_rendition, program_date_time, write_map, write_stored_segment};
use super::multivariant;
use crate::archive::Archive;
use crate::object::NamePrefix;
use crate::window::is_discontinuity;
use headwater_media::PeriodStart;

/// Whether more of a recording may come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// `EXT-X-PLAYLIST-TYPE:EVENT`, open at its end.
    Growing,
    /// `EXT-X-PLAYLIST-TYPE:VOD`, with `EXT-X-ENDLIST`.
    Complete,
}

/// The media playlist of one rendition of a recording, from the first segment that is held on (RFC 8216bis §4.4.3); none where nothing
/// is stored of the rendition.
///
/// What is missing of the rendition is listed with `EXT-X-GAP`, so that all renditions list the same segments.
pub fn vod_media(archive: &Archive, rendition: &RenditionId, stage: Stage) -> Option<String> {
    media_of(archive, NamePrefix::Recorded, rendition, stage)
}

/// The media playlist of one rendition of a broadcast that has ended, under the names that its media had when it was live.
pub fn ended_media(archive: &Archive, rendition: &RenditionId) -> Option<String> {
    media_of(archive, NamePrefix::live(archive.broadcast()), rendition, Stage::Complete)
}

fn media_of(archive: &Archive, names: NamePrefix, rendition: &RenditionId, stage: Stage) -> Option<String> {
    archive.segments().find(|segment| segment.size(rendition).is_some())?;
    let mut out = String::with_capacity(512 + 56 * archive.segments().len());
    write_media(&mut out, archive, names, rendition, stage).expect("writing to a String does not fail");
    Some(out)
}

/// The multivariant playlist of a recording (RFC 8216bis §4.4.6), with the bit rates of what is stored; none where that is
/// nothing. It stands beside a directory with the broadcast's name, which has one for each rendition.
pub fn vod_multivariant(archive: &Archive) -> Option<String> {
    multivariant_of(archive, &|id| format!("{}/{id}/index.m3u8", archive.broadcast()))
}

/// The multivariant playlist of a broadcast that has ended ([`ended_media`]), beside the directories of its renditions: of the
/// lists that go back beyond the live window, when that is gone.
pub fn ended_multivariant(archive: &Archive) -> Option<String> {
    multivariant_of(archive, &|id| format!("{id}/dvr.m3u8"))
}

fn multivariant_of(archive: &Archive, uri: multivariant::Uri<'_>) -> Option<String> {
    let renditions = archive.renditions();
    let rated = renditions.into_iter().map(|rendition| (rendition, Bitrate::stored(archive, rendition)));
    multivariant::render(&rated.collect::<Vec<_>>(), uri)
}

/// `EXT-X-VERSION`: 8 for `EXT-X-GAP` (RFC 8216bis §8).
const PLAYLIST_VERSION: u32 = 8;

fn write_media(
    out: &mut String,
    archive: &Archive,
    names: NamePrefix,
    rendition: &RenditionId,
    stage: Stage,
) -> fmt::Result {
    let kind = if stage == Stage::Complete { "VOD" } else { "EVENT" };
    let first = archive.first_sequence().unwrap_or_default();
    writeln!(out, "#EXTM3U\n#EXT-X-VERSION:{PLAYLIST_VERSION}")?;
    writeln!(out, "#EXT-X-TARGETDURATION:{}", target_duration(archive, stage))?;
    writeln!(out, "#EXT-X-PLAYLIST-TYPE:{kind}\n#EXT-X-MEDIA-SEQUENCE:{first}")?;
    writeln!(out, "#EXT-X-DISCONTINUITY-SEQUENCE:{}", archive.discontinuity_sequence())?;
    let mut periods = archive.periods().map(AsRef::as_ref).peekable();
    let mut period: Option<&PeriodStart> = None;
    for segment in archive.segments() {
        while let Some(next) = periods.next_if(|next| next.first_sequence <= segment.sequence) {
            begin(out, names, next, segment.sequence, rendition)?;
            period = Some(next);
        }
        if let Some(period) = period {
            let start = segment.place(rendition).0;
            program_date_time(out, period.wall_clock_at(start, segment.drift))?;
        }
        write_stored_segment(out, names, segment, rendition)?;
    }
    match stage {
        Stage::Growing => Ok(()),
        Stage::Complete => out.write_str("#EXT-X-ENDLIST\n"),
    }
}

/// Writes the tags before the first segment of a period.
fn begin(
    out: &mut String,
    names: NamePrefix,
    period: &PeriodStart,
    sequence: MediaSequence,
    rendition: &RenditionId,
) -> fmt::Result {
    if is_discontinuity(period) && sequence == period.first_sequence {
        out.write_str("#EXT-X-DISCONTINUITY\n")?;
    }
    if has_rendition(period, rendition) { write_map(out, names, period) } else { Ok(()) }
}

/// The longest segment of any rendition, as all media playlists have the same. While more may come it is what none will
/// exceed, as it must not change.
fn target_duration(archive: &Archive, stage: Stage) -> u64 {
    let pieces = archive.segments().flat_map(|segment| &segment.pieces);
    let longest = pieces.map(|piece| rounded(piece.duration)).max().unwrap_or(0).max(1);
    match stage {
        Stage::Growing => longest.max(archive.settings().target_duration().into()),
        Stage::Complete => longest,
    }
}

/// To whole seconds, as `EXT-X-TARGETDURATION` is compared (RFC 8216bis §4.4.3.1).
fn rounded(duration: MediaTime) -> u64 {
    (duration.0 + 500_000) / 1_000_000
}

#[cfg(test)]
mod tests {
    use headwater_media::{BroadcastId, PeriodNumber, SegmentSettings, UnixMillis};

    use super::*;
    use headwater_media::{Piece, Record, StoredSegment};
    use headwater_media::{Rendition, RenditionKind};

    const SETTINGS: SegmentSettings = SegmentSettings { segment_ms: 2_000, part_ms: 334 };

    fn rendition(id: &str) -> Rendition {
        let kind = match id {
            "audio" => RenditionKind::Audio { channels: 2, sample_rate: 48_000 },
            _ => RenditionKind::Video { width: 1280, height: 720, frame_rate: 30.0 },
        };
        let codecs = if id == "audio" { "mp4a.40.2" } else { "avc1.64001f" };
        Rendition { id: id.parse().unwrap(), kind, codecs: codecs.into(), declared_bitrate: 8_000 }
    }

    fn period(number: u32, first: u64, renditions: &[&str]) -> Record {
        Record::Period(PeriodStart {
            number: PeriodNumber(number),
            first_sequence: MediaSequence(first),
            origin: MediaTime::ZERO,
            wall_clock: UnixMillis(1_800_000_000_000),
            renditions: renditions.iter().map(|id| (rendition(id), b"init".as_slice().into())).collect(),
            ladder: None,
        })
    }

    fn segment(sequence: u64, start_ms: u64, ms: u64, sizes: &[(&str, Option<u64>)]) -> Record {
        let piece = |(id, size): &(&str, Option<u64>)| Piece {
            rendition: id.parse().unwrap(),
            start: MediaTime::from_millis(start_ms),
            duration: MediaTime::from_millis(ms),
            size: *size,
        };
        let pieces = sizes.iter().map(piece).collect();
        Record::Segment(StoredSegment { sequence: MediaSequence(sequence), pieces, drift: 0 })
    }

    fn archive() -> Archive {
        let both = |sequence, start, ms| {
            segment(sequence, start, ms, &[("720p", Some(2_000)), ("audio", Some(500))])
        };
        let records = [
            period(0, 7, &["720p", "audio"]),
            both(7, 0, 320),
            both(8, 320, 2_000),
            segment(9, 2_320, 1_200, &[("720p", None), ("audio", Some(500))]),
            period(1, 10, &["720p", "audio"]),
            both(10, 0, 320),
        ];
        let mut archive = Archive::new(BroadcastId::from_bytes([1; 16]), SETTINGS, 0);
        records.iter().for_each(|record| assert_eq!(archive.apply(record), Ok(true)));
        archive
    }

    #[test]
    fn a_complete_recording_is_vod_with_everything_that_happened() {
        let text = vod_media(&archive(), &"720p".parse().unwrap(), Stage::Complete).unwrap();
        let expected = "#EXTM3U
#EXT-X-VERSION:8
#EXT-X-TARGETDURATION:2
#EXT-X-PLAYLIST-TYPE:VOD
#EXT-X-MEDIA-SEQUENCE:7
#EXT-X-DISCONTINUITY-SEQUENCE:0
#EXT-X-MAP:URI=\"init-7.mp4\"
#EXT-X-PROGRAM-DATE-TIME:2027-01-15T08:00:00.000Z
#EXTINF:0.320000,
7.m4s
#EXT-X-PROGRAM-DATE-TIME:2027-01-15T08:00:00.320Z
#EXTINF:2.000000,
8.m4s
#EXT-X-PROGRAM-DATE-TIME:2027-01-15T08:00:02.320Z
#EXT-X-GAP
#EXTINF:1.200000,
9.m4s
#EXT-X-DISCONTINUITY
#EXT-X-MAP:URI=\"init-10.mp4\"
#EXT-X-PROGRAM-DATE-TIME:2027-01-15T08:00:00.000Z
#EXTINF:0.320000,
10.m4s
#EXT-X-ENDLIST
";
        assert_eq!(text, expected);
    }

    #[test]
    fn a_growing_one_is_open_and_keeps_its_target() {
        let mut archive = Archive::new(BroadcastId::from_bytes([1; 16]), SETTINGS, 0);
        for record in [period(0, 7, &["720p"]), segment(7, 0, 320, &[("720p", Some(1))])] {
            archive.apply(&record).unwrap();
        }
        let id = "720p".parse().unwrap();
        let growing = vod_media(&archive, &id, Stage::Growing).unwrap();
        assert!(growing.contains("#EXT-X-PLAYLIST-TYPE:EVENT\n") && !growing.contains("ENDLIST"));
        assert!(growing.contains("#EXT-X-TARGETDURATION:2\n"));
        let complete = vod_media(&archive, &id, Stage::Complete).unwrap();
        assert!(complete.contains("#EXT-X-TARGETDURATION:1\n"));
        assert_eq!(vod_media(&archive, &"audio".parse().unwrap(), Stage::Growing), None);
    }

    #[test]
    fn bit_rates_are_those_of_what_is_stored() {
        let text = vod_multivariant(&archive()).unwrap();
        let lines: Vec<_> = text.lines().collect();
        assert!(lines[3].starts_with("#EXT-X-MEDIA:TYPE=AUDIO") && lines[3].ends_with("audio/index.m3u8\""));
        // Video: 6,000 bytes in 2.64 s at most, peaks over the run of 2 s and a short neighbour; audio beside it.
        assert!(lines[4].starts_with("#EXT-X-STREAM-INF:BANDWIDTH="), "{}", lines[4]);
        assert!(lines[4].contains("AVERAGE-BANDWIDTH=22349,"), "{}", lines[4]);
        assert_eq!(lines[5], format!("{}/720p/index.m3u8", archive().broadcast()));
    }
}
