//! `keys`: creates API keys.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;
use tallyhouse_http::{KeyRing, NewKey, NewKeyError, WritePrefixes};

use crate::cli::{KeysCommand, NewKeyArgs};
use crate::output::Output;
use crate::settings::SettingsError;

/// Creates a key and prints it. The operator adds the printed lines to the keys file.
///
/// # Errors
/// The name, the scopes or the prefixes are not allowed in a keys file, or the system gives no random numbers.
pub(crate) fn run(command: KeysCommand) -> anyhow::Result<ExitCode> {
    let KeysCommand::New(NewKeyArgs { name, scope, source_prefix, destination_prefix, append }) = command;
    let scopes: Vec<_> = scope.into_iter().map(Into::into).collect();
    let prefixes = WritePrefixes::new(source_prefix.as_deref(), destination_prefix.as_deref())
        .map_err(|error| SettingsError(error.to_string()))?;
    let key = NewKey::make_bound(&name, &scopes, &prefixes).map_err(|error| match error {
        NewKeyError::Unfit(fault) => anyhow::Error::new(SettingsError(fault)),
        NewKeyError::Random(_) => error.into(),
    })?;
    let text = match append {
        Some(file) => {
            append_entry(&file, key.entry())?;
            format!("key: {}\n# The key is shown only once. Its lines are in {}.\n", key.text(), file.display())
        }
        None => format_key(&key),
    };
    let mut out = Output::standard();
    out.write(text)?;
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}

/// Formats a key: the first line is for the caller, the rest is valid content of a keys file.
fn format_key(key: &NewKey) -> String {
    format!(
        "key: {}\n# The key is shown only once. Give it to the caller.\n# Add these lines to the keys \
         file (auth.keys_file):\n{}",
        key.text(),
        key.entry()
    )
}

/// Appends the lines of a key to a keys file. A new file belongs to its owner alone.
fn append_entry(path: &Path, entry: &str) -> anyhow::Result<()> {
    let shown = path.display();
    if path.exists() {
        KeyRing::open(path).map_err(|error| SettingsError(format!("{shown} is not a keys file: {error}")))?;
    }
    let mut options = OpenOptions::new();
    let file = options.create(true).append(true).read(true).mode(0o600).open(path);
    let mut file = file.with_context(|| format!("{shown} can't be opened"))?;
    // One write: a service that reads the file meanwhile sees all lines or none. The leading line end completes a last
    // line without one.
    let written = file.write_all(format!("\n{entry}").as_bytes()).and_then(|()| file.sync_all());
    written.with_context(|| format!("{shown} can't be written"))
}

#[cfg(test)]
mod tests;
