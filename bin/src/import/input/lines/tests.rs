//! Tests of lines of bounded length.

use std::io::{BufReader, Cursor};

use proptest::prelude::*;

use super::*;

fn read(text: &[u8], bytes_max: usize, buffer: usize) -> Vec<(u64, Option<Vec<u8>>)> {
    let reader = BufReader::with_capacity(buffer, Cursor::new(text.to_vec()));
    let mut lines = Lines::new(Box::new(reader), 1, bytes_max);
    let mut read = Vec::new();
    while let Some(line) = lines.next().unwrap() {
        read.push((line.number, line.text.map(<[u8]>::to_vec)));
    }
    read
}

#[test]
fn a_line_that_is_too_long_is_left_out_and_the_next_is_read() {
    type Expect<'a> = &'a [(u64, Option<&'a str>)];
    let table: [(&str, Expect<'_>); 6] = [
        ("", &[]),
        ("a\nb", &[(1, Some("a")), (2, Some("b"))]),
        ("a\n\nb\n", &[(1, Some("a")), (2, Some("")), (3, Some("b"))]),
        ("12345\n123456\n1\n", &[(1, Some("12345")), (2, None), (3, Some("1"))]),
        ("12345\r\n123456\r\n12\r3\r\n", &[(1, Some("12345")), (2, None), (3, Some("12\r3"))]),
        ("1234567890", &[(1, None)]),
    ];
    for (text, expect) in table {
        for buffer in [1, 2, 5, 6, 100] {
            let expect: Vec<_> =
                expect.iter().map(|(n, text)| (*n, text.map(|text| text.as_bytes().to_vec()))).collect();
            assert_eq!(read(text.as_bytes(), 5, buffer), expect, "{text:?} in pieces of {buffer}");
        }
    }
}

proptest! {
    #[test]
    fn lines_are_what_splitting_gives(text in "[ab\n]{0,60}", buffer in 1_usize..20) {
        let expect: Vec<_> = (1..).zip(text.lines().map(|line| Some(line.as_bytes().to_vec()))).collect();
        prop_assert_eq!(read(text.as_bytes(), 100, buffer), expect);
    }
}
