//! Laws over any input: printing is undone by parsing, the two ways in agree, and no bytes are taken for JSON that are
//! none.

use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::*;
use crate::record::arbitrary::any_record;

/// The slow way alone, which decides what is wrong.
fn by_the_slow_way(json: &[u8]) -> Result<Record, Rejection> {
    slow(json_text(json)?)
}

/// Says by another parser whether it is JSON; `None` where that parser has limits that a record has not.
fn is_json(json: &[u8]) -> Option<bool> {
    match serde_json::from_slice::<serde_json::Value>(json) {
        Ok(_) => Some(true),
        Err(error) if error.to_string().contains("number out of range") => None,
        Err(error) if error.to_string().contains("recursion limit") => None,
        Err(_) => Some(false),
    }
}

fn check_laws(json: &[u8]) -> Result<(), TestCaseError> {
    let shown = String::from_utf8_lossy(json);
    let found = Record::from_json(json);
    prop_assert_eq!(&found, &by_the_slow_way(json), "{}", shown);
    let not_json = found.as_ref().is_err_and(|rejection| rejection.code == RejectionCode::NotJson);
    if let Some(is_json) = is_json(json) {
        prop_assert_eq!(not_json, !is_json, "{}: {:?}", shown, found);
    }
    match &found {
        Ok(record) => {
            let written = serde_json::to_vec(record).unwrap();
            prop_assert_eq!(&Record::from_json(&written), &found);
        }
        Err(rejection) => prop_assert!(!rejection.errors.is_empty()),
    }
    // An element of an array is read as a record alone is.
    let array = [b"[", json, b"]"].concat();
    let elements = records_from_json_array(&array, 100);
    if !not_json {
        prop_assert_eq!(elements, Ok(vec![found]), "{}", shown);
    }
    Ok(())
}

/// A piece of JSON that no record asks for.
fn any_json() -> impl Strategy<Value = String> {
    let text = select(vec![
        r#""""#,
        r#""a""#,
        r#""\u00e9""#,
        r#""\ud83d\ude00""#,
        r#""\\""#,
        r#""\"[{""#,
        r#""é😀""#,
        "0",
        "-1.5e3",
        "12.50",
        "1e999",
        "null",
        "true",
    ]);
    text.prop_map(str::to_owned).prop_recursive(4, 16, 4, |inner| {
        let list = prop::collection::vec(inner, 0..4);
        (list, any::<bool>()).prop_map(|(items, array)| {
            if array {
                format!("[{}]", items.join(", "))
            } else {
                let members: Vec<String> = items.iter().map(|item| format!("\"unit\":{item}")).collect();
                format!("{{{}}}", members.join(","))
            }
        })
    })
}

/// A record as it may be sent: its members in any order, unknown ones between them, with some spaces.
fn any_sent() -> impl Strategy<Value = (Record, String)> {
    let unknown = (select(vec!["x", "", "recordid", "re\\u0063ord", "\\ud83d\\ude00"]), any_json());
    let unknown = prop::collection::vec(unknown, 0..3);
    (any_record(), unknown, any::<Index>(), select(vec!["", " ", "\n\t"])).prop_map(|(record, unknown, turn, space)| {
        let serde_json::Value::Object(object) = serde_json::to_value(&record).unwrap() else { unreachable!() };
        let mut members: Vec<String> = object.iter().map(|(name, json)| format!("\"{name}\":{space}{json}")).collect();
        members.extend(unknown.iter().map(|(name, json)| format!("\"{name}\"{space}:{json}")));
        let middle = turn.index(members.len());
        members.rotate_left(middle);
        (record, format!("{space}{{{space}{}{space}}}{space}", members.join(&format!("{space},"))))
    })
}

/// One small damage: bytes replaced, left out, put in, repeated or cut off.
#[derive(Debug, Clone)]
enum Damage {
    Replace(Index, u8),
    Remove(Index),
    Insert(Index, &'static [u8]),
    Repeat(Index, Index),
    Truncate(Index),
}

impl Damage {
    fn any() -> impl Strategy<Value = Self> {
        let piece = select(vec![
            b"\"".as_slice(),
            b"\\",
            b"\\u",
            b"\\ud800",
            b"\\udc00",
            b"{",
            b"}",
            b"[",
            b"]",
            b",",
            b":",
            b"\0",
            b"\x7f",
            b"\xff",
            b"\xc3",
            b"-",
            b"e",
            b"0",
            b".",
            b" ",
            b"null",
            b"\xef\xbb\xbf",
            b"\xed\xa0\x80",
            b"\"unit\":1,",
            b",\"x\":1e999",
            b"\"record\\u0049d\":\"r\",",
        ]);
        prop_oneof![
            (any::<Index>(), any::<u8>()).prop_map(|(at, byte)| Self::Replace(at, byte)),
            any::<Index>().prop_map(Self::Remove),
            (any::<Index>(), piece).prop_map(|(at, piece)| Self::Insert(at, piece)),
            (any::<Index>(), any::<Index>()).prop_map(|(from, to)| Self::Repeat(from, to)),
            any::<Index>().prop_map(Self::Truncate),
        ]
    }

