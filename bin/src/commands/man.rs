//! Manual pages, generated from the help texts: one for the program, and one for each command.

use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;
use clap_mangen::Man;

use crate::cli::command;
use crate::output::Output;

/// Writes all pages into an existing folder, or the program's page to standard output.
///
/// # Errors
/// The folder or standard output can't be written.
pub(crate) fn run(folder: Option<&Path>) -> anyhow::Result<ExitCode> {
    let Some(folder) = folder else {
        let mut page = Vec::new();
        Man::new(command()).render(&mut page)?;
        let mut out = Output::standard();
        out.write(page)?;
        out.flush()?;
        return Ok(ExitCode::SUCCESS);
    };
    let shown = folder.display();
    clap_mangen::generate_to(command(), folder)
        .with_context(|| format!("the manual pages can't be written to {shown}; is it an existing folder?"))?;
    Ok(ExitCode::SUCCESS)
}
