//! A log that is full, closed or not read delays and ends nothing, and every command ends cleanly without its outputs.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::process::{Child, Stdio};
use std::time::Duration;

use tallyhouse_tests::clients::http::Client;
use tallyhouse_tests::data::records::record;
use tallyhouse_tests::folder::{Folder, binary};
use tallyhouse_tests::servers::service::{Service, signal};
use tallyhouse_tests::wait;

/// Requests whose lines fill a pipe many times over.
const REQUESTS: usize = 2_000;

/// A service whose log is not read by the test.
struct Unread {
    child: Child,
    client: Client,
    address: String,
    folder: Folder,
}

impl Unread {
    fn start(log: Stdio) -> Self {
        Self::start_with(log, "SIG_DFL")
    }

    /// Starts it with SIGHUP at this action, not at the one inherited from the test process, which `nohup` may have started.
    fn start_with(log: Stdio, hang_up: &str) -> Self {
        let folder = Folder::new();
        let port = TcpListener::bind("127.0.0.1:0").expect("a free port").local_addr().expect("an address").port();
        let python = format!(
            "import os, signal, sys; signal.signal(signal.SIGHUP, signal.{hang_up}); os.execv(sys.argv[1], sys.argv[1:])"
        );
        let mut command = folder.command_of("python3");
        command.args(["-c", &python]).arg(binary());
        command.args(["serve", "--listen", &format!("127.0.0.1:{port}")]);
        command.env("TALLYHOUSE_LOG__REQUESTS", "true").stdout(Stdio::null()).stderr(log);
        let child = command.spawn().expect("the binary starts");
        let client = Client::new(&format!("http://127.0.0.1:{port}"));
        let ready = || tallyhouse_tests::clients::http::try_send(client.request("GET", "/readyz")).ok();
        wait::until("it listens", || ready().filter(|answer| answer.status == 200));
        Self { child, client, address: format!("127.0.0.1:{port}"), folder }
    }

    fn ended(&mut self) -> Option<i32> {
        wait::until("it ends", || self.child.try_wait().expect("a child can be waited for")).code()
    }

    fn lost_lines(&self) -> f64 {
        let page = self.client.get("/metrics");
        let line = page.text().lines().find_map(|line| line.strip_prefix("tallyhouse_log_lines_lost_total "));
        line.expect("a sample").parse().expect("a number")
    }
}

