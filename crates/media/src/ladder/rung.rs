//! A rung in text.

use std::fmt;
use std::str::FromStr;

use super::{LadderError, MAX_SIDE, MIN_SIDE, Rung};

impl Rung {
    pub(super) fn pixel_count(&self) -> u64 {
        u64::from(self.width) * u64::from(self.height)
    }

    pub(super) fn check_rung(&self) -> Result<(), LadderError> {
        let fine = |side: u32| side.is_multiple_of(2) && (MIN_SIDE..=MAX_SIDE).contains(&side);
        if !fine(self.width) || !fine(self.height) {
            return Err(LadderError::Size { width: self.width, height: self.height });
        }
        match self.bitrate {
            50_000..=100_000_000 => Ok(()),
            other => Err(LadderError::Bitrate(other)),
        }
    }
}

impl FromStr for Rung {
    type Err = LadderError;

    /// Reads `1280x720@2800k`; the bit rate may end with `k` or `M`. The name is made of the shorter side: `720p`.
    fn from_str(text: &str) -> Result<Self, LadderError> {
        let syntax = || LadderError::Syntax(text.to_owned());
        let (size, bitrate) = text.trim().split_once('@').ok_or_else(syntax)?;
        let (width, height) = size.split_once('x').ok_or_else(syntax)?;
        let side = |digits: &str| digits.parse::<u32>().map_err(|_| syntax());
        let width = side(width)?;
        let height = side(height)?;
        let name = format!("{}p", width.min(height)).parse().map_err(|_| syntax())?;
        let rung = Self { name, width, height, bitrate: parse_bitrate(bitrate).ok_or_else(syntax)? };
        rung.check_rung()?;
        Ok(rung)
    }
}

impl fmt::Display for Rung {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { width, height, bitrate, .. } = self;
        match bitrate % 1_000 {
            0 => write!(f, "{width}x{height}@{}k", bitrate / 1_000),
            _ => write!(f, "{width}x{height}@{bitrate}"),
        }
    }
}

fn parse_bitrate(text: &str) -> Option<u32> {
    let (digits, unit) = match text.as_bytes().last()? {
        b'k' | b'K' => (&text[..text.len() - 1], 1_000),
        b'm' | b'M' => (&text[..text.len() - 1], 1_000_000),
        _ => (text, 1),
    };
    Some(digits.parse::<u32>().ok()?.saturating_mul(unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_back() {
        for text in ["1280x720@2800k", "640x360@64001"] {
            assert_eq!(text.parse::<Rung>().unwrap().to_string(), text);
        }
        assert_eq!("1920x1080@6M".parse::<Rung>().unwrap().bitrate, 6_000_000);
        assert_eq!("720x1280@2M".parse::<Rung>().unwrap().name.as_str(), "720p");
    }

    #[test]
    fn mistakes_are_explained() {
        for text in
            ["", "720p", "1280x720", "1280@2800k", "1280x720@", "1280x720@fast", "-2x4@1k", "1280x720@é"]
        {
            assert_eq!(text.parse::<Rung>(), Err(LadderError::Syntax(text.to_owned())));
        }
        let text = |rung: &str| rung.parse::<Rung>().unwrap_err().to_string();
        assert_eq!(
            text("853x480@1M"),
            "853x480: both sides of a rung must be even and from 16 to 4096 pixels"
        );
        assert_eq!(text("854x480@1"), "1: a rung's bit rate must be from 50k to 100M bits a second");
        assert!("854x480@4294967295M".parse::<Rung>().is_err());
    }
}
