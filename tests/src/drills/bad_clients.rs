//! Slow, silent and greedy clients under shortened deadlines, beside good ones.
//!
//! Their service has short deadlines: the ages of connections of a day pass in ten minutes. Bad clients have an address
//! of their own, so that their share is not that of the good ones.

use std::fmt::Write as _;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use hyper::Request;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::runtime::Builder;
use tokio::time::{sleep as pause, timeout};

use super::load::{Load, SENDERS};
use super::memory_usage::Memory;
use crate::data::records::many;
use crate::servers::service::{Options, Service};

/// Good records a second.
const GOOD_PER_SECOND: usize = 200;
/// The address of the bad clients.
const BAD_ADDRESS: &str = "127.0.0.2:0";
/// The wait between two bytes of a slow client.
const DRIP_EVERY: Duration = Duration::from_millis(200);
/// How long a client that reads nothing is seen to: it can't tell whether it was cut.
const UNREAD_FOR: Duration = Duration::from_secs(3);
/// The wait before a client that was cut or refused comes again.
const COME_AGAIN: Duration = Duration::from_millis(500);
/// Records that are stored beforehand, for answers of some size.
const STORED: usize = 2_000;
/// The most memory of the service, in MiB: that of a small container.
const MEMORY_MIB_MAX: u64 = 512;

/// The deadlines, each a 144th of its default or a little more: a day takes ten minutes.
const DEADLINES: [(&str, &str); 8] = [
    ("HEAD_TIMEOUT_MS", "500"),
    ("IDLE_TIMEOUT_MS", "1000"),
    ("STALL_TIMEOUT_MS", "1000"),
    ("BODY_PAUSE_TIMEOUT_MS", "500"),
    ("BODY_TIMEOUT_MS", "2000"),
    ("CONNECTION_AGE_MAX_MS", "25000"),
    ("CONNECTION_GRACE_MS", "12500"),
    ("SNAPSHOT_AGE_MAX_MS", "12500"),
];
/// The age of a connection in [`DEADLINES`]; a day has 24 of them.
const AGE: Duration = Duration::from_secs(25);

/// What a bad client does.
#[derive(Debug, Clone, Copy)]
enum Bad {
    Silent,
    SlowHead,
    SlowBody,
    SlowLines,
    UnreadPage,
    UnreadExport,
    EventStream,
    NoWindow,
    GreedyReader,
    GreedyWriter,
}

/// All kinds, each with the number of its clients. Together they have nearly the share of one address: with more, most of
/// them would be refused at once, and hold nothing.
const CLIENTS: [(Bad, usize); 10] = [
    (Bad::Silent, 150),
    (Bad::SlowHead, 150),
    (Bad::SlowBody, 60),
    (Bad::SlowLines, 60),
    (Bad::UnreadPage, 60),
    (Bad::UnreadExport, 10),
    (Bad::EventStream, 150),
    (Bad::NoWindow, 60),
    (Bad::GreedyReader, 1),
    (Bad::GreedyWriter, 1),
];

/// Returns the options of a service with short deadlines, and a rate limit for greedy clients.
#[must_use]
pub fn short_deadlines() -> Options {
    let options = Options::new().env("TALLYHOUSE_RATE_LIMIT__PER_SECOND", "500");
    // What is stored beforehand leaves no debt.
    let options = options.env("TALLYHOUSE_RATE_LIMIT__BURST", "4000");
    DEADLINES.iter().fold(options, |options, (name, value)| options.env(&format!("TALLYHOUSE_HTTP__{name}"), *value))
}

/// Measures good clients alone, then beside bad ones, and returns what was seen.
///
/// # Panics
/// A good record is refused, the service takes more than 512 MiB, or it does not stop in good order with all of them
/// connected.
#[must_use]
#[track_caller]
pub fn bad_clients(mut service: Service, measured: Duration) -> String {
    service.http().batch(&many("stored", STORED));
    let memory = Memory::of(vec![service.pid()]);
    let load = Load::start(&[service.http()], GOOD_PER_SECOND, "good");
    // The first second belongs to connecting.
    sleep(Duration::from_secs(1));
    let began = Instant::now();
    sleep(measured.min(AGE * 2));
    let attacked = Instant::now();
    let attack = Attack::start(service.address());
    sleep(measured);
    let ended = Instant::now();
    let tally = load.stop();
    // A connection that is closed for its age may meet a request on its way: it is sent again.
    let is_cut = |answer: &String| answer.starts_with("no answer");
    let cut: usize = tally.others.values().sum();
    let cut_max = SENDERS * (2 + usize::try_from(measured.as_secs() / AGE.as_secs()).expect("a drill is short"));
    let all_taken = tally.unavailable == 0 && tally.others.keys().all(is_cut) && cut <= cut_max;
    assert!(all_taken, "{} {:?}", tally.unavailable, tally.others);
    service.stop();
    let came = attack.stop();
    let peak = memory.stop().most_mib(attacked, ended);

    let mut report = String::new();
    let mut line = |text: String| writeln!(report, "{text}").expect("a string takes all");
    line(format!("{:.1} ages of a connection, a day has 24", measured.as_secs_f64() / AGE.as_secs_f64()));
    for ((bad, clients), times) in CLIENTS.iter().zip(came) {
        line(format!("{bad:?}: {clients} clients came {times} times"));
    }
    for (name, part) in [("half", 0.5), ("99 of 100", 0.99), ("999 of 1,000", 0.999)] {
        let (alone, beside) = (tally.percentile(part, began, attacked), tally.percentile(part, attacked, ended));
        let ratio = beside.as_secs_f64() / alone.as_secs_f64();
        line(format!("{name} answers within {alone:.1?} without them, {beside:.1?} beside them: {ratio:.2} times"));
    }
    line(format!("{cut} good requests met a connection that was being closed, and were sent again"));
    line(format!("memory: {peak} MiB at most"));
    assert!(peak <= MEMORY_MIB_MAX, "{report}");
    report
}

