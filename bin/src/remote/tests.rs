//! Tests of addresses, keys and authorities.

use super::*;

fn remote(url: &str) -> anyhow::Result<Option<Remote>> {
    let args = RemoteArgs { url: Some(url.to_owned()), key: None, ca_file: None };
    Remote::of(&args, &Environment::default())
}

#[test]
fn paths_are_joined_to_any_address() {
    let table = [
        ("http://h", "http://h/v1/records?limit=5"),
        ("http://h:8080/", "http://h:8080/v1/records?limit=5"),
        ("https://h/behind/a/proxy", "https://h/behind/a/proxy/v1/records?limit=5"),
        ("https://h/behind/a/proxy/", "https://h/behind/a/proxy/v1/records?limit=5"),
    ];
    for (url, expect) in table {
        let request = remote(url).unwrap().unwrap().get("v1/records", &[("limit", "5".to_owned())]).unwrap();
        assert_eq!(request.build().unwrap().url().as_str(), expect);
    }
}

#[test]
fn an_invalid_url_is_refused_without_showing_a_password() {
    for url in ["h:8080", "ftp://u:secret@h", "", "/v1", "unix:/run/x"] {
        let error = format!("{:#}", remote(url).unwrap_err());
        assert!(error.contains("--url") && !error.contains("secret"), "{error}");
    }
    let remote = remote("http://u:secret@h").unwrap().unwrap();
    assert_eq!(remote.address(), "http://u:***@h/");
    assert!(!format!("{remote:?}").contains("secret"), "{remote:?}");
}

#[test]
fn a_key_is_sent_as_a_bearer_token_and_the_flag_beats_the_variable() {
    let environment = Environment::new([("TALLYHOUSE_KEY".to_owned(), "by-variable".to_owned())]).unwrap();
    for (key, expect) in [(None, "Bearer by-variable"), (Some(Secret::new("by-flag")), "Bearer by-flag")] {
        let args = RemoteArgs { url: Some("http://h".to_owned()), key, ca_file: None };
        let remote = Remote::of(&args, &environment).unwrap().unwrap();
        let request = remote.get("healthz", &[]).unwrap().build().unwrap();
        assert_eq!(request.headers()["authorization"], expect);
        assert!(!format!("{remote:?}").contains("by-"), "no key is shown");
    }
}

#[test]
fn authorities_that_can_t_be_read_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ca.pem");
    let fault = || {
        let args = RemoteArgs { url: Some("https://h".to_owned()), key: None, ca_file: Some(file.clone()) };
        format!("{:#}", Remote::of(&args, &Environment::default()).unwrap_err())
    };
    assert!(fault().contains("ca.pem can't be read: No such file"), "{}", fault());
    std::fs::write(&file, "nothing\n").unwrap();
    assert!(fault().contains("ca.pem holds no certificate"), "{}", fault());
    std::fs::write(&file, "\u{feff}-----BEGIN CERTIFICATE-----\n").unwrap();
    assert!(fault().contains("ca.pem") && fault().contains("byte order mark"), "{}", fault());
    std::fs::write(&file, "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n").unwrap();
    assert!(fault().contains("ca.pem"), "{}", fault());
    let environment = Environment::new([("TALLYHOUSE_CA_FILE".to_owned(), file.display().to_string())]).unwrap();
    let args = RemoteArgs { url: Some("https://h".to_owned()), key: None, ca_file: None };
    assert!(Remote::of(&args, &environment).is_err(), "the variable names the same");
}
