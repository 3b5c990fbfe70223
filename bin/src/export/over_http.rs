//! An export from a service over HTTP, copied part by part.

use anyhow::ensure;
use reqwest::StatusCode;
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderValue};

use super::progress::Progress;
use super::sink::Sink;
use crate::cli::{ExportFormat, FilterArgs};
use crate::remote::Remote;

/// Copies the records, and returns their number.
///
/// # Errors
/// The service can't answer, or breaks off; or the output can't be written.
pub(super) async fn copy(
    remote: &Remote,
    filter: &FilterArgs,
    format: ExportFormat,
    sink: &mut Sink,
    progress: &Progress,
) -> anyhow::Result<u64> {
    let (accept, lines_before) = match format {
        ExportFormat::Ndjson => ("application/x-ndjson", 0),
        ExportFormat::Csv => ("text/csv", 1),
    };
    let request = remote.get("v1/export", &filter.parameters())?.header(ACCEPT, accept);
    let mut response = remote.send(request).await?;
    let media_type = response.headers().get(CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    // Something else between here and the service may answer, e.g. with a page to log in.
    ensure!(
        response.status() == StatusCode::OK && media_type.starts_with(accept.as_bytes()),
        "what answers at {} is no export; is it the service, and not a proxy before it?",
        remote.address()
    );
    let (mut bytes, mut lines, mut last) = (0, 0_u64, b'\n');
    while let Some(part) = response.chunk().await.map_err(|error| remote.interrupted(error))? {
        sink.write(&part)?;
        bytes += part.len() as u64;
        last = part.last().copied().unwrap_or(last);
        // Every row is one line: a field holds no line feed, because control characters are rejected.
        lines += part.iter().filter(|b| **b == b'\n').count() as u64;
        progress.show(bytes, lines.saturating_sub(lines_before));
    }
    ensure!(last == b'\n' && lines >= lines_before, "the export breaks off within a line; repeat the command");
    Ok(lines.saturating_sub(lines_before))
}
