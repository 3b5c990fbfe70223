//! Tests of the output of `keys new`.

use tallyhouse_http::Scope;

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

#[test]
fn keys_are_appended_to_a_file_of_its_owner() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys.toml");
    for name in ["a", "b"] {
        append_entry(&path, NewKey::make(name, &[Scope::Read]).unwrap().entry()).unwrap();
        // An editor may have removed the last line end.
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, text.trim_end()).unwrap();
    }
    assert!(KeyRing::open(&path).is_ok());
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.contains("name = \"a\"") && text.contains("name = \"b\""), "{text}");
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    std::fs::write(&path, "no keys").unwrap();
    let error = append_entry(&path, "x").unwrap_err();
    assert!(error.is::<SettingsError>() && error.to_string().contains("is not a keys file"), "{error}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "no keys");
}
