//! Rows, to the letter.

use super::*;
use crate::record::Record;
use crate::record::draft::Draft;
use crate::record::time::Timestamp;

fn record(destination_id: &str, record_type: &str, value: &str, unit: &str) -> Record {
    let draft = Draft {
        record_id: "say \"hi\"",
        time: "2013-01-01T10:00:00Z",
        source_id: "=1+1",
        destination_id,
        record_type,
        value,
        unit,
        reference: "",
    };
    draft.check().unwrap()
}

#[track_caller]
fn check(fields: &[&str], expect: &str) {
    let mut rows = Vec::new();
    write_row(&mut rows, fields);
    assert_eq!(String::from_utf8(rows).unwrap(), expect);
}

#[test]
fn only_what_needs_quotes_gets_them() {
    check(&["a", "", " b ", "ü'"], "a,, b ,ü'\n");
    check(&["a,b", "\"", "c\"\"d", "e\nf", "g\rh"], "\"a,b\",\"\"\"\",\"c\"\"\"\"d\",\"e\nf\",\"g\rh\"\n");
}

#[test]
fn a_record_is_its_eight_fields_and_what_the_service_knows() {
    let processed_at = Timestamp::parse("2026-01-01T00:00:00.000001Z").unwrap();
    let record = record("I,AH", "negative", "1.250e3", "EUR");
    let mut rows = Vec::new();
    write_record_row(&mut rows, &ProcessedRecord { record, sequence: 4, processed_at });
    let expect =
        "\"say \"\"hi\"\"\",2013-01-01T10:00:00Z,=1+1,\"I,AH\",negative,1250,EUR,,4,2026-01-01T00:00:00.000001Z\n";
    assert_eq!(String::from_utf8(rows).unwrap(), expect);
    assert!(RECORD_COLUMNS.iter().zip(crate::Field::ALL).all(|(column, field)| *column == field.name()));
}

#[test]
fn a_summary_is_a_row_for_each_unit() {
    let records = [
        record("d", "positive", "12.50", "EUR"),
        record("d", "negative", "40", "minute"),
        record("d", "positive", "31.0", "minute"),
    ];
    let mut rows = Vec::new();
    let destination = DestinationId::new("d").unwrap();
    write_total_rows(&mut rows, &destination, &records.iter().collect());
    write_total_rows(&mut rows, &destination, &Summary::default());
    let times = "2013-01-01T10:00:00Z,2013-01-01T10:00:00Z";
    let expect = format!("d,EUR,1,1,12.50,0,0,12.50,{times}\nd,minute,2,1,31.0,1,40,-9.0,{times}\n");
    assert_eq!(String::from_utf8(rows).unwrap(), expect);
}
