//! H.264 configuration: `AVCDecoderConfigurationRecord` (ISO/IEC 14496-15 §5.3.3.1).

mod sps;

use bytes::{Buf, Bytes};

use crate::error::MediaError;

pub use sps::{Colours, MAX_PICTURE_SIDE, Sps};

/// Contents of an `AVCDecoderConfigurationRecord`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AvcConfig {
    /// `profile_idc`, constraint flags and `level_idc`.
    profile: [u8; 3],
    /// Bytes of the length in front of every NAL unit: 1, 2 or 4.
    pub nal_length_size: u8,
    /// Sequence parameter sets, at least one, with their NAL unit header.
    pub sps: Vec<Bytes>,
    /// Picture parameter sets.
    pub pps: Vec<Bytes>,
}

const HEADER_NAME: &str = "H.264 sequence header";

impl AvcConfig {
    /// # Errors
    /// A record that is cut short, or has no sequence parameter set.
    pub fn parse(record: &Bytes) -> Result<Self, MediaError> {
        let mut rest = record.clone();
        let cut_short = || MediaError::malformed_header(HEADER_NAME, "it is cut short");
        let &[version, profile, compatibility, level, lengths] = rest.first_chunk().ok_or_else(cut_short)?;
        rest.advance(5);
        if version != 1 {
            return Err(MediaError::malformed_header(HEADER_NAME, "its version is unknown"));
        }
        let nal_length_size = (lengths & 0x03) + 1;
        if nal_length_size == 3 {
            return Err(MediaError::malformed_header(
                HEADER_NAME,
                "NAL units with lengths of three bytes don't exist",
            ));
        }
        let sps = take_sets(&mut rest, 0x1f).ok_or_else(cut_short)?;
        let pps = take_sets(&mut rest, 0xff).ok_or_else(cut_short)?;
        if sps.is_empty() {
            return Err(MediaError::malformed_header(HEADER_NAME, "it has no sequence parameter set"));
        }
        Ok(Self { profile: [profile, compatibility, level], nal_length_size, sps, pps })
    }

    /// Codec string of RFC 6381 §3.3, such as `avc1.64001f`.
    pub fn codec(&self) -> String {
        let [profile, compatibility, level] = self.profile;
        format!("avc1.{profile:02x}{compatibility:02x}{level:02x}")
    }

    /// Whether what is encoded for one of the two can be decoded with the other. The profile in front of the parameter sets
    /// and what follows them say nothing that isn't in them.
    pub fn decodes_like(&self, other: &Self) -> bool {
        (self.nal_length_size, &self.sps, &self.pps) == (other.nal_length_size, &other.sps, &other.pps)
    }

    /// The first sequence parameter set, parsed.
    ///
    /// # Errors
    /// A parameter set that is damaged, or a picture beyond what is sane.
    pub fn picture(&self) -> Result<Sps, MediaError> {
        Sps::parse(&self.sps[0])
    }
}

/// Parameter sets, each behind its length; their number is masked out of one byte.
fn take_sets(rest: &mut Bytes, count_mask: u8) -> Option<Vec<Bytes>> {
    let count = rest.try_get_u8().ok()? & count_mask;
    (0..count).map(|_| take_set(rest)).collect()
}

fn take_set(rest: &mut Bytes) -> Option<Bytes> {
    let length = usize::from(rest.try_get_u16().ok()?);
    (0 < length && length <= rest.len()).then(|| rest.split_to(length))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{AVCC_720P, avcc};
    use proptest::prelude::*;

    #[test]
    fn a_record_of_x264() {
        let config = AvcConfig::parse(&avcc(AVCC_720P)).unwrap();
        assert_eq!(config.codec(), "avc1.64001f");
        assert_eq!((config.nal_length_size, config.sps.len(), config.pps.len()), (4, 1, 1));
        let picture = config.picture().unwrap();
        assert_eq!((picture.width, picture.height), (1280, 720));
    }

    #[test]
    fn a_record_cut_anywhere_is_refused() {
        let whole = avcc(AVCC_720P);
        let end_of_sets = whole.len() - 4;
        for length in 0..end_of_sets {
            assert!(AvcConfig::parse(&whole.slice(..length)).is_err(), "{length}");
        }
        assert!(
            AvcConfig::parse(&whole.slice(..end_of_sets)).is_ok(),
            "the extension of High may be missing"
        );
    }

    #[test]
    fn a_record_without_parameter_sets_is_refused() {
        let record = Bytes::from_static(b"\x01\x64\x00\x1f\xff\xe0\x00");
        let text = AvcConfig::parse(&record).unwrap_err().to_string();
        assert_eq!(
            text,
            "the encoder sent a damaged H.264 sequence header: it has no sequence parameter set"
        );
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes: Vec<u8>) {
            if let Ok(config) = AvcConfig::parse(&Bytes::from(bytes)) {
                let _ = config.picture();
            }
        }
    }
}
