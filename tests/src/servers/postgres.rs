//! A real Postgres server for tests: on a free port, in a temporary folder, gone when dropped.
//!
//! Whatever happens to the test process, the server goes with it: a small shell waits for the end of a pipe that only
//! this process holds open, and then stops the server and removes its folder. So a panic, an abort and a `kill -9` of
//! the tests leave nothing behind either.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use tempfile::TempDir;

mod standby;

/// The superuser of the test servers; there is no password.
pub const USER: &str = "postgres";

/// How long a server may take to start, to stop or to recover.
const PATIENCE: Duration = Duration::from_secs(30);

/// A port that was free a moment ago may be taken by another test when the server binds it.
const PORT_ATTEMPTS: u32 = 5;

/// Does what a dropped server needs, as soon as its standard input ends. `$1` is the folder of the server. A process is
/// only signalled if it runs in the data folder, because the number in a stale pid file may be anybody's by now.
const REAPER: &str = r#"
trap '' INT TERM HUP
cat >/dev/null
pid=$(head -n 1 "$1/data/postmaster.pid" 2>/dev/null)
ours() {
    [ -n "$pid" ] && [ "$(readlink "/proc/$pid/cwd" 2>/dev/null)" = "$1/data" ] \
        && ! grep -q '^State:[[:space:]]*Z' "/proc/$pid/status" 2>/dev/null
}
if ours "$1"; then
    kill -CONT "$pid"
    kill -QUIT "$pid"
    n=0
    while ours "$1" && [ $n -lt 200 ]; do sleep 0.05; n=$((n + 1)); done
    if ours "$1"; then kill -KILL "$pid"; fi
fi
rm -rf "$1"
"#;

/// How a test server is set up.
#[derive(Debug, Clone, Default)]
pub struct PostgresOptions {
    /// Whether commits reach the disk. Only tests of durability need it, and it is slow.
    pub fsync: bool,
    /// Further settings, as in `postgresql.conf`: name and value.
    pub settings: Vec<(String, String)>,
}

/// A running (or stopped) server with an empty cluster of its own.
#[derive(Debug)]
pub struct PostgresServer {
    dir: TempDir,
    port: u16,
    options: PostgresOptions,
    postmaster: Option<Child>,
    reaper: Child,
}

impl PostgresServer {
    /// Starts a server with fast settings: nothing is flushed to disk.
    ///
    /// # Errors
    /// There is no Postgres on this machine, or it does not start; says what its log says.
    pub fn start() -> Result<Self> {
        Self::start_with(PostgresOptions::default())
    }

    /// Starts a server.
    ///
    /// # Errors
    /// There is no Postgres on this machine, or it does not start; says what its log says.
    pub fn start_with(options: PostgresOptions) -> Result<Self> {
        let mut server = Self::prepare(options)?;
        let mut initdb = server.command("initdb")?;
        initdb.args(["--no-sync", "--auth=trust", "--encoding=UTF8", "--locale=C", "--username", USER, "--pgdata"]);
        finish(initdb.arg(server.data()), "initdb")?;
        server.start_on_free_port()?;
        Ok(server)
    }

    /// Makes the folder of a server that has no data yet.
    fn prepare(options: PostgresOptions) -> Result<Self> {
        let dir = tempfile::Builder::new().prefix("tallyhouse-postgres-").tempdir()?;
        let account = Account::find()?;
        account.own(dir.path())?;
        let reaper = Command::new("sh")
            .args(["-c", REAPER, "reaper"])
            .arg(dir.path())
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        Ok(Self { dir, port: 0, options, postmaster: None, reaper })
    }

    fn start_on_free_port(&mut self) -> Result<()> {
        let mut attempt = 1;
        loop {
            self.port = free_port()?;
            match self.resume() {
                Err(_) if attempt < PORT_ATTEMPTS && self.log().contains("could not bind") => attempt += 1,
                started => return started,
            }
        }
    }

