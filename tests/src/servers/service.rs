//! The real service: `tallyhouse serve` in a temporary folder, on a free port, killed and restarted at will.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufRead, BufReader, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::clients::http::{Client, try_send};
use crate::folder::{Folder, Ran, binary};
use crate::servers::memory_group::MemoryGroup;
use crate::wait;

/// How long a start may take.
const START_PATIENCE: Duration = Duration::from_secs(60);

/// How often a start is tried again: while a service was unavailable, another connection may have been given its port.
const START_ATTEMPTS: u32 = 20;

/// Kills the service as soon as standard input ends, which it does when the tests' process ends in whatever way. Each
/// line is the number of a service's process; it is only killed if it still runs in the folder `$1`.
const REAPER: &str = r#"
trap '' INT TERM HUP
pid=
while read -r line; do pid=$line; done
if [ -n "$pid" ] && [ "$(readlink "/proc/$pid/cwd" 2>/dev/null)" = "$1" ]; then kill -KILL "$pid"; fi
rm -rf "$1"
"#;

/// How a service is started.
#[derive(Debug, Clone, Default)]
pub struct Options {
    env: Vec<(String, String)>,
    file: Option<String>,
    args: Vec<String>,
    program: Option<PathBuf>,
    limits: Vec<String>,
    log_is_full: bool,
}

impl Options {
    /// The defaults, on a free port.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a variable of the environment.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl Into<String>) -> Self {
        self.env.push((name.to_owned(), value.into()));
        self
    }

    /// Writes this as `tallyhouse.toml` into the folder.
    #[must_use]
    pub fn file(mut self, toml: &str) -> Self {
        self.file = Some(toml.to_owned());
        self
    }

    /// Runs another binary than the one that is tested.
    #[must_use]
    pub fn program(mut self, path: impl Into<PathBuf>) -> Self {
        self.program = Some(path.into());
        self
    }

    /// Adds an argument behind `serve`.
    #[must_use]
    pub fn arg(mut self, arg: &str) -> Self {
        self.args.push(arg.to_owned());
        self
    }

    /// Sets a limit of the process, in the words of the shell's `ulimit`, e.g. `-n 64`.
    #[must_use]
    pub fn limit(mut self, limit: &str) -> Self {
        self.limits.push(format!("ulimit {limit} && "));
        self
    }

    /// Limits the memory of the process.
    #[must_use]
    pub fn memory(mut self, group: &MemoryGroup) -> Self {
        self.limits.push(format!("echo $$ >{} && ", group.members().display()));
        self
    }

    /// Lets the log go to a disk that is full.
    #[must_use]
    pub fn log_is_full(mut self) -> Self {
        self.log_is_full = true;
        self
    }
}

/// A service, running or stopped. Dropped, it is killed and its folder removed.
#[derive(Debug)]
pub struct Service {
    folder: Arc<Folder>,
    options: Options,
    port: u16,
    process: Option<Child>,
    log: Arc<Log>,
    reaper: Child,
    /// Open as long as this process lives; taken by the test of what happens then.
    reaper_input: Option<ChildStdin>,
}

/// What a service wrote to standard error, in all its runs.
#[derive(Debug, Default)]
struct Log {
    lines: Mutex<Vec<String>>,
    grown: Condvar,
    is_stalled: AtomicBool,
}

impl Service {
    /// Starts a service with SQLite and the defaults.
    ///
    /// # Panics
    /// It does not start.
    #[must_use]
    #[track_caller]
    pub fn start() -> Self {
        Self::start_with(Options::new())
    }

    /// Starts a service.
    ///
    /// # Panics
    /// It does not start.
    #[must_use]
    #[track_caller]
    pub fn start_with(options: Options) -> Self {
        Self::start_in(Arc::new(Folder::new()), options)
    }

    /// Starts a service in a folder that may hold files already.
    ///
    /// # Panics
    /// It does not start.
    #[must_use]
    #[track_caller]
    pub fn start_in(folder: Arc<Folder>, options: Options) -> Self {
        if let Some(toml) = &options.file {
            folder.write("tallyhouse.toml", toml);
        }
        let (reaper, reaper_input) = reaper_of(folder.path());
        let log = Arc::default();
        let mut service =
            Self { folder, options, port: 0, process: None, log, reaper, reaper_input: Some(reaper_input) };
        service.restart();
        service
    }

    /// Starts the service again on its folder and its port.
    ///
    /// # Panics
    /// It runs already, or does not start.
    #[track_caller]
    pub fn restart(&mut self) {
        assert!(self.process.is_none(), "the service runs already");
        for attempt in 1..=START_ATTEMPTS {
            match self.try_start() {
                Ok(()) => return,
                // The port was given away meanwhile, and comes back.
                Err(log) if self.port != 0 && log.to_lowercase().contains("in use") && attempt < START_ATTEMPTS => {
                    std::thread::sleep(Duration::from_millis(100));
                }
                Err(log) => panic!("the service does not start:\n{log}"),
            }
        }
    }

