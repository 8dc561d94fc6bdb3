//! Meaning of a picture's numbers as colours: the same in all rungs, or hues shift when a player goes from one to
//! another.

use std::str::FromStr as _;

use gst_video::{
    VideoColorMatrix as Matrix, VideoColorPrimaries as Primaries, VideoColorRange as Range, VideoColorimetry,
    VideoFormat, VideoTransferFunction as Transfer,
};

use crate::scale::is_rgb;

/// Lines from which a picture that says nothing is taken for BT.709, as players do; below it is BT.601.
const HD_LINES: i32 = 720;
const HD_COLOURS: &str = "bt709";
/// As GStreamer names it: the matrix of BT.601, the primaries of SMPTE 170M.
const SD_COLOURS: &str = "bt601";

/// The colorimetry of decoded pictures with these caps: what they say, and what is usual where they say nothing. Left to
/// themselves, encoders fill in what is usual for a picture of their own size. None for RGB: what the scaler makes of it
/// is BT.709.
pub(super) fn read_colorimetry(caps: &gst::CapsRef) -> Option<String> {
    let structure = caps.structure(0)?;
    let format = structure.get::<&str>("format").map_or(VideoFormat::Unknown, VideoFormat::from_string);
    let said = structure.get::<&str>("colorimetry").ok();
    let said =
        said.and_then(|text| VideoColorimetry::from_str(text).ok()).unwrap_or_else(unknown_colorimetry);
    let lines = structure.get::<i32>("height").unwrap_or_default();
    (!is_rgb(format)).then(|| complete_colorimetry(&said, lines).to_string())
}

fn unknown_colorimetry() -> VideoColorimetry {
    VideoColorimetry::new(Range::Unknown, Matrix::Unknown, Transfer::Unknown, Primaries::Unknown)
}

fn complete_colorimetry(said: &VideoColorimetry, lines: i32) -> VideoColorimetry {
    let is_hd = match (said.matrix(), said.primaries()) {
        (Matrix::Unknown, Primaries::Unknown) => lines >= HD_LINES,
        (Matrix::Unknown, primaries) => !matches!(primaries, Primaries::Smpte170m | Primaries::Bt470bg),
        (matrix, _) => matrix != Matrix::Bt601,
    };
    let Ok(usual) = VideoColorimetry::from_str(if is_hd { HD_COLOURS } else { SD_COLOURS }) else {
        return *said;
    };
    VideoColorimetry::new(
        if said.range() == Range::Unknown { usual.range() } else { said.range() },
        if said.matrix() == Matrix::Unknown { usual.matrix() } else { said.matrix() },
        if said.transfer() == Transfer::Unknown { usual.transfer() } else { said.transfer() },
        if said.primaries() == Primaries::Unknown { usual.primaries() } else { said.primaries() },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(said: Option<&str>, lines: i32) -> String {
        let mut caps = gst_video::VideoCapsBuilder::new().format(VideoFormat::I420).height(lines).build();
        if let Some(said) = said {
            caps.make_mut().set("colorimetry", said);
        }
        read_colorimetry(&caps).unwrap()
    }

    /// Range, matrix, transfer, primaries; 0 says nothing.
    #[test]
    fn what_is_not_said_is_what_is_usual() {
        gst::init().unwrap();
        for nothing in [None, Some("2:0:0:0")] {
            assert_eq!(
                [360, 719, 720, 1080].map(|lines| of(nothing, lines)),
                [SD_COLOURS, SD_COLOURS, HD_COLOURS, HD_COLOURS]
            );
        }
        assert_eq!(
            (of(Some("1:0:0:0"), 1080), of(Some("1:0:0:0"), 480)),
            ("1:3:5:1".into(), "1:4:16:4".into())
        );
        assert_eq!(
            (of(Some(SD_COLOURS), 1080), of(Some(HD_COLOURS), 360)),
            (SD_COLOURS.into(), HD_COLOURS.into())
        );
        assert_eq!(
            (of(Some("2:4:0:0"), 1080), of(Some("2:0:0:1"), 360)),
            (SD_COLOURS.into(), HD_COLOURS.into())
        );
        assert_eq!(of(Some("bt2020"), 360), "bt2020");
    }

    #[test]
    fn rgb_is_the_scalers_matter() {
        gst::init().unwrap();
        let caps = gst_video::VideoCapsBuilder::new().format(VideoFormat::Gbr).height(360).build();
        assert_eq!(read_colorimetry(&caps), None);
    }
}
