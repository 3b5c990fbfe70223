//! Slowloris connections and an endless body: good clients are unaffected, and memory stays bounded.

use std::fmt::Write as _;
use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::load::Load;
use super::memory_usage::Memory;
use crate::clients::wire::Wire;
use crate::servers::service::Service;

/// Good records a second.
const BY_HTTP: usize = 200;

/// How often each slow connection sends a byte.
const DRIP_EVERY: Duration = Duration::from_millis(500);

/// The sizes of an attack.
#[derive(Debug, Clone, Copy)]
pub struct Intruders {
    /// How many connections send a head that never ends. One that is cut comes again.
    pub slow: usize,
    /// Bytes of a body without an end of line, sent as NDJSON, where there is no limit on the body.
    pub body_bytes: u64,
    /// How long good clients are measured without intruders, and at least with them.
    pub measured: Duration,
}

/// What the intruders met.
#[derive(Debug, Default)]
struct Met {
    /// Slow connections that were cut.
    cut: AtomicUsize,
    /// Bytes of the endless body that were taken.
    sent: AtomicUsize,
}

/// Measures good clients alone, then beside intruders, and returns what was seen.
///
/// # Panics
/// A good record is refused, or memory grows by more than `growth_mib_max`.
#[must_use]
#[track_caller]
pub fn intruders(service: &Service, attack: Intruders, growth_mib_max: u64) -> String {
    let memory = Memory::of(vec![service.pid()]);
    let load = Load::start(&[service.http()], BY_HTTP, "good");
    // The first second belongs to connecting.
    sleep(Duration::from_secs(1));
    let began = Instant::now();
    sleep(attack.measured);
    let attacked = Instant::now();
    let (done, met) = (AtomicBool::new(false), Met::default());
    std::thread::scope(|scope| {
        scope.spawn(|| drip(service.address(), attack.slow, &done, &met));
        let body = scope.spawn(|| endless(service.address(), attack.body_bytes, &met));
        refused_bodies(service.address(), attack.body_bytes);
        sleep(attack.measured.saturating_sub(attacked.elapsed()));
        body.join().expect("the endless body does not panic");
        done.store(true, Ordering::Relaxed);
    });
    let ended = Instant::now();
    let tally = load.stop();
    let memory = memory.stop();
    assert!(tally.others.is_empty() && tally.unavailable == 0, "{} {:?}", tally.unavailable, tally.others);

    let (before, during) = (memory.most_mib(began, attacked), memory.most_mib(attacked, ended));
    let mut report = String::new();
    let mut line = |text: String| writeln!(report, "{text}").expect("a string takes all");
    let gib = met.sent.load(Ordering::Relaxed) as f64 / f64::from(1 << 30);
    line(format!(
        "{} slow connections, {} times cut; a body of {gib:.2} GiB",
        attack.slow,
        met.cut.load(Ordering::Relaxed)
    ));
    for (name, part) in [("half", 0.5), ("99 of 100", 0.99), ("999 of 1,000", 0.999)] {
        let (alone, beside) = (tally.percentile(part, began, attacked), tally.percentile(part, attacked, ended));
        let ratio = beside.as_secs_f64() / alone.as_secs_f64();
        line(format!("{name} answers within {alone:.1?} without them, {beside:.1?} beside them: {ratio:.2} times"));
    }
    line(format!("memory: {before} MiB before, {during} MiB at most beside them"));
    assert!(during <= before + growth_mib_max, "{report}");
    report
}

/// Holds connections that send a byte of their head every now and then, and opens those again that are cut.
fn drip(address: SocketAddr, slow: usize, done: &AtomicBool, met: &Met) {
    let mut connections: Vec<Option<TcpStream>> = (0..slow).map(|_| None).collect();
    while !done.load(Ordering::Relaxed) {
        for slot in &mut connections {
            let alive = slot.as_mut().is_some_and(|stream| drop_of(stream).is_ok());
            if alive {
                continue;
            }
            if slot.take().is_some() {
                met.cut.fetch_add(1, Ordering::Relaxed);
            }
            *slot = open(address).ok();
        }
        sleep(DRIP_EVERY);
    }
}

fn open(address: SocketAddr) -> io::Result<TcpStream> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_nonblocking(true)?;
    stream.write_all(b"POST /v1/records HTTP/1.1\r\nHost: localhost\r\nX-Slow: ")?;
    Ok(stream)
}

/// Sends one byte, and notices whether the connection was cut.
fn drop_of(stream: &mut TcpStream) -> io::Result<()> {
    match stream.read(&mut [0; 256]) {
        Ok(0) => return Err(io::ErrorKind::ConnectionReset.into()),
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
        Err(error) => return Err(error),
    }
    match stream.write(b"x") {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
        Err(error) => Err(error),
    }
}

/// Sends a line that does not end.
fn endless(address: SocketAddr, bytes: u64, met: &Met) {
    let mut wire = Wire::connect(address);
    let length = format!("Content-Length: {bytes}");
    wire.head(&["POST /v1/records/batch?results=failed", "Content-Type: application/x-ndjson", &length])
        .expect("the service listens");
    let piece = vec![b'x'; 1 << 20];
    let mut left = bytes;
    while left > 0 {
        let now = usize::try_from(left).unwrap_or(usize::MAX).min(piece.len());
        if wire.send(&piece[..now]).is_err() {
            return;
        }
        met.sent.fetch_add(now, Ordering::Relaxed);
        left -= now as u64;
    }
}

/// Sends the same body to the calls that read theirs as a whole: refused by its length, before it comes.
#[track_caller]
fn refused_bodies(address: SocketAddr, bytes: u64) {
    for call in ["POST /v1/records", "POST /v1/records/batch"] {
        let mut wire = Wire::connect(address);
        let length = format!("Content-Length: {bytes}");
        wire.head(&[call, "Content-Type: application/json", &length]).expect("the service listens");
        let answer = wire.answer().expect("the service answers");
        assert_eq!(answer.status, 413, "{call}");
    }
}
