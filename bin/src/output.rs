//! The standard output of commands.

mod printable;

use std::io::{self, ErrorKind, Write};

pub(crate) use printable::printable;

/// The reader of standard output has closed it, as `head` does. The command ends quietly: this is no failure.
#[derive(Debug, thiserror::Error)]
#[error("standard output was closed")]
pub(crate) struct OutputClosed;

/// The size of the write buffer.
const BUFFER_BYTES: usize = 64 * 1024;

/// Buffered standard output that reports a closed pipe as [`OutputClosed`].
#[derive(Debug)]
pub(crate) struct Output<W: Write = io::BufWriter<io::Stdout>>(W);

impl Output {
    /// Returns the standard output of this process.
    pub(crate) fn standard() -> Self {
        Self(io::BufWriter::with_capacity(BUFFER_BYTES, io::stdout()))
    }
}

impl<W: Write> Output<W> {
    /// Writes bytes.
    ///
    /// # Errors
    /// [`OutputClosed`], or the write fails.
    pub(crate) fn write(&mut self, bytes: impl AsRef<[u8]>) -> anyhow::Result<()> {
        classify(self.0.write_all(bytes.as_ref()))
    }

    /// Writes a line.
    ///
    /// # Errors
    /// As [`Output::write`].
    pub(crate) fn line(&mut self, line: impl AsRef<str>) -> anyhow::Result<()> {
        self.write(line.as_ref())?;
        self.write("\n")
    }

    /// Flushes the buffer.
    ///
    /// # Errors
    /// As [`Output::write`].
    pub(crate) fn flush(&mut self) -> anyhow::Result<()> {
        classify(self.0.flush())
    }
}

/// Writes a line to standard error. Ignores a closed or full one: the note is no result of the command.
pub(crate) fn note(text: &str) {
    writeln!(io::stderr().lock(), "{text}").ok();
}

#[cfg(test)]
impl Output<Vec<u8>> {
    /// Collects the output in memory.
    pub(crate) fn memory() -> Self {
        Self(Vec::new())
    }

    /// Returns the collected output.
    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.0
    }
}

fn classify(written: io::Result<()>) -> anyhow::Result<()> {
    written.map_err(|error| match error.kind() {
        ErrorKind::BrokenPipe => anyhow::Error::new(OutputClosed),
        _ => anyhow::Error::new(error).context("standard output can't be written"),
    })
}

#[cfg(test)]
mod tests;
