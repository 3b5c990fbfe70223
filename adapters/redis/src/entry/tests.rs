//! Parsing of stream entries.

use super::*;

#[track_caller]
fn check_id(text: &str, expect: bool) {
    assert_eq!(is_entry_id(text), expect, "{text}");
}

#[test]
fn an_id_is_two_numbers() {
    check_id("1526919030474-55", true);
    check_id("0-0", true);
    check_id("18446744073709551615-18446744073709551615", true);
    for text in ["", "-", "1", "1-", "-1", "1-2-3", "+1-2", "1-+2", " 1-2", "x-y", "18446744073709551616-0", "$", "1-*"]
    {
        check_id(text, false);
    }
}

fn bulk(text: &str) -> Value {
    Value::BulkString(text.into())
}

#[test]
fn entries_keep_their_fields_and_deleted_ones_have_none() {
    let fields = Value::Array(["record", "{}", "record", "2", "traceparent", "t"].map(bulk).into());
    let answer = Value::Array(vec![
        Value::Array(vec![bulk("1-0"), fields]),
        Value::Array(vec![bulk("2-0"), Value::Nil]),
        Value::Nil,
        Value::Array(vec![bulk("3-0"), Value::Array(vec![]), Value::Int(90), bulk("a1")]),
    ]);
    let mut entries = Entry::read_all(answer).unwrap();
    assert_eq!((entries[0].count("record"), entries[0].oversize()), (2, None));
    assert_eq!(entries[0].take("record").unwrap(), b"{}");
    assert_eq!(entries[0].take("traceparent").unwrap(), b"t");
    assert_eq!(entries[0].take("payload"), None);
    assert!(entries[1].is_deleted() && entries[2].is_deleted());
    assert_eq!(entries[1].id, "2-0");
    assert_eq!(entries[3].oversize(), Some(&(90, "a1".to_owned())));
    assert!(Entry::read_all(Value::Nil).unwrap().is_empty());
}

#[test]
fn all_fields_are_kept_as_they_came() {
    let fields: [(&[u8], &[u8]); 3] = [(b"b", b"\"1\""), (b"a", b"2"), (b"b", b"\xff3")];
    let fields = fields.map(|(name, value)| (name.to_vec(), value.to_vec())).to_vec();
    let entry = Entry { id: "1-0".to_owned(), fields: Some(fields), oversize: None };
    let json = String::from_utf8(entry.fields_as_json()).unwrap();
    assert_eq!(json, r#"{"b":"\"1\"","a":"2","b":"\\xff3"}"#);
}
