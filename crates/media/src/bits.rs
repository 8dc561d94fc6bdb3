//! Reads single bits, most significant first, as codec headers are written.

/// The bits have ended, or an Exp-Golomb code is longer than 32 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OutOfBits;

#[derive(Clone, Debug)]
pub(crate) struct BitReader<'a> {
    bytes: &'a [u8],
    position: usize,
}

impl<'a> BitReader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, position: 0 }
    }

    /// The next `count` bits, at most 32.
    pub(crate) fn read_bits(&mut self, count: u32) -> Result<u32, OutOfBits> {
        debug_assert!(count <= 32);
        if self.bits_left() < count as usize {
            return Err(OutOfBits);
        }
        Ok((0..count).fold(0, |value, _| value << 1 | self.next_bit()))
    }

    pub(crate) fn read_flag(&mut self) -> Result<bool, OutOfBits> {
        Ok(self.read_bits(1)? == 1)
    }

    /// The next `count` bits, at most 8.
    pub(crate) fn read_small(&mut self, count: u32) -> Result<u8, OutOfBits> {
        debug_assert!(count <= 8);
        self.read_bits(count).map(|value| value as u8)
    }

    /// An unsigned Exp-Golomb code, `ue(v)` of ISO/IEC 14496-10 §9.1.
    pub(crate) fn read_ue(&mut self) -> Result<u32, OutOfBits> {
        let mut zeros = 0;
        while !self.read_flag()? {
            zeros += 1;
            if zeros > 31 {
                return Err(OutOfBits);
            }
        }
        Ok((1 << zeros) - 1 + self.read_bits(zeros)?)
    }

    /// A signed Exp-Golomb code, `se(v)`.
    pub(crate) fn read_se(&mut self) -> Result<i64, OutOfBits> {
        let code = i64::from(self.read_ue()?);
        Ok(if code % 2 == 1 { code / 2 + 1 } else { -(code / 2) })
    }

    /// How many bits are left.
    pub(crate) fn bits_left(&self) -> usize {
        self.bytes.len() * 8 - self.position
    }

    fn next_bit(&mut self) -> u32 {
        let byte = self.bytes[self.position / 8];
        let bit = byte >> (7 - self.position % 8) & 1;
        self.position += 1;
        u32::from(bit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn exp_golomb_codes() {
        // 1 | 010 | 011 | 00100 | 00101, filled with zeros
        let mut reader = BitReader::new(&[0b1010_0110, 0b0100_0010, 0b1000_0000]);
        assert_eq!([(); 5].map(|()| reader.read_ue().unwrap()), [0, 1, 2, 3, 4]);
        let mut reader = BitReader::new(&[0b1010_0110, 0b0100_0010, 0b1000_0000]);
        assert_eq!([(); 5].map(|()| reader.read_se().unwrap()), [0, 1, -1, 2, -2]);
    }

    #[test]
    fn a_code_without_end_is_refused() {
        assert_eq!(BitReader::new(&[0; 64]).read_ue(), Err(OutOfBits));
        assert_eq!(BitReader::new(&[]).read_ue(), Err(OutOfBits));
    }

    proptest! {
        #[test]
        fn bytes_come_back(bytes: Vec<u8>, count in 1u32..=32) {
            let mut reader = BitReader::new(&bytes);
            let mut read = 0usize;
            while reader.read_bits(count).is_ok() { read += count as usize; }
            prop_assert!(bytes.len() * 8 - read < count as usize);
        }
    }
}
