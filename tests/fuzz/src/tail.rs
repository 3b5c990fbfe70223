//! Draws the fuzzer's choices from the end of its input, so that the bytes before stay as they were written.

/// Bytes, of which the last ones are choices.
#[derive(Debug)]
pub(crate) struct Tail<'a>(&'a [u8]);

impl<'a> Tail<'a> {
    /// Takes bytes.
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// Chooses a number below `bound`, which is at most 2^16; always 0 when the bytes are used up.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        let mut chosen = self.byte();
        if bound > 256 {
            chosen = chosen * 256 + self.byte();
        }
        chosen % bound.max(1)
    }

    /// Says whether any choice is left.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns what was not used for choices.
    pub(crate) fn rest(self) -> &'a [u8] {
        self.0
    }

    fn byte(&mut self) -> usize {
        let Some((last, before)) = self.0.split_last() else { return 0 };
        self.0 = before;
        usize::from(*last)
    }
}
