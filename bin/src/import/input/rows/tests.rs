//! Tests of CSV.

use std::io::Cursor;

use proptest::prelude::*;

use super::*;

const HEAD: &str = "recordId,time,sourceId,destinationId,type,value,unit,reference";

type Read = (Vec<(u64, Result<Vec<String>, String>)>, Option<(u64, String)>);

fn read(text: &[u8]) -> Read {
    let mut read = Vec::new();
    let ended = |error| match error {
        Ended::At(line, fault) => Some((line, fault)),
        Ended::CommitFailure => unreachable!("nobody gives up here"),
    };
    let mut rows = match Rows::begin(Box::new(Cursor::new(text.to_vec())), 1) {
        Ok(Some(rows)) => rows,
        Ok(None) => return (read, None),
        Err(error) => return (read, ended(error)),
    };
    loop {
        match rows.next() {
            Ok(Some(row)) => {
                let fields = row.fields().map(|fields| fields.map(str::to_owned).to_vec());
                read.push((row.line, fields.map_err(|rejection| rejection.detail())));
            }
            Ok(None) => return (read, None),
            Err(error) => return (read, ended(error)),
        }
    }
}

fn texts(text: &str) -> Vec<String> {
    text.split('|').map(str::to_owned).collect()
}

#[test]
fn columns_come_in_any_order_and_others_are_ignored() {
    let text = "x,reference,unit,value,type,destinationId,sourceId,time,recordId\n0,8,7,6,5,4,3,2,1\n";
    assert_eq!(read(text.as_bytes()), (vec![(2, Ok(texts("1|2|3|4|5|6|7|8")))], None));
}

#[test]
fn lines_are_counted_with_any_line_end_and_through_quotes() {
    let rows = "1,2,3,4,5,6,7,8\n\n\"a\nb\",2,3,4,5,6,7,\"q\"\"q\"\n1,2,3,4,5,6,7,\n";
    let expect = [(2, "1|2|3|4|5|6|7|8"), (4, "a\nb|2|3|4|5|6|7|q\"q"), (6, "1|2|3|4|5|6|7|")];
    let expect =
        |end: &str| -> Vec<_> { expect.iter().map(|(n, row)| (*n, Ok(texts(&row.replace('\n', end))))).collect() };
    for end in ["\n", "\r\n"] {
        let text = format!("{HEAD}\n{rows}").replace('\n', end);
        assert_eq!(read(text.as_bytes()), (expect(end), None), "{end:?}");
    }
}

#[test]
fn a_bad_row_costs_that_row_alone() {
    let text = [HEAD.as_bytes(), b"\n1,2\n\xff,2,3,4,5,6,7,8\n1,2,3,4,5,6,7,8"].concat();
    let (rows, fault) = read(&text);
    assert_eq!(fault, None);
    assert_eq!(rows[0], (2, Err("the row has 2 fields, the first line has 8".to_owned())));
    assert_eq!(rows[1], (3, Err("/recordId must be UTF-8".to_owned())));
    assert_eq!(rows[2], (4, Ok(texts("1|2|3|4|5|6|7|8"))));
}

#[test]
fn a_first_line_without_the_names_ends_it() {
    let table = [
        ("recordId,time\n1,2\n", "missing: sourceId, destinationId, type, value, unit, reference"),
        ("hello", "missing: recordId"),
        (&format!("{HEAD},time\n"), "there twice: time"),
    ];
    for (text, fault) in table {
        let (rows, ended) = read(text.as_bytes());
        let (line, ended) = ended.unwrap();
        assert!(rows.is_empty() && line == 1 && ended.contains(fault), "{ended}");
    }
    assert_eq!(read(b""), (Vec::new(), None));
    assert_eq!(read(b"\n\n"), (Vec::new(), None));
}

#[test]
fn a_quote_that_is_never_closed_does_not_take_the_file_into_memory() {
    let text = format!("{HEAD}\n1,2,3,4,5,6,7,8\n1,\"2,3,4,5,6,7,8\n{}", "1,2,3,4,5,6,7,8\n".repeat(100_000));
    let (rows, ended) = read(text.as_bytes());
    assert_eq!(rows.len(), 1);
    let (line, fault) = ended.unwrap();
    assert!(line == 3 && fault.contains("is a quote not closed?"), "line {line}: {fault}");
}

#[test]
fn a_row_that_is_too_long_is_refused() {
    let text = format!("{HEAD}\n{},2,3,4,5,6,7,8\n1,2,3,4,5,6,7,8\n", "x".repeat(PAYLOAD_BYTES_MAX + 1));
    let (rows, fault) = read(text.as_bytes());
    assert_eq!(fault, None);
    assert!(rows[0].1.as_ref().is_err_and(|fault| fault.contains("at most 65536 bytes")), "{rows:?}");
    assert!(rows[1].1.is_ok());
}

proptest! {
    #[test]
    fn what_is_written_as_csv_is_read_back(rows in prop::collection::vec(prop::array::uniform8("[a,\" \u{e9}\n]{0,5}"), 0..5)) {
        let mut writer = csv::Writer::from_writer(Vec::new());
        writer.write_record(HEAD.split(',')).unwrap();
        rows.iter().for_each(|row| writer.write_record(row).unwrap());
        let (read, fault) = read(&writer.into_inner().unwrap());
        prop_assert_eq!(fault, None);
        let read: Vec<Vec<String>> = read.into_iter().map(|(_, fields)| fields.unwrap()).collect();
        prop_assert_eq!(read, rows.iter().map(|row| row.to_vec()).collect::<Vec<_>>());
    }
}
