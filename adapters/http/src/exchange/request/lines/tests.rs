//! Lines, however the pieces of a body are cut.

use proptest::collection::vec;
use proptest::prelude::{Just, prop_oneof, proptest};

use super::*;

/// Cuts a text that comes in pieces of a size.
fn cut(text: &[u8], piece_bytes: usize, bytes_max: usize) -> Vec<Option<String>> {
    let mut lines = Lines::new(bytes_max);
    let mut found = Vec::new();
    let own = |line: Line<'_>| match line {
        Line::Whole(line) => Some(String::from_utf8(line.to_vec()).unwrap()),
        Line::TooLong => None,
    };
    for piece in text.chunks(piece_bytes) {
        let mut piece = Bytes::copy_from_slice(piece);
        while let Some(line) = lines.next(&mut piece) {
            found.push(own(line));
        }
        assert!(lines.buffer.len() <= bytes_max + 1 + BYTE_ORDER_MARK_BYTES);
    }
    found.extend(lines.last().map(own));
    assert_eq!(lines.last(), None);
    found
}

#[track_caller]
fn check(text: &str, expect: &[Option<&str>]) {
    for piece_bytes in 1..=text.len().max(1) {
        let found = cut(text.as_bytes(), piece_bytes, 3);
        let found: Vec<Option<&str>> = found.iter().map(Option::as_deref).collect();
        assert_eq!(found, expect, "{text:?} in pieces of {piece_bytes}");
    }
}

#[test]
fn lines_are_cut_wherever_the_pieces_begin_and_end() {
    check("", &[]);
    check("a", &[Some("a")]);
    check("a\n", &[Some("a")]);
    check("\n\na\n", &[Some(""), Some(""), Some("a")]);
    check("a\r\nb\r\n", &[Some("a"), Some("b")]);
    check("abc\nabcd\nx\n", &[Some("abc"), None, Some("x")]);
    check("abc\r\nabcd\r\n", &[Some("abc"), None]);
    check("abcdefgh", &[None]);
    check("abcdefgh\nijk", &[None, Some("ijk")]);
    check("a\rb\n", &[Some("a\rb")]);
    check("\u{feff}abc\r\nabc\n", &[Some("abc"), Some("abc")]);
    check("\u{feff}abcd\nabc", &[None, Some("abc")]);
    check("\u{feff}", &[Some("")]);
    check("abcdef\nabcd\n", &[None, None]);
    check("a\n\u{feff}\n", &[Some("a"), Some("\u{feff}")]);
}

#[test]
fn a_long_line_keeps_no_memory_behind_it() {
    let mut lines = Lines::new(64 * 1024);
    let mut piece = Bytes::from(vec![b'a'; 60_000]);
    assert_eq!(lines.next(&mut piece), None);
    assert!(lines.is_long());
    let mut end = Bytes::from_static(b"\n\nb");
    assert_eq!(lines.next(&mut end), Some(Line::Whole(&[b'a'; 60_000])));
    assert!(!lines.is_long());
    assert_eq!(lines.next(&mut end), Some(Line::Whole(b"")));
    assert!(lines.buffer.capacity() <= LONG_BYTES, "{}", lines.buffer.capacity());
    let mut overlong = Bytes::from(vec![b'a'; 70_000]);
    assert_eq!(lines.next(&mut overlong), None);
    assert!(!lines.is_long());
    assert!(lines.buffer.capacity() <= LONG_BYTES, "{}", lines.buffer.capacity());
}

proptest! {
    #[test]
    fn pieces_do_not_matter(
        text in vec(prop_oneof![Just(b'\n'), Just(b'\r'), Just(b'a')], 0..60),
        piece_bytes in 1_usize..60,
    ) {
        assert_eq!(cut(&text, piece_bytes, 4), cut(&text, text.len().max(1), 4));
    }
}
