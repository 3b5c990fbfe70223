//! Tests of what the name of an output says.

use super::*;

#[track_caller]
fn check(name: &str, asked: Option<ExportFormat>, expect: Option<ExportFormat>) {
    assert_eq!(of(asked, Path::new(name)).ok(), expect, "{name} {asked:?}");
}

#[test]
fn an_ending_says_the_form_or_is_refused() {
    use ExportFormat::{Csv, Ndjson};
    for name in ["-", "out", "a.ndjson", "A.JSONL", "a.ndjson.gz", "out.gz", "/dev/null", ".hidden", "b.csv/out"] {
        check(name, None, Some(Ndjson));
    }
    for name in ["a.csv", "a.b.CSV.GZ", "./.a.csv"] {
        check(name, None, Some(Csv));
    }
    for name in ["a.json", "a.parquet", "a.txt", "a.tsv.gz", "2026.01", "a."] {
        check(name, None, None);
        check(name, Some(Csv), Some(Csv));
    }
    for name in ["a.csv.zst", "a.ndjson.bz2", "a.zip", "a.tar.gz"] {
        check(name, None, None);
        check(name, Some(Csv), None);
    }
}
