//! A rolling restart behind a load balancer drops no request.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::Value;
use tallyhouse_tests::clients::http::try_send;
use tallyhouse_tests::data::records::{many, nth};
use tallyhouse_tests::servers::fleet::{self, Fleet, PATIENCE};
use tallyhouse_tests::servers::service::{Options, Service};
use tallyhouse_tests::wait;

/// How long an instance that is to stop goes on taking connections; a balancer notices meanwhile.
const LAME_DUCK: Duration = Duration::from_millis(1_500);

/// How often the balancer asks for readiness.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// An instance, as the balancer knows it.
struct Backend {
    address: SocketAddr,
    ready: AtomicBool,
    stopping: AtomicBool,
}

/// What became of the requests.
#[derive(Default)]
struct Tally {
    answered: AtomicUsize,
    closed_by_word: AtomicUsize,
    failures: Mutex<Vec<String>>,
}

/// A connection that is kept.
struct Kept(BufReader<TcpStream>);

impl Kept {
    fn open(address: SocketAddr) -> io::Result<Self> {
        let socket = TcpStream::connect_timeout(&address, Duration::from_secs(10))?;
        socket.set_read_timeout(Some(Duration::from_secs(60)))?;
        socket.set_nodelay(true)?;
        Ok(Self(BufReader::new(socket)))
    }

    /// Says whether the other side has closed it while it was idle, as every balancer looks before it uses one.
    fn is_closed(&self) -> bool {
        let socket = self.0.get_ref();
        socket.set_nonblocking(true).expect("a socket has the two modes");
        let seen = socket.peek(&mut [0]);
        socket.set_nonblocking(false).expect("a socket has the two modes");
        !matches!(seen, Err(error) if error.kind() == io::ErrorKind::WouldBlock)
    }

    /// Posts a body; returns the status, and whether the other side says that it will close the connection.
    fn post(&mut self, path: &str, body: &str) -> io::Result<(u16, bool)> {
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        self.0.get_mut().write_all([head.as_bytes(), body.as_bytes()].concat().as_slice())?;
        let (mut status, mut length, mut closes) = (0, Some(0), false);
        for nth_line in 0.. {
            let mut line = String::new();
            if self.0.read_line(&mut line)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let line = line.trim_end().to_ascii_lowercase();
            if line.is_empty() {
                break;
            }
            if nth_line == 0 {
                status = line.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or_default();
            }
            match line.split_once(": ") {
                Some(("content-length", value)) => length = Some(value.parse().expect("a length")),
                Some(("transfer-encoding", _)) => length = None,
                Some(("connection", value)) => closes = value == "close",
                _ => {}
            }
        }
        match length {
            Some(length) => self.0.read_exact(&mut vec![0; length])?,
            None => self.read_chunks()?,
        }
        Ok((status, closes))
    }

    /// Reads a body that comes in chunks (RFC 9112, section 7.1).
    fn read_chunks(&mut self) -> io::Result<()> {
        loop {
            let mut size = String::new();
            self.0.read_line(&mut size)?;
            let size = usize::from_str_radix(size.trim_end(), 16).map_err(|_| io::ErrorKind::InvalidData)?;
            self.0.read_exact(&mut vec![0; size + "\r\n".len()])?;
            if size == 0 {
                return Ok(());
            }
        }
    }
}

/// Asks an instance again and again whether it is ready.
fn look_after(backend: &Backend, done: &AtomicBool) {
    let client = tallyhouse_tests::clients::http::Client::new(&format!("http://{}", backend.address));
    while !done.load(Ordering::Relaxed) {
        // Each look by a connection of its own, as one that is kept would be served by an instance that is going.
        let look = try_send(client.request("GET", "/readyz").header("connection", "close"));
        backend.ready.store(look.is_ok_and(|answer| answer.status == 200), Ordering::Relaxed);
        std::thread::sleep(LOOK_EVERY);
    }
}

