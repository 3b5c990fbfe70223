//! Makes text of others safe for a terminal.

use std::borrow::Cow;
use std::fmt::Write as _;

/// Escapes control characters and invisible formatting characters as in JSON, e.g. `\u001b`: a terminal would obey escape sequences,
/// and bidirectional controls change what a reader sees (CVE-2021-42574). Inside a JSON string the escapes keep its
/// value. Tabs are kept.
pub(crate) fn printable(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_unsafe) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_unsafe(c) {
            write!(safe, "\\u{:04x}", u32::from(c)).expect("writing to a String never fails");
        } else {
            safe.push(c);
        }
    }
    Cow::Owned(safe)
}

/// All of these characters are in the basic plane, so four hexadecimal digits hold each.
fn is_unsafe(c: char) -> bool {
    (c.is_control() && c != '\t')
        || matches!(c,
            '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}')
}

#[cfg(test)]
mod tests;