    /// Tries once to start the service, as a supervisor does that comes again later.
    ///
    /// # Errors
    /// It ends at once, or does not listen in time; says what it logged.
    ///
    /// # Panics
    /// It runs already.
    pub fn try_restart(&mut self) -> Result<(), String> {
        assert!(self.process.is_none(), "the service runs already");
        self.try_start()
    }

    /// Starts the service again if its process has ended, as a supervisor does. Returns whether it had.
    pub fn restart_if_ended(&mut self) -> bool {
        let has_ended = |child: &mut Child| child.try_wait().expect("a child can be waited for").is_some();
        let ended = self.process.as_mut().is_some_and(has_ended);
        if ended {
            self.process = None;
        }
        if self.process.is_none() {
            // One that ends while it starts is started again the next time.
            drop(self.try_start());
        }
        ended
    }

    /// Lifts the limits of [`Options`] from the next start on.
    pub fn lift_limits(&mut self) {
        self.options.limits.clear();
    }

    fn try_start(&mut self) -> Result<(), String> {
        if self.options.log_is_full {
            return self.try_start_without_log();
        }
        let mut command = self.command();
        command.arg("serve").args(&self.options.args);
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary can be started");
        let reaper_input = self.reaper_input.as_mut().expect("it is open as long as the service lives");
        writeln!(reaper_input, "{}", child.id()).expect("the reaper reads as long as the service lives");
        let seen = self.log.lines().len();
        let stderr = child.stderr.take().expect("standard error is a pipe");
        let log = Arc::clone(&self.log);
        let reader = std::thread::spawn(move || log.keep(BufReader::new(stderr)));
        let deadline = Instant::now() + START_PATIENCE;
        loop {
            if let Some(port) = self.log.lines()[seen..].iter().find_map(|line| port_in(line)) {
                self.port = port;
                self.process = Some(child);
                return Ok(());
            }
            if child.try_wait().expect("a child can be waited for").is_some() {
                reader.join().expect("reading does not panic");
                return Err(self.log.lines()[seen..].join("\n"));
            }
            if Instant::now() > deadline {
                child.kill().and_then(|()| child.wait()).expect("a child can be killed");
                return Err(format!("no line says on which port it listens:\n{}", self.log.lines()[seen..].join("\n")));
            }
            self.log.wait_for_more();
        }
    }

