//! Manual pages, made of the same words as `--help`: one for the program, and one for each command.

use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::CommandFactory as _;
use clap_mangen::Man;

use crate::cli::Cli;
use crate::output::Output;

/// Writes all pages into a folder that is there, or the first one to standard output.
///
/// # Errors
/// They can't be written.
pub(crate) fn run(folder: Option<&Path>) -> anyhow::Result<ExitCode> {
    let Some(folder) = folder else {
        let mut page = Vec::new();
        Man::new(Cli::command()).render(&mut page)?;
        let mut out = Output::standard();
        out.write(page)?;
        out.flush()?;
        return Ok(ExitCode::SUCCESS);
    };
    let shown = folder.display();
    clap_mangen::generate_to(Cli::command(), folder)
        .with_context(|| format!("the manual pages can't be written to {shown}; is it a folder that is there?"))?;
    Ok(ExitCode::SUCCESS)
}
