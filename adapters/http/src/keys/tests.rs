//! Keys: random, and recognised whole or not at all.

use proptest::prelude::{any, proptest};

use super::*;

fn holder_of<'k>(keys: &'k Keys, key: &str) -> Option<&'k Holder> {
    keys.of_hash(&hash(key.as_bytes()))
}

fn parsed(entries: &[&NewKey]) -> Keys {
    let text: String = entries.iter().map(|key| key.entry().to_owned() + "\n").collect();
    Keys::parse(&text).unwrap()
}

#[test]
fn a_new_key_is_recognised_by_the_entry_that_it_came_with() {
    let till = NewKey::make("till-3", &[Scope::Ingest, Scope::Read, Scope::Ingest]).unwrap();
    let boss = NewKey::make("boss", &[Scope::Admin]).unwrap();
    let keys = parsed(&[&till, &boss]);
    assert_eq!(keys.len(), 2);
    let holder = holder_of(&keys, till.text()).unwrap();
    assert_eq!(&*holder.name, "till-3");
    assert_eq!([Scope::Ingest, Scope::Read, Scope::Admin].map(|scope| holder.may(scope)), [true, true, false]);
    assert_eq!(&*holder_of(&keys, boss.text()).unwrap().name, "boss");
}

#[test]
fn a_bound_key_is_kept_with_its_prefixes() {
    for (source, destination) in [(None, None), (Some("till-"), None), (None, Some("shop-9/")), (Some("a"), Some("b"))]
    {
        let prefixes = WritePrefixes::new(source, destination).unwrap();
        let key = NewKey::make_bound("till-3", &[Scope::Ingest], &prefixes).unwrap();
        let named = ["source_prefix", "destination_prefix"].map(|member| key.entry().contains(member));
        assert_eq!(named, [source.is_some(), destination.is_some()], "{}", key.entry());
        assert_eq!(holder_of(&parsed(&[&key]), key.text()).unwrap().prefixes, prefixes);
    }
}

proptest! {
    #[test]
    fn any_prefix_comes_back_from_the_keys_file(prefix in any::<String>()) {
        if let Ok(prefixes) = WritePrefixes::new(Some(&prefix), Some(&prefix)) {
            let key = NewKey::make_bound("a", &[Scope::Ingest], &prefixes).unwrap();
            assert_eq!(holder_of(&parsed(&[&key]), key.text()).unwrap().prefixes, prefixes);
        }
    }
}

#[test]
fn a_bound_key_is_for_writing_alone() {
    let prefixes = WritePrefixes::new(None, Some("shop-9/")).unwrap();
    for scopes in [&[Scope::Read][..], &[Scope::Admin], &[Scope::Ingest, Scope::Read], &[]] {
        let error = NewKey::make_bound("a", scopes, &prefixes).unwrap_err();
        assert!(matches!(error, NewKeyError::Unfit(_)), "{scopes:?}");
    }
}

#[test]
fn nothing_but_the_whole_key_is_recognised() {
    let key = NewKey::make("a", &[Scope::Read]).unwrap();
    let keys = parsed(&[&key]);
    let text = key.text();
    let hash = key.entry().lines().find_map(|line| line.strip_prefix("hash = ")).unwrap().trim_matches('"').to_owned();
    for other in [
        "",
        "th_",
        &text[..text.len() - 1],
        &text[3..],
        &format!("{text} "),
        &text.to_uppercase(),
        &hash,
        hash.trim_start_matches("blake3:"),
    ] {
        assert_eq!(holder_of(&keys, other), None, "{other}");
    }
}

#[test]
fn keys_are_256_random_bits() {
    let keys: Vec<NewKey> = (0..64).map(|_| NewKey::make("a", &[Scope::Read]).unwrap()).collect();
    for (i, key) in keys.iter().enumerate() {
        let secret = URL_SAFE_NO_PAD.decode(key.text().strip_prefix("th_").unwrap()).unwrap();
        assert_eq!(secret.len() * 8, 256);
        assert!(keys[..i].iter().all(|other| other.text() != key.text()));
        assert!(!key.entry().contains(key.text()) && !format!("{key:?}").contains(key.text()));
    }
}

#[test]
fn several_keys_may_have_one_name_while_they_are_exchanged() {
    let (old, new) = (NewKey::make("a", &[Scope::Read]).unwrap(), NewKey::make("a", &[Scope::Read]).unwrap());
    let keys = parsed(&[&old, &new]);
    assert_eq!(holder_of(&keys, old.text()), holder_of(&keys, new.text()));
    assert!(holder_of(&keys, old.text()).is_some());
}

