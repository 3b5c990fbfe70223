//! The program that drives Chromium, and Chromium itself, which goes with it.

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::wait;

/// How long the driver may take to start: on a busy machine, to be read from disk takes the longest.
const PATIENCE: Duration = Duration::from_secs(120);

/// How often it is started. It has the system choose a port of IPv6, and ends where something on IPv4 has the very same
/// one, as any connection of the tests beside it may ("IPv4 port not available. Exiting...").
const ATTEMPTS: u32 = 5;

/// What the driver prints, by which its port is known.
const LOG: &str = "driver.log";

/// Kills the driver `$2` with its group, in which Chromium is, as soon as standard input ends, which it does when the
/// tests' process ends in whatever way; but only if it still runs in the folder `$1`.
const REAPER: &str = r#"
trap '' INT TERM HUP
cat >/dev/null
if [ "$(readlink "/proc/$2/cwd" 2>/dev/null)" = "$1" ]; then kill -KILL "-$2"; fi
# What is being killed may still write.
until rm -rf "$1" 2>/dev/null; do sleep 0.05; done
"#;

/// The driver has ended before it listened; this is its log.
#[derive(Debug, thiserror::Error)]
#[error("chromedriver has ended:\n{0}")]
struct Ended(String);

/// A chromedriver on a free port, in a temporary folder of its own.
#[derive(Debug)]
pub(super) struct Driver {
    folder: TempDir,
    port: u16,
    process: Child,
    /// Whether it has ended by itself, before there was a Chromium.
    ended: bool,
    reaper: Child,
}

impl Driver {
    /// Starts one.
    pub(super) fn start() -> Result<Self> {
        let mut left = ATTEMPTS;
        loop {
            left -= 1;
            match Self::attempt() {
                Err(error) if left > 0 && error.is::<Ended>() => {}
                done => return done,
            }
        }
    }

    fn attempt() -> Result<Self> {
        let folder = TempDir::with_prefix("tallyhouse-browser-")?;
        let log = fs::File::create(folder.path().join(LOG))?;
        let process = Command::new("chromedriver")
            .arg("--port=0")
            .current_dir(folder.path())
            // What Chromium keeps outside of its profile belongs here as well.
            .env("HOME", folder.path())
            .env("TMPDIR", folder.path())
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("starting chromedriver: on Debian, apt-get install chromium chromium-driver")?;
        let reaper = Command::new("sh")
            .args(["-c", REAPER, "reaper"])
            .arg(folder.path())
            .arg(process.id().to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("starting a shell")?;
        let mut driver = Self { folder, port: 0, process, ended: false, reaper };
        driver.port = wait::within(PATIENCE, || driver.listens().transpose())
            .with_context(|| format!("chromedriver does not say where it listens:\n{}", driver.log()))??;
        Ok(driver)
    }

    /// Returns the URL of the driver.
    pub(super) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Returns how Chromium is to be started.
    pub(super) fn capabilities(&self) -> Value {
        let profile = format!("--user-data-dir={}", self.folder.path().join("profile").display());
        // Without a sandbox it runs as root, too, as tests in containers do; it opens nothing but the service.
        let args = [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--disable-background-networking",
            "--hide-scrollbars",
            "--lang=en",
            &profile,
        ];
        let preferences = json!({"download.default_directory": self.downloads()});
        json!({"goog:chromeOptions": {"args": args, "prefs": preferences}, "goog:loggingPrefs": {"browser": "ALL"}})
    }

    /// Returns the folder that files are downloaded into.
    pub(super) fn downloads(&self) -> PathBuf {
        self.folder.path().join("downloads")
    }

    /// Returns the folder that the driver and Chromium keep everything in.
    #[cfg(test)]
    pub(super) fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }

    /// Does what the end of the process does: its pipes are closed, and no destructor runs.
    #[cfg(test)]
    pub(super) fn abandon(self) {
        let mut driver = std::mem::ManuallyDrop::new(self);
        drop(driver.reaper.stdin.take());
        wait::until("the driver to be killed", || driver.process.try_wait().expect("a child can be waited for"));
        driver.reaper.wait().expect("a child can be waited for");
    }

    /// Returns the port, if it listens already, or [`Ended`].
    fn listens(&mut self) -> Result<Option<u16>> {
        // In this order: what it said before it ended is in the log by then.
        self.ended = self.process.try_wait()?.is_some();
        match port_in(&self.log()) {
            None if self.ended => Err(Ended(self.log()).into()),
            port => Ok(port),
        }
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join(LOG)).unwrap_or_default()
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        if !self.ended {
            // The driver leads the group and has not been waited for, so that the number is still the group's.
            drop(Command::new("kill").args(["-KILL", "--", &format!("-{}", self.process.id())]).status());
            drop(self.process.wait());
        }
        // It removes the folder, and does the rest where this process could not.
        drop(self.reaper.stdin.take());
        drop(self.reaper.wait());
    }
}

/// Finds the port in `ChromeDriver was started successfully on port 39027.`
fn port_in(log: &str) -> Option<u16> {
    let (_, behind) = log.split_once("started successfully on port ")?;
    behind.split_once('.')?.0.parse().ok()
}
