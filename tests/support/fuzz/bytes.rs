//! Bytes of a fuzzer read as choices. Past the end everything is zero, so every input is a whole
//! run and a shorter one is a simpler one.

/// What is left to choose from.
#[derive(Debug, Clone)]
pub struct Source<'a>(&'a [u8]);

impl<'a> Source<'a> {
    /// Choices from these bytes.
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// Whether nothing is left.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The next byte.
    pub const fn byte(&mut self) -> u8 {
        match self.0 {
            [first, rest @ ..] => {
                self.0 = rest;
                *first
            }
            [] => 0,
        }
    }

    /// A number below `n`, which is at most 256 and not 0.
    pub fn below(&mut self, n: usize) -> usize {
        usize::from(self.byte()) % n
    }

    /// Two bytes as a number.
    pub fn short(&mut self) -> u16 {
        u16::from_le_bytes([self.byte(), self.byte()])
    }

    /// A number of any size: small ones, powers of two and the largest come often.
    pub fn number(&mut self) -> u64 {
        match self.byte() {
            shape @ 0..=191 => u64::from(shape),
            shape @ 192..=254 => (1u64 << (shape - 192)) - u64::from(self.byte() & 1),
            255 => u64::MAX,
        }
    }

    /// Up to as many bytes as the next one says.
    pub fn bytes(&mut self) -> &'a [u8] {
        let wanted = usize::from(self.byte());
        let (taken, rest) = self.0.split_at(wanted.min(self.0.len()));
        self.0 = rest;
        taken
    }

    /// Up to `max` things.
    pub fn list<T>(&mut self, max: usize, mut one: impl FnMut(&mut Self) -> T) -> Vec<T> {
        let count = self.below(max + 1);
        (0..count).map(|_| one(self)).collect()
    }
}
