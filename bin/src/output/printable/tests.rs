//! Tests of what a terminal is spared.

use proptest::prelude::*;

use super::*;

#[track_caller]
fn check(text: &str, expect: &str) {
    assert_eq!(printable(text), expect);
}

#[test]
fn controls_and_invisible_characters_are_escaped_and_text_is_kept() {
    check("", "");
    check("plain, é, 日本, 🙂\ttab", "plain, é, 日本, 🙂\ttab");
    check("\u{1b}]0;title\u{7}", "\\u001b]0;title\\u0007");
    check("\u{9b}31mred", "\\u009b31mred");
    check("a\r\nb\u{0}\u{7f}", "a\\u000d\\u000ab\\u0000\\u007f");
    check("\u{202e}evil\u{2066}\u{200f}\u{61c}", "\\u202eevil\\u2066\\u200f\\u061c");
    check("\u{feff}\u{2028}", "\\ufeff\\u2028");
}

proptest! {
    #[test]
    fn nothing_unsafe_is_left(text in any::<String>()) {
        prop_assert!(!printable(&text).chars().any(is_unsafe));
    }

    #[test]
    fn the_value_of_json_is_kept(text in any::<String>()) {
        let json = serde_json::to_string(&text).unwrap();
        let read: String = serde_json::from_str(&printable(&json)).unwrap();
        prop_assert_eq!(read, text);
    }
}
