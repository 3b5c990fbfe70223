//! Lists the files that libpq and the TLS libraries read by themselves, e.g. `.pgpass`, certificates and keys.

use std::env;
use std::path::{Path, PathBuf};

/// The files that libpq reads: the parameter of the URL, the variable, and the default below the home folder
/// (PostgreSQL documentation, "Parameter Key Words" and "Environment Variables").
const LIBPQ: [(&str, &str, &str); 6] = [
    ("passfile", "PGPASSFILE", ".pgpass"),
    ("servicefile", "PGSERVICEFILE", ".pg_service.conf"),
    ("sslrootcert", "PGSSLROOTCERT", ".postgresql/root.crt"),
    ("sslcert", "PGSSLCERT", ".postgresql/postgresql.crt"),
    ("sslkey", "PGSSLKEY", ".postgresql/postgresql.key"),
    ("sslcrl", "PGSSLCRL", ".postgresql/root.crl"),
];

/// The variable of the system's certificate authorities, for OpenSSL and for rustls.
const AUTHORITIES: &str = "SSL_CERT_FILE";

/// Returns the files that libraries read by the process's variables and its home folder, whether or not they exist.
pub(super) fn of_process() -> Vec<PathBuf> {
    let variables = LIBPQ.iter().map(|(_, variable, _)| *variable).chain([AUTHORITIES]);
    let named = variables.filter_map(env::var_os).map(PathBuf::from);
    let home = env::var_os("HOME").map(PathBuf::from);
    let defaults = home.iter().flat_map(|home| LIBPQ.iter().map(|(_, _, default)| home.join(default)));
    named.chain(defaults).collect()
}

/// Returns the files that a Postgres URL names, with their parameters.
pub(super) fn of_url(url: &str) -> Vec<(&'static str, PathBuf)> {
    let query = url.split_once('?').map_or("", |(_, query)| query);
    // In libpq, unlike in forms, a plus is a plus.
    let query = query.replace('+', "%2B");
    let parameters = url::form_urlencoded::parse(query.as_bytes());
    let file = |(name, value): (std::borrow::Cow<'_, str>, std::borrow::Cow<'_, str>)| {
        let (parameter, ..) = LIBPQ.iter().find(|(parameter, ..)| *parameter == name)?;
        // `system` stands for the system's authorities, not for a file.
        (value != "system").then(|| (*parameter, Path::new(&*value).to_owned()))
    };
    parameters.filter_map(file).collect()
}

#[cfg(test)]
mod tests;
