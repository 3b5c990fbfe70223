//! A real Redis server for tests: on a free port, in a temporary folder, gone when dropped.
//!
//! As with Postgres, a small shell holds the reading end of a pipe; when this process ends in whatever way, the pipe
//! ends, and the shell kills the server and removes its folder.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use tempfile::TempDir;

use crate::servers::certificates;

mod cluster;
mod sentinel;

pub use cluster::RedisCluster;
pub use sentinel::RedisSentinel;

/// How long a server may take to start, to stop, to load its data.
const PATIENCE: Duration = Duration::from_secs(20);

/// What a server needs to know of its certificate.
const TLS_SETTINGS: [&str; 4] =
    ["tls-cert-file server.crt", "tls-key-file server.key", "tls-ca-cert-file ca.crt", "tls-auth-clients no"];

/// How often a condition is looked at.
const TICK: Duration = Duration::from_millis(20);

/// A port that was free a moment ago may be taken by another test when the server binds it.
const PORT_ATTEMPTS: u32 = 5;

/// Kills the server of the folder `$1` as soon as standard input ends. A process is only killed if it runs in that
/// folder, because the number in a stale pid file may be anybody's by now.
const REAPER: &str = r#"
trap '' INT TERM HUP
cat >/dev/null
pid=$(cat "$1/redis.pid" 2>/dev/null)
if [ -n "$pid" ] && [ "$(readlink "/proc/$pid/cwd" 2>/dev/null)" = "$1" ]; then kill -KILL "$pid"; fi
rm -rf "$1"
"#;

/// How a test server is set up.
#[derive(Debug, Clone, Default)]
pub struct RedisOptions {
    /// Whether every write reaches the disk before it is answered: append-only file, flushed always.
    pub durable: bool,
    /// Whether the server speaks TLS only, with a certificate of its own authority.
    pub tls: bool,
    /// ACL users beside the default one, each in the words of `ACL SETUSER`: `name on >secret ~* +@all`.
    pub users: Vec<String>,
    /// Who connects, `name:secret`; empty for the default user without a password.
    pub login: String,
    /// Further settings, as in `redis.conf`: name and value.
    pub settings: Vec<(String, String)>,
}

/// A running (or stopped) server.
#[derive(Debug)]
pub struct RedisServer {
    dir: TempDir,
    port: u16,
    options: RedisOptions,
    process: Option<Child>,
    reaper: Child,
}

impl RedisServer {
    /// Starts a server that keeps everything in memory only.
    ///
    /// # Errors
    /// There is no Redis on this machine, or it does not start; says what its log says.
    pub fn start() -> Result<Self> {
        Self::start_with(RedisOptions::default())
    }

    /// Starts a server whose every write is on disk before it is answered.
    ///
    /// # Errors
    /// See [`RedisServer::start`].
    pub fn start_durable() -> Result<Self> {
        Self::start_with(RedisOptions { durable: true, ..RedisOptions::default() })
    }

    /// Starts a server.
    ///
    /// # Errors
    /// See [`RedisServer::start`].
    pub fn start_with(options: RedisOptions) -> Result<Self> {
        let dir = TempDir::with_prefix("tallyhouse-redis-")?;
        if options.tls {
            certificates::authority(dir.path())?;
            certificates::issue(dir.path(), "server")?;
        }
        let reaper = Command::new("sh")
            .args(["-c", REAPER, "reaper"])
            .arg(dir.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("starting a shell")?;
        let mut server = Self { dir, port: 0, options, process: None, reaper };
        for attempt in 1..=PORT_ATTEMPTS {
            server.port = free_port()?;
            match server.restart() {
                Ok(()) => break,
                Err(error) if attempt == PORT_ATTEMPTS => return Err(error),
                Err(_) => server.kill()?,
            }
        }
        Ok(server)
    }

    /// Starts the server again on its port and in its folder, after [`RedisServer::stop`] or [`RedisServer::kill`].
    ///
    /// # Errors
    /// It does not start; says what its log says.
    pub fn restart(&mut self) -> Result<()> {
        ensure!(self.process.is_none(), "the server runs already");
        let conf = self.dir.path().join("redis.conf");
        // Sentinel rewrites its own file, and must find there what it wrote.
        if !conf.exists() || !self.is_sentinel() {
            fs::write(&conf, self.configuration())?;
        }
        let mut command = Command::new("redis-server");
        command.arg(&conf).current_dir(self.dir.path());
        if self.is_sentinel() {
            command.arg("--sentinel");
        }
        let log = fs::File::create(self.dir.path().join("stdout.log"))?;
        self.process =
            Some(command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).spawn().context("redis-server")?);
        self.wait_until_ready()
    }

    /// Stops the server as an operator would; what it has promised is on disk.
    ///
    /// # Errors
    /// It does not stop.
    pub fn stop(&mut self) -> Result<()> {
        if let Some(mut process) = self.process.take() {
            signal(&process, "TERM")?;
            let stopped = wait_until(|| Ok(process.try_wait()?.is_some()));
            if stopped.is_err() {
                process.kill()?;
                process.wait()?;
            }
            stopped.context("stopping redis-server")?;
        }
        Ok(())
    }

    /// Kills the server: no flush, no farewell.
    ///
    /// # Errors
    /// The process can't be signalled.
    pub fn kill(&mut self) -> Result<()> {
        if let Some(mut process) = self.process.take() {
            process.kill()?;
            process.wait()?;
        }
        Ok(())
    }

    /// Stops the server from running, with all its connections open: it answers nothing any more.
    ///
    /// # Errors
    /// It is not running.
    pub fn freeze(&self) -> Result<()> {
        signal(self.process.as_ref().context("the server is not running")?, "STOP")
    }

