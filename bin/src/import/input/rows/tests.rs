//! Tests of CSV.

use std::io::Cursor;

use proptest::prelude::*;

use super::*;

const HEAD: &str = "recordId,time,sourceId,destinationId,type,value,unit,reference";

type Read = (Vec<(u64, Result<Vec<String>, String>)>, Option<(u64, String)>);

fn read(text: &[u8]) -> Read {
    let mut read = Vec::new();
    let ended = |error| match error {
        Stop::Fault(line, fault) => Some((line, fault)),
        Stop::Cancelled => unreachable!("nothing cancels here"),
    };
    let mut rows = match Rows::begin(Box::new(Cursor::new(text.to_vec())), 1, &CsvOptions::default()) {
        Ok(Some(rows)) => rows,
        Ok(None) => return (read, None),
        Err(error) => return (read, ended(error)),
    };
    loop {
        match rows.next() {
            Ok(Some(row)) => {
                let fields = row.fields.map(|fields| fields.map(str::to_owned).to_vec());
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

/// Rows around one that is quoted wrongly: the ninth column is ignored, where a wrong quote would hide best.
const GOOD: &str = "1,2,3,4,5,6,7,8,9";

#[track_caller]
fn check_refused(bad: &str, fault: &str) {
    let text = format!("{HEAD},note\n{GOOD}\n{bad}\n{GOOD}\n{GOOD}");
    let (rows, ended) = read(text.as_bytes());
    assert_eq!(ended, None, "{bad}");
    let lines: Vec<u64> = rows.iter().map(|(line, _)| *line).collect();
    assert_eq!(lines, [2, 3, 4, 5], "{bad}: {rows:?}");
    assert!(rows[1].1.as_ref().is_err_and(|found| found.contains(fault)), "{bad}: {rows:?}");
    assert!([0, 2, 3].iter().all(|at| rows[*at].1 == Ok(texts("1|2|3|4|5|6|7|8"))), "{bad}: {rows:?}");
}

#[test]
fn a_field_that_is_quoted_wrongly_costs_its_row() {
    let after = "text after its closing quote";
    let table = [
        ("1,2,3,4,5,\"10\"0,7,8,9", after),
        ("1,2,3,4,5,6,7,8,\"10\" ", after),
        ("1,2,3,4,5,6,7,8,\"say \\\"hi\\\" now\"", "not as \\\""),
        ("1,2,3,4,5,6,7,8,\"say \\\"hi, there\\\"\"", "not as \\\""),
        ("1,2,3,4,5,6,7,8,\"5\" pipe\"", after),
        ("1,2,3, \"d\",5,6,7,8,9", "a blank before its quote"),
        ("1,2,3,\t\"d\",5,6,7,8,9", "a blank before its quote"),
        ("1,2,3,4,5,6,7,8, \"a,b\"", "a blank before its quote"),
        ("1,2,3,4,5,6,7,8,5\" pipe", "a quote in a field without quotes"),
        ("1,2,3,4,5,6,7,8,x\"\"", "a quote in a field without quotes"),
        ("1,2,3,4,5,6,7,8,a\rb", "a carriage return in a field without quotes"),
    ];
    for (bad, fault) in table {
        check_refused(bad, fault);
    }
}

#[track_caller]
fn check_ended(bad: &str, line: u64, fault: &str) {
    let text = format!("{HEAD},note\n{GOOD}\n{GOOD}\n{bad}\n{GOOD}\n");
    let (rows, ended) = read(text.as_bytes());
    assert_eq!(rows.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [2, 3], "{bad:?}: {rows:?}");
    assert!(rows.iter().all(|(_, fields)| fields.is_ok()));
    let (found, text) = ended.expect("reading must end early");
    assert_eq!(found, line, "{bad:?}: {text}");
    assert!(text.contains(fault) && text.contains("the rows before line 4 were read"), "{bad:?}: {text}");
}

#[test]
fn reading_ends_where_it_cannot_be_known_which_lines_are_rows() {
    let open = "is not closed";
    let after = "text after its closing quote";
    let table = [
        (format!("1,2,3,4,5,6,7,8,\"9\n{GOOD}"), 4, open),
        (format!("1,2,3,4,5,6,7,\"8,9\n{GOOD}\n{GOOD}"), 4, open),
        (format!("1,2,3,4,5,6,7,8,\"9\n{GOOD}\n1,2,3,4,5,6,7,8,\"x\""), 4, after),
        ("1,2,3,4,5,6,7,8,\"a\n\"b\"".to_owned(), 4, after),
        ("\"a\nb\",2,3,4,5,6,7,8,\"9\"9".to_owned(), 5, after),
        (format!("1,2,3,4,5,6,7, \"8\n{GOOD}\n\",9"), 4, "a blank before its quote"),
        (format!("1,2,3,4,5,6,\"7\"7,8,\"9\n{GOOD}\""), 4, after),
    ];
    for (bad, line, fault) in table {
        check_ended(&bad, line, fault);
    }
    let (_, ended) = read(format!("{HEAD}\n1,2,3,4,5,6,7,\"8\n{GOOD}\n1,2,3,4,5,6,7,\"8\"").as_bytes());
    assert!(ended.is_some_and(|(_, fault)| fault.contains("the field spans the lines 2 to 4")));
    let (rows, ended) = read(format!("{HEAD}\n1,2,3,4,5,6,7,\"8").as_bytes());
    assert!(rows.is_empty() && ended.is_some_and(|(line, fault)| line == 2 && fault.contains(open)));
    let (rows, ended) = read(format!("recordId,\"time\" ,x\n{GOOD}\n").as_bytes());
    assert!(rows.is_empty() && ended.is_some_and(|(line, fault)| line == 1 && fault.contains(after)));
}

#[test]
fn a_field_with_line_breaks_that_is_quoted_rightly_is_read() {
    let text = format!("note,{HEAD}\n\"a\n\"\"b\"\"\n\n,c\",1,2,3,4,5,6,7,8\n\"\",{}\n", "1,2,3,4,5,6,7,8");
    let expect = Ok(texts("1|2|3|4|5|6|7|8"));
    assert_eq!(read(text.as_bytes()), (vec![(2, expect.clone()), (6, expect)], None));
}

fn fields() -> impl Strategy<Value = Vec<[String; 8]>> {
    prop::collection::vec(prop::array::uniform8("[a,\" \u{e9}\r\n]{0,5}"), 0..5)
}

fn written(rows: &[[String; 8]]) -> Vec<u8> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(HEAD.split(',')).unwrap();
    rows.iter().for_each(|row| writer.write_record(row).unwrap());
    writer.into_inner().unwrap()
}

/// Leaves out the rows that hold nothing: they are passed over.
fn with_content(rows: &[[String; 8]]) -> Vec<Vec<String>> {
    rows.iter().filter(|row| row.iter().any(|text| !text.trim_ascii().is_empty())).map(|row| row.to_vec()).collect()
}

proptest! {
    #[test]
    fn what_is_written_as_csv_is_read_back(rows in fields()) {
        let (read, fault) = read(&written(&rows));
        prop_assert_eq!(fault, None);
        let read: Vec<Vec<String>> = read.into_iter().map(|(_, fields)| fields.unwrap()).collect();
        prop_assert_eq!(read, with_content(&rows));
    }

    /// Strict CSV has an even number of quotes: one more or one less is always a fault, and it is always told.
    #[test]
    fn one_quote_too_many_or_too_few_is_never_silent(
        rows in prop::collection::vec(prop::array::uniform8("[a,\" ]{1,5}"), 1..6), place in any::<prop::sample::Index>(), more in any::<bool>(),
    ) {
        let mut text = written(&rows);
        let body = HEAD.len() + 1;
        let quotes: Vec<usize> = (body..text.len()).filter(|at| text[*at] == b'"').collect();
        let at = if more || quotes.is_empty() {
            let at = body + place.index(text.len() - body);
            text.insert(at, b'"');
            at
        } else {
            let at = *place.get(&quotes);
            text.remove(at);
            at
        };
        // No field of these has a line break: a row is a line.
        let changed = text[..at].iter().filter(|b| **b == b'\n').count() as u64 + 1;
        let whole: Vec<Vec<String>> = rows.iter().map(|row| row.to_vec()).collect();
        let (read, ended) = read(&text);
        prop_assert!(ended.is_some() || read.iter().any(|(_, fields)| fields.is_err()), "a fault is told");
        for (line, fields) in &read {
            if let Ok(fields) = fields {
                prop_assert_ne!(*line, changed);
                prop_assert_eq!(fields, &whole[usize::try_from(*line).unwrap() - 2]);
            }
        }
        // Every row is accepted, refused, or behind the place that the error names.
        let reached = ended.map_or(rows.len() as u64 + 2, |(line, fault)| {
            let named = fault.split_once("the rows before line ").and_then(|(_, rest)| rest.split_once(' '));
            let reached = named.expect("the error says how far it came").0.parse().unwrap();
            assert!(reached <= line);
            reached
        });
        prop_assert_eq!(read.iter().map(|(line, _)| *line).collect::<Vec<_>>(), (2..reached).collect::<Vec<_>>());
    }
}
