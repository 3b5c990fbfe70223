//! A keys file is taken exactly where every key in it is right, and a refusal quotes nothing of it.

use tallyhouse_http::testing::keys_in;
use toml::{Table, Value};

/// Words of a refusal that are ours or the parser's, though a file may hold them too, or a piece of one.
const OURS: [&str; 7] =
    ["characters", "destination_prefix", "hexadecimal", "overflowed", "source_prefix", "unexpected", "whitespace"];

/// Length from which on a word may be a secret.
const SECRET_LEN_MIN: usize = 10;

/// Checks the text of a keys file.
pub fn check(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let found = keys_in(text);
    match (&found, count(text)) {
        (Ok(found), Some(count)) => assert_eq!(*found, count),
        (Err(fault), None) => quotes_nothing(fault, text),
        (found, expected) => panic!("{found:?}, but {expected:?}"),
    }
}

/// Returns how many keys a good file holds.
fn count(text: &str) -> Option<usize> {
    let file: Table = text.parse().ok()?;
    let keys = file.get("keys")?.as_array().filter(|keys| !keys.is_empty() && file.len() == 1)?;
    let mut hashes = Vec::new();
    for key in keys {
        let key = key.as_table()?;
        let prefixes: Vec<&Value> =
            ["source_prefix", "destination_prefix"].iter().filter_map(|prefix| key.get(*prefix)).collect();
        let name = key.get("name")?.as_str()?;
        let good = |c: char| c.is_ascii_alphanumeric() || ".-_".contains(c);
        let hash = key.get("hash")?.as_str()?.strip_prefix("blake3:")?.to_ascii_lowercase();
        let scopes = key.get("scopes")?.as_array()?;
        let named = |scope: &Value| scope.as_str().is_some_and(|scope| ["ingest", "read", "admin"].contains(&scope));
        let right = key.len() == 3 + prefixes.len()
            && (1..=64).contains(&name.len())
            && name.chars().all(good)
            && hash.len() == 64
            && hash.chars().all(|c| c.is_ascii_hexdigit())
            && !hashes.contains(&hash)
            && !scopes.is_empty()
            && scopes.iter().all(named)
            && prefixes.iter().all(|prefix| prefix.as_str().is_some_and(begins_an_id))
            && (prefixes.is_empty() || scopes.iter().all(|scope| scope.as_str() == Some("ingest")));
        if !right {
            return None;
        }
        hashes.push(hash);
    }
    Some(hashes.len())
}

fn begins_an_id(text: &str) -> bool {
    let noncharacter = |c: char| matches!(u32::from(c), 0xfdd0..=0xfdef) || u32::from(c) & 0xfffe == 0xfffe;
    (1..=255).contains(&text.chars().count()) && !text.chars().any(|c| c.is_control() || noncharacter(c))
}

fn quotes_nothing(fault: &str, text: &str) {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '-'));
    let is_ours = |word: &str| OURS.iter().any(|ours| ours.contains(word));
    for word in words.filter(|word| word.len() >= SECRET_LEN_MIN && !is_ours(word)) {
        assert!(!fault.contains(word), "{word} is quoted: {fault}");
    }
}
