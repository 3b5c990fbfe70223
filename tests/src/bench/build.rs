//! The binary that is measured, rebuilt.

use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::folder::workspace;

/// Builds the binary with the profile of the running program.
///
/// # Errors
/// There is no cargo, or the binary can't be built.
pub fn build() -> Result<()> {
    let mut cargo = Command::new("cargo");
    cargo.args(["build", "--package", "tallyhouse"]).current_dir(workspace());
    if !cfg!(debug_assertions) {
        cargo.arg("--release");
    }
    ensure!(cargo.status().context("cargo")?.success(), "the binary can't be built");
    Ok(())
}
