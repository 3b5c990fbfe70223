//! The format of an export: `--format`, or the extension of the output's name.

use std::path::Path;

use crate::cli::ExportFormat;
use crate::overwrite::OutputRefused;

/// Extensions of archives and compressors that an export does not write. Such a file name would be wrong about its
/// content.
const PACKED: [&str; 9] = ["zst", "zstd", "bz2", "xz", "lz4", "br", "zip", "7z", "tar"];

/// Returns the requested format, or else the format of the name's extension; NDJSON without an extension.
///
/// # Errors
/// The name has an unknown extension, or that of a format that an export does not write.
pub(super) fn of(asked: Option<ExportFormat>, output: &Path) -> Result<ExportFormat, OutputRefused> {
    let name = output.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    let name = name.strip_suffix(".gz").unwrap_or(&name);
    // The dot at the beginning of a hidden file's name begins no extension.
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
