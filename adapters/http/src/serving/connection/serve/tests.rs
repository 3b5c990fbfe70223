//! Every connection ends within its bound, for any behaviour of its client: random clients, by HTTP/1 and HTTP/2, in virtual
//! time.

use std::io;

use bytes::Bytes;
use futures::{Stream, StreamExt, stream};
use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, ReadHalf, WriteHalf, duplex, split};
use tokio::time::timeout;
use warp::Filter;
use warp::path::FullPath;
use warp::reply::{Reply, Response};

use super::*;
use crate::bounds::connection_limit::ConnectionLimit;

/// The time after which a connection is cut at the latest: its greatest age, its grace, and two looks.
const BOUND: Duration = Duration::from_secs(60 + 30 + 2);

/// The longest that a connection lasts whose client sends nothing more and takes nothing more: a stream is ended, its
/// last piece is waited for, and the connection is idle.
const SILENCE_BOUND: Duration = Duration::from_secs(10 + 10 + 15 + 4);

/// How long the service waits for a body.
const BODY_TIMEOUT: Duration = Duration::from_secs(8);

fn settings() -> HttpSettings {
    HttpSettings {
        head_timeout: Duration::from_secs(5),
        idle_timeout: Duration::from_secs(15),
        stall_timeout: Duration::from_secs(10),
        connection_age_max: Duration::from_secs(60),
        connection_grace: Duration::from_secs(30),
        drain_timeout: Duration::from_secs(8),
        ..HttpSettings::default()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Version {
    Http1,
    Http2,
}

/// What a client does next.
#[derive(Debug, Clone, Copy)]
enum Step {
    /// Sends so many bytes of what is being sent.
    Trickle(u8),
    /// Begins a request.
    Request(&'static str),
    /// Takes so many bytes: reads them, or opens the windows for them.
    Take(u16),
    Ping,
    Wait(Duration),
}

/// A client.
#[derive(Debug, Clone)]
struct Client {
    version: Version,
    /// The window of each stream at first.
    window: u16,
    /// Whether it reads what comes, and answers pings, beside all else.
    reads: bool,
    steps: Vec<Step>,
}

fn clients(paths: &'static [&'static str]) -> impl Strategy<Value = Client> {
    let step = prop_oneof![
        (1..40_u8).prop_map(Step::Trickle),
        prop::sample::select(paths).prop_map(Step::Request),
        (1..20_000_u16).prop_map(Step::Take),
        Just(Step::Ping),
        (1..12_000_u64).prop_map(|millis| Step::Wait(Duration::from_millis(millis))),
    ];
    let version = prop_oneof![Just(Version::Http1), Just(Version::Http2)];
    let window = prop_oneof![Just(0), Just(1), 0..u16::MAX];
    (version, window, any::<bool>(), prop::collection::vec(step, 0..40))
        .prop_map(|(version, window, reads, steps)| Client { version, window, reads, steps })
}

type Pieces = std::pin::Pin<Box<dyn Stream<Item = io::Result<Bytes>> + Send + Sync>>;

/// Answers shortly, at length, for ever, or after the body.
async fn answer<B>(path: FullPath, body: impl Stream<Item = Result<B, warp::Error>> + Send) -> Response {
    let pieces: Pieces = match path.as_str() {
        "/long" => Box::pin(stream::repeat_with(|| Ok(Bytes::from(vec![b'x'; 40_000]))).take(100)),
        "/endless" => Box::pin(stream::unfold((), |()| async {
            sleep(Duration::from_secs(1)).await;
            Some((Ok(Bytes::from_static(b": keep-alive")), ()))
        })),
        "/body" => {
            let pieces = body.take_while(|piece| std::future::ready(piece.is_ok()));
            _ = timeout(BODY_TIMEOUT, pieces.for_each(|_| async {})).await;
            return warp::reply().into_response();
        }
        _ => return "short".into_response(),
    };
    warp::reply::stream(pieces).into_response()
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// A request's head (RFC 7541, section 6.2.2: literals without indexing).
fn head(stream: u32, path: &str) -> Vec<u8> {
    let method = if path == "/body" { "POST" } else { "GET" };
    let mut block = Vec::new();
    for (name, value) in [(":method", method), (":scheme", "http"), (":path", path), (":authority", "x")] {
        block.push(0);
        for text in [name, value] {
            block.push(u8::try_from(text.len()).unwrap());
            block.extend_from_slice(text.as_bytes());
        }
    }
    let flags = if path == "/body" { 4 } else { 5 };
    frame(1, flags, stream, &block)
}

/// The sending side of a client.
struct Sender {
    version: Version,
    socket: WriteHalf<DuplexStream>,
    stream: u32,
}

impl Sender {
    /// Sends bytes, unless the other side takes none.
    async fn send(&mut self, bytes: &[u8]) {
        _ = timeout(Duration::from_secs(1), self.socket.write_all(bytes)).await;
    }

    async fn request(&mut self, path: &str) {
        let bytes = match self.version {
            Version::Http1 if path == "/body" => {
                b"POST /body HTTP/1.1\r\nhost: x\r\ncontent-length: 100000\r\n\r\n".to_vec()
            }
            Version::Http1 => format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n").into_bytes(),
            Version::Http2 => {
                self.stream += 2;
                head(self.stream - 2, path)
            }
        };
        self.send(&bytes).await;
    }

    async fn trickle(&mut self, bytes: u8) {
        let bytes = vec![b'y'; bytes.into()];
        match self.version {
            Version::Http1 => self.send(&bytes).await,
            Version::Http2 => self.send(&frame(0, 0, self.stream.saturating_sub(2), &bytes)).await,
        }
    }

    async fn open_windows(&mut self, bytes: u16) {
        let bytes = u32::from(bytes).to_be_bytes();
        for stream in std::iter::once(0).chain((1..self.stream).step_by(2)) {
            self.send(&frame(8, 0, stream, &bytes)).await;
        }
    }
}

/// Reads all that comes, and answers pings.
async fn read_all(mut socket: ReadHalf<DuplexStream>, pings: tokio::sync::mpsc::UnboundedSender<Vec<u8>>) {
    let (mut read, mut buf) = (Vec::new(), vec![0; 8_192]);
    while let Ok(n @ 1..) = socket.read(&mut buf).await {
        read.extend_from_slice(&buf[..n]);
        while let Some([a, b, c, kind, flags]) = read.first_chunk::<5>().copied() {
            let length = 9 + usize::try_from(u32::from_be_bytes([0, a, b, c])).unwrap();
            if read.len() < length {
                break;
            }
            let frame_read: Vec<u8> = read.drain(..length).collect();
            if (kind, flags & 1) == (6, 0) {
                _ = pings.send(frame(6, 1, 0, &frame_read[9..]));
            }
        }
    }
}

impl Client {
    /// Goes through the steps, again and again if asked, and stays connected afterwards.
    async fn run(self, socket: DuplexStream, again: bool, done: CancellationToken) {
        let (mut reading, socket) = split(socket);
        let mut sender = Sender { version: self.version, socket, stream: 1 };
        let (pings, mut to_answer) = tokio::sync::mpsc::unbounded_channel();
        if self.version == Version::Http2 {
            let settings = [&[0, 4][..], &u32::from(self.window).to_be_bytes()].concat();
            sender.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
            sender.send(&frame(4, 0, 0, &settings)).await;
        }
        let mut kept = None;
        if self.reads && self.version == Version::Http2 {
            tokio::spawn(read_all(reading, pings));
        } else {
            kept = Some(&mut reading);
        }
        let mut steps = 0;
        loop {
            for step in &self.steps {
                match *step {
                    Step::Trickle(bytes) => sender.trickle(bytes).await,
                    Step::Request(path) => sender.request(path).await,
                    Step::Take(bytes) => {
                        if let Some(reading) = &mut kept {
                            let mut buf = vec![0; bytes.into()];
                            _ = timeout(Duration::from_millis(1), reading.read_exact(&mut buf)).await;
                        }
                        if self.version == Version::Http2 {
                            sender.open_windows(bytes).await;
                        }
                    }
                    Step::Ping if self.version == Version::Http2 => sender.send(&frame(6, 0, 0, &[7; 8])).await,
                    Step::Ping => {}
                    Step::Wait(time) => sleep(time).await,
                }
                sleep(Duration::from_millis(10)).await;
                while let Ok(ping) = to_answer.try_recv() {
                    sender.send(&ping).await;
                }
            }
            steps += 1;
            if !again || self.steps.is_empty() || steps > 100_000 {
                break;
            }
        }
        done.cancel();
        while let Some(ping) = to_answer.recv().await {
            sender.send(&ping).await;
        }
        // A client that reads nothing stays, too.
        std::future::pending::<()>().await;
    }
}

/// Runs a client against a connection, and returns how long the connection lasted: in all, and after the last step.
/// `None` if it outlives the bound.
fn lasts(client: Client, again: bool) -> Option<(Duration, Duration)> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let routes = warp::path::full().and(warp::body::stream()).then(answer);
        let budget = SharedBudget::new(64 << 20);
        let requests = Arc::new(RequestMeter::new(std::iter::empty(), Vec::new()));
        let shared = Shared::new(warp::service(routes), requests, budget, settings(), CancellationToken::new());
        let addr = SocketAddr::from(([127, 0, 0, 1], 1));
        let caller = Caller::at(addr.ip(), &[]);
        let permit = ConnectionLimit::new(10).admit(&caller).unwrap();
        let (ours, theirs) = duplex(16 * 1024);
        let (began, done) = (Instant::now(), CancellationToken::new());
        let acting = tokio::spawn(client.run(theirs, again, done.clone()));
        let last_step = tokio::spawn(async move {
            done.cancelled().await;
            Instant::now()
        });
        let served = timeout(2 * BOUND, serve(ours, Peer { addr, caller, permit }, false, Arc::new(shared))).await;
        let ended = Instant::now();
        served.ok()?;
        let silent = if last_step.is_finished() { ended - last_step.await.unwrap() } else { Duration::ZERO };
        acting.abort();
        Some((ended - began, silent))
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn no_client_outlives_the_greatest_age_and_its_grace(
        client in clients(&["/short", "/long", "/endless", "/body"]),
    ) {
        let lasted = lasts(client, true);
        prop_assert!(lasted.is_some_and(|(lasted, _)| lasted <= BOUND), "{lasted:?}");
    }

    #[test]
    fn a_client_that_does_nothing_more_is_cut_soon(client in clients(&["/short", "/long", "/body"])) {
        let lasted = lasts(client, false);
        let soon = |silent| silent <= SILENCE_BOUND + BODY_TIMEOUT;
        prop_assert!(lasted.is_some_and(|(_, silent)| soon(silent)), "{lasted:?}");
    }
}