/// Sends bodies in turn to the instances that are ready, each once: only where no connection can be made is another
/// instance tried, because then nothing was sent.
fn send_in_turn(backends: &[Backend], bodies: impl Iterator<Item = (&'static str, String)>, tally: &Tally) {
    let mut kept: Vec<Option<Kept>> = backends.iter().map(|_| None).collect();
    let mut turn = 0;
    for (path, body) in bodies {
        let answer = wait::within(PATIENCE, || {
            turn += 1;
            let (backend, slot) = (&backends[turn % backends.len()], &mut kept[turn % backends.len()]);
            if !backend.ready.load(Ordering::Relaxed) {
                return None;
            }
            if slot.as_ref().is_some_and(Kept::is_closed) {
                *slot = None;
            }
            if slot.is_none() {
                match Kept::open(backend.address) {
                    Ok(opened) => *slot = Some(opened),
                    Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => return None,
                    Err(error) => return Some(Err(error.to_string())),
                }
            }
            let answer = slot.as_mut().expect("it was just opened").post(path, &body);
            if !matches!(answer, Ok((_, false))) {
                *slot = None;
            }
            if matches!(answer, Ok((_, true))) {
                tally.closed_by_word.fetch_add(1, Ordering::Relaxed);
            }
            Some(match answer {
                Ok((200 | 201, _)) => Ok(()),
                Ok((status, _)) => Err(format!("status {status}")),
                Err(error) => Err(format!("{error}, stopping: {}", backend.stopping.load(Ordering::Relaxed))),
            })
        });
        match answer.expect("an instance is ready") {
            Ok(()) => {
                tally.answered.fetch_add(1, Ordering::Relaxed);
            }
            Err(failure) => tally.failures.lock().expect("nobody panics with it").push(failure),
        }
    }
}

/// Stops one instance after the other and starts it again, each when all of them have served for a while.
fn restart_each(instances: &mut [Service], backends: &[Backend], tally: &Tally) {
    for (service, backend) in instances.iter_mut().zip(backends) {
        let before = tally.answered.load(Ordering::Relaxed);
        wait::until("both instances to serve", || {
            let all = backends.iter().all(|backend| backend.ready.load(Ordering::Relaxed));
            (all && tally.answered.load(Ordering::Relaxed) > before + 50).then_some(())
        });
        backend.stopping.store(true, Ordering::Relaxed);
        service.stop();
        service.restart();
        backend.stopping.store(false, Ordering::Relaxed);
    }
    wait::until("both instances to be back", || {
        backends.iter().all(|backend| backend.ready.load(Ordering::Relaxed)).then_some(())
    });
}

#[test]
fn a_rolling_restart_behind_a_balancer_fails_no_request_and_loses_no_queued_record() {
    let lame_duck = LAME_DUCK.as_millis().to_string();
    let mut fleet = Fleet::start_with(2, &Options::new().env("TALLYHOUSE_HTTP__LAME_DUCK_MS", lame_duck));
    let backends: Vec<Backend> = fleet
        .instances
        .iter()
        .map(Service::address)
        .map(|address| Backend { address, ready: AtomicBool::new(false), stopping: AtomicBool::new(false) })
        .collect();
    let (done, tally) = (AtomicBool::new(false), Tally::default());
    let queued = many("queued", 4_000);
    let sent: Mutex<Vec<Value>> = Mutex::default();
    let Fleet { instances, redis, .. } = &mut fleet;
    std::thread::scope(|scope| {
        for backend in &backends {
            scope.spawn(|| look_after(backend, &done));
        }
        for sender in 0..4 {
            let (backends, tally, done, sent) = (&backends, &tally, &done, &sent);
            scope.spawn(move || {
                let prefix = format!("s{sender}");
                let bodies = (0..).take_while(|_| !done.load(Ordering::Relaxed)).map(|i| {
                    // Every now and then something that takes long enough to be in flight when the stop comes.
                    let records =
                        if i % 25 == 24 { many(&format!("{prefix}-{i}"), 500) } else { vec![nth(&prefix, i)] };
                    let body = match &*records {
                        [one] => ("/v1/records", one.to_string()),
                        several => ("/v1/records/batch", Value::from(several.to_vec()).to_string()),
                    };
                    sent.lock().expect("nobody panics with it").extend(records);
                    body
                });
                send_in_turn(backends, bodies, tally);
            });
        }
        scope.spawn(|| {
            for chunk in queued.chunks(200) {
                fleet::push(redis, &chunk[..100]);
                fleet::add(redis, &chunk[100..]);
                std::thread::sleep(Duration::from_millis(300));
            }
        });
        let restarted = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            restart_each(instances, &backends, &tally);
        }));
        done.store(true, Ordering::Relaxed);
        restarted.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    });
    let failures = tally.failures.into_inner().expect("nobody panicked");
    let (answered, closed) = (tally.answered.into_inner(), tally.closed_by_word.into_inner());
    println!("{answered} requests answered, {} failed, {closed} connections closed by word", failures.len());
    assert_eq!(failures, Vec::<String>::new());
    assert!(closed > 0, "an instance that stops tells those who use it to leave");
    fleet.await_drained();
    let all = [sent.into_inner().expect("nobody panicked"), queued].concat();
    fleet.check(&all);
    assert_eq!(fleet.dead_letters(), 0);
}
