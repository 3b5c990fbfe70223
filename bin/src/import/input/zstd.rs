//! Unpacks zstd (RFC 8878): all frames of a file, one after the other, as `zstd -dc` does.

use std::io::{self, BufRead, ErrorKind, Read};

use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

/// Says whether a file begins with a frame, or with a skippable one, as `pzstd` writes them (sections 3.1.1 and 3.1.2).
pub(super) fn is_zstd(head: &[u8]) -> bool {
    matches!(head, [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..])
}

/// Reads the unpacked content.
pub(super) struct Unpacked {
    source: Box<dyn BufRead>,
    decoder: FrameDecoder,
    in_frame: bool,
}

impl Unpacked {
    pub(super) fn new(source: Box<dyn BufRead>) -> Self {
        Self { source, decoder: FrameDecoder::new(), in_frame: false }
    }

    /// Begins the next frame; `false` at the end of the file.
    fn begin_frame(&mut self) -> io::Result<bool> {
        while !self.source.fill_buf()?.is_empty() {
            match self.decoder.reset(&mut self.source) {
                Ok(()) => return Ok(true),
                Err(error) => self.skip(u64::from(length_to_skip(error)?))?,
            }
        }
        Ok(false)
    }

    fn skip(&mut self, bytes: u64) -> io::Result<()> {
        let skipped = io::copy(&mut self.source.by_ref().take(bytes), &mut io::sink())?;
        if skipped == bytes { Ok(()) } else { Err(ErrorKind::UnexpectedEof.into()) }
    }

    /// Ends a frame. The decoder computes the checksum, and leaves it to its user to compare it.
    fn end_frame(&mut self) -> io::Result<()> {
        self.in_frame = false;
        match self.decoder.get_checksum_from_data() {
            Some(sum) if Some(sum) != self.decoder.get_calculated_checksum() => {
                Err(io::Error::new(ErrorKind::InvalidData, "the zstd checksum is wrong"))
            }
            _ => Ok(()),
        }
    }
}

impl Read for Unpacked {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            if !self.in_frame {
                self.in_frame = self.begin_frame()?;
                if !self.in_frame {
                    return Ok(0);
                }
            }
            while self.decoder.can_collect() == 0 && !self.decoder.is_finished() {
                let decoded = self.decoder.decode_blocks(&mut self.source, BlockDecodingStrategy::UptoBlocks(1));
                decoded.map_err(broken)?;
            }
            let read = self.decoder.read(buffer)?;
            if read > 0 {
                return Ok(read);
            }
            self.end_frame()?;
        }
    }
}

fn length_to_skip(error: FrameDecoderError) -> io::Result<u32> {
    match error {
        FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame { length, .. }) => Ok(length),
        FrameDecoderError::WindowSizeTooBig { .. } => {
            Err(io::Error::new(ErrorKind::InvalidData, "its zstd window is too large; pack it without --long"))
        }
        other => Err(broken(other)),
    }
}

fn broken(error: FrameDecoderError) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, format!("the zstd data is broken: {error}"))
}

#[cfg(test)]
mod tests;
