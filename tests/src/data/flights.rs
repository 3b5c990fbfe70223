//! A data set of January 2013 flight delays, with reference totals computed by an independent script.
//! See `data/README.md`.

use std::io::Read as _;
use std::process::Command;

use serde_json::Value;

use crate::folder::workspace;

/// How many records the month has.
pub const RECORDS: usize = 26_398;

const FILE: &str = "tests/data/flights-2013-01.ndjson.gz";

/// Reads the arrival delays of January 2013.
///
/// # Panics
/// The file is not there, or not what it was.
#[must_use]
pub fn month() -> Vec<Value> {
    let file = std::fs::File::open(workspace().join(FILE)).expect("the month is there");
    let mut text = String::new();
    flate2::read::GzDecoder::new(file).read_to_string(&mut text).expect("it is text");
    let month: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("a line is JSON")).collect();
    assert_eq!(month.len(), RECORDS);
    month
}

/// Returns the month's summaries by destination, as Python's integers add them up.
///
/// # Panics
/// There is no Python.
#[must_use]
pub fn totals() -> Value {
    let script = workspace().join("tests/scripts/totals.py");
    let output = Command::new("python3").arg(script).arg(workspace().join(FILE)).output().expect("python3 is there");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("the script writes JSON")
}