/// Bad clients at work.
struct Attack {
    runtime: tokio::runtime::Runtime,
    came: &'static [AtomicUsize; CLIENTS.len()],
}

impl Attack {
    fn start(address: SocketAddr) -> Self {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime starts");
        // A drill is run once; what it counts may live as long as the process.
        let came: &'static [AtomicUsize; CLIENTS.len()] = Box::leak(Box::default());
        for ((bad, clients), came) in CLIENTS.iter().zip(came) {
            for _ in 0..*clients {
                runtime.spawn(async move {
                    loop {
                        let time = came.fetch_add(1, Ordering::Relaxed);
                        // How a bad client ends is its own affair.
                        drop(bad.come(address, time).await);
                        pause(COME_AGAIN).await;
                    }
                });
            }
        }
        Self { runtime, came }
    }

    fn stop(self) -> [usize; CLIENTS.len()] {
        self.runtime.shutdown_background();
        std::array::from_fn(|kind| self.came[kind].load(Ordering::Relaxed))
    }
}

impl Bad {
    /// Connects and does its thing until it is cut or done. `time` is its number among those of its kind.
    async fn come(self, address: SocketAddr, time: usize) -> io::Result<()> {
        let socket = TcpSocket::new_v4()?;
        socket.bind(BAD_ADDRESS.parse().expect("an address"))?;
        let mut stream = socket.connect(address).await?;
        match self {
            Self::Silent => until_cut(&mut stream, "", b"").await,
            Self::SlowHead => until_cut(&mut stream, "POST /v1/records HTTP/1.1\r\nX-Slow: ", b"x").await,
            Self::SlowBody => until_cut(&mut stream, &posting("/batch", "json", 1_000_000), b"[").await,
            Self::SlowLines => until_cut(&mut stream, &posting("/batch", "x-ndjson", 1_000_000), b"x").await,
            Self::UnreadPage => unread(&mut stream, "/v1/records?limit=1000").await,
            Self::UnreadExport => unread(&mut stream, "/v1/export").await,
            Self::EventStream => until_cut(&mut stream, &getting("/v1/notifications/stream"), b"").await,
            Self::NoWindow => no_window(stream).await,
            Self::GreedyReader => whole(&mut stream, &getting("/v1/aggregates")).await,
            Self::GreedyWriter => {
                let records = serde_json::to_string(&many(&format!("greedy{time}-"), 400)).expect("records are JSON");
                let request = posting("/batch?results=failed", "json", records.len()) + &records;
                whole(&mut stream, &request).await
            }
        }
    }
}

fn getting(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
}

fn posting(path: &str, form: &str, bytes: usize) -> String {
    let head = format!("POST /v1/records{path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n");
    format!("{head}Content-Type: application/{form}\r\nContent-Length: {bytes}\r\n\r\n")
}

/// Sends a beginning, then a piece now and then, until the service closes the connection.
async fn until_cut(stream: &mut TcpStream, begin: &str, piece: &[u8]) -> io::Result<()> {
    stream.write_all(begin.as_bytes()).await?;
    let mut bytes = [0; 1024];
    loop {
        match timeout(DRIP_EVERY, stream.read(&mut bytes)).await {
            Ok(Ok(0)) => return Ok(()),
            Ok(read) => drop(read?),
            Err(_) => stream.write_all(piece).await?,
        }
    }
}

/// Sends a request, and leaves its answer unread.
async fn unread(stream: &mut TcpStream, path: &str) -> io::Result<()> {
    stream.write_all(getting(path).as_bytes()).await?;
    pause(UNREAD_FOR).await;
    Ok(())
}

/// Sends a request, and reads its answer as fast as it comes.
async fn whole(stream: &mut TcpStream, request: &str) -> io::Result<()> {
    stream.write_all(request.as_bytes()).await?;
    stream.read_to_end(&mut Vec::new()).await.map(drop)
}

/// Sends requests by HTTP/2 and opens no window for their answers, but answers every ping.
async fn no_window(stream: TcpStream) -> io::Result<()> {
    let mut client = h2::client::Builder::new();
    client.initial_window_size(0);
    let (mut sender, connection) = client.handshake::<_, bytes::Bytes>(stream).await.map_err(io::Error::other)?;
    let mut answers = Vec::new();
    for _ in 0..10 {
        let request = Request::get("http://localhost/healthz").body(()).expect("a request");
        answers.push(sender.send_request(request, true).map_err(io::Error::other)?.0);
    }
    connection.await.map_err(io::Error::other)
}
