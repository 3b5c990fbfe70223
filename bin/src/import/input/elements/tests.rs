//! Tests of the elements of a JSON array: whatever the pieces it comes in, they are those that serde_json finds.

use std::io::{BufReader, Cursor};

use proptest::prelude::*;
use serde_json::Value;

use super::*;

type Read = (Vec<(u64, Option<String>)>, Option<(u64, String)>);

fn read(text: &str, bytes_max: usize, buffer: usize) -> Read {
    let reader = BufReader::with_capacity(buffer, Cursor::new(text.as_bytes().to_vec()));
    let mut elements = Elements::new(Box::new(reader), 1, bytes_max);
    let mut read = Vec::new();
    loop {
        match elements.next() {
            Ok(Some(element)) => {
                let text = element.text.map(|text| String::from_utf8(text.to_vec()).unwrap());
                read.push((element.line, text));
            }
            Ok(None) => return (read, None),
            Err(Ended::At(line, fault)) => return (read, Some((line, fault))),
            Err(Ended::CommitFailure) => unreachable!("nobody gives up here"),
        }
    }
}

#[track_caller]
fn check(text: &str, elements: &[(u64, Option<&str>)], fault: Option<&str>) {
    for buffer in [1, 2, 3, 7, 1_000] {
        let (read, ended) = read(text, 12, buffer);
        let elements: Vec<_> = elements.iter().map(|(line, text)| (*line, text.map(str::to_owned))).collect();
        assert_eq!(read, elements, "{text:?} in pieces of {buffer}");
        match (ended, fault) {
            (None, None) => {}
            (Some((_, ended)), Some(fault)) => assert!(ended.contains(fault), "{ended}"),
            (ended, _) => panic!("{text:?} ended with {ended:?}"),
        }
    }
}

#[test]
fn elements_are_found_with_the_line_where_they_begin() {
    check("[]", &[], None);
    check(" [ \n ] \n", &[], None);
    check("[{}]", &[(1, Some("{}"))], None);
    check("[\n{},\n\n {\"a\":\n1}\n,2]", &[(2, Some("{}")), (4, Some("{\"a\":\n1}")), (6, Some("2"))], None);
    check(
        r#"["]","\"",",",[[]]]"#,
        &[(1, Some(r#""]""#)), (1, Some(r#""\"""#)), (1, Some(r#"",""#)), (1, Some("[[]]"))],
        None,
    );
    check("[ 1 , true ]", &[(1, Some("1")), (1, Some("true"))], None);
}

#[test]
fn a_fault_in_an_element_costs_that_element_alone() {
    check(r#"[{"a":},tru,2]"#, &[(1, Some(r#"{"a":}"#)), (1, Some("tru")), (1, Some("2"))], None);
    check("[{]},3]", &[(1, Some("{]"))], Some("expected , or ]"));
    check(r#"["0123456789AB",4]"#, &[(1, None), (1, Some("4"))], None);
}

#[test]
fn a_fault_between_elements_ends_the_array() {
    check("", &[], Some("expected ["));
    check("{}", &[], Some("expected [, found {"));
    check("[1", &[], Some("ends within the element"));
    check("[{}", &[(1, Some("{}"))], Some("expected , or ], found the end of the file"));
    check("[{}{}]", &[(1, Some("{}"))], Some("expected , or ]"));
    check("[,1]", &[], Some("expected a record or ]"));
    check("[1,]", &[(1, Some("1"))], Some("expected a record, found ]"));
    check("[1]2", &[(1, Some("1"))], Some("expected nothing more"));
    check("[\"a", &[], Some("ends within the element"));
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "[\\\\\"\\[\\]{},: a\u{e9}\n]{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::hash_map("[\"\\]}a]{0,3}", inner, 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn any_array_comes_apart_into_its_elements(
        values in prop::collection::vec(value(), 0..6), pretty in any::<bool>(), buffer in 1_usize..64,
    ) {
        let text = if pretty { serde_json::to_string_pretty(&values) } else { serde_json::to_string(&values) }.unwrap();
        let (read, fault) = read(&text, 100_000, buffer);
        prop_assert_eq!(fault, None);
        let read: Vec<Value> = read.iter().map(|(_, text)| serde_json::from_str(text.as_ref().unwrap()).unwrap()).collect();
        prop_assert_eq!(read, values);
    }

    #[test]
    fn garbage_ends_without_a_panic(text in "[\\[\\]{},:\"\\\\ 1a\n]{0,40}", buffer in 1_usize..10) {
        let (_, _) = read(&text, 10, buffer);
    }
}
