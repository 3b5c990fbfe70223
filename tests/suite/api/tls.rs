//! HTTPS as operators set it up: files, the commands that ask over it, and certificates that are exchanged.

use std::fs;
use std::sync::Arc;

use tallyhouse_tests::data::records::{many, ndjson, record};
use tallyhouse_tests::folder::Folder;
use tallyhouse_tests::servers::certificates;
use tallyhouse_tests::servers::service::{Options, Service};
use tallyhouse_tests::wait;

/// A folder with an authority, a certificate of it and its key.
fn folder() -> Folder {
    let folder = Folder::new();
    certificates::authority(folder.path()).expect("an authority");
    certificates::issue(folder.path(), "server").expect("a certificate");
    folder
}

fn secured() -> (Service, String) {
    let options =
        Options::new().env("TALLYHOUSE_TLS__CERT_FILE", "server.crt").env("TALLYHOUSE_TLS__KEY_FILE", "server.key");
    let service = Service::start_in(Arc::new(folder()), options);
    let url = format!("https://{}", service.address());
    (service, url)
}

/// A client that trusts the folder's authority alone.
fn client(service: &Service) -> reqwest::blocking::Client {
    let pem = fs::read(service.folder().path().join(certificates::CA_FILE)).expect("an authority");
    let authority = reqwest::Certificate::from_pem(&pem).expect("a certificate");
    let client = reqwest::blocking::Client::builder().no_proxy().tls_built_in_root_certs(false);
    client.add_root_certificate(authority).build().expect("a client")
}

#[test]
fn the_service_says_https_and_speaks_nothing_else() {
    let (service, url) = secured();
    assert!(service.log().contains(&format!("\"url\":\"{url}\"")), "{}", service.log());
    let answer = client(&service).get(format!("{url}/healthz")).send().expect("an answer");
    assert_eq!(answer.status(), 200);
    let clear = reqwest::blocking::get(format!("{}/healthz", service.url()));
    assert!(clear.is_err(), "clear text is cut: {clear:?}");
    let stranger = reqwest::blocking::get(format!("{url}/healthz"));
    assert!(stranger.is_err(), "who does not know the authority does not trust it");
}

#[test]
fn commands_reach_a_service_with_an_authority_of_its_own() {
    let (service, url) = secured();
    let folder = service.folder();
    folder.write("a.ndjson", ndjson(&many("r", 50)));
    let untrusted = folder.run(&["import", "a.ndjson", "--url", &url]);
    assert!(untrusted.code.is_some_and(|code| code != 0), "{untrusted:?}");
    assert!(untrusted.stderr.contains("certificate"), "the reason is told: {}", untrusted.stderr);

    let ran = folder.run(&["import", "a.ndjson", "--url", &url, "--ca-file", "ca.crt"]).ok();
    assert_eq!(ran.counts(), [50, 0, 0, 0]);
    let variable = [("TALLYHOUSE_CA_FILE", "ca.crt")];
    let shown = folder.run_with(&variable, &["aggregate", "--format", "json", "--url", &url], b"").ok();
    assert!(shown.stdout.contains("\"D3\""), "{}", shown.stdout);
    for missing in [&["--ca-file", "missing.crt"][..], &["--ca-file", "a.ndjson"]] {
        let ran = folder.run(&[&["aggregate", "--url", &url][..], missing].concat());
        assert!(ran.code.is_some_and(|code| code != 0) && ran.stderr.contains(missing[1]), "{}", ran.stderr);
    }
}

#[test]
fn a_pair_that_can_t_be_used_is_refused_at_the_start_and_named() {
    let folder = folder();
    certificates::issue(folder.path(), "other").expect("a certificate");
    folder.write("nonsense.pem", "nonsense");
    let table = [
        ("server.crt", "other.key", &["other.key", "not the key of the certificate in server.crt"]),
        ("missing.crt", "server.key", &["missing.crt", "No such file"]),
        ("server.crt", "missing.key", &["missing.key", "No such file"]),
        ("nonsense.pem", "server.key", &["nonsense.pem", "no certificate"]),
        ("server.crt", "nonsense.pem", &["nonsense.pem", "no private key"]),
    ];
    for (cert, key, expect) in table {
        let env = [("TALLYHOUSE_TLS__CERT_FILE", cert), ("TALLYHOUSE_TLS__KEY_FILE", key)];
        let ran = folder.run_with(&env, &["serve"], b"");
        assert_eq!(ran.code, Some(2), "{cert} {key}: {}", ran.stderr);
        for text in expect {
            assert!(ran.stderr.contains(text), "{text}: {}", ran.stderr);
        }
    }
}

#[test]
fn a_broken_pair_is_told_once_and_the_old_one_stays() {
    let (service, url) = secured();
    let (folder, client) = (service.folder(), client(&service));
    let faults = || service.log().matches("the TLS certificate stays as it was").count();
    let taken = || service.log().matches("the TLS certificate was read again").count();
    certificates::issue(folder.path(), "other").expect("a certificate");
    let good = folder.read("server.crt");

    folder.write("server.crt", folder.read("other.crt"));
    wait::until("the fault is told", || (faults() == 1).then_some(()));
    // Another fault is told by itself; by then the first was looked at again, and not told again.
    folder.write("server.crt", "nonsense");
    wait::until("the other fault is told", || (faults() == 2).then_some(()));
    assert!(service.log().contains("holds no certificate"), "{}", service.log());
    // Connections of its own, so that none is an old one.
    let fresh = || client.get(format!("{url}/healthz")).header("connection", "close").send();
    assert_eq!(fresh().expect("the old certificate is in force").status(), 200);

    folder.write("server.crt", &good);
    wait::until("the good pair is taken over", || (taken() == 1).then_some(()));
    assert_eq!(fresh().expect("an answer").status(), 200);
    let posted = client.post(format!("{url}/v1/records")).json(&record("a")).send().expect("an answer");
    assert_eq!(posted.status(), 201);
}
