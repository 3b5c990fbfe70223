//! Tests of whole files: what they are, and what comes out of them.

use std::io::{Read as _, Write as _};

use flate2::Compression;
use flate2::write::GzEncoder;

use super::*;

const RECORD: &str = r#"{"recordId":"r-1","time":"2013-01-01T10:00:00Z","sourceId":"s","destinationId":"d","type":"positive","value":"1","unit":"u","reference":""}"#;
const CSV: &str =
    "recordId,time,sourceId,destinationId,type,value,unit,reference\nr-1,2013-01-01T10:00:00Z,s,d,positive,1,u,\n";

/// Reads a file of this name and content: the lines of its records, and of what is none.
fn read(name: &str, content: &[u8]) -> (Vec<u64>, Vec<u64>, Option<String>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, content).unwrap();
    let reading = Reading { format: None, keep_input: true, bytes_read: Arc::default() };
    let (mut good, mut bad) = (Vec::new(), Vec::new());
    let ended = read_file(&path, &reading, &mut |chunk| {
        for item in chunk.items {
            assert!(item.input.is_some());
            if item.record.is_ok() { good.push(item.line) } else { bad.push(item.line) }
        }
        true
    });
    (good, bad, ended.err().map(|error| error.to_string()))
}

fn gzip(content: &str) -> Vec<u8> {
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(content.as_bytes()).unwrap();
    packed.finish().unwrap()
}

#[test]
fn a_file_is_what_it_holds_whatever_its_name() {
    let lines = format!("{RECORD}\n{RECORD}\n");
    let array = format!("[{RECORD},\n{RECORD}]");
    for name in ["x", "x.ndjson", "x.jsonl", "x.json", "x.txt", "x.gz"] {
        assert_eq!(read(name, lines.as_bytes()), (vec![1, 2], vec![], None), "lines in {name}");
        assert_eq!(read(name, array.as_bytes()), (vec![1, 2], vec![], None), "an array in {name}");
    }
    for name in ["x", "x.csv", "x.txt"] {
        assert_eq!(read(name, CSV.as_bytes()), (vec![2], vec![], None), "rows in {name}");
    }
}

#[test]
fn white_space_and_a_byte_order_mark_before_it_are_left_out() {
    for before in ["\u{feff}", "\n\n", "\u{feff}\r\n\n", "\n\u{feff}", "\u{feff}\u{feff}\n \u{feff}"] {
        let line = 1 + before.matches('\n').count() as u64;
        assert_eq!(read("x", format!("{before}{RECORD}").as_bytes()).0, [line], "{before:?}");
        assert_eq!(read("x", format!("{before}[{RECORD}]").as_bytes()).0, [line], "{before:?}");
        assert_eq!(read("x", format!("{before}{CSV}").as_bytes()).0, [line + 1], "{before:?}");
    }
    assert_eq!(read("x", b""), (vec![], vec![], None));
    assert_eq!(read("x", b" \n"), (vec![], vec![], None));
}

#[test]
fn a_byte_order_mark_is_left_out_however_few_bytes_come_at_once() {
    for text in [format!("\u{feff}{RECORD}\n"), format!("\n\u{feff}{CSV}")] {
        for at in 1..6 {
            let (first, rest) = text.as_bytes().split_at(at);
            let raw = Box::new(std::io::Cursor::new(first.to_vec()).chain(std::io::Cursor::new(rest.to_vec())));
            let reading = Reading { format: None, keep_input: false, bytes_read: Arc::default() };
            let mut records = 0;
            super::read(raw, Path::new("-"), &reading, &mut |chunk| {
                records += chunk.items.iter().filter(|item| item.record.is_ok()).count();
                true
            })
            .unwrap();
            assert_eq!(records, 1, "{at} bytes come first of {text:?}");
        }
    }
}

#[test]
fn packed_files_are_unpacked_to_their_last_member() {
    let members = [gzip(&format!("{RECORD}\n")), gzip(&format!("\u{20}\n{RECORD}\n"))].concat();
    assert_eq!(read("x.ndjson.gz", &members), (vec![1, 3], vec![], None));
    assert_eq!(read("x", &gzip(CSV)), (vec![2], vec![], None));
    let broken = &members[..members.len() - 9];
    let (good, _, ended) = read("x.gz", broken);
    assert_eq!(good[0], 1);
    assert!(ended.unwrap().contains("x.gz:"), "the fault names the file and the line");
}

#[test]
fn bad_lines_are_counted_and_blank_ones_are_not() {
    let long = format!("{{\"a\":\"{}\"}}", "x".repeat(PAYLOAD_BYTES_MAX));
    let text = format!("{RECORD}\nnot json\n \n{long}\n{RECORD}\r\n{{}}");
    assert_eq!(read("x.ndjson", text.as_bytes()), (vec![1, 5], vec![2, 4, 6], None));
}

#[test]
fn what_is_kept_of_a_row_holds_what_the_row_held() {
    let text = CSV.replace(",u,\n", ",u,ends with a space \r\n");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.csv");
    std::fs::write(&path, text).unwrap();
    let reading = Reading { format: None, keep_input: true, bytes_read: Arc::default() };
    let mut kept = Vec::new();
    read_file(&path, &reading, &mut |chunk| {
        kept.extend(chunk.items.into_iter().map(|item| String::from(item.input.unwrap())));
        true
    })
    .unwrap();
    assert_eq!(kept, ["r-1,2013-01-01T10:00:00Z,s,d,positive,1,u,ends with a space "]);
}

#[test]
fn chunks_are_bounded_in_records_and_in_bytes() {
    let count = |line: &str, lines: usize| {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.ndjson");
        std::fs::write(&path, format!("{line}\n").repeat(lines)).unwrap();
        let reading = Reading { format: None, keep_input: false, bytes_read: Arc::default() };
        let mut chunks = Vec::new();
        read_file(&path, &reading, &mut |chunk| {
            chunks.push(chunk.items.len());
            true
        })
        .unwrap();
        chunks
    };
    assert_eq!(count(RECORD, 2_500), [1_000, 1_000, 500]);
    let large = format!("{{\"a\":\"{}\"}}", "x".repeat(PAYLOAD_BYTES_MAX / 2));
    assert!(count(&large, 100).iter().all(|items| *items <= CHUNK_BYTES / (PAYLOAD_BYTES_MAX / 2) + 1));
}

#[test]
fn reading_stops_when_nobody_takes_any_more() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x");
    std::fs::write(&path, format!("{RECORD}\n").repeat(5_000)).unwrap();
    let reading = Reading { format: None, keep_input: false, bytes_read: Arc::default() };
    let mut chunks = 0;
    let ended = read_file(&path, &reading, &mut |_| {
        chunks += 1;
        false
    });
    assert!(matches!(ended, Err(ReadError::CommitFailure)));
    assert_eq!(chunks, 1);
}
