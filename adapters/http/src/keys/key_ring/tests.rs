//! The file of keys, read again as it changes.

use std::fs;

use super::*;
use crate::keys::write_prefixes::WritePrefixes;
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
fn a_grant_tells_the_prefixes_as_the_file_is_now() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys.toml");
    let (key, other) = (NewKey::make("a", &[Scope::Ingest]).unwrap(), NewKey::make("b", &[Scope::Ingest]).unwrap());
    fs::write(&path, key.entry()).unwrap();
    let ring = KeyRing::open(&path).unwrap();
    let grant = ring.grant(hash(key.text().as_bytes()), Some(Scope::Ingest));
    assert_eq!(write_prefixes(Some(&grant)), Some(WritePrefixes::default()));
    assert_eq!(write_prefixes(None), Some(WritePrefixes::default()));
    let narrowed = |prefix: &str| format!("{}source_prefix = \"{prefix}\"\n", key.entry());
    let read_again = |text: &str| {
        fs::write(&path, text).unwrap();
        ring.refresh();
        write_prefixes(Some(&grant))
    };
    for prefix in ["till-", "shop-"] {
        let expect = WritePrefixes::new(Some(prefix), None).ok();
        assert_eq!(read_again(&narrowed(prefix)), expect);
        assert_eq!(read_again(&narrowed("")), expect, "a broken file changes nothing");
    }
    assert_eq!(read_again(other.entry()), None, "the key is removed");
    assert_eq!(read_again(&key.entry().replace("ingest", "read")), None, "the scope is lost");
    assert_eq!(read_again(key.entry()), Some(WritePrefixes::default()));
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
