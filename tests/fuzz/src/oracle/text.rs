//! The reference rules for a text field: its length and its forbidden characters.

/// Says whether a text has so many characters, and none that is forbidden.
pub(crate) fn is_text(text: &str, min: usize, max: usize) -> bool {
    let count = text.chars().count();
    min <= count && count <= max && !text.chars().any(is_forbidden)
}

/// Control characters, and the 66 noncharacters of Unicode.
fn is_forbidden(c: char) -> bool {
    let last_of_plane = matches!(u32::from(c) % 0x1_0000, 0xfffe | 0xffff);
    matches!(c, '\0'..='\x1f' | '\x7f'..='\u{9f}' | '\u{fdd0}'..='\u{fdef}') || last_of_plane
}
