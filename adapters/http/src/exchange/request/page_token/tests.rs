//! Cursors are read back, and nothing else is taken for one.

use proptest::prelude::{any, proptest};

use super::*;

#[test]
fn a_cursor_is_read_back() {
    let time = Timestamp::MIN;
    let id = RecordId::new("a.b/ü").unwrap();
    assert_eq!(PageToken::record(&PageToken::Record(time, id.clone()).write()), Ok((time, id)));
    let destination = DestinationId::new("x y").unwrap();
    assert_eq!(PageToken::group(&PageToken::Group(destination.clone()).write()), Ok(destination));
    let reference = Reference::new("").unwrap();
    assert_eq!(PageToken::summary(&PageToken::Summary(reference.clone()).write()), Ok(reference));
}

#[test]
fn the_cursor_of_one_call_is_none_of_another() {
    let cursor = PageToken::Group(DestinationId::new("1.x").unwrap()).write();
    assert_eq!(PageToken::record(&cursor), Err(NOT_A_PAGE_TOKEN));
    assert_eq!(PageToken::summary(&cursor), Err(NOT_A_PAGE_TOKEN));
}

#[test]
fn only_the_spelling_that_was_handed_out_is_a_cursor() {
    for plain in ["r+5.x", "r-0.x", "r005.x"] {
        assert_eq!(PageToken::record(&URL_SAFE_NO_PAD.encode(plain)), Err(NOT_A_PAGE_TOKEN), "{plain}");
    }
}

proptest! {
    #[test]
    fn no_text_makes_a_cursor_panic(text in any::<String>(), plain in any::<String>()) {
        for text in [text, URL_SAFE_NO_PAD.encode(format!("r{plain}"))] {
            _ = (PageToken::record(&text), PageToken::group(&text), PageToken::summary(&text));
        }
    }
}

#[test]
fn the_longest_has_as_many_characters_as_is_said() {
    let id = RecordId::new(&"\u{1f600}".repeat(RecordId::CHARS_MAX)).unwrap();
    for time in [Timestamp::MIN, Timestamp::MAX] {
        assert_eq!(PageToken::Record(time, id.clone()).write().len(), PageToken::CHARS_MAX, "{time}");
    }
}
