//! Secrets, and how they are kept out of logs, errors and output.

use std::fmt;

/// What stands where a secret was.
const MASK: &str = "***";

/// Parameters of connection URLs whose values are secrets.
const SECRET_PARAMETERS: [&str; 3] = ["password", "sslpassword", "sentinel_password"];

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

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MASK)
    }
}

/// Masks the passwords in a URL, behind the user and as parameters. Text that can't be told apart from a password is
/// masked with it.
pub(crate) fn mask(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://").filter(|(scheme, _)| *scheme != "sqlite") else {
        return url.to_owned();
    };
    // A password may hold an @, a slash or a question mark that somebody forgot to escape: the last @ ends it.
    match rest.rsplit_once('@') {
        Some((login, tail)) => {
            let login = login.split_once(':').map_or_else(|| login.to_owned(), |(user, _)| format!("{user}:{MASK}"));
            format!("{scheme}://{login}@{}", mask_parameters(tail))
        }
        None => format!("{scheme}://{}", mask_parameters(rest)),
    }
}

fn mask_parameters(tail: &str) -> String {
    let parameters = tail.split_inclusive(['?', '&']).map(|part| {
        let (parameter, end) = match part.strip_suffix(['?', '&']) {
            Some(parameter) => (parameter, &part[parameter.len()..]),
            None => (part, ""),
        };
        match parameter.split_once('=') {
            Some((name, _)) if SECRET_PARAMETERS.contains(&name.to_ascii_lowercase().as_str()) => {
                format!("{name}={MASK}{end}")
            }
            Some(_) | None => part.to_owned(),
        }
    });
    parameters.collect()
}

#[cfg(test)]
mod tests;
