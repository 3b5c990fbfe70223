//! The URL of the database.

use std::fmt;
use std::path::PathBuf;

use tallyhouse_postgres::check_url;

use super::resolved::Resolved;
use super::{SettingsError, library_files, mask};

const SETTING: &str = "database.url";

/// A parsed URL of a database.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum DatabaseUrl {
    /// A file of SQLite.
    Sqlite(PathBuf),
    /// A temporary file of SQLite, deleted at exit.
    Temporary,
    /// A Postgres server.
    Postgres(String),
}

impl DatabaseUrl {
    /// Reads the setting.
    pub(super) fn of(resolved: &Resolved) -> Result<Self, SettingsError> {
        Self::parse(&resolved.text(SETTING)).map_err(|fault| resolved.fault(SETTING, fault))
    }

    /// Returns the kind of the database: `sqlite` or `postgres`.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Sqlite(_) | Self::Temporary => "sqlite",
            Self::Postgres(_) => "postgres",
        }
    }

    /// Returns the files that the parameters of the URL name.
    pub(crate) fn files(&self) -> Vec<PathBuf> {
        match self {
            Self::Sqlite(_) | Self::Temporary => Vec::new(),
            Self::Postgres(url) => library_files::of_url(url).into_iter().map(|(_, file)| file).collect(),
        }
    }

    /// Parses a URL.
    fn parse(url: &str) -> Result<Self, &'static str> {
        if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            return check_url(url).map(|()| Self::Postgres(url.to_owned()));
        }
        let path = url.strip_prefix("sqlite:").ok_or(
            "must begin with sqlite:// (a file), or postgres:// (a server), or be sqlite::memory: (a temporary file)",
        )?;
        let path = path.strip_prefix("//").unwrap_or(path);
        match path {
            ":memory:" => Ok(Self::Temporary),
            "" => Err("must name a file, as in sqlite://tallyhouse.db or sqlite:///var/lib/tallyhouse.db"),
            path if path.contains('?') => Err("must have no parameters after the file: SQLite has settings of its own"),
            path => Ok(Self::Sqlite(PathBuf::from(path))),
        }
    }
}

impl fmt::Display for DatabaseUrl {
    /// Formats the URL with its password masked.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => write!(f, "sqlite://{}", path.display()),
            Self::Temporary => f.write_str("sqlite::memory:"),
            Self::Postgres(url) => f.write_str(&mask(url)),
        }
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests;
