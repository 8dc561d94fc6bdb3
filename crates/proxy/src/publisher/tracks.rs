//! Log line of a period's tracks: codec, size and frame rate of the video, codec and format of the audio.

use bytes::Bytes;
use headwater_media::{AudioConfig, AvcConfig, Period};

/// Logs the tracks that a period consists of.
pub(super) fn log_period(period: &Period) {
    tracing::info!(
        period = %period.number,
        video = period.video().and_then(describe_video),
        audio = period.audio().and_then(describe_audio),
        "a period of the source begins"
    );
}

/// Text such as `avc1.64001f 1280x720 30 fps`; without the rate where the source does not tell it.
fn describe_video(record: &Bytes) -> Option<String> {
    let config = AvcConfig::parse(record).ok()?;
    let sps = config.picture().ok()?;
    let rate = sps.frame_rate.map(|rate| format!(" {} fps", (rate * 100.0).round() / 100.0));
    let scan = if sps.interlaced { " interlaced" } else { "" };
    Some(format!("{} {}x{}{}{scan}", config.codec(), sps.width, sps.height, rate.unwrap_or_default()))
}

/// Text such as `mp4a.40.2 48000 Hz 2 channels`.
fn describe_audio(config: &Bytes) -> Option<String> {
    let config = AudioConfig::parse(config).ok()?;
    Some(format!("{} {} Hz {} channels", config.codec(), config.sample_rate, config.channels))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tracks_are_described_by_codec_size_rate_and_channels() {
        // x264 at 1280x720, 30 frames a second.
        let record = Bytes::from_static(&[
            0x01, 0x64, 0x00, 0x1f, 0xff, 0xe1, 0x00, 0x18, 0x67, 0x64, 0x00, 0x1f, 0xac, 0xd9, 0x40, 0x50,
            0x05, 0xbb, 0x01, 0x10, 0x00, 0x00, 0x3e, 0x90, 0x00, 0x0e, 0xa6, 0x00, 0xf1, 0x83, 0x19, 0x60,
            0x01, 0x00, 0x06, 0x68, 0xeb, 0xe3, 0xcb, 0x22, 0xc0, 0xfd, 0xf8, 0xf8, 0x00,
        ]);
        assert_eq!(describe_video(&record).as_deref(), Some("avc1.64001f 1280x720 29.97 fps"));
        assert_eq!(
            describe_audio(&Bytes::from_static(&[0x11, 0x90])).as_deref(),
            Some("mp4a.40.2 48000 Hz 2 channels")
        );
        assert_eq!((describe_video(&Bytes::new()), describe_audio(&Bytes::new())), (None, None));
    }
}
