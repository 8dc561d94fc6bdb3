use std::fmt::{self, Write};

use headwater_media::{Rendition, RenditionId, RenditionKind};

use super::bitrate::Bitrate;
use crate::window::LiveWindow;

/// The multivariant playlist (RFC 8216bis §4.4.6) of the newest period: one variant for each video rendition, with
/// the audio as a group of its own; where there is no video, one for each audio rendition.
///
/// Bit rates are those measured in the window. None before the first period.
pub fn multivariant(window: &LiveWindow) -> Option<String> {
    multivariant_of(window, "index.m3u8")
}

/// The same, of the playlists that go back beyond the live window.
pub fn dvr_multivariant(window: &LiveWindow) -> Option<String> {
    multivariant_of(window, "dvr.m3u8")
}

/// `file` is what the media playlists are called.
fn multivariant_of(window: &LiveWindow, file: &str) -> Option<String> {
    let rated = window.renditions().map(|rendition| (rendition, Bitrate::of(window, rendition)));
    render(&rated.collect::<Vec<_>>(), &|id| format!("{id}/{file}"))
}

type Rated<'a> = (&'a Rendition, Bitrate);
/// Function from a rendition to its playlist's URI.
pub(super) type Uri<'a> = &'a dyn Fn(&RenditionId) -> String;

/// The playlist of these renditions.
pub(super) fn render(renditions: &[Rated<'_>], uri: Uri<'_>) -> Option<String> {
    if renditions.is_empty() {
        return None;
    }
    let mut out = String::with_capacity(256 * (1 + renditions.len()));
    write(&mut out, renditions, uri).expect("writing to a String does not fail");
    Some(out)
}

fn write(out: &mut String, renditions: &[Rated<'_>], uri: Uri<'_>) -> fmt::Result {
    let is_video = |(rendition, _): &&Rated<'_>| matches!(rendition.kind, RenditionKind::Video { .. });
    let (videos, audios): (Vec<&Rated<'_>>, Vec<&Rated<'_>>) = renditions.iter().partition(is_video);
    writeln!(out, "#EXTM3U\n#EXT-X-VERSION:9\n#EXT-X-INDEPENDENT-SEGMENTS")?;
    if videos.is_empty() {
        return audios.into_iter().try_for_each(|audio| variant(out, audio, &[], uri));
    }
    for (nth, (audio, _)) in audios.iter().enumerate() {
        audio_rendition(out, audio, nth == 0, uri)?;
    }
    videos.into_iter().try_for_each(|video| variant(out, video, &audios, uri))
}

fn audio_rendition(out: &mut String, audio: &Rendition, default: bool, uri: Uri<'_>) -> fmt::Result {
    let id = &audio.id;
    let default = if default { "YES" } else { "NO" };
    write!(out, "#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"audio\",NAME=\"{id}\",DEFAULT={default},AUTOSELECT=YES")?;
    if let RenditionKind::Audio { channels, .. } = audio.kind {
        write!(out, ",CHANNELS=\"{channels}\"")?;
    }
    writeln!(out, ",URI=\"{}\"", uri(id))
}

fn variant(out: &mut String, (main, rate): &Rated<'_>, audios: &[&Rated<'_>], uri: Uri<'_>) -> fmt::Result {
    let audio = audios.iter().map(|(_, rate)| *rate).fold(Bitrate::default(), Bitrate::max);
    let Bitrate { peak, average } = rate.plus(audio);
    write!(out, "#EXT-X-STREAM-INF:BANDWIDTH={peak},AVERAGE-BANDWIDTH={average},CODECS=\"{}", main.codecs)?;
    for (nth, (audio, _)) in audios.iter().enumerate() {
        if audios[..nth].iter().all(|(other, _)| other.codecs != audio.codecs) {
            write!(out, ",{}", audio.codecs)?;
        }
    }
    out.write_char('"')?;
    if let RenditionKind::Video { width, height, frame_rate } = main.kind {
        write!(out, ",RESOLUTION={width}x{height},FRAME-RATE={frame_rate:.3}")?;
    }
    if !audios.is_empty() {
        out.write_str(",AUDIO=\"audio\"")?;
    }
    writeln!(out, "\n{}", uri(&main.id))
}
