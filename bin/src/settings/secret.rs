//! Secrets, and how they are kept out of logs, errors and output.

use std::fmt;

/// What stands where a secret was.
const MASK: &str = "***";

/// Parameters of connection URLs whose values are secrets.
const SECRET_PARAMETERS: [&str; 4] = ["password", "pass", "sslpassword", "sentinel_password"];

/// A text that is never shown.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secret(String);

impl Secret {
    /// Takes a secret.
    pub(crate) fn new(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// Returns the secret, to be used and not to be shown.
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MASK)
    }
}

/// Masks the passwords in a URL, behind the user and as parameters. Text that can't be told apart from a password is
/// masked with it.
pub(crate) fn mask(url: &str) -> String {
    if url.starts_with("sqlite:") {
        return url.to_owned();
    }
    let Some((scheme, rest)) = url.split_once("://") else {
        // A slash too few, or another way to write a connection: what of it is the password can't be told.
        return if url.contains(['@', '=']) { MASK.to_owned() } else { url.to_owned() };
    };
    // A password may hold an @, a slash or a question mark that somebody forgot to escape: the last @ ends it.
    match rest.rsplit_once('@') {
        // Or this @ is within a parameter.
        Some((login, _)) if login.split_once('?').is_some_and(|(_, behind)| behind.contains('=')) => {
            format!("{scheme}://{MASK}")
        }
        Some((login, tail)) => {
            let login = login.split_once(':').map_or_else(|| login.to_owned(), |(user, _)| format!("{user}:{MASK}"));
            format!("{scheme}://{login}@{}", mask_parameters(tail))
        }
        None if has_ports_alone(rest) => format!("{scheme}://{}", mask_parameters(rest)),
        // A password in the place of a port: the rest of the address is missing.
        None => format!("{scheme}://{MASK}"),
    }
}

/// Says whether what stands behind the colons of the hosts can be no password.
fn has_ports_alone(rest: &str) -> bool {
    let hosts = rest.split(['/', '?']).next().unwrap_or_default();
    hosts.split(',').all(|host| {
        let port = host.rsplit_once(':').map_or("", |(_, port)| port);
        host.ends_with(']') || port.bytes().all(|b| b.is_ascii_digit())
    })
}

fn mask_parameters(tail: &str) -> String {
    let parameters = tail.split_inclusive(['?', '&']).map(|part| {
        let (parameter, end) = match part.strip_suffix(['?', '&']) {
            Some(parameter) => (parameter, &part[parameter.len()..]),
            None => (part, ""),
        };
        match parameter.split_once('=') {
            // A name may be percent-encoded itself.
            Some((name, _)) if name.contains('%') || SECRET_PARAMETERS.contains(&&*name.to_ascii_lowercase()) => {
                format!("{name}={MASK}{end}")
            }
            Some(_) | None => part.to_owned(),
        }
    });
    parameters.collect()
}

#[cfg(test)]
mod tests;
