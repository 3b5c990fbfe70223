//! The file of keys, read again as it changes.

use std::fs;

use super::*;
use crate::keys::{NewKey, Scope, hash};

fn known(ring: &KeyRing, key: &NewKey) -> bool {
    ring.keys().of_hash(&hash(key.text().as_bytes())).is_some()
}

#[test]
fn a_changed_file_is_taken_over_and_a_broken_one_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys.toml");
    let (old, new) = (NewKey::make("a", &[Scope::Read]).unwrap(), NewKey::make("a", &[Scope::Read]).unwrap());
    fs::write(&path, old.entry()).unwrap();
    let ring = KeyRing::open(&path).unwrap();
    assert_eq!((known(&ring, &old), known(&ring, &new)), (true, false));

    fs::write(&path, format!("{}{}", old.entry(), new.entry())).unwrap();
    ring.refresh();
    assert_eq!((known(&ring, &old), known(&ring, &new)), (true, true));

    for broken in ["", "[[keys", "[[keys]]\nname = \"a\"\n"] {
        fs::write(&path, broken).unwrap();
        ring.refresh();
        assert_eq!((known(&ring, &old), known(&ring, &new)), (true, true), "{broken:?}");
    }
    fs::remove_file(&path).unwrap();
    ring.refresh();
    assert_eq!((known(&ring, &old), known(&ring, &new)), (true, true));

    fs::write(&path, new.entry()).unwrap();
    ring.refresh();
    assert_eq!((known(&ring, &old), known(&ring, &new)), (false, true));
}

#[test]
fn a_file_that_can_t_be_used_is_named_with_its_fault() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys.toml");
    let fault = |path: &Path| KeyRing::open(path).unwrap_err().to_string();
    assert!(fault(&path).contains("keys.toml can't be used: No such file"), "{}", fault(&path));
    assert!(fault(folder.path()).contains("can't be used: "));
    for (bytes, expect) in [
        (&b""[..], "holds no key"),
        (b"\xff", "not UTF-8"),
        (&[b'#'; 1024 * 1024 + 1], "larger than"),
        (b"th_secret", "line 1"),
    ] {
        fs::write(&path, bytes).unwrap();
        assert!(fault(&path).contains(expect), "{}", fault(&path));
    }
}
