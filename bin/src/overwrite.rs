//! Keeps a command from overwriting what it reads.
//!
//! An output is compared with every input, the database and its journals before anything is opened for writing. Files
//! are compared by device and inode, which finds every spelling of a path, symbolic links and hard links. A file that
//! does not exist yet is identified by its folder and its name, because SQLite makes its journals later.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, Metadata};
use std::io;
use std::iter;
use std::os::fd::AsFd as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use crate::cli::RemoteArgs;
use crate::settings::{DatabaseUrl, Environment, Settings};

/// Most symbolic links that lead to one file, as Linux counts them (`path_resolution(7)`).
const LINKS_MAX: usize = 40;

/// The suffixes of a SQLite database, its journals (<https://sqlite.org/tempfiles.html>) and the lock of its service.
const SQLITE_ENDINGS: [&str; 5] = ["", "-wal", "-shm", "-journal", "-serve"];

/// Permissions of a new file with records in it: its owner alone may read them.
pub(crate) const OWNER_ONLY: u32 = 0o600;

/// An output is refused, for example because it would overwrite an input.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct OutputRefused(pub(crate) String);

/// The files that a command reads, each with a name for people.
#[derive(Debug, Default)]
pub(crate) struct FilesRead(Vec<(String, Vec<Identity>)>);

/// The identity of a file.
#[derive(Debug, PartialEq, Eq)]
enum Identity {
    Inode { device: u64, inode: u64 },
    Entry { device: u64, folder: u64, name: OsString },
}

impl FilesRead {
    /// Adds the database and the other files of the configuration.
    pub(crate) fn of(settings: &Settings, remote: &RemoteArgs, environment: &Environment) -> Self {
        let mut files = Self::default();
        if let DatabaseUrl::Sqlite(database) = &settings.database {
            files.add_database(database);
        }
        let tls = settings.tls.iter().flat_map(|tls| [&tls.cert_file, &tls.key_file]);
        let redis = settings.redis.iter().filter_map(|redis| redis.ca_file.as_ref());
        let configured = iter::once(&settings.file).chain(&settings.keys_file).chain(tls).chain(redis);
        let (ca_file, of_database) = (environment.ca_file(), settings.database.files());
        let configured = configured.chain(&remote.ca_file).chain(&ca_file);
        configured.chain(environment.files()).chain(&of_database).for_each(|file| files.add(file));
        files
    }

    /// Adds a file.
    pub(crate) fn add(&mut self, path: &Path) {
        self.0.push((path.display().to_string(), identities(path)));
    }

    /// Adds the file that standard input comes from, if it is one.
    pub(crate) fn add_standard_input(&mut self) {
        let file = io::stdin().as_fd().try_clone_to_owned().map(File::from);
        let inode = file.and_then(|file| file.metadata()).ok().and_then(|about| inode(&about));
        self.0.push(("standard input".to_owned(), inode.into_iter().collect()));
    }

    /// Checks that an output is none of these files.
    ///
    /// # Errors
    /// It is one of them; the error names both.
    pub(crate) fn check(&self, option: &str, output: &Path) -> Result<(), OutputRefused> {
        let output_is = identities(output);
        match self.0.iter().find(|(_, file)| file.iter().any(|identity| output_is.contains(identity))) {
            None => Ok(()),
            Some((name, _)) => Err(OutputRefused(format!(
                "{option} {} would overwrite {name}, which this command reads; name another file",
                output.display()
            ))),
        }
    }

    fn add_database(&mut self, database: &Path) {
        for path in hops(database) {
            for ending in SQLITE_ENDINGS {
                let mut file = path.clone().into_os_string();
                file.push(ending);
                let identities = identities(Path::new(&file));
                self.0.push((format!("{} of the database", Path::new(&file).display()), identities));
            }
        }
    }
}

/// Returns the identities of a path. A pipe or a device such as `/dev/null` has none: writing overwrites nothing there.
fn identities(path: &Path) -> Vec<Identity> {
    let about = fs::metadata(path);
    if about.as_ref().is_ok_and(|about| !about.is_file()) {
        return Vec::new();
    }
    let inode = about.ok().and_then(|about| inode(&about));
    inode.into_iter().chain(hops(path).iter().filter_map(|hop| entry(hop))).collect()
}

fn inode(about: &Metadata) -> Option<Identity> {
    about.is_file().then(|| Identity::Inode { device: about.dev(), inode: about.ino() })
}

fn entry(path: &Path) -> Option<Identity> {
    let folder = fs::metadata(folder_of(path)).ok()?;
    let name = path.file_name().map(OsStr::to_owned)?;
    Some(Identity::Entry { device: folder.dev(), folder: folder.ino(), name })
}

/// Returns a path and the targets of its symbolic links, one after the other; the last file need not exist.
fn hops(path: &Path) -> Vec<PathBuf> {
    let next = |path: &PathBuf| fs::read_link(path).ok().map(|target| folder_of(path).join(target));
    std::iter::successors(Some(path.to_owned()), next).take(LINKS_MAX).collect()
}

/// Returns the folder that a file is in.
pub(crate) fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests;
