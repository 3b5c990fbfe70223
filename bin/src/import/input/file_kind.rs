//! Recognises files that hold no records by their magic numbers, for the error message.

use tallyhouse_pipeline::without_byte_order_mark;

/// How many first bytes are enough to tell.
pub(super) const HEAD_BYTES: usize = 16;

/// Magic numbers with the names of their file kinds.
const KNOWN: [(&[u8], &str); 16] = [
    (b"\xfd7zXZ\0", "packed with xz: unpack it first, e.g. xz -dc FILE | tallyhouse import -"),
    (b"\x04\x22\x4d\x18", "packed with lz4: unpack it first, e.g. lz4 -dc FILE | tallyhouse import -"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive: unpack it first"),
    (b"PK\x03\x04", "a zip archive, or a spreadsheet such as .xlsx: unpack it, or save it as CSV in UTF-8"),
    (b"PK\x05\x06", "an empty zip archive"),
    (b"Rar!\x1a\x07", "a RAR archive: unpack it first"),
    (b"\x7fELF", "a program (ELF)"),
    (b"SQLite format 3\0", "an SQLite database: export its records first"),
    (b"PAR1", "a Parquet file: convert it to CSV or NDJSON first"),
    (b"%PDF-", "a PDF document"),
    (b"-----BEGIN ", "PEM: a certificate or a key"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old Office document such as .xls: save it as CSV in UTF-8"),
    (b"\xff\xfe\0\0", UTF_32),
    (b"\0\0\xfe\xff", UTF_32),
    (b"\xff\xfe", UTF_16),
    (b"\xfe\xff", UTF_16),
];

const UTF_32: &str = "text in UTF-32: convert it first, e.g. iconv -f UTF-32 -t UTF-8 FILE | tallyhouse import -";

const UTF_16: &str = "text in UTF-16: convert it first, e.g. iconv -f UTF-16 -t UTF-8 FILE | tallyhouse import -";

/// Returns the name of a file's kind, if an import can't read it.
pub(super) fn foreign(head: &[u8]) -> Option<&'static str> {
    let text = without_byte_order_mark(head);
    let known = KNOWN.iter().find(|(magic, _)| text.starts_with(magic)).map(|(_, what)| *what);
    // The magic number of a block behind the block size (bzip2's format has no specification; its source does).
    let is_bzip2 = matches!(text, [b'B', b'Z', b'h', b'1'..=b'9', b'1', b'A', b'Y', b'&', b'S', b'Y', ..]);
    let packed = is_bzip2.then_some("packed with bzip2: unpack it first, e.g. bzip2 -dc FILE | tallyhouse import -");
    // UTF-16 without a byte order mark: every other byte of ASCII text is 0.
    let is_wide = matches!(text, [0, 1..=127, 0, 1..=127, ..] | [1..=127, 0, 1..=127, 0, ..]);
    let binary = text.contains(&0).then_some("binary data, and no text");
    known.or(packed).or(is_wide.then_some(UTF_16)).or(binary)
}

#[cfg(test)]
mod tests;
