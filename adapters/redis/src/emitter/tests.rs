//! The name of an emitter, to the letter: it is compared with those that other versions have stored.

use std::collections::HashSet;

use super::*;

fn format(records: &str, alerts: &str) -> MessageFormat {
    MessageFormat { records_source: records.to_owned(), alerts_source: alerts.to_owned() }
}

#[track_caller]
fn check(prefix: &str, durable: bool, (records, alerts): (&str, &str), expect: &str) {
    assert_eq!(name(prefix, durable, &format(records, alerts)), expect);
}

#[test]
fn the_name_is_the_same_in_every_version() {
    let usual = ("urn:tallyhouse:records", "urn:tallyhouse:alerts");
    check("tallyhouse", false, usual, r#"redis "tallyhouse" "urn:tallyhouse:records" "urn:tallyhouse:alerts""#);
    check(
        "tallyhouse",
        true,
        usual,
        r#"redis "tallyhouse" with streams "urn:tallyhouse:records" "urn:tallyhouse:alerts""#,
    );
    check("", false, ("a", "b"), r#"redis "" "a" "b""#);
    check("a\"b\\c", false, ("/d e", "'f'"), r#"redis "a\"b\\c" "/d e" "'f'""#);
    check("\u{7}\t\n\u{1f}", false, ("\u{8}", "\r\u{c}"), r#"redis "\u0007\t\n\u001f" "\b" "\r\f""#);
    // JSON does not escape these, although a terminal may act on them.
    check(
        "\u{7f}\u{85}ü\u{301}",
        false,
        ("\u{200b}", "\u{2028}😀"),
        "redis \"\u{7f}\u{85}ü\u{301}\" \"\u{200b}\" \"\u{2028}😀\"",
    );
}

#[test]
fn emitters_to_other_places_have_other_names() {
    let mut names = HashSet::new();
    for prefix in ["a", "a\"", "a\" \"b", "a\" with streams \"b", "b"] {
        for durable in [false, true] {
            for (records, alerts) in [("a", "b"), ("b", "a"), ("a\" \"b", "b"), ("a", "b\" \"b")] {
                assert!(names.insert(name(prefix, durable, &format(records, alerts))), "{prefix} {records} {alerts}");
            }
        }
    }
}
