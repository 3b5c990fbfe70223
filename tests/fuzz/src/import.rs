//! A file of records is read the same in pieces of any size, packed or not, and in each of its forms; and CSV that is
//! quoted wrongly is never read without a word.

use std::io::{self, Read, Write as _};
use std::path::Path;
use std::sync::Arc;

use flate2::Compression;
use flate2::write::GzEncoder;
use tallyhouse_pipeline::{PAYLOAD_BYTES_MAX, Record, Rejection, records_from_json_array};

use crate::cli::InputFormat;
use crate::oracle;
use crate::program::input::{CsvOptions, Item, Reading, read};
use crate::record::{agree, texts_of};
use crate::tail::Tail;

/// Names of files, and the forms that may be demanded of them.
const NAMES: [(&str, Option<InputFormat>); 8] = [
    ("x", None),
    ("x.csv", None),
    ("x.json", None),
    ("x.ndjson", None),
    ("x.jsonl", None),
    ("x", Some(InputFormat::Csv)),
    ("x", Some(InputFormat::Json)),
    ("x", Some(InputFormat::Ndjson)),
];

/// Checks a file. Its last bytes say what it is called, and how much of it comes at once.
pub fn check(data: &[u8]) {
    let mut tail = Tail::new(data);
    let ((name, format), piece) = (NAMES[tail.below(NAMES.len())], 1 + tail.below(40));
    let bytes = tail.rest();
    let found = contents(name, format, bytes, usize::MAX);
    let in_pieces = contents(name, format, bytes, piece);
    if is_packed(bytes) && found.fault.is_some() {
        // The libraries that unpack decide where in a broken file the fault shows.
        assert!(in_pieces.fault.is_some());
    } else {
        assert_eq!(in_pieces, found, "in pieces of {piece}");
    }
    if !is_packed(bytes) {
        assert_eq!(contents(&format!("{name}.gz"), format, &packed(bytes), piece), found, "packed");
        match format {
            Some(InputFormat::Ndjson) => lines(bytes, &found),
            Some(InputFormat::Json) => elements(bytes, &found),
            Some(InputFormat::Csv) => rows(bytes, &found),
            None => {}
        }
    }
    let rising = found.places.windows(2).all(|pair| pair[0].line <= pair[1].line);
    assert!(rising, "places are in the order of the file");
    in_rows(&found);
}

/// Says whether a file is packed: with gzip, or with zstd.
fn is_packed(bytes: &[u8]) -> bool {
    matches!(bytes, [0x1f, 0x8b, ..] | [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..])
}

/// The records of a file, and the fault that ended it.
#[derive(Debug, PartialEq)]
struct Contents {
    places: Vec<Found>,
    fault: Option<String>,
}

/// One place of a file.
#[derive(Debug, PartialEq)]
struct Found {
    line: u64,
    input: Option<Box<str>>,
    record: Result<Record, Rejection>,
}

/// Reads bytes that come in pieces of this size.
fn contents(name: &str, format: Option<InputFormat>, bytes: &[u8], piece: usize) -> Contents {
    let reading = Reading { format, csv: CsvOptions::default(), keep_input: true, bytes_read: Arc::default() };
    let pieces = Pieces { rest: bytes.to_vec().into(), piece };
    let mut places = Vec::new();
    let ended = read(Box::new(pieces), Path::new(name), &reading, &mut |chunk| {
        places.extend(chunk.items.into_iter().map(|Item { line, input, record }| Found { line, input, record }));
        true
    });
    // Faults begin with the name, which is not always the same here.
    let fault = ended.err().map(|error| error.to_string().split_once(' ').expect("a name, a fault").1.to_owned());
    Contents { places, fault }
}

/// A file that comes in pieces.
struct Pieces {
    rest: std::collections::VecDeque<u8>,
    piece: usize,
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let room = buffer.len().min(self.piece);
        self.rest.read(&mut buffer[..room])
    }
}

fn packed(bytes: &[u8]) -> Vec<u8> {
    let mut packer = GzEncoder::new(Vec::new(), Compression::none());
    packer.write_all(bytes).expect("memory can be written");
    packer.finish().expect("memory can be written")
}

/// Skips white space and byte order marks before the first record, and counts their lines.
fn begun(bytes: &[u8]) -> (u64, &[u8]) {
    let mut begun = bytes.trim_ascii_start();
    while let Some(behind) = begun.strip_prefix("\u{feff}".as_bytes()) {
        begun = behind.trim_ascii_start();
    }
    let before = &bytes[..bytes.len() - begun.len()];
    (before.iter().filter(|b| **b == b'\n').count() as u64, begun)
}

fn lines(bytes: &[u8], found: &Contents) {
    let (before, text) = begun(bytes);
    let lines = (before + 1..).zip(text.split(|b| *b == b'\n')).filter(|(_, line)| !line.trim_ascii().is_empty());
    let lines: Vec<(u64, &[u8])> = lines.collect();
    assert_eq!(found.fault, None);
    assert_eq!(found.places.len(), lines.len(), "every line that is not blank");
    for (place, (number, line)) in found.places.iter().zip(lines) {
        assert_eq!(place.line, number);
        agree(&place.record, &oracle::read(line));
    }
}

