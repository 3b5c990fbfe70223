//! The environment variables that this program reads, secrets in files included.

use std::fmt;
use std::fs::File;
use std::io::Read as _;
use std::path::PathBuf;

use super::layers::{ALIASES, PREFIX, is_secret, setting_of};
use super::{Secret, SettingsError, library_files};

/// The variables of commands with `--url`: an API key, and the authorities to trust. They are not settings.
const KEY_VARIABLE: &str = "TALLYHOUSE_KEY";
const CA_FILE_VARIABLE: &str = "TALLYHOUSE_CA_FILE";

/// A variable of a secret with this suffix names a file that holds the secret, as container platforms mount them.
const FILE_SUFFIX: &str = "_FILE";

/// Longest secret in a file.
const SECRET_BYTES_MAX: u64 = 64 * 1024;

/// The variables that this program reads. Values have no line end, and empty variables are left out.
#[derive(Clone, Default)]
pub(crate) struct Environment {
    variables: Vec<Variable>,
    /// The files of secrets, and the files that libraries find by their own variables.
    files: Vec<PathBuf>,
}

/// A variable, or a secret from a file that a variable names.
#[derive(Clone)]
pub(super) struct Variable {
    /// The name without the suffix `_FILE`.
    pub(super) name: String,
    /// The variable that gave the value.
    pub(super) origin: String,
    pub(super) value: String,
}

impl fmt::Debug for Environment {
    /// Leaves out the values: passwords and keys are among them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.variables.iter().map(|variable| &variable.origin)).finish()
    }
}

impl Environment {
    /// Reads the environment of this process.
    ///
    /// # Errors
    /// A variable that concerns the program is not UTF-8, or names a file that can't be read.
    pub(crate) fn of_process() -> Result<Self, SettingsError> {
        let texts = std::env::vars_os().filter_map(|(name, value)| {
            let (name, text) = (name.to_string_lossy().into_owned(), value.to_string_lossy());
            if !is_own_variable(&name, &text) {
                return None;
            }
            let value = value.into_string();
            Some(value.map(|value| (name.clone(), value)).map_err(|_| name))
        });
        let texts: Result<Vec<_>, _> = texts.collect();
        let texts = texts.map_err(|name| SettingsError(format!("the environment variable {name} is not UTF-8")))?;
        let mut environment = Self::new(texts)?;
        environment.files.extend(library_files::of_process());
        Ok(environment)
    }

    /// Makes an environment of these variables, and reads the files of secrets.
    ///
    /// # Errors
    /// A file can't be read or is empty, or a secret is given twice.
    pub(crate) fn new(variables: impl IntoIterator<Item = (String, String)>) -> Result<Self, SettingsError> {
        let (mut read, mut files): (Vec<Variable>, Vec<PathBuf>) = (Vec::new(), Vec::new());
        for (origin, text) in variables {
            let text = without_line_end(&text);
            // An empty variable is how many tools write an unset one.
            if text.is_empty() {
                continue;
            }
            let secret = origin.strip_suffix(FILE_SUFFIX).filter(|name| is_secret_variable(name)).map(str::to_owned);
            let (name, value) = match secret {
                Some(name) => {
                    let value = read_secret(&origin, text)?;
                    files.push(PathBuf::from(text));
                    (name, value)
                }
                None => (origin.clone(), text.to_owned()),
            };
            let variable = Variable { name, origin, value };
            if let Some(twice) = read.iter().find(|known| known.repeats(&variable)) {
                let (first, second) = (&twice.origin, &variable.origin);
                return Err(SettingsError(format!("{first} and {second} give the same secret: unset one of them")));
            }
            read.push(variable);
        }
        Ok(Self { variables: read, files })
    }

    /// Returns all variables.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Variable> {
        self.variables.iter()
    }

    /// Returns the files that hold secrets, or that libraries read by themselves.
    pub(crate) fn files(&self) -> impl Iterator<Item = &PathBuf> {
        self.files.iter()
    }

    /// Returns the API key for commands with `--url`.
    pub(crate) fn key(&self) -> Option<Secret> {
        self.find(KEY_VARIABLE).map(|variable| Secret::new(&variable.value))
    }

    /// Returns the file with the authorities that commands with `--url` trust.
    pub(crate) fn ca_file(&self) -> Option<PathBuf> {
        self.find(CA_FILE_VARIABLE).map(|variable| PathBuf::from(&variable.value))
    }

    /// Returns the variable of this name.
    pub(super) fn find(&self, name: &str) -> Option<&Variable> {
        self.variables.iter().find(|variable| variable.name == name)
    }
}