    fn apply(&self, json: &mut Vec<u8>) {
        let place = |at: &Index| at.index(json.len().max(1)).min(json.len());
        match self {
            Self::Replace(at, byte) => {
                let at = place(at);
                json.splice(at..json.len().min(at + 1), [*byte]);
            }
            Self::Remove(at) => {
                let at = place(at);
                json.drain(at..json.len().min(at + 1));
            }
            Self::Insert(at, piece) => {
                let at = place(at);
                json.splice(at..at, piece.iter().copied());
            }
            Self::Repeat(from, to) => {
                let (from, to) = (place(from).min(place(to)), place(from).max(place(to)));
                let piece = json[from..to].to_vec();
                json.splice(to..to, piece);
            }
            Self::Truncate(at) => json.truncate(place(at)),
        }
    }
}

/// What may stand at a member, and whether a record takes it there.
fn any_member() -> impl Strategy<Value = (Field, &'static str, bool)> {
    select(Field::ALL.to_vec()).prop_flat_map(|field| {
        let good = match field {
            Field::Time => r#""2013-01-01T10:00:00Z""#,
            Field::Type => r#""negative""#,
            Field::Value => "12.50",
            Field::RecordId | Field::SourceId | Field::DestinationId | Field::Unit | Field::Reference => r#""text""#,
        };
        let long = concat!(r#"""#, "____________________________________________________________________x", r#"""#);
        let choices = vec![
            (good, true),
            ("null", false),
            ("[]", false),
            (r#""\u0000""#, false),
            ("7", field == Field::Value),
            (r#""7""#, !matches!(field, Field::Time | Field::Type)),
            (r#""""#, field == Field::Reference),
            (long, !matches!(field, Field::Time | Field::Type | Field::Value | Field::Unit)),
        ];
        select(choices).prop_map(move |(json, taken)| (field, json, taken))
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn what_is_written_is_read_again(record in any_record()) {
        let json = serde_json::to_string(&record).unwrap();
        let again = Record::from_json(json.as_bytes()).unwrap();
        prop_assert_eq!(&again, &record);
        // Equality is that of numbers; the scale is kept too.
        prop_assert_eq!(&serde_json::to_string(&again).unwrap(), &json);
        prop_assert!(fast(&json).is_some(), "a good record takes the fast path: {}", json);
    }

    #[test]
    fn a_record_is_read_however_its_members_are_sent((record, json) in any_sent()) {
        prop_assert_eq!(Record::from_json(json.as_bytes()), Ok(record));
        check_laws(json.as_bytes())?;
    }

    #[test]
    fn no_damage_panics_or_passes_for_json((_, json) in any_sent(), damages in prop::collection::vec(Damage::any(), 1..4)) {
        let mut json = json.into_bytes();
        for damage in damages {
            damage.apply(&mut json);
            check_laws(&json)?;
        }
    }

    #[test]
    fn any_bytes_are_refused_without_a_panic(json in prop::collection::vec(any::<u8>(), 0..60)) {
        check_laws(&json)?;
    }

    #[test]
    fn any_json_is_read_or_refused_without_a_panic(json in any_json()) {
        check_laws(json.as_bytes())?;
    }

    #[test]
    fn exactly_the_broken_members_are_named(members in prop::collection::vec(any_member(), 0..14)) {
        let written: Vec<String> = members.iter().map(|(field, json, _)| format!("\"{}\":{json}", field.name())).collect();
        let json = format!("{{{}}}", written.join(","));
        let good = |field: Field| {
            let mut there = members.iter().filter(|member| member.0 == field);
            matches!((there.next(), there.next()), (Some((_, _, true)), None))
        };
        let broken: Vec<&str> = Field::ALL.into_iter().filter(|field| !good(*field)).map(Field::pointer).collect();
        match Record::from_json(json.as_bytes()) {
            Ok(_) => prop_assert!(broken.is_empty(), "{}", json),
            Err(rejection) => {
                let named: Vec<&str> = rejection.errors.iter().map(|error| error.pointer.as_str()).collect();
                prop_assert_eq!(named, broken, "{}", json);
                prop_assert_eq!(rejection.record_id.is_some(), good(Field::RecordId), "{}", json);
            }
        }
    }
}