    /// Lets a frozen server run on.
    ///
    /// # Errors
    /// It is not running.
    pub fn thaw(&self) -> Result<()> {
        signal(self.process.as_ref().context("the server is not running")?, "CONT")
    }

    /// Returns the URL of database 0, with the login of the options.
    #[must_use]
    pub fn url(&self) -> String {
        let scheme = if self.options.tls { "rediss" } else { "redis" };
        let login = match self.options.login.as_str() {
            "" => String::new(),
            login => format!("{login}@"),
        };
        format!("{scheme}://{login}127.0.0.1:{}", self.port)
    }

    /// Returns the number of the server's process; none where it does not run.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.process.as_ref().map(Child::id)
    }

    /// Returns the port on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Returns the certificate of the authority that signed the server's, for a server that speaks TLS.
    #[must_use]
    pub fn ca_file(&self) -> PathBuf {
        self.dir.path().join(certificates::CA_FILE)
    }

    /// Returns the folder of the server.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Runs `redis-cli` as the default user and returns what it prints, without the last line end.
    ///
    /// # Errors
    /// It fails, or prints an error.
    pub fn cli(&self, args: &[&str]) -> Result<String> {
        let mut command = Command::new("redis-cli");
        command.args(["-h", "127.0.0.1", "-e", "-p"]).arg(self.port.to_string());
        if self.options.tls {
            command.arg("--tls").arg("--cacert").arg(self.ca_file());
        }
        let output = command.args(args).stdin(Stdio::null()).output().context("redis-cli")?;
        let (stdout, stderr) = (String::from_utf8(output.stdout)?, String::from_utf8_lossy(&output.stderr));
        ensure!(output.status.success(), "redis-cli {args:?}: {stdout}{stderr}");
        Ok(stdout.trim_end_matches('\n').to_owned())
    }

    /// Opens a plain connection to the server, as the default user.
    ///
    /// # Errors
    /// The server does not answer; one that speaks TLS only has no plain connections.
    pub fn connection(&self) -> Result<redis::Connection> {
        let client = redis::Client::open(format!("redis://127.0.0.1:{}", self.port))?;
        Ok(client.get_connection_with_timeout(PATIENCE)?)
    }

    /// Returns how many commands of each name the server has run since [`RedisServer::reset_counts`], the ones inside
    /// scripts included.
    ///
    /// # Errors
    /// The server does not answer.
    pub fn counts(&self) -> Result<std::collections::BTreeMap<String, u64>> {
        let text = self.cli(&["INFO", "commandstats"])?;
        let line = |line: &str| {
            let (name, figures) = line.trim().strip_prefix("cmdstat_")?.split_once(":calls=")?;
            Some((name.to_owned(), figures.split(',').next()?.parse().ok()?))
        };
        Ok(text.lines().filter_map(line).collect())
    }

    /// Sets the counts of [`RedisServer::counts`] to zero.
    ///
    /// # Errors
    /// The server does not answer.
    pub fn reset_counts(&self) -> Result<()> {
        self.cli(&["CONFIG", "RESETSTAT"]).map(drop)
    }

    fn is_sentinel(&self) -> bool {
        self.options.settings.iter().any(|(name, _)| name == "sentinel")
    }

    fn configuration(&self) -> String {
        let mut lines = vec!["bind 127.0.0.1".to_owned(), "pidfile redis.pid".into(), "daemonize no".into()];
        if self.options.tls {
            lines.extend(["port 0".to_owned(), format!("tls-port {}", self.port)]);
            lines.extend(TLS_SETTINGS.map(str::to_owned));
        } else {
            lines.push(format!("port {}", self.port));
        }
        if !self.is_sentinel() {
            lines.push("save \"\"".to_owned());
            lines.push(format!("appendonly {}", if self.options.durable { "yes" } else { "no" }));
            lines.push("appendfsync always".to_owned());
        }
        lines.extend(self.options.users.iter().map(|user| format!("user {user}")));
        lines.extend(self.options.settings.iter().map(|(name, value)| format!("{name} {value}")));
        lines.join("\n") + "\n"
    }

    fn wait_until_ready(&mut self) -> Result<()> {
        let begun = Instant::now();
        loop {
            let process = self.process.as_mut().context("the server is not running")?;
            if let Some(status) = process.try_wait()? {
                let log = fs::read_to_string(self.dir.path().join("stdout.log")).unwrap_or_default();
                self.process = None;
                bail!("redis-server ended with {status}:\n{log}");
            }
            if self.cli(&["PING"]).is_ok() {
                return Ok(());
            }
            ensure!(begun.elapsed() < PATIENCE, "redis-server does not answer");
            sleep(TICK);
        }
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        // The reaper does the rest, and does it too where these fail.
        drop(self.kill());
        drop(self.reaper.stdin.take());
        drop(self.reaper.wait());
    }
}

/// Sends a signal to a process that we started and have not waited for, so that its number is still its own.
fn signal(process: &Child, name: &str) -> Result<()> {
    let status = Command::new("kill").arg(format!("-{name}")).arg(process.id().to_string()).status()?;
    ensure!(status.success(), "kill -{name}: {status}");
    Ok(())
}

/// Finds a port that nobody listens on, low enough for the bus of a cluster, which is 10,000 above it.
fn free_port() -> Result<u16> {
    loop {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        if port < 55_000 {
            return Ok(port);
        }
    }
}

/// Waits for a condition.
fn wait_until(mut condition: impl FnMut() -> Result<bool>) -> Result<()> {
    let begun = Instant::now();
    while !condition()? {
        ensure!(begun.elapsed() < PATIENCE, "waited in vain for {PATIENCE:?}");
        sleep(TICK);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