impl Variable {
    /// Returns whether this may name a setting.
    pub(super) fn may_be_setting(&self) -> bool {
        self.name.starts_with(PREFIX) && ![KEY_VARIABLE, CA_FILE_VARIABLE].contains(&self.name.as_str())
    }

    /// Returns whether both give the same secret. A `TALLYHOUSE_` variable wins over its alias, as for all settings. If
    /// one of them names a file, giving both is an error: a mounted secret must not be ignored.
    fn repeats(&self, other: &Self) -> bool {
        let is_file = |variable: &Self| variable.name != variable.origin;
        self.name == other.name
            || ((is_file(self) || is_file(other)) && self.setting().is_some() && self.setting() == other.setting())
    }

    /// Returns the setting that the variable gives, by its own name or by an alias.
    fn setting(&self) -> Option<&'static str> {
        setting_by(&self.name)
    }
}

/// Returns whether this program reads a variable.
pub(super) fn is_own_variable(name: &str, value: &str) -> bool {
    let is_alias = |(alias, key): &(&str, &str)| {
        name == *alias || (is_secret(key) && name.strip_suffix(FILE_SUFFIX) == Some(*alias))
    };
    match name.strip_prefix(PREFIX) {
        Some(rest) => setting_of(name).is_some() || !is_service_link(rest, value),
        None => ALIASES.iter().any(is_alias),
    }
}

/// Returns whether a variable describes another service.
///
/// Kubernetes gives each container variables about every service of its namespace
/// (<https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables>), and Docker about linked
/// containers. Variables of services such as `tallyhouse` and `tallyhouse-redis-master` begin with our prefix. Their
/// `PORT` is always a URL; a number is a mistaken setting.
fn is_service_link(name: &str, value: &str) -> bool {
    let ends_with = |end: &str| name == end || name.strip_suffix(end).is_some_and(|rest| rest.ends_with('_'));
    let is_named_port = name.starts_with("SERVICE_PORT_") || name.contains("_SERVICE_PORT_");
    let is_url = value.contains("://");
    let is_link_name = value.starts_with('/') && value[1..].contains('/');
    ends_with("SERVICE_HOST")
        || ends_with("SERVICE_PORT")
        || is_named_port
        || (ends_with("PORT") && is_url)
        || (ends_with("NAME") && is_link_name)
        || name.starts_with("ENV_")
        || name.contains("_ENV_")
        || name
            .match_indices("PORT_")
            .any(|(at, port)| (at == 0 || name[..at].ends_with('_')) && is_port_of_protocol(&name[at + port.len()..]))
}

/// Returns whether a text is the rest of a name such as `PORT_6379_TCP_ADDR`, after `PORT_`.
fn is_port_of_protocol(rest: &str) -> bool {
    let protocol = rest.trim_start_matches(|c: char| c.is_ascii_digit());
    let name = protocol.strip_prefix('_').unwrap_or_default();
    protocol.len() < rest.len()
        && ["TCP", "UDP", "SCTP"].iter().filter_map(|known| name.strip_prefix(known)).any(|property| {
            ["", "_ADDR", "_PORT", "_PROTO", "_PORT_START", "_PORT_END", "_START", "_END"].contains(&property)
        })
}

fn is_secret_variable(name: &str) -> bool {
    name == KEY_VARIABLE || setting_by(name).is_some_and(is_secret)
}

/// Returns the setting that a variable of this name gives, by its own name or by an alias.
fn setting_by(name: &str) -> Option<&'static str> {
    let alias = ALIASES.iter().find(|(alias, _)| *alias == name).map(|(_, key)| *key);
    alias.or_else(|| setting_of(name))
}

fn read_secret(variable: &str, path: &str) -> Result<String, SettingsError> {
    let failed = |fault: &dyn fmt::Display| SettingsError(format!("{variable} = {path:?} can't be read: {fault}"));
    let mut text = String::new();
    let file = File::open(path).map_err(|error| failed(&error))?;
    file.take(SECRET_BYTES_MAX + 1).read_to_string(&mut text).map_err(|error| failed(&error))?;
    if text.len() as u64 > SECRET_BYTES_MAX {
        return Err(failed(&"it is too long for a secret"));
    }
    match without_line_end(text.strip_prefix('\u{feff}').unwrap_or(&text)) {
        // If an empty file were ignored, the default would apply: another database, or no key.
        "" => Err(SettingsError(format!("{variable} = {path:?} holds no secret: the file is empty"))),
        secret => Ok(secret.to_owned()),
    }
}

/// Editors and `echo` end a file with a line end, which is no part of the value.
fn without_line_end(text: &str) -> &str {
    text.trim_end_matches(['\n', '\r'])
}

#[cfg(test)]
mod tests;
