//! Commands with `--url`, where the service is not there, not the one that was meant, or busy.

use std::io::{Read as _, Write as _};
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

/// Something else than the service may answer at an address: a proxy with a page to log in, or another server.
#[test]
fn an_answer_that_is_not_the_service_s_is_a_failure() {
    let folder = Folder::new();
    folder.write("a.ndjson", ndjson(&many("r", 3)));
    let ndjson = |body: &str| ("200 OK", "application/x-ndjson", body.to_owned());
    let exports = [
        ("200 OK", "text/html", "<html>\n</html>\n".to_owned()),
        ("204 No Content", "application/x-ndjson", String::new()),
        ndjson("{\"recordId\":\"a\""),
    ];
    for answer in exports {
        let said = folder.run(&["export", "-o", "out.ndjson", "--url", &answering(answer.clone())]).exits(1).stderr;
        assert!(said.contains("is no export") || said.contains("breaks off"), "{answer:?}: {said}");
        assert!(!folder.path().join("out.ndjson").exists(), "{answer:?}");
    }
    let counts =
        |processed: &str| format!("{{\"processed\":{processed},\"duplicates\":1,\"conflicts\":0,\"rejected\":0}}\n");
    for processed in ["0", "999", "18446744073709551615"] {
        let said = folder.run(&["import", "a.ndjson", "--url", &answering(ndjson(&counts(processed)))]).exits(1).stderr;
        assert!(said.contains("does not count the records that were sent"), "{processed}: {said}");
    }
    folder.run(&["import", "a.ndjson", "--url", &answering(ndjson(&counts("2")))]).ok();
}

/// Starts a server that gives this answer to every request, and returns its URL.
fn answering((status, media_type, body): (&'static str, &'static str, String)) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    std::thread::spawn(move || {
        for mut connection in listener.incoming().flatten() {
            let mut request = [0; 65_536];
            let mut seen = 0;
            // The body of an import is short, and comes with its head or right behind it.
            while let Ok(read @ 1..) = connection.read(&mut request[seen..]) {
                seen += read;
                let text = String::from_utf8_lossy(&request[..seen]);
                if text.starts_with("GET") && text.contains("\r\n\r\n") || text.matches("recordId").count() == 3 {
                    break;
                }
            }
            let length = body.len();
            let head = format!("HTTP/1.1 {status}\r\ncontent-type: {media_type}\r\ncontent-length: {length}\r\n");
            // The command may have ended.
            drop(write!(connection, "{head}connection: close\r\n\r\n{body}"));
        }
    });
    url
}