    /// Returns the one server that the tests of this process share; it ends with the process. Give each test a
    /// [`PostgresServer::database`] of its own, and disturb only servers that are not shared.
    ///
    /// # Panics
    /// There is no Postgres on this machine, or it does not start.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<PostgresServer> = OnceLock::new();
        SHARED.get_or_init(|| Self::start().expect("the shared Postgres of the tests starts"))
    }

    /// Returns the port on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Returns the number of the server's first process, the parent of all its others; none where it does not run.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.postmaster.as_ref().map(Child::id)
    }

    /// Returns the URL of a database of this server.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        format!("postgres://{USER}@127.0.0.1:{}/{database}", self.port)
    }

    /// Creates an empty database and returns its URL. It goes with the server.
    ///
    /// # Errors
    /// The server does not answer.
    pub fn database(&self) -> Result<String> {
        self.database_like("template0")
    }

    /// Creates a database as a copy of another one that nobody is connected to, and returns its URL.
    ///
    /// # Errors
    /// The server does not answer, or the template is in use.
    pub fn database_like(&self, template: &str) -> Result<String> {
        static NUMBER: AtomicU32 = AtomicU32::new(1);
        let name = format!("test_{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        self.psql("postgres", &format!("CREATE DATABASE {name} TEMPLATE {template}"))?;
        Ok(self.url(&name))
    }

    /// Runs SQL in a database, in a connection of its own, and returns the rows: a line each, columns separated by `|`.
    ///
    /// # Errors
    /// The server does not answer, or refuses; says what it says.
    pub fn psql(&self, database: &str, sql: &str) -> Result<String> {
        let mut psql = self.command("psql")?;
        psql.args(["--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--set=ON_ERROR_STOP=1"]);
        psql.args(["--dbname", &self.url(database), "--command", sql]);
        let output = finish(&mut psql, "psql")?;
        Ok(String::from_utf8(output.stdout)?.trim_end().to_owned())
    }

    /// Starts the server again after it was stopped or killed: same port, same data.
    ///
    /// # Errors
    /// It does not start; says what its log says.
    pub fn resume(&mut self) -> Result<()> {
        ensure!(self.postmaster.is_none(), "the server is running already");
        let log = fs::File::options().create(true).append(true).open(self.log_path())?;
        let mut postgres = self.command("postgres")?;
        postgres.arg("-D").arg(self.data()).args(["-p", &self.port.to_string()]);
        for (name, value) in self.settings() {
            postgres.args(["-c", &format!("{name}={value}")]);
        }
        postgres.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).process_group(0);
        self.postmaster = Some(postgres.spawn()?);
        let started = self.await_ready();
        if started.is_err() {
            self.end("-QUIT")?;
        }
        started
    }

    /// Stops the server as `pg_ctl stop --mode immediate` does: at once, as in a crash, with recovery at the next
    /// start.
    ///
    /// # Errors
    /// It does not end.
    pub fn stop(&mut self) -> Result<()> {
        self.end("-QUIT")
    }

    /// Stops the server in an orderly way; open connections are cut.
    ///
    /// # Errors
    /// It does not end.
    pub fn stop_fast(&mut self) -> Result<()> {
        self.end("-INT")
    }

    /// Kills every process of the server by SIGKILL.
    ///
    /// # Errors
    /// A process does not end.
    pub fn kill(&mut self) -> Result<()> {
        let backends = self.backends();
        self.signal("-KILL", &backends);
        self.end("-KILL")?;
        await_that("the backends have ended", || {
            backends.iter().all(|pid| !Path::new(&format!("/proc/{pid}")).exists())
        })
    }

    /// Stops and starts again.
    ///
    /// # Errors
    /// It does not end, or does not start.
    pub fn restart(&mut self) -> Result<()> {
        self.stop()?;
        self.resume()
    }

    /// Freezes every process of the server (SIGSTOP): connections stay open and nothing answers.
    pub fn freeze(&self) {
        let postmaster = self.postmaster.as_ref().map(Child::id);
        // First the postmaster, so that it makes no new processes while the others are listed.
        self.signal("-STOP", postmaster.as_slice());
        self.signal("-STOP", &self.backends());
    }

    /// Lets a frozen server go on.
    pub fn thaw(&self) {
        self.signal("-CONT", &self.backends());
        let postmaster = self.postmaster.as_ref().map(Child::id);
        self.signal("-CONT", postmaster.as_slice());
    }

    /// Returns what the server has logged.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read(self.log_path()).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }

    fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    fn log_path(&self) -> PathBuf {
        self.dir.path().join("log")
    }

    fn settings(&self) -> impl Iterator<Item = (&str, &str)> {
        let durable = if self.options.fsync { "on" } else { "off" };
        let fixed = [
            ("listen_addresses", "127.0.0.1"),
            ("unix_socket_directories", ""),
            ("max_connections", "200"),
            ("fsync", durable),
            ("full_page_writes", durable),
            ("logging_collector", "off"),
        ];
        fixed.into_iter().chain(self.options.settings.iter().map(|(name, value)| (name.as_str(), value.as_str())))
    }

    /// Prepares a program of Postgres to run as an ordinary user: the server refuses to run as root.
    fn command(&self, program: &str) -> Result<Command> {
        let mut command = Command::new(binaries()?.join(program));
        // Its own folder is one that the ordinary user may enter.
        command.current_dir(self.dir.path());
        if let Account::Other { uid, gid } = Account::find()? {
            command.uid(uid).gid(gid);
        }
        Ok(command)
    }

    fn await_ready(&mut self) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if let Some(status) = self.postmaster.as_mut().and_then(|child| child.try_wait().transpose()) {
                bail!("Postgres ended at once ({}): {}", status?, self.log());
            }
            if self.psql("postgres", "SELECT 1").is_ok() {
                return Ok(());
            }
            sleep(Duration::from_millis(20));
        }
        bail!("Postgres is not ready after {PATIENCE:?}: {}", self.log())
    }

    fn end(&mut self, signal: &str) -> Result<()> {
        let Some(mut postmaster) = self.postmaster.take() else { return Ok(()) };
        self.signal(signal, &[postmaster.id()]);
        await_that("Postgres has ended", || !matches!(postmaster.try_wait(), Ok(None)))
    }

    /// Lists the server's processes other than the postmaster: its children.
    fn backends(&self) -> Vec<u32> {
        let Some(postmaster) = self.postmaster.as_ref().map(Child::id) else { return Vec::new() };
        let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
        let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
        pids.filter(|pid| parent_of(*pid) == Some(postmaster)).collect()
    }

    fn signal(&self, signal: &str, pids: &[u32]) {
        if !pids.is_empty() {
            let pids = pids.iter().map(u32::to_string);
            // A process that has ended meanwhile is as good as signalled.
            drop(Command::new("kill").arg(signal).args(pids).stderr(Stdio::null()).status());
        }
    }
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        self.thaw();
        // The end of its input sends the reaper to work.
        drop(self.reaper.stdin.take());
        if let Some(mut postmaster) = self.postmaster.take() {
            drop(postmaster.wait());
        }
        drop(self.reaper.wait());
    }
}

