//! What commands answer, on standard output.

use std::io::{self, ErrorKind, Write};

/// Whoever read standard output has gone, as `head` does: nobody is left to answer, and that is no failure.
#[derive(Debug, thiserror::Error)]
#[error("standard output was closed")]
pub(crate) struct OutputClosed;

/// How much is gathered before it is written.
const BUFFER_BYTES: usize = 64 * 1024;

/// Standard output, where a reader who leaves is told from other failures.
#[derive(Debug)]
pub(crate) struct Output<W: Write = io::BufWriter<io::Stdout>>(W);

impl Output {
    /// Takes the standard output of this process.
    pub(crate) fn standard() -> Self {
        Self(io::BufWriter::with_capacity(BUFFER_BYTES, io::stdout()))
    }
}

impl<W: Write> Output<W> {
    /// Writes a text as it is.
    ///
    /// # Errors
    /// [`OutputClosed`], or the text can't be written.
    pub(crate) fn write(&mut self, bytes: impl AsRef<[u8]>) -> anyhow::Result<()> {
        told_apart(self.0.write_all(bytes.as_ref()))
    }

    /// Writes a line.
    ///
    /// # Errors
    /// As [`Output::write`].
    pub(crate) fn line(&mut self, line: impl AsRef<str>) -> anyhow::Result<()> {
        self.write(line.as_ref())?;
        self.write("\n")
    }

    /// Sends what was written on its way.
    ///
    /// # Errors
    /// As [`Output::write`].
    pub(crate) fn flush(&mut self) -> anyhow::Result<()> {
        told_apart(self.0.flush())
    }
}

#[cfg(test)]
impl Output<Vec<u8>> {
    /// Keeps what is written.
    pub(crate) fn memory() -> Self {
        Self(Vec::new())
    }

    /// Returns what was written.
    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.0
    }
}

fn told_apart(written: io::Result<()>) -> anyhow::Result<()> {
    written.map_err(|error| match error.kind() {
        ErrorKind::BrokenPipe => anyhow::Error::new(OutputClosed),
        _ => anyhow::Error::new(error).context("standard output can't be written"),
    })
}

#[cfg(test)]
mod tests;
