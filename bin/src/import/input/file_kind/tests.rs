//! Tests of what is named by its first bytes.

use super::*;

#[track_caller]
fn check(head: &[u8], expect: Option<&str>) {
    let found = foreign(head);
    match expect {
        Some(expect) => assert!(found.is_some_and(|found| found.contains(expect)), "{head:?}: {found:?}"),
        None => assert_eq!(found, None, "{head:?}"),
    }
}

#[test]
fn a_file_without_records_is_named() {
    check(b"BZh91AY&SY\x01\x02", Some("bzip2"));
    check(b"\xfd7zXZ\0\0\x04", Some("xz"));
    check(b"PK\x03\x04\x14\0", Some("zip"));
    check(b"\x7fELF\x02\x01\x01\0", Some("ELF"));
    check(b"SQLite format 3\0", Some("SQLite"));
    check(b"-----BEGIN CERTI", Some("PEM"));
    check(b"\xef\xbb\xbf-----BEGIN C", Some("PEM"));
    check(b"\xff\xfer\0e\0c\0", Some("UTF-16"));
    check(b"\xfe\xff\0r\0e\0c", Some("UTF-16"));
    check(b"r\0e\0c\0o\0", Some("UTF-16"));
    check(b"\0r\0e\0c\0o", Some("UTF-16"));
    check(b"\xff\xfe\0\0r\0\0\0", Some("UTF-32"));
    check(b"\0\0\xfe\xff\0\0\0r", Some("UTF-32"));
    check(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", Some(".xls"));
    check(b"rec\0\0", Some("binary"));
}

#[test]
fn text_is_left_to_its_reader() {
    for text in ["", "{\"recordId\":1}", "recordId,time", "BZh9,PK", "\u{feff}[", "PAR,1", "\u{e9}t\u{e9}"] {
        check(text.as_bytes(), None);
    }
}
