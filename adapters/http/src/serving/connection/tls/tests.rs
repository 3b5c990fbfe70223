//! Certificates and keys, read again as they change.

use std::fs;

use tallyhouse_tests::servers::certificates;
use tempfile::TempDir;

use super::*;

/// A folder with the pairs `a` and `b`, and `server.crt` and `server.key` to be filled with either.
struct Files(TempDir);

impl Files {
    fn new() -> Self {
        let files = Self(tempfile::tempdir().unwrap());
        certificates::authority(files.0.path()).unwrap();
        for name in ["a", "b"] {
            certificates::issue(files.0.path(), name).unwrap();
        }
        files
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Puts files in the places of the certificate and the key.
    fn put(&self, cert: &str, key: &str) {
        fs::copy(self.path(cert), self.path("server.crt")).unwrap();
        fs::copy(self.path(key), self.path("server.key")).unwrap();
    }

    fn open(&self) -> Result<TlsIdentity, TlsFilesError> {
        TlsIdentity::open(self.path("server.crt"), self.path("server.key"))
    }
}

#[test]
fn a_changed_pair_is_taken_over_once_it_has_come_to_rest() {
    let files = Files::new();
    files.put("a.crt", "a.key");
    let identity = files.open().unwrap();
    let first = identity.config();
    identity.refresh();
    assert!(Arc::ptr_eq(&first, &identity.config()), "nothing has changed");

    // One file after the other, with a look between: no moment is taken for the whole.
    files.put("b.crt", "a.key");
    identity.refresh();
    files.put("b.crt", "b.key");
    identity.refresh();
    assert!(Arc::ptr_eq(&first, &identity.config()), "it may still be changing");
    identity.refresh();
    assert!(!Arc::ptr_eq(&first, &identity.config()));
}

#[test]
fn a_broken_pair_leaves_the_old_one_in_force_and_is_judged_once() {
    let files = Files::new();
    files.put("a.crt", "a.key");
    let identity = files.open().unwrap();
    let first = identity.config();
    let last_checked = || identity.polls.lock().unwrap().last_checked;
    for break_it in [
        (|files: &Files| files.put("b.crt", "a.key")) as fn(&Files),
        |files| fs::write(files.path("server.key"), "").unwrap(),
        |files| fs::remove_file(files.path("server.crt")).unwrap(),
    ] {
        let before = last_checked();
        break_it(&files);
        identity.refresh();
        assert_eq!(last_checked(), before, "not before it has come to rest");
        identity.refresh();
        let after = last_checked();
        assert_ne!(after, before);
        identity.refresh();
        assert_eq!(last_checked(), after, "what was last_checked is not last_checked again");
        assert!(Arc::ptr_eq(&first, &identity.config()));
    }
    files.put("b.crt", "b.key");
    (0..2).for_each(|_| identity.refresh());
    assert!(!Arc::ptr_eq(&first, &identity.config()), "a good pair is taken over afterwards");
}

#[test]
fn a_pair_that_can_t_be_used_is_named_with_its_fault() {
    let files = Files::new();
    let fault = || files.open().unwrap_err().to_string();
    assert!(fault().contains("server.crt can't be used: No such file"), "{}", fault());
    files.put("a.crt", "a.key");
    fs::remove_file(files.path("server.key")).unwrap();
    assert!(fault().contains("server.key can't be used: No such file"), "{}", fault());

    files.put("a.crt", "b.key");
    assert!(fault().contains("server.key can't be used: it is not the key of the certificate in"), "{}", fault());
    files.put("a.key", "a.key");
    assert!(fault().contains("server.crt can't be used: it holds no certificate"), "{}", fault());
    files.put("a.crt", "a.crt");
    assert!(fault().contains("server.key can't be used: it holds no private key"), "{}", fault());

    let cut = fs::read_to_string(files.path("a.key")).unwrap();
    let (line, _) = cut.split_once("-----END").unwrap();
    fs::write(files.path("server.key"), line).unwrap();
    assert!(fault().contains("server.key can't be used"), "{}", fault());
    let secret = line.lines().nth(1).unwrap();
    assert!(!fault().contains(secret), "{}", fault());

    files.put("a.crt", "a.key");
    for (text, expect) in [
        ("-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n", "it is not PEM"),
        ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "its first certificate is broken"),
        ("", "it is empty"),
        ("nothing\n", "it holds no certificate"),
        ("\u{feff}-----BEGIN CERTIFICATE-----\n", "byte order mark"),
    ] {
        fs::write(files.path("server.crt"), text).unwrap();
        assert!(fault().contains(expect), "{}", fault());
    }
    fs::write(files.path("server.crt"), vec![b'x'; 1024 * 1024 + 1]).unwrap();
    assert!(fault().contains("larger than"), "{}", fault());
}

#[test]
fn a_file_in_another_form_than_pem_is_named() {
    let files = Files::new();
    let key = fs::read(files.path("a.key")).unwrap();
    let wide: Vec<u8> = [0xff, 0xfe].into_iter().chain(key.iter().flat_map(|byte| [*byte, 0])).collect();
    let forms = [
        ([&b"\xef\xbb\xbf"[..], &key].concat(), "byte order mark"),
        (wide, "UTF-16"),
        (b"\x30\x82\x01\x0a\x02".to_vec(), "DER"),
        (Vec::new(), "empty"),
    ];
    for (content, form) in forms {
        for (cert, name) in [("a.crt", "server.key"), ("a.key", "server.crt")] {
            files.put(cert, "a.key");
            fs::write(files.path(name), &content).unwrap();
            let fault = files.open().unwrap_err().to_string();
            assert!(fault.contains(name) && fault.contains(form), "{fault}");
        }
    }
}

#[test]
fn no_key_is_shown_by_debug_output() {
    let files = Files::new();
    files.put("a.crt", "a.key");
    let shown = format!("{:?}", files.open().unwrap());
    assert!(shown.contains("server.key") && !shown.contains("BEGIN"), "{shown}");
}
