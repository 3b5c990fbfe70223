//! Each rule of a text: its length in characters, and the characters that it must not hold.

use std::collections::HashSet;

use super::*;

#[track_caller]
fn check(text: &str, expect: Result<(), TextError>) {
    let found = RecordId::new(text);
    assert_eq!(found.as_ref().map(RecordId::as_str), expect.as_ref().map(|()| text), "{text:?}");
}

fn length(found: usize) -> TextError {
    TextError::Length { min: 1, max: 255, found }
}

#[test]
fn a_text_keeps_its_length_in_characters() {
    check("", Err(length(0)));
    check("a", Ok(()));
    check(&"a".repeat(255), Ok(()));
    check(&"a".repeat(256), Err(length(256)));
    // Two, three and four bytes each: a character is a Unicode scalar value, however many bytes it has.
    check(&"é".repeat(255), Ok(()));
    check(&"é".repeat(256), Err(length(256)));
    check(&"€".repeat(255), Ok(()));
    check(&"😀".repeat(255), Ok(()));
    check(&"😀".repeat(256), Err(length(256)));
    // A combining mark is a character of its own.
    check(&"e\u{301}".repeat(127), Ok(()));
    check(&"e\u{301}".repeat(128), Err(length(256)));
    check(&"a".repeat(10_000_000), Err(length(10_000_000)));
}

#[test]
fn a_text_holds_no_control_character() {
    for code in (0..=0x1f).chain(0x7f..=0x9f) {
        let c = char::from_u32(code).unwrap();
        check(&c.to_string(), Err(TextError::Control(code)));
        check(&format!("before{c}after"), Err(TextError::Control(code)));
    }
    for c in [' ', '~', '\u{a0}', '\u{ad}', '\u{200b}', '\u{2028}', '\u{feff}', '\u{e000}'] {
        check(&format!("before{c}after"), Ok(()));
    }
}

#[test]
fn a_text_holds_none_of_the_66_noncharacters() {
    let mut refused = 0;
    for c in '\0'..=char::MAX {
        match RecordId::new(c.encode_utf8(&mut [0; 4])) {
            Err(TextError::Noncharacter(code)) => {
                assert_eq!(code, u32::from(c));
                refused += 1;
            }
            Err(TextError::Control(_)) => assert!(c.is_control()),
            Err(error @ TextError::Length { .. }) => panic!("{c:?}: {error}"),
            Ok(_) => {}
        }
    }
    assert_eq!(refused, 66);
    for code in [0xfdd0, 0xfdef, 0xfffe, 0xffff, 0x1_fffe, 0x10_ffff] {
        check(&format!("x{}", char::from_u32(code).unwrap()), Err(TextError::Noncharacter(code)));
    }
    for code in [0xfdcf, 0xfdf0, 0xfffd, 0x1_fffd, 0x10_fffd] {
        check(&format!("x{}", char::from_u32(code).unwrap()), Ok(()));
    }
}

#[test]
fn a_text_is_neither_trimmed_nor_folded() {
    check(" ", Ok(()));
    check("  a  ", Ok(()));
    check("\u{a0}a", Ok(()));
    assert_ne!(RecordId::new("A").unwrap(), RecordId::new("a").unwrap());
    // "é" composed and decomposed look alike and are two texts.
    assert_ne!(RecordId::new("\u{e9}").unwrap(), RecordId::new("e\u{301}").unwrap());
}

#[test]
fn each_type_has_the_limits_of_its_field() {
    let long = "ü".repeat(300);
    let of = |chars: usize| &long[..2 * chars];
    assert!(SourceId::new("").is_err() && SourceId::new(of(255)).is_ok() && SourceId::new(of(256)).is_err());
    assert!(
        DestinationId::new("").is_err() && DestinationId::new(of(255)).is_ok() && DestinationId::new(of(256)).is_err()
    );
    assert!(Unit::new("").is_err() && Unit::new(of(64)).is_ok() && Unit::new(of(65)).is_err());
    assert!(Reference::new("").is_ok() && Reference::new(of(255)).is_ok() && Reference::new(of(256)).is_err());
    assert_eq!((Unit::CHARS_MIN, Unit::CHARS_MAX, Reference::CHARS_MIN, Reference::CHARS_MAX), (1, 64, 0, 255));
}

#[test]
fn the_reason_is_fit_to_be_shown() {
    let reason = |text: &str| Unit::new(text).unwrap_err().to_string();
    assert_eq!(reason(""), "must have 1 to 64 characters, has 0");
    assert_eq!(reason("a\nb"), "must not contain the control character U+000A");
    assert_eq!(reason("\u{1fffe}"), "must not contain the noncharacter U+1FFFE");
}

#[test]
fn texts_and_keys_are_ordered_by_bytes() {
    let ids = ["", "A", "B", "a", "z", "é", "€", "\u{ffee}", "😀"].map(|text| Reference::new(text).unwrap());
    assert!(ids.is_sorted());
    let key = |destination: &str, reference: &str| Key {
        destination_id: DestinationId::new(destination).unwrap(),
        reference: Reference::new(reference).unwrap(),
    };
    assert!([key("A", ""), key("A", "z"), key("AB", ""), key("a", "")].is_sorted());
}

#[test]
fn a_text_is_found_by_its_str() {
    // What `Borrow` promises: equal hashes.
    let set = HashSet::from([RecordId::new("r-1").unwrap()]);
    assert!(set.contains("r-1") && !set.contains("r-2"));
    assert_eq!(format!("{:?}", RecordId::new("r\"1").unwrap()), r#"RecordId("r\"1")"#);
}
