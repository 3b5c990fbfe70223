//! Where an export goes: standard output, or a file that is there only when it is whole.

use std::fs::{self, File};
use std::io::{self, BufWriter, ErrorKind, IsTerminal as _, Write};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use flate2::Compression;
use flate2::write::GzEncoder;
use tempfile::NamedTempFile;

use crate::output::OutputClosed;

/// How much is gathered before it is written.
const BUFFER_BYTES: usize = 64 * 1024;

/// What may be asked of a new file; the process's mask takes away what its user does not want.
const PERMISSIONS: u32 = 0o666;

/// What takes an export.
pub(super) struct Sink {
    packing: Packing,
    /// The output, in front of people.
    name: String,
}

enum Packing {
    Plain(BufWriter<Place>),
    Gzip(GzEncoder<BufWriter<Place>>),
}

/// Where bytes end up.
enum Place {
    Standard(io::Stdout),
    /// What is no ordinary file: a device or a named pipe.
    Device(File),
    /// Beside the file that it becomes at the end.
    Unfinished(NamedTempFile, PathBuf),
}

impl Sink {
    /// Opens the output, and packs where that was asked for or its name says so.
    ///
    /// # Errors
    /// It can't be written.
    pub(super) fn open(path: &Path, gzip: bool) -> anyhow::Result<Self> {
        let place = Place::open(path).with_context(|| format!("{} can't be written", path.display()))?;
        let name = match &place {
            Place::Standard(_) => "standard output".to_owned(),
            Place::Device(_) | Place::Unfinished(..) => path.display().to_string(),
        };
        let buffer = BufWriter::with_capacity(BUFFER_BYTES, place);
        let packed = gzip || path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("gz"));
        let packing =
            if packed { Packing::Gzip(GzEncoder::new(buffer, Compression::default())) } else { Packing::Plain(buffer) };
        Ok(Self { packing, name })
    }

    /// Says whether people see what is written.
    pub(super) fn is_terminal(&self) -> bool {
        let buffer = match &self.packing {
            Packing::Plain(buffer) => buffer,
            Packing::Gzip(packer) => packer.get_ref(),
        };
        match buffer.get_ref() {
            Place::Standard(out) => out.is_terminal(),
            Place::Device(file) => file.is_terminal(),
            Place::Unfinished(..) => false,
        }
    }

    /// Writes a part.
    ///
    /// # Errors
    /// [`OutputClosed`], or the part can't be written.
    pub(super) fn write(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        let written = match &mut self.packing {
            Packing::Plain(buffer) => buffer.write_all(bytes),
            Packing::Gzip(packer) => packer.write_all(bytes),
        };
        self.told_apart(written)
    }

    /// Ends the export; from now on the file is there. Says whether there is one, apart from standard output.
    ///
    /// # Errors
    /// As [`Sink::write`].
    pub(super) fn finish(self) -> anyhow::Result<bool> {
        let Self { packing, name } = self;
        let ended = match packing {
            Packing::Plain(buffer) => Ok(buffer),
            Packing::Gzip(packer) => packer.finish(),
        };
        let place = ended.and_then(|buffer| buffer.into_inner().map_err(io::IntoInnerError::into_error));
        told_apart(place.and_then(Place::keep), &name)
    }

    fn told_apart<T>(&self, written: io::Result<T>) -> anyhow::Result<T> {
        told_apart(written, &self.name)
    }
}

fn told_apart<T>(written: io::Result<T>, name: &str) -> anyhow::Result<T> {
    written.map_err(|error| match error.kind() {
        ErrorKind::BrokenPipe => anyhow::Error::new(OutputClosed),
        _ => anyhow::Error::new(error).context(format!("{name} can't be written")),
    })
}

impl Place {
    fn open(path: &Path) -> io::Result<Self> {
        if path.as_os_str() == "-" {
            return Ok(Self::Standard(io::stdout()));
        }
        let path = match fs::metadata(path) {
            Ok(about) if about.is_dir() => return Err(ErrorKind::IsADirectory.into()),
            Ok(about) if !about.is_file() => return File::options().write(true).open(path).map(Self::Device),
            // What a link points to is replaced, not the link.
            Ok(_) => path.canonicalize()?,
            Err(error) if error.kind() == ErrorKind::NotFound => path.to_owned(),
            Err(error) => return Err(error),
        };
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let file = tempfile::Builder::new()
            .prefix(".tallyhouse-export-")
            .permissions(fs::Permissions::from_mode(PERMISSIONS))
            .tempfile_in(folder)?;
        Ok(Self::Unfinished(file, path))
    }

    fn keep(self) -> io::Result<bool> {
        match self {
            Self::Standard(mut out) => out.flush().map(|()| false),
            Self::Device(mut file) => file.flush().map(|()| true),
            Self::Unfinished(file, path) => {
                // A name on the disk whose content is not there yet would be an empty file after a crash.
                file.as_file().sync_all()?;
                file.persist(path).map(|_| true).map_err(|error| error.error)
            }
        }
    }
}

impl Write for Place {
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