    /// Prepares the binary with the limits, environment and port of the service.
    fn command(&self) -> Command {
        let program = self.options.program.clone().unwrap_or_else(binary);
        let mut command = if self.options.limits.is_empty() {
            self.folder.command_of(program)
        } else {
            let limits = self.options.limits.concat();
            let mut limited = self.folder.command_of("sh");
            limited.args(["-c", &format!("{limits}exec \"$0\" \"$@\"")]).arg(program);
            limited
        };
        command.env("TALLYHOUSE_LISTEN", format!("127.0.0.1:{}", self.port));
        command.envs(self.options.env.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Tries once to start the service with a log that nobody can read: it is asked over HTTP whether it listens.
    fn try_start_without_log(&mut self) -> Result<(), String> {
        if self.port == 0 {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port is free");
            self.port = listener.local_addr().expect("a listener has an address").port();
        }
        let full = File::options().write(true).open("/dev/full").expect("Linux has it");
        let mut command = self.command();
        command.arg("serve").args(&self.options.args).stdin(Stdio::null()).stdout(Stdio::null()).stderr(full);
        let mut child = command.spawn().expect("the binary can be started");
        let client = self.http();
        let listens = || try_send(client.request("GET", "/healthz")).ok().map(drop);
        let mut ended = || child.try_wait().expect("a child can be waited for").map(|status| status.to_string());
        match wait::within(START_PATIENCE, || ended().map(Err).or_else(|| listens().map(Ok))) {
            Some(Ok(())) => {}
            Some(Err(status)) => return Err(format!("it has ended with {status}, and its log can't be written")),
            None => return Err("it does not listen, and its log can't be written".to_owned()),
        }
        let reaper_input = self.reaper_input.as_mut().expect("it is open as long as the service lives");
        writeln!(reaper_input, "{}", child.id()).expect("the reaper reads as long as the service lives");
        self.process = Some(child);
        Ok(())
    }

    /// Reads the log no longer, or reads it again.
    pub fn stall_log(&self, is_stalled: bool) {
        self.log.is_stalled.store(is_stalled, Ordering::Relaxed);
    }

    /// Returns the port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Returns the address.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// Returns the URL, with no slash at its end.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address())
    }

    /// Returns a client of the service.
    #[must_use]
    pub fn http(&self) -> Client {
        Client::new(&self.url())
    }

    /// Returns the folder in which the service runs.
    #[must_use]
    pub fn folder(&self) -> &Arc<Folder> {
        &self.folder
    }

    /// Returns the number of the process.
    ///
    /// # Panics
    /// It does not run.
    #[must_use]
    #[track_caller]
    pub fn pid(&self) -> u32 {
        self.process.as_ref().expect("the service runs").id()
    }

    /// Returns the most memory that the process has had so far, in KiB.
    ///
    /// # Panics
    /// It does not run, or not on Linux.
    #[must_use]
    #[track_caller]
    pub fn memory_kib(&self) -> u64 {
        let status =
            std::fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("the service runs on Linux");
        let mark = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("Linux says it");
        mark.split_whitespace().next().and_then(|kib| kib.parse().ok()).expect("a number of KiB")
    }

    /// Runs a command of the binary on the folder and with the environment of the service.
    ///
    /// # Panics
    /// It does not end in time.
    #[track_caller]
    pub fn run(&self, args: &[&str]) -> Ran {
        let env: Vec<(&str, &str)> = self.options.env.iter().map(|(name, value)| (&**name, &**value)).collect();
        self.folder.run_with(&env, args, b"")
    }

    /// Returns what the service has logged so far.
    #[must_use]
    pub fn log(&self) -> String {
        self.log.lines().iter().fold(String::new(), |mut all, line| {
            writeln!(all, "{line}").expect("a string takes all");
            all
        })
    }

    /// Ends the service with SIGKILL: no goodbye, no flush.
    ///
    /// # Panics
    /// It does not run.
    #[track_caller]
    pub fn kill(&mut self) {
        let mut child = self.process.take().expect("the service runs");
        child.kill().and_then(|()| child.wait()).expect("a child can be killed");
    }

    /// Sends SIGTERM and returns at once.
    ///
    /// # Panics
    /// It does not run.
    #[track_caller]
    pub fn ask_to_stop(&self) {
        signal("TERM", self.pid());
    }

    /// Waits until the service has ended, and returns its exit code (none after a signal) and how long it took.
    ///
    /// # Panics
    /// It was killed before, or does not end.
    #[track_caller]
    pub fn ended(&mut self) -> (Option<i32>, Duration) {
        let began = Instant::now();
        let mut child = self.process.take().expect("the service was started");
        let status = wait::within(wait::PATIENCE, || child.try_wait().expect("a child can be waited for"));
        let Some(status) = status else {
            drop(child.kill());
            drop(child.wait());
            panic!("the service does not end; it says:\n{}", self.log());
        };
        (status.code(), began.elapsed())
    }

    /// Stops the service as an operator does.
    ///
    /// # Panics
    /// It does not end, or not with success.
    #[track_caller]
    pub fn stop(&mut self) {
        self.ask_to_stop();
        let (code, _) = self.ended();
        assert_eq!(code, Some(0), "the service says:\n{}", self.log());
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        if let Some(mut child) = self.process.take() {
            drop(child.kill());
            drop(child.wait());
        }
        // The reaper would remove a folder that others still hold.
        drop(self.reaper.kill());
        drop(self.reaper.wait());
        if std::thread::panicking() {
            eprintln!("--- the service said\n{}", self.log());
        }
    }
}

impl Log {
    fn lines(&self) -> std::sync::MutexGuard<'_, Vec<String>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn keep(&self, reader: impl BufRead) {
        for line in reader.split(b'\n').map_while(Result::ok) {
            self.lines().push(String::from_utf8_lossy(&line).into_owned());
            while self.is_stalled.load(Ordering::Relaxed) {
                std::thread::sleep(Duration::from_millis(10));
            }
            self.grown.notify_all();
        }
    }

    fn wait_for_more(&self) {
        let lines = self.lines();
        // Also ends by itself, because a process that dies without a word makes nothing grow.
        drop(self.grown.wait_timeout(lines, Duration::from_millis(50)));
    }
}

/// Sends a signal to a process that was started here.
///
/// # Panics
/// There is no such process.
#[track_caller]
pub fn signal(name: &str, pid: u32) {
    let status = Command::new("kill").args([format!("-{name}"), pid.to_string()]).status().expect("kill is there");
    assert!(status.success(), "kill -{name} {pid}");
}

fn reaper_of(folder: &Path) -> (Child, ChildStdin) {
    let mut reaper = Command::new("sh")
        .args(["-c", REAPER, "reaper"])
        .arg(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("a shell can be started");
    let pipe = reaper.stdin.take().expect("standard input is a pipe");
    (reaper, pipe)
}

/// Finds the port in the line that says where the service listens.
fn port_in(line: &str) -> Option<u16> {
    if !line.contains("listening") {
        return None;
    }
    let (_, behind) = line.split_once("127.0.0.1:").or_else(|| line.split_once("0.0.0.0:"))?;
    let digits: String = behind.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok().filter(|port| *port != 0)
}

#[cfg(test)]
mod tests;
