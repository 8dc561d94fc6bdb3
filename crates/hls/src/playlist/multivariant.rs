use std::fmt::{self, Write};

use super::bitrate::Bitrate;
use crate::event::{Rendition, RenditionKind};
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
    let (videos, audios): (Vec<_>, Vec<_>) =
        window.renditions().partition(|r| matches!(r.kind, RenditionKind::Video { .. }));
    let mut out = String::with_capacity(256 * (1 + videos.len() + audios.len()));
    if videos.is_empty() && audios.is_empty() {
        return None;
    }
    write(&mut out, window, file, &videos, &audios).expect("writing to a String does not fail");
    Some(out)
}

fn write(
    out: &mut String,
    window: &LiveWindow,
    file: &str,
    videos: &[&Rendition],
    audios: &[&Rendition],
) -> fmt::Result {
    writeln!(out, "#EXTM3U\n#EXT-X-VERSION:9\n#EXT-X-INDEPENDENT-SEGMENTS")?;
    if videos.is_empty() {
        return audios.iter().try_for_each(|audio| variant(out, window, file, audio, &[]));
    }
    for (nth, audio) in audios.iter().enumerate() {
        audio_rendition(out, file, audio, nth == 0)?;
    }
    videos.iter().try_for_each(|video| variant(out, window, file, video, audios))
}

fn audio_rendition(out: &mut String, file: &str, audio: &Rendition, default: bool) -> fmt::Result {
    let id = &audio.id;
    let default = if default { "YES" } else { "NO" };
    write!(out, "#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"audio\",NAME=\"{id}\",DEFAULT={default},AUTOSELECT=YES")?;
    if let RenditionKind::Audio { channels, .. } = audio.kind {
        write!(out, ",CHANNELS=\"{channels}\"")?;
    }
    writeln!(out, ",URI=\"{id}/{file}\"")
}

fn variant(
    out: &mut String,
    window: &LiveWindow,
    file: &str,
    main: &Rendition,
    audios: &[&Rendition],
) -> fmt::Result {
    let audio = audios.iter().map(|audio| Bitrate::of(window, audio)).fold(Bitrate::default(), Bitrate::max);
    let Bitrate { peak, average } = Bitrate::of(window, main).plus(audio);
    write!(out, "#EXT-X-STREAM-INF:BANDWIDTH={peak},AVERAGE-BANDWIDTH={average},CODECS=\"{}", main.codecs)?;
    for (nth, audio) in audios.iter().enumerate() {
        if audios[..nth].iter().all(|other| other.codecs != audio.codecs) {
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
    writeln!(out, "\n{}/{file}", main.id)
}
