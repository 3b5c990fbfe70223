//! The refused records of an import: the first are shown, and `--errors` keeps them all.
//!
//! Refusals are written as they come, not to a temporary file that is renamed at the end, so that a killed import
//! leaves the refusals so far. No earlier content is lost, because only a new or empty file is accepted.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde::Serialize;
use tallyhouse_pipeline::{Field, FieldError, Outcome};

use super::progress::Progress;
use crate::overwrite::{OWNER_ONLY, OutputRefused};

/// Most refusals that are shown: enough to see what is wrong, few enough to leave the rest of the screen.
const SHOWN_MAX: u64 = 10;

/// Shows and keeps refused records.
pub(super) struct Refusals {
    kept: Option<(PathBuf, BufWriter<File>)>,
    seen: u64,
}

/// A refused record, as it is kept.
#[derive(Serialize)]
struct Line<'a> {
    file: &'a str,
    line: u64,
    outcome: &'a str,
    reason: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    errors: Option<&'a [FieldError]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    differs: Option<Vec<&'static str>>,
    input: &'a str,
}

impl Refusals {
    /// Makes the file for `--errors`, if it is given.
    ///
    /// # Errors
    /// The file can't be made, or is not empty: it may hold the refusals of an earlier import.
    pub(super) fn open(errors: Option<&Path>) -> anyhow::Result<Self> {
        Ok(Self { kept: errors.map(open).transpose()?, seen: 0 })
    }

    /// Shows and keeps a refused record.
    ///
    /// # Errors
    /// The file can't be written.
    pub(super) fn keep(
        &mut self,
        progress: &Progress,
        file: &str,
        line: u64,
        input: Option<&str>,
        outcome: &Outcome,
    ) -> anyhow::Result<()> {
        let (reason, errors, differs) = match outcome {
            Outcome::Rejected(rejection) => (rejection.detail(), Some(&*rejection.errors), None),
            Outcome::Conflict { differs, .. } => {
                let names: Vec<&'static str> = differs.iter().copied().map(Field::name).collect();
                (format!("was processed before with other content: {}", names.join(", ")), None, Some(names))
            }
            Outcome::Processed(_) | Outcome::Duplicate { .. } => return Ok(()),
        };
        self.seen += 1;
        if self.seen <= SHOWN_MAX {
            progress.print(&format!("{file}:{line}: {}: {reason}", outcome.name()));
        }
        let Some((path, kept)) = &mut self.kept else { return Ok(()) };
        let line =
            Line { file, line, outcome: outcome.name(), reason, errors, differs, input: input.unwrap_or_default() };
        let written = serde_json::to_writer(&mut *kept, &line).map_err(std::io::Error::from);
        written.and_then(|()| kept.write_all(b"\n")).with_context(|| format!("{} can't be written", path.display()))
    }

    /// Flushes the file, and says where to find the refusals that were not shown.
    ///
    /// # Errors
    /// The file can't be written.
    pub(super) fn end(&mut self) -> anyhow::Result<()> {
        if let Some((path, kept)) = &mut self.kept {
            kept.flush().with_context(|| format!("{} can't be written", path.display()))?;
        }
        if self.seen > SHOWN_MAX {
            let place = match &self.kept {
                Some((path, _)) => format!("all are in {}", path.display()),
                None => "--errors FILE keeps them all".to_owned(),
            };
            crate::output::note(&format!("… and {} more; {place}", self.seen - SHOWN_MAX));
        }
        Ok(())
    }
}

fn open(path: &Path) -> anyhow::Result<(PathBuf, BufWriter<File>)> {
    let failed = || format!("--errors {} can't be written", path.display());
    // Opening to append leaves a file intact that turns out not to be empty.
    let file = File::options().append(true).create(true).mode(OWNER_ONLY).open(path).with_context(failed)?;
    let about = file.metadata().with_context(failed)?;
    if about.is_file() && about.len() > 0 {
        let advice = "is there already, and not empty; remove it, or name another file";
        return Err(OutputRefused(format!("--errors {} {advice}", path.display())).into());
    }
    Ok((path.to_owned(), BufWriter::new(file)))
}