#[test]
fn names_and_scopes_that_a_file_can_t_hold_are_refused() {
    for name in ["", "two words", "a\"b", "ü", &"x".repeat(65)] {
        assert!(matches!(NewKey::make(name, &[Scope::Read]), Err(NewKeyError::Unfit(_))), "{name:?}");
    }
    assert!(NewKey::make(&"x".repeat(64), &[Scope::Read]).is_ok());
    assert!(matches!(NewKey::make("a", &[]), Err(NewKeyError::Unfit(_))));
}

#[track_caller]
fn check_refused(text: &str, expect: &str) {
    let fault = Keys::parse(text).unwrap_err();
    assert!(fault.contains(expect), "{fault:?} lacks {expect:?}");
    assert!(!fault.contains("secret") && !fault.contains('\n'), "{fault:?}");
}

#[test]
fn a_broken_file_is_refused_without_quoting_it() {
    let hash = "0".repeat(64);
    let entry = |name: &str, hash: &str, scopes: &str| {
        format!("[[keys]]\nname = \"{name}\"\nhash = \"{hash}\"\nscopes = {scopes}\n")
    };
    let good = entry("a", &format!("blake3:{hash}"), "[\"read\"]");
    assert!(Keys::parse(&good).is_ok());
    check_refused("", "it holds no key");
    check_refused("# nothing yet\n", "it holds no key");
    check_refused("keys = []\n", "it holds no key");
    check_refused("th_secret\n", "at line 1");
    check_refused(&format!("{good}hsah = \"th_secret\"\n"), "at line 5");
    check_refused("key = \"th_secret\"\n", "expected `keys`");
    check_refused(&entry("a", "th_secret", "[\"read\"]"), "hash must be blake3:");
    check_refused(&entry("a", &hash, "[\"read\"]"), "hash must be blake3:");
    check_refused(&entry("a", "blake3:secret", "[\"read\"]"), "hash must be blake3:");
    check_refused(&entry("th_secret!", &format!("blake3:{hash}"), "[\"read\"]"), "a name must be");
    check_refused(&entry("a", &format!("blake3:{hash}"), "[]"), "needs a scope");
    check_refused(&entry("a", &format!("blake3:{hash}"), "[\"th_secret\"]"), "expected one of `ingest`");
    check_refused(&entry("a", &format!("blake3:{hash}"), "\"secret\""), "at line 4");
    check_refused(&format!("{good}{good}"), "key number 2");
}

#[test]
fn a_file_with_a_prefix_that_binds_nothing_or_too_little_is_refused() {
    let entry = |scopes: &str, members: &str| {
        format!("[[keys]]\nname = \"a\"\nhash = \"blake3:{}\"\nscopes = {scopes}\n{members}\n", "0".repeat(64))
    };
    let ingest = "[\"ingest\"]";
    assert!(Keys::parse(&entry(ingest, "source_prefix = \"a\"\ndestination_prefix = 'b\"'")).is_ok());
    check_refused(&entry(ingest, "source_prefix = \"\""), "source_prefix must have 1 to 255 characters");
    check_refused(&entry(ingest, "destination_prefix = \"\""), "destination_prefix must have 1 to 255 characters");
    check_refused(&entry(ingest, "source_prefix = \"secret\\u0007\""), "no control characters");
    check_refused(&entry(ingest, &format!("source_prefix = \"{}\"", "secret".repeat(43))), "1 to 255 characters");
    check_refused(&entry(ingest, "source_prefix = 7"), "at line 5");
    check_refused(&entry(ingest, "source_prefix = [\"secret\"]"), "at line 5");
    check_refused(&entry(ingest, "source_prefix = \"a\"\nsource_prefix = \"b\""), "at line 6");
    check_refused(&entry(ingest, "sourcePrefix = \"secret\""), "at line 5");
    check_refused(&entry(ingest, "prefix = \"secret\""), "`source_prefix`");
    let alone = "must have the scope ingest alone";
    check_refused(&entry("[\"read\"]", "source_prefix = \"secret\""), alone);
    check_refused(&entry("[\"ingest\", \"read\"]", "destination_prefix = \"secret\""), alone);
    check_refused(&entry("[\"admin\", \"ingest\"]", "source_prefix = \"secret\""), alone);
}