/// Whom the server runs as.
enum Account {
    /// The one who runs the tests.
    Same,
    /// Somebody without rights, because the tests run as root.
    Other { uid: u32, gid: u32 },
}

impl Account {
    fn find() -> Result<Self> {
        if fs::metadata("/proc/self")?.uid() != 0 {
            return Ok(Self::Same);
        }
        let accounts = fs::read_to_string("/etc/passwd")?;
        let ids = |name: &str| {
            let fields: Vec<&str> =
                accounts.lines().map(|l| l.split(':').collect()).find(|f: &Vec<&str>| f[0] == name)?;
            Some(Self::Other { uid: fields.get(2)?.parse().ok()?, gid: fields.get(3)?.parse().ok()? })
        };
        ids("postgres").or_else(|| ids("nobody")).context("neither a user postgres nor a user nobody")
    }

    fn own(&self, path: &Path) -> Result<()> {
        match self {
            Self::Same => Ok(()),
            Self::Other { uid, gid } => Ok(chown(path, Some(*uid), Some(*gid))?),
        }
    }
}

/// Returns the folder with the programs of Postgres: that in the PATH, or else Debian's newest.
fn binaries() -> Result<&'static Path> {
    static FOUND: OnceLock<Option<PathBuf>> = OnceLock::new();
    let find = || {
        if finish(Command::new("postgres").arg("--version"), "postgres").is_ok() {
            return Some(PathBuf::new());
        }
        let versions = fs::read_dir("/usr/lib/postgresql").ok()?.flatten();
        let bins = versions.map(|version| version.path().join("bin")).filter(|bin| bin.join("postgres").exists());
        bins.max_by_key(|bin| bin.iter().rev().nth(1).and_then(|v| v.to_str()?.parse::<u32>().ok()))
    };
    FOUND.get_or_init(find).as_deref().context("no Postgres server: neither in the PATH nor in /usr/lib/postgresql")
}

fn finish(command: &mut Command, name: &str) -> Result<Output> {
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("{name} does not run"))?;
    ensure!(output.status.success(), "{name} failed: {}", String::from_utf8_lossy(&output.stderr));
    Ok(output)
}

fn free_port() -> Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

/// Reads the fourth field of `/proc/<pid>/stat` (proc(5)); the second one, in parentheses, may hold anything.
fn parent_of(pid: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

fn await_that(what: &str, mut holds: impl FnMut() -> bool) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        ensure!(Instant::now() < deadline, "still not so after {PATIENCE:?}: {what}");
        sleep(Duration::from_millis(5));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
