//! Tests of the output of `keys new`.

use tallyhouse_http::{KeyRing, Scope};

use super::*;

#[test]
fn everything_below_the_first_line_is_a_keys_file() {
    let key = NewKey::make("till-3", &[Scope::Ingest, Scope::Read]).unwrap();
    let shown = format_key(&key);
    let (first, rest) = shown.split_once('\n').unwrap();
    assert_eq!(first, format!("key: {}", key.text()));
    assert!(!rest.contains(key.text()), "{rest}");
    assert!(rest.contains("name = \"till-3\"") && rest.contains("scopes = [\"ingest\", \"read\"]"), "{rest}");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys.toml");
    std::fs::write(&path, rest).unwrap();
    assert!(KeyRing::open(&path).is_ok());
}
