//! A proxy does what it says to a server that answers every byte with the same byte.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::time::Instant;

use super::*;

struct Line {
    proxy: Proxy,
    client: TcpStream,
    _runtime: tokio::runtime::Runtime,
}

fn line() -> Line {
    let server = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = server.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for mut connection in server.incoming().map_while(Result::ok) {
            std::thread::spawn(move || {
                let mut byte = [0];
                while connection.read(&mut byte).is_ok_and(|read| read == 1) && connection.write_all(&byte).is_ok() {}
            });
        }
    });
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let proxy = Proxy::before(port, runtime.handle());
    let client = TcpStream::connect((Ipv4Addr::LOCALHOST, proxy.port())).unwrap();
    let mut line = Line { proxy, client, _runtime: runtime };
    assert!(line.echoes(), "nothing is done to it yet");
    line
}

impl Line {
    /// Sends a byte and reads it again.
    fn echoes(&mut self) -> bool {
        let mut byte = [7];
        self.client.write_all(&byte).is_ok() && self.client.read(&mut byte).is_ok_and(|read| read == 1)
    }
}

#[test]
fn a_cut_ends_what_is_open_and_leaves_what_comes_later() {
    let mut line = line();
    line.proxy.cut();
    assert!(!line.echoes());
    line.client = TcpStream::connect((Ipv4Addr::LOCALHOST, line.proxy.port())).unwrap();
    assert!(line.echoes());
}

#[test]
fn a_black_hole_swallows_nothing_and_hands_all_on_at_its_end() {
    let mut line = line();
    line.proxy.set(Flow::Held);
    line.client.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    assert!(!line.echoes(), "nothing passes");
    line.proxy.set(Flow::Free);
    line.client.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let mut byte = [0];
    assert_eq!(line.client.read(&mut byte).unwrap(), 1);
    assert!(line.echoes());
}

#[test]
fn a_slow_line_is_late_both_ways() {
    let mut line = line();
    line.proxy.set(Flow::Slow(Duration::from_millis(100)));
    let began = Instant::now();
    assert!(line.echoes());
    assert!(began.elapsed() >= Duration::from_millis(200));
}

#[test]
fn a_narrow_line_passes_so_many_bytes_a_second() {
    let mut line = line();
    line.proxy.set(Flow::Narrow(10_000));
    let began = Instant::now();
    line.client.write_all(&[1; 2_000]).unwrap();
    line.client.read_exact(&mut [0; 2_000]).unwrap();
    assert!(began.elapsed() >= Duration::from_millis(200), "{:?}", began.elapsed());
}

#[test]
fn a_half_closed_connection_ends_for_the_one_who_is_told_so() {
    for side in [Side::Client, Side::Server] {
        let mut line = line();
        line.proxy.half_close(side);
        // Told by the proxy itself, or by the server, which was told and has gone.
        assert_eq!(line.client.read(&mut [0]).unwrap(), 0, "{side:?}");
    }
}

#[test]
fn while_connections_are_refused_none_can_be_used() {
    let mut line = line();
    line.proxy.set(Flow::Refused);
    line.client = TcpStream::connect((Ipv4Addr::LOCALHOST, line.proxy.port())).unwrap();
    assert!(!line.echoes());
    line.proxy.set(Flow::Free);
    line.client = TcpStream::connect((Ipv4Addr::LOCALHOST, line.proxy.port())).unwrap();
    assert!(line.echoes());
}