impl Drop for Unread {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn full() -> Stdio {
    File::options().write(true).open("/dev/full").expect("Linux has it").into()
}

fn closed() -> Stdio {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    writer.into()
}

#[test]
fn a_log_on_a_full_disk_stops_nothing() {
    let mut service = Unread::start(full());
    assert_eq!(service.client.record(&record("a")).status, 201);
    wait::until("losses are counted", || (service.lost_lines() > 1.0).then_some(()));
    signal("TERM", service.child.id());
    assert_eq!(service.ended(), Some(0));
}

#[test]
fn a_log_whose_reader_is_gone_stops_nothing() {
    let mut service = Unread::start(closed());
    assert_eq!(service.client.record(&record("a")).status, 201);
    signal("TERM", service.child.id());
    assert_eq!(service.ended(), Some(0));
}

#[test]
fn a_log_that_nobody_reads_delays_nothing() {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    let mut service = Unread::start(writer.into());
    for _ in 0..REQUESTS {
        assert_eq!(service.client.get("/healthz").status, 200);
    }
    assert_eq!(service.client.record(&record("a")).status, 201);
    assert_eq!(service.client.get("/metrics").status, 200);
    signal("TERM", service.child.id());
    assert_eq!(service.ended(), Some(0));
    drop(reader);
}

#[test]
fn a_second_signal_ends_a_service_whose_log_is_stalled() {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    let mut service = Unread::start(writer.into());
    (0..REQUESTS).for_each(|_| drop(service.client.get("/healthz")));
    // An upload without end keeps the first stop busy.
    let mut upload = std::net::TcpStream::connect(&service.address).expect("it listens");
    let head = "POST /v1/records/batch HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/x-ndjson\r\n\
                transfer-encoding: chunked\r\n\r\n1\r\n\n\r\n";
    std::io::Write::write_all(&mut upload, head.as_bytes()).expect("it reads");
    signal("TERM", service.child.id());
    wait::until("the stop has begun", || {
        let answer = tallyhouse_tests::clients::http::try_send(service.client.request("GET", "/readyz"));
        answer.map_or(Some(()), |answer| (answer.status == 503).then_some(()))
    });
    signal("TERM", service.child.id());
    assert_eq!(service.ended(), Some(130));
    drop((reader, upload));
}

#[test]
fn a_hang_up_is_a_graceful_stop() {
    let mut service = Unread::start(Stdio::null());
    signal("HUP", service.child.id());
    assert_eq!(service.ended(), Some(0));
}

#[test]
fn under_nohup_a_hang_up_means_nothing() {
    let mut service = Unread::start_with(Stdio::null(), "SIG_IGN");
    signal("HUP", service.child.id());
    assert_eq!(service.client.record(&record("a")).status, 201);
    signal("TERM", service.child.id());
    assert_eq!(service.ended(), Some(0));
}

#[test]
fn every_command_ends_cleanly_when_its_output_is_closed_or_full() {
    let service = Unread::start(Stdio::null());
    assert_eq!(service.client.record(&record("a")).status, 201);
    let commands: [&[&str]; 12] = [
        &["--help"],
        &["--version"],
        &["config"],
        &["completions", "bash"],
        &["man"],
        &["keys", "new", "--name", "n", "--scope", "read"],
        &["migrate"],
        &["verify"],
        &["aggregate"],
        &["aggregate", "--format", "json"],
        &["export"],
        &["watch", "notifications", "--after", "0"],
    ];
    for args in commands {
        for (name, out, expect) in [("closed", closed(), [0, 0]), ("full", full(), [0, 1])] {
            let mut command = service.folder.command();
            let errors = File::create(service.folder.path().join("errors")).expect("a file");
            let mut child = command.args(args).stdout(out).stderr(errors).spawn().expect("it starts");
            let status = wait::until("it ends", || child.try_wait().expect("a child can be waited for"));
            let (code, errors) = (status.code().expect("no signal ends it"), service.folder.read("errors"));
            assert!(expect.contains(&code), "{args:?} with {name} output ends with {code}: {errors}");
            assert!(!errors.contains("panicked"), "{errors}");
        }
    }
}

#[test]
fn an_error_without_a_place_to_be_written_keeps_its_exit_code() {
    let folder = Folder::new();
    for (args, code) in [(["config", "--listen="], 2), (["aggregate", "--limit=1"], 1), (["no-such", "command"], 2)] {
        for err in [full(), closed()] {
            let mut child = folder.command().args(args).stdout(Stdio::null()).stderr(err).spawn().expect("it starts");
            let status = wait::within(Duration::from_secs(60), || child.try_wait().expect("a child"));
            assert_eq!(status.and_then(|status| status.code()), Some(code), "{args:?}");
        }
    }
}

/// What a client may send again and again, and what libraries would warn of each time.
#[test]
fn clients_do_not_fill_the_log_by_what_libraries_warn_of() {
    const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    const SETTINGS: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];
    // The acknowledgement of a ping that was never sent.
    const PING_ACK: &[u8] = &[0, 0, 8, 6, 1, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8];
    let service = Service::start();
    let mut http2 = std::net::TcpStream::connect(service.address()).expect("it listens");
    let frames = [PREFACE, SETTINGS].into_iter().chain(std::iter::repeat_n(PING_ACK, 100)).flatten().copied();
    http2.write_all(&frames.collect::<Vec<u8>>()).expect("it reads");
    let ping = [&[0, 0, 8, 6, 0, 0, 0, 0, 0], &b"answered"[..]].concat();
    http2.write_all(&ping).expect("it reads");
    let mut answered = Vec::new();
    while !answered.windows(8).any(|window| window == b"answered") {
        let mut buf = [0; 1024];
        let n = http2.read(&mut buf).expect("the service answers the ping behind all others");
        assert!(n > 0, "the connection ends after {answered:?}");
        answered.extend_from_slice(&buf[..n]);
    }
    service.http().get("/healthz").expect_status(200);
    let log = service.log();
    assert!(!log.contains("WARN") && !log.contains("PING"), "{log}");
}
