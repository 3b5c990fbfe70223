//! `keys`: makes API keys.

use std::process::ExitCode;

use tallyhouse_http::{NewKey, NewKeyError};

use crate::cli::{KeysCommand, NewKeyArgs};
use crate::output::Output;
use crate::settings::SettingsError;

/// Does what was asked for. Nothing is kept: who runs the service puts the lines into its keys file.
///
/// # Errors
/// The name is none that a keys file may hold, or the system has no random numbers to give.
pub(crate) fn run(command: KeysCommand) -> anyhow::Result<ExitCode> {
    let KeysCommand::New(NewKeyArgs { name, scope }) = command;
    let scopes: Vec<_> = scope.into_iter().map(Into::into).collect();
    let key = NewKey::make(&name, &scopes).map_err(|error| match error {
        NewKeyError::Unfit(fault) => anyhow::Error::new(SettingsError(fault)),
        NewKeyError::Random(_) => error.into(),
    })?;
    let mut out = Output::standard();
    out.write(shown(&key))?;
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}

/// The first line is for whoever is to use the key; all below it may go into the keys file as it is.
fn shown(key: &NewKey) -> String {
    format!(
        "key: {}\n# The key is shown only here: give it to whoever is to use it.\n# The keys file (auth.keys_file) gets \
         these lines:\n{}",
        key.text(),
        key.entry()
    )
}

#[cfg(test)]
mod tests;
