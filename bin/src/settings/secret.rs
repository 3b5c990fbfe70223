//! Secrets: a type that is never shown, and the masking of URLs.

use std::fmt;

/// Replaces a secret in output.
const MASK: &str = "***";

/// A text that is never shown.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secret(String);

impl Secret {
    /// Wraps a secret.
    pub(crate) fn new(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// Returns the secret. It must not be shown.
    pub(crate) fn expose(&self) -> &str {
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

/// Masks passwords in a URL: of the user, and in parameters. Text that might belong to a password is masked, too.
pub(crate) fn mask(url: &str) -> String {
    if url.starts_with("sqlite:") {
        return url.to_owned();
    }
    let Some((scheme, rest)) = url.split_once("://") else {
        // The scheme is mistyped, or the text is in libpq's `key=value` form: the password can't be located.
        return if url.contains(['@', '=']) { MASK.to_owned() } else { url.to_owned() };
    };
    // A password may hold unescaped @, / and ?: the last @ ends it.
    match rest.rsplit_once('@') {
        // The last @ belongs to a parameter.
        Some((login, _)) if login.split_once('?').is_some_and(|(_, behind)| behind.contains('=')) => {
            format!("{scheme}://{MASK}")
        }
        Some((login, tail)) => {
            let login = login.split_once(':').map_or_else(|| login.to_owned(), |(user, _)| format!("{user}:{MASK}"));
            format!("{scheme}://{login}@{}", mask_parameters(tail))
        }
        None if has_only_ports(rest) => format!("{scheme}://{}", mask_parameters(rest)),
        // Text in the place of a port is a password whose `@host` is missing.
        None => format!("{scheme}://{MASK}"),
    }
}

/// Returns whether the text after each host's colon is a port, and thus no password.
fn has_only_ports(rest: &str) -> bool {
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
        // A parameter without a name is the rest of a value with an unescaped &.
        None if !parameter.is_empty() => MASK.to_owned(),
        Some(_) | None => parameter.to_owned(),
    }
}

/// Returns whether a parameter of this name may hold a password. Names can be percent-encoded or misspelt.
fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    name.contains('%') || (name.contains("pass") && name != "passfile")
}

#[cfg(test)]
mod tests;
