//! Chance by a seed (SplitMix64): the same on every machine and with every version of every library.

#[derive(Clone, Debug)]
pub struct Chance(u64);

impl Chance {
    pub const fn fixed() -> Self {
        Self(0)
    }

    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Another source, which does not depend on how much is drawn of this one.
    pub fn fork(&self, label: u64) -> Self {
        let mut other = Self(self.0 ^ label.wrapping_mul(0xd6e8_feb8_6659_fd93));
        other.next();
        other
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `limit`, which is not 0.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    pub fn between(&mut self, least: u64, most: u64) -> u64 {
        least + self.below(most - least + 1)
    }

    pub fn percent(&mut self, chance: u64) -> bool {
        self.below(100) < chance
    }

    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u64) as usize]
    }
}
