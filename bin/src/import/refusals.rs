//! The refused records of an import: the first are shown, all are kept where that was asked for.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde::Serialize;
use tallyhouse_pipeline::{Field, FieldError, Outcome};

use super::progress::Progress;

/// How many are shown: enough to see what is wrong, few enough to see the rest of the screen.
const SHOWN_MAX: u64 = 10;

/// Where refused records go.
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
    /// Makes the file in which they are kept, if that was asked for.
    ///
    /// # Errors
    /// The file can't be made.
    pub(super) fn begin(errors: Option<&Path>) -> anyhow::Result<Self> {
        let open = |path: &Path| -> anyhow::Result<_> {
            let file = File::create(path).with_context(|| format!("--errors {} can't be written", path.display()))?;
            Ok((path.to_owned(), BufWriter::new(file)))
        };
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
            progress.say(&format!("{file}:{line}: {}: {reason}", outcome.name()));
        }
        let Some((path, kept)) = &mut self.kept else { return Ok(()) };
        let line =
            Line { file, line, outcome: outcome.name(), reason, errors, differs, input: input.unwrap_or_default() };
        let written = serde_json::to_writer(&mut *kept, &line).map_err(std::io::Error::from);
        written.and_then(|()| kept.write_all(b"\n")).with_context(|| format!("{} can't be written", path.display()))
    }

    /// Writes what is left, and says where to find what was not shown.
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
            eprintln!("… and {} more; {place}", self.seen - SHOWN_MAX);
        }
        Ok(())
    }
}
