//! Numbers that follow from a seed.

/// A generator (splitmix64).
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// A number below a bound.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound as u64).unwrap()
    }

    /// Bytes, of which no two runs are equal.
    pub(crate) fn bytes(&mut self, len: usize) -> Vec<u8> {
        pattern(self.next(), 0, len)
    }
}

fn mix(mut number: u64) -> u64 {
    number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

/// The bytes that a pattern has from an offset on. None of them is zero, so that a hole is never taken for them.
pub(crate) fn pattern(seed: u64, offset: usize, len: usize) -> Vec<u8> {
    let word = |at: usize| mix(seed.wrapping_add(at as u64)).to_le_bytes();
    let mut bytes = Vec::with_capacity(len + 16);
    for at in offset / 8..=(offset + len) / 8 {
        bytes.extend(word(at).map(|byte| byte.max(1)));
    }
    bytes.drain(..offset % 8);
    bytes.truncate(len);
    bytes
}
