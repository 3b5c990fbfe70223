//! The form of an export: `--format`, or the ending of the output's name.

use std::path::Path;

use crate::cli::ExportFormat;
use crate::overwrite::OutputRefused;

/// Endings of archives and compressors that an export does not write. A file of such a name would not be what it says.
const PACKED: [&str; 9] = ["zst", "zstd", "bz2", "xz", "lz4", "br", "zip", "7z", "tar"];

/// Returns the form that is asked for, or else the one that the name says; NDJSON without an ending.
///
/// # Errors
/// The name has an ending that says nothing, or something that is not written.
pub(super) fn of(asked: Option<ExportFormat>, output: &Path) -> Result<ExportFormat, OutputRefused> {
    let name = output.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    let name = name.strip_suffix(".gz").unwrap_or(&name);
    // A name that begins with a point has no ending by that alone.
    let ending = name.trim_start_matches('.').rsplit_once('.').map(|(_, ending)| ending);
    let device = std::fs::metadata(output).is_ok_and(|about| !about.is_file());
    match (ending, asked) {
        (None, asked) => Ok(asked.unwrap_or(ExportFormat::Ndjson)),
        (_, asked) if device => Ok(asked.unwrap_or(ExportFormat::Ndjson)),
        (Some(ending), _) if PACKED.contains(&ending) => {
            Err(refused(output, &format!("an export does not write .{ending}; it packs with gzip: .gz")))
        }
        (_, Some(asked)) => Ok(asked),
        (Some("csv"), None) => Ok(ExportFormat::Csv),
        (Some("ndjson" | "jsonl"), None) => Ok(ExportFormat::Ndjson),
        (Some(ending), None) => {
            let known = "these are: .ndjson, .jsonl and .csv, each also with .gz; or give --format";
            Err(refused(output, &format!(".{ending} is no ending of an export; {known}")))
        }
    }
}

fn refused(output: &Path, why: &str) -> OutputRefused {
    OutputRefused(format!("--output {}: {why}", output.display()))
}

#[cfg(test)]
mod tests;
