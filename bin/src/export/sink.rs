//! The output of an export: standard output, or a file that appears only when it is complete.

use std::fs::{self, File};
use std::io::{self, BufWriter, ErrorKind, IsTerminal as _, Write};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use flate2::Compression;
use flate2::write::GzEncoder;
use tempfile::NamedTempFile;

use crate::output::OutputClosed;
use crate::overwrite::{OWNER_ONLY, folder_of};

/// The size of the write buffer.
const BUFFER_BYTES: usize = 64 * 1024;

/// The output of an export.
pub(super) struct Sink {
    encoder: Encoder,
    /// The name of the output in messages.
    name: String,
}

enum Encoder {
    Plain(BufWriter<Target>),
    Gzip(GzEncoder<BufWriter<Target>>),
}

/// The destination of the bytes.
enum Target {
    Standard(io::Stdout),
    /// A device or a named pipe.
    Device(File),
    /// A temporary file beside the final one, to which it is renamed at the end.
    Unfinished(NamedTempFile, PathBuf),
}

impl Sink {
    /// Opens the output; packs it if `gzip` or its name says so.
    ///
    /// # Errors
    /// The output can't be written.
    pub(super) fn open(path: &Path, gzip: bool) -> anyhow::Result<Self> {
        let target = Target::open(path).with_context(|| format!("{} can't be written", path.display()))?;
        let name = match &target {
            Target::Standard(_) => "standard output".to_owned(),
            Target::Device(_) | Target::Unfinished(..) => path.display().to_string(),
        };
        let buffer = BufWriter::with_capacity(BUFFER_BYTES, target);
        let packed = gzip || path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("gz"));
        let encoder =
            if packed { Encoder::Gzip(GzEncoder::new(buffer, Compression::default())) } else { Encoder::Plain(buffer) };
        Ok(Self { encoder, name })
    }

    /// Says whether the output is a terminal.
    pub(super) fn is_terminal(&self) -> bool {
        let buffer = match &self.encoder {
            Encoder::Plain(buffer) => buffer,
            Encoder::Gzip(packer) => packer.get_ref(),
        };
        match buffer.get_ref() {
            Target::Standard(out) => out.is_terminal(),
            Target::Device(file) => file.is_terminal(),
            Target::Unfinished(..) => false,
        }
    }

    /// Writes a part.
    ///
    /// # Errors
    /// [`OutputClosed`], or the part can't be written.
    pub(super) fn write(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        let written = match &mut self.encoder {
            Encoder::Plain(buffer) => buffer.write_all(bytes),
            Encoder::Gzip(packer) => packer.write_all(bytes),
        };
        self.classify(written)
    }

    /// Ends the export, and gives the file its name. Says whether the output was a file.
    ///
    /// # Errors
    /// As [`Sink::write`].
    pub(super) fn finish(self) -> anyhow::Result<bool> {
        let Self { encoder, name } = self;
        let ended = match encoder {
            Encoder::Plain(buffer) => Ok(buffer),
            Encoder::Gzip(packer) => packer.finish(),
        };
        let target = ended.and_then(|buffer| buffer.into_inner().map_err(io::IntoInnerError::into_error));
        classify(target.and_then(Target::keep), &name)
    }

    fn classify<T>(&self, written: io::Result<T>) -> anyhow::Result<T> {
        classify(written, &self.name)
    }
}

fn classify<T>(written: io::Result<T>, name: &str) -> anyhow::Result<T> {
    written.map_err(|error| match error.kind() {
        ErrorKind::BrokenPipe => anyhow::Error::new(OutputClosed),
        _ => anyhow::Error::new(error).context(format!("{name} can't be written")),
    })
}

impl Target {
    fn open(path: &Path) -> io::Result<Self> {
        if path.as_os_str() == "-" {
            return Ok(Self::Standard(io::stdout()));
        }
        let (path, mode) = match fs::metadata(path) {
            Ok(about) if about.is_dir() => return Err(ErrorKind::IsADirectory.into()),
            Ok(about) if !about.is_file() => return File::options().write(true).open(path).map(Self::Device),
            // The target of a symbolic link is replaced, not the link. The new file keeps the permissions of the old
            // one.
            Ok(about) => (path.canonicalize()?, about.permissions().mode()),
            Err(error) if error.kind() == ErrorKind::NotFound => (path.to_owned(), OWNER_ONLY),
            Err(error) => return Err(error),
        };
        let file = tempfile::Builder::new()
            .prefix(".tallyhouse-export-")
            .permissions(fs::Permissions::from_mode(OWNER_ONLY))
            .tempfile_in(folder_of(&path))?;
        file.as_file().set_permissions(fs::Permissions::from_mode(mode))?;
        Ok(Self::Unfinished(file, path))
    }

    fn keep(self) -> io::Result<bool> {
        match self {
            Self::Standard(mut out) => out.flush().map(|()| false),
            Self::Device(mut file) => file.flush().map(|()| true),
            Self::Unfinished(file, path) => {
                // The content is flushed to the disk before the rename: otherwise the file could be empty after a
                // crash.
                file.as_file().sync_all()?;
                file.persist(path).map(|_| true).map_err(|error| error.error)
            }
        }
    }
}

impl Write for Target {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Standard(out) => out.write(bytes),
            Self::Device(file) => file.write(bytes),
            Self::Unfinished(file, _) => file.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Standard(out) => out.flush(),
            Self::Device(file) => file.flush(),
            Self::Unfinished(file, _) => file.flush(),
        }
    }
}
