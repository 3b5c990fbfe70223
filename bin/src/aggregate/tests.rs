//! Tests of the views of an answer.

use serde_json::json;

use super::response::{Group, Record};
use super::*;

/// The parts of an answer, as the API writes them.
fn answer() -> (Group, Record) {
    let group = json!({
        "destinationId": "I,AH", "count": 3, "firstTime": "2013-01-01T10:00:00Z", "lastTime": "2013-01-02T09:00:00Z",
        "totals": [
            {"unit": "EUR", "count": 1, "positive": {"count": 1, "sum": "12.50"}, "negative": {"count": 0, "sum": "0"}, "net": "12.50"},
            {"unit": "minute", "count": 2, "positive": {"count": 1, "sum": "31"}, "negative": {"count": 1, "sum": "40"}, "net": "-9"},
        ],
    });
    let record = json!({
        "recordId": "r-1", "time": "2013-01-01T10:00:00Z", "sourceId": "UA", "destinationId": "I,AH", "type": "positive",
        "value": "12.50", "unit": "EUR", "reference": "", "sequence": 1, "processedAt": "2026-01-01T00:00:00.000001Z",
    });
    (serde_json::from_value(group).unwrap(), serde_json::from_value(record).unwrap())
}

fn shown(format: OutputFormat, records: bool, parts: bool) -> String {
    let mut out = Output::memory();
    {
        let mut view: Box<dyn View + '_> = match format {
            OutputFormat::Csv => Box::new(Csv::new(&mut out, records)),
            OutputFormat::Table | OutputFormat::Json => Box::new(Table::new(&mut out, records)),
        };
        if parts {
            let (group, record) = answer();
            view.group(group).unwrap();
            if records {
                view.record(record).unwrap();
            }
        }
        view.end().unwrap();
    }
    String::from_utf8(out.into_bytes()).unwrap()
}

#[test]
fn totals_are_shown_as_csv() {
    let head = "destinationId,unit,count,positiveCount,positiveSum,negativeCount,negativeSum,net,firstTime,lastTime\n";
    let times = "2013-01-01T10:00:00Z,2013-01-02T09:00:00Z";
    let rows = format!("\"I,AH\",EUR,1,1,12.50,0,0,12.50,{times}\n\"I,AH\",minute,2,1,31,1,40,-9,{times}\n");
    assert_eq!(shown(OutputFormat::Csv, false, true), format!("{head}{rows}"));
    assert_eq!(shown(OutputFormat::Csv, false, false), head);
}

#[test]
fn records_are_shown_as_csv() {
    let head = "recordId,time,sourceId,destinationId,type,value,unit,reference,sequence,processedAt\n";
    let row = "r-1,2013-01-01T10:00:00Z,UA,\"I,AH\",positive,12.50,EUR,,1,2026-01-01T00:00:00.000001Z\n";
    assert_eq!(shown(OutputFormat::Csv, true, true), format!("{head}{row}"));
}

#[test]
fn a_table_has_a_row_for_each_unit_and_ends_with_the_counts() {
    let table = shown(OutputFormat::Table, false, true);
    let row = |unit: &str| table.lines().find(|line| line.contains(unit)).unwrap().to_owned();
    assert!(row("minute").contains("-9") && row("EUR").contains("12.50"), "{table}");
    assert_eq!(table.lines().last(), Some("destinations 1  records 3"));
    assert_eq!(shown(OutputFormat::Table, false, false), "destinations 0  records 0\n");
    assert!(shown(OutputFormat::Table, true, true).contains("r-1"));
}
