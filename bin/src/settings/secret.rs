//! Secrets, and how they are kept out of logs, errors and output.

use std::fmt;

/// What stands where a secret was.
const MASK: &str = "***";

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
    let Some((place, parameters)) = tail.split_once('?') else { return tail.to_owned() };
    let masked: Vec<String> = parameters.split('&').map(mask_parameter).collect();
    format!("{place}?{}", masked.join("&"))
}

fn mask_parameter(parameter: &str) -> String {
    match parameter.split_once('=') {
        Some((name, _)) if is_secret(name) => format!("{name}={MASK}"),
        // What has no name is the rest of a value that holds an & which somebody forgot to escape.
        None if !parameter.is_empty() => MASK.to_owned(),
        Some(_) | None => parameter.to_owned(),
    }
}

/// Says whether a parameter of this name may hold a password: a name may be percent-encoded itself, or misspelt.
fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    name.contains('%') || (name.contains("pass") && name != "passfile")
}

#[cfg(test)]
mod tests;
