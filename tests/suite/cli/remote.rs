//! Commands with `--url`, where the service is not there, not the one that was meant, or busy.

use std::net::TcpListener;

use tallyhouse_tests::data::records::{many, ndjson};
use tallyhouse_tests::folder::Folder;
use tallyhouse_tests::servers::service::{Options, Service};

use crate::api::access::with_keys;

#[test]
fn why_a_service_can_t_be_reached_is_said_plainly_and_once() {
    let folder = Folder::new();
    folder.write("a.ndjson", ndjson(&many("r", 3)));
    let service = Service::start();
    let free = TcpListener::bind("127.0.0.1:0").expect("a free port").local_addr().expect("an address");
    let cases = [
        (format!("http://{free}"), "connection refused: nothing listens there"),
        (format!("https://{}", service.address()), "its port speaks no TLS; begin the address with http://"),
        ("http://no-such-host.invalid".to_owned(), "its host name is not known"),
    ];
    for (url, reason) in &cases {
        for command in [&["aggregate"][..], &["export"], &["watch", "alerts"], &["health"]] {
            let ran = folder.run(&[command, &["--url", url]].concat()).exits(1);
            assert_eq!(ran.stderr.matches(reason).count(), 1, "{command:?} {url}: {}", ran.stderr);
        }
    }
    let (tls, reason) = &cases[1];
    let ran = folder.run(&["import", "a.ndjson", "--url", tls]).exits(1);
    assert!(ran.stderr.contains(reason) && ran.stderr.contains("were not stored"), "{}", ran.stderr);
    assert!(!ran.stderr.contains("sent again"), "another attempt can't help: {}", ran.stderr);
}

#[test]
fn a_key_that_is_not_known_is_told_from_a_missing_one() {
    let (service, [ingest, ..]) = with_keys();
    let url = service.url();
    let key = |key: &[&str]| service.run(&[&["aggregate", "--url", &url], key].concat()).exits(1).stderr;
    let (missing, unknown, forbidden) = (key(&[]), key(&["--key", "th_unknown"]), key(&["--key", &ingest]));
    assert!(missing.contains("401") && missing.contains("; give a key with --key"), "{missing}");
    assert!(unknown.contains("401") && unknown.contains("; the key that was given is not known"), "{unknown}");
    assert!(forbidden.contains("403") && forbidden.contains("; give another key"), "{forbidden}");
}

#[test]
fn a_reading_command_waits_as_long_as_the_service_asks() {
    let limits = Options::new().env("TALLYHOUSE_RATE_LIMIT__PER_SECOND", "1").env("TALLYHOUSE_RATE_LIMIT__BURST", "1");
    let service = Service::start_with(limits);
    // A batch may run into debt: it is paid after ten seconds, and not before a busy machine has started the command.
    service.http().batch(&many("r", 10));
    let ran = service.run(&["export", "--url", &service.url()]).ok();
    assert!(ran.stderr.contains("a request is sent again") && ran.stderr.contains("429"), "{}", ran.stderr);
    assert_eq!(ran.stdout.lines().count(), 10);
}
