//! Random choices that can be made again: each test prints its seed, and takes another one in the next run.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher as _, Hasher as _};

/// A small generator of random numbers (SplitMix64, Steele, Lea and Flood 2014).
#[derive(Debug, Clone)]
pub struct Seed(u64);

impl Seed {
    /// Draws a new seed, and prints it: a failing test shows what it has printed. To run the same again, put
    /// [`Seed::again`] in its place.
    #[must_use]
    pub fn draw() -> Self {
        let seed = Self::drawn();
        println!("seed {seed}");
        Self(seed)
    }

    /// Draws the number of a new seed, for those who print it themselves.
    #[must_use]
    pub fn drawn() -> u64 {
        // The standard library's hash keys are random for each process and each call.
        RandomState::new().build_hasher().finish()
    }

    /// Takes the seed of an earlier run.
    #[must_use]
    pub fn again(seed: u64) -> Self {
        Self(seed)
    }

    /// Returns the next 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Returns a number below `n`.
    ///
    /// # Panics
    /// `n` is 0.
    pub fn below(&mut self, n: usize) -> usize {
        let n = u64::try_from(n).expect("a usize has at most 64 bits");
        usize::try_from(self.bits() % n).expect("it is below a usize")
    }

    /// Chooses one of several.
    ///
    /// # Panics
    /// There are none.
    pub fn choose<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }
}
