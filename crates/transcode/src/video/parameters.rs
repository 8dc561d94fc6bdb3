//! Parameter sets of an encoder. The sample entry `avc1` says that they stand in it, and nowhere among the samples
//! (ISO/IEC 14496-15 §5.4.2).

use bytes::{Buf, Bytes, BytesMut};
use headwater_media::AvcConfig;

/// The parameter sets of the sample entry.
pub(super) struct Parameters(AvcConfig);

/// Why an access unit can't be shown.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(super) enum UnitError {
    #[error("gave a picture whose NAL units are cut short")]
    CutShort,
    #[error("changed its parameter sets in the middle of a period")]
    Changed,
}

/// Types of NAL units (ITU-T H.264 table 7-1).
const SPS: u8 = 7;
const PPS: u8 = 8;

impl Parameters {
    pub(super) fn from_config(config: AvcConfig) -> Self {
        Self(config)
    }

    /// The access unit without its parameter sets. They come first as a rule, so that nothing is copied.
    pub(super) fn taken_out(&self, unit: Bytes) -> Result<Bytes, UnitError> {
        let mut rest = unit.clone();
        let mut kept: Option<BytesMut> = None;
        let mut from = 0;
        while !rest.is_empty() {
            let before = unit.len() - rest.len();
            let nal = self.next(&mut rest)?;
            let is_parameter = self.is_parameter(&nal)?;
            let end = unit.len() - rest.len();
            match (&mut kept, is_parameter) {
                (None, true) if from == before => from = end,
                (None, true) => kept = Some(BytesMut::from(&unit[from..before])),
                (Some(kept), false) => kept.extend_from_slice(&unit[before..end]),
                (None, false) | (Some(_), true) => {}
            }
        }
        Ok(kept.map_or_else(|| unit.slice(from..), BytesMut::freeze))
    }

    fn next(&self, rest: &mut Bytes) -> Result<Bytes, UnitError> {
        let size = usize::from(self.0.nal_length_size);
        if rest.len() < size {
            return Err(UnitError::CutShort);
        }
        let length = rest.get_uint(size);
        match usize::try_from(length) {
            Ok(length) if length <= rest.len() => Ok(rest.split_to(length)),
            _ => Err(UnitError::CutShort),
        }
    }

    fn is_parameter(&self, nal: &Bytes) -> Result<bool, UnitError> {
        let known = match nal.first().map(|header| header & 0x1f) {
            Some(SPS) => &self.0.sps,
            Some(PPS) => &self.0.pps,
            _ => return Ok(false),
        };
        if known.contains(nal) { Ok(true) } else { Err(UnitError::Changed) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETS: [&[u8]; 2] = [b"\x67\x64\x00\x1f", b"\x68\xeb"];
    const SEI: &[u8] = b"\x06\x05";
    const IDR: &[u8] = b"\x65picture";

    fn parameters() -> Parameters {
        let record = b"\x01\x64\x00\x1f\xff\xe1\x00\x04\x67\x64\x00\x1f\x01\x00\x02\x68\xeb";
        Parameters::from_config(AvcConfig::parse(&Bytes::from_static(record)).unwrap())
    }

    fn unit(nals: &[&[u8]]) -> Bytes {
        let nal = |nal: &&[u8]| [&(nal.len() as u32).to_be_bytes(), *nal].concat();
        nals.iter().flat_map(nal).collect()
    }

    #[test]
    fn they_are_taken_out_wherever_they_stand() {
        let [sps, pps] = SETS;
        for nals in
            [&[sps, pps, SEI, IDR][..], &[SEI, sps, pps, IDR], &[sps, SEI, pps, IDR], &[SEI, IDR, pps]]
        {
            let kept: Vec<_> = nals.iter().copied().filter(|nal| !SETS.contains(nal)).collect();
            assert_eq!(parameters().taken_out(unit(nals)), Ok(unit(&kept)), "{nals:?}");
        }
    }

    #[test]
    fn what_begins_with_them_is_not_copied() {
        let whole = unit(&[SETS[0], SETS[1], IDR]);
        let kept = parameters().taken_out(whole.clone()).unwrap();
        assert_eq!(kept.as_ptr(), whole[14..].as_ptr());
    }

    #[test]
    fn others_than_those_of_the_sample_entry_are_refused() {
        assert_eq!(parameters().taken_out(unit(&[b"\x67\x64\x00\x20", IDR])), Err(UnitError::Changed));
        let whole = unit(&[SEI, IDR]);
        assert_eq!(parameters().taken_out(whole.slice(..whole.len() - 1)), Err(UnitError::CutShort));
        assert_eq!(parameters().taken_out(whole.slice(..2)), Err(UnitError::CutShort));
    }
}