fn elements(bytes: &[u8], found: &Contents) {
    // A text that is no array as a whole may still have good elements at its beginning.
    let Ok(whole) = records_from_json_array(begun(bytes).1, usize::MAX) else { return };
    assert_eq!(found.fault, None);
    assert_eq!(found.places.iter().map(|place| place.record.clone()).collect::<Vec<_>>(), whole);
}

/// Compares CSV with a slow reader of the grammar of RFC 4180: a file that follows it is read whole, row by row, and of
/// one that does not, something is refused.
fn rows(bytes: &[u8], found: &Contents) {
    let (before, text) = begun(bytes);
    // Longer rows may be refused for their length.
    if text.len() > PAYLOAD_BYTES_MAX {
        return;
    }
    let Some(rows) = strict_rows(text) else {
        let refused = found.places.iter().any(|place| place.record.is_err());
        assert!(found.fault.is_some() || refused, "a break of the grammar is told");
        return;
    };
    let mut rows = rows.iter().filter(|(_, fields)| fields.iter().any(|field| !field.trim_ascii().is_empty()));
    let names = rows.next().map(|(_, names)| names.as_slice()).unwrap_or_default();
    let count = |name: &str| names.iter().filter(|found| found.trim_ascii() == name.as_bytes()).count();
    if oracle::FIELDS.iter().all(|name| count(name) == 1) {
        assert_eq!(found.fault, None);
        let lines: Vec<u64> = rows.map(|(line, _)| before + line).collect();
        assert_eq!(found.places.iter().map(|place| place.line).collect::<Vec<_>>(), lines, "no row is lost");
    } else {
        assert_eq!(found.fault.is_none(), names.is_empty(), "the first row names the fields");
    }
}

/// Rows, each with the line where it begins.
type Rows = Vec<(u64, Vec<Vec<u8>>)>;

/// Reads rows by the grammar of RFC 4180; a line may also end in LF alone, the last one in CR alone. `None` where the
/// grammar is broken.
fn strict_rows(text: &[u8]) -> Option<Rows> {
    let (mut rows, mut line, mut rest) = (Vec::new(), 1, text);
    while !rest.is_empty() {
        let (begun, mut fields) = (line, Vec::new());
        loop {
            let (field, behind) = strict_field(rest)?;
            line += field.iter().filter(|byte| **byte == b'\n').count() as u64;
            fields.push(field);
            rest = behind;
            match rest {
                [b',', behind @ ..] => rest = behind,
                [] | [b'\r'] => {
                    rest = &[];
                    break;
                }
                [b'\n', behind @ ..] | [b'\r', b'\n', behind @ ..] => {
                    (line, rest) = (line + 1, behind);
                    break;
                }
                _ => return None,
            }
        }
        rows.push((begun, fields));
    }
    Some(rows)
}

/// Reads one field, and returns it with the text behind it.
fn strict_field(text: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut field = Vec::new();
    let Some(mut rest) = text.strip_prefix(b"\"") else {
        let mut rest = text;
        loop {
            match rest {
                [] | [b',' | b'\n', ..] | [b'\r', b'\n', ..] | [b'\r'] => return Some((field, rest)),
                [b'"' | b'\r', ..] => return None,
                [byte, behind @ ..] => {
                    field.push(*byte);
                    rest = behind;
                }
            }
        }
    };
    loop {
        match rest {
            [] => return None,
            [b'"', b'"', behind @ ..] => {
                field.push(b'"');
                rest = behind;
            }
            [b'"', behind @ ..] => return Some((field, behind)),
            [byte, behind @ ..] => {
                field.push(*byte);
                rest = behind;
            }
        }
    }
}

/// Writes the good records as rows, and reads them again.
fn in_rows(found: &Contents) {
    let records: Vec<&Record> = found.places.iter().filter_map(|place| place.record.as_ref().ok()).collect();
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(oracle::FIELDS).expect("memory can be written");
    for record in &records {
        writer.write_record(texts_of(record)).expect("memory can be written");
    }
    let rows = writer.into_inner().expect("memory can be written");
    let again = contents("x.csv", None, &rows, usize::MAX);
    assert_eq!(again.fault, None);
    assert!(again.places.iter().map(|place| place.record.as_ref().ok()).eq(records.iter().copied().map(Some)));
    // The input that is kept of a row is a row with the same fields.
    let header = format!("{}\n", oracle::FIELDS.join(","));
    for place in &again.places {
        let kept = format!("{header}{}\n", place.input.as_ref().expect("what was read is kept"));
        let kept = contents("x.csv", None, kept.as_bytes(), usize::MAX);
        assert_eq!(kept.places.first().map(|kept| &kept.record), Some(&place.record));
    }
}
