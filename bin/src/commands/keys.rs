//! `keys`: creates API keys.

use std::process::ExitCode;

use tallyhouse_http::{NewKey, NewKeyError};

use crate::cli::{KeysCommand, NewKeyArgs};
use crate::output::Output;
use crate::settings::SettingsError;

/// Creates a key and prints it. The operator adds the printed lines to the keys file.
///
/// # Errors
/// The name is not allowed in a keys file, or the system gives no random numbers.
pub(crate) fn run(command: KeysCommand) -> anyhow::Result<ExitCode> {
    let KeysCommand::New(NewKeyArgs { name, scope }) = command;
    let scopes: Vec<_> = scope.into_iter().map(Into::into).collect();
    let key = NewKey::make(&name, &scopes).map_err(|error| match error {
        NewKeyError::Unfit(fault) => anyhow::Error::new(SettingsError(fault)),
        NewKeyError::Random(_) => error.into(),
    })?;
    let mut out = Output::standard();
    out.write(format_key(&key))?;
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

#[cfg(test)]
mod tests;
