//! A temporary folder in which the real binary runs, as it runs in the folder of a user.

use std::ffi::OsStr;
use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::wait;

/// How long a command may take: the slowest imports a month of flights, unoptimised, beside other tests.
const COMMAND_PATIENCE: Duration = Duration::from_secs(180);

/// Returns the path of the binary that is tested. It lies in the same target folder as the running test.
///
/// # Panics
/// It has not been built.
#[must_use]
pub fn binary() -> PathBuf {
    let test = std::env::current_exe().expect("a running program has a path");
    let folders = test.ancestors().skip(1).take(2);
    let found = folders.map(|folder| folder.join("tallyhouse")).find(|path| path.is_file());
    found.unwrap_or_else(|| {
        panic!("the binary is missing beside {}: build it first with `cargo build -p tallyhouse`", test.display())
    })
}

/// Returns the root of the workspace.
#[must_use]
pub fn workspace() -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().expect("the package lies in the workspace").to_owned()
}

/// A temporary folder, gone when dropped.
#[derive(Debug)]
pub struct Folder(TempDir);

impl Default for Folder {
    fn default() -> Self {
        Self::new()
    }
}

impl Folder {
    /// Makes an empty folder.
    ///
    /// # Panics
    /// The disk is full.
    #[must_use]
    pub fn new() -> Self {
        Self(TempDir::with_prefix("tallyhouse-test-").expect("a temporary folder can be made"))
    }

    /// Returns the path of the folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Writes a file.
    ///
    /// # Panics
    /// The disk is full.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        fs::write(self.path().join(name), content).expect("a file can be written");
    }

    /// Reads a file as text.
    ///
    /// # Panics
    /// There is no such file.
    #[must_use]
    #[track_caller]
    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path().join(name)).unwrap_or_else(|error| panic!("reading {name}: {error}"))
    }

    /// Returns the binary as a command that runs in this folder, with nothing of the tests' own environment that it
    /// could take for a setting.
    #[must_use]
    pub fn command(&self) -> Command {
        self.command_of(binary())
    }

    /// Returns another program as such a command.
    #[must_use]
    pub fn command_of(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command.current_dir(self.path()).env_clear().env("HOME", self.path()).stdin(Stdio::null());
        if let Some(path) = std::env::var_os("PATH") {
            command.env("PATH", path);
        }
        command
    }

    /// Runs the binary with these arguments to its end.
    ///
    /// # Panics
    /// It does not end in time.
    #[track_caller]
    pub fn run(&self, args: &[&str]) -> Ran {
        self.run_with(&[], args, b"")
    }

    /// Runs the binary with these arguments, further environment and standard input to its end.
    ///
    /// # Panics
    /// It does not end in time.
    #[track_caller]
    pub fn run_with(&self, env: &[(&str, &str)], args: &[&str], stdin: &[u8]) -> Ran {
        let mut command = self.command();
        command.args(args).envs(env.iter().copied());
        Running::start(command, stdin.to_vec()).finish()
    }
}

/// A command in flight; killed when dropped.
#[derive(Debug)]
pub struct Running {
    child: Child,
    started: Instant,
    /// Feeds standard input; returns the pipe where it is to stay open.
    feeder: Option<JoinHandle<Option<ChildStdin>>>,
    stdout: Option<JoinHandle<Vec<u8>>>,
    stderr: Option<JoinHandle<Vec<u8>>>,
}

impl Running {
    /// Starts a command that reads `stdin` to its end.
    ///
    /// # Panics
    /// It cannot be started.
    #[must_use]
    pub fn start(command: Command, stdin: Vec<u8>) -> Self {
        Self::start_with(command, stdin, false)
    }

    /// Starts a command that reads `stdin` and then waits for more, for as long as it is left to live.
    ///
    /// # Panics
    /// It cannot be started.
    #[must_use]
    pub fn start_without_end(command: Command, stdin: Vec<u8>) -> Self {
        Self::start_with(command, stdin, true)
    }

    fn start_with(mut command: Command, stdin: Vec<u8>, stays_open: bool) -> Self {
        command.stdin(if stdin.is_empty() { Stdio::null() } else { Stdio::piped() });
        let mut child =
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary can be started");
        let feeder = child.stdin.take().map(|mut pipe| {
            std::thread::spawn(move || {
                // A command that stops reading closes the pipe; what it made of the rest is seen from its answer.
                drop(pipe.write_all(&stdin));
                stays_open.then_some(pipe)
            })
        });
        let stdout = child.stdout.take().map(read_to_end);
        let stderr = child.stderr.take().map(read_to_end);
        Self { child, started: Instant::now(), feeder, stdout, stderr }
    }

    /// Ends the command with SIGKILL, wherever it is, and returns what it wrote.
    ///
    /// # Panics
    /// It cannot be waited for.
    pub fn kill(mut self) -> Ran {
        self.child.kill().expect("a child can be killed");
        self.finish()
    }

    /// Waits until the command ends.
    ///
    /// # Panics
    /// It does not end in time.
    #[track_caller]
    pub fn finish(mut self) -> Ran {
        let status = wait::within(COMMAND_PATIENCE, || self.child.try_wait().expect("a child can be waited for"))
            .unwrap_or_else(|| panic!("the command is not done after {COMMAND_PATIENCE:?}"));
        let took = self.started.elapsed();
        if let Some(feeder) = self.feeder.take() {
            drop(feeder.join().expect("feeding does not panic"));
        }
        let text = |reader: Option<JoinHandle<Vec<u8>>>| {
            let bytes = reader.map(|reader| reader.join().expect("reading does not panic"));
            String::from_utf8(bytes.unwrap_or_default()).expect("the binary writes UTF-8")
        };
        let (stdout, stderr) = (text(self.stdout.take()), text(self.stderr.take()));
        Ran { code: status.code(), stdout, stderr, took }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Where it has ended already, there is nothing to kill.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn read_to_end(mut pipe: impl Read + Send + 'static) -> JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        pipe.read_to_end(&mut bytes).expect("a pipe can be read");
        bytes
    })
}

/// What became of a command.
#[derive(Debug, Clone)]
pub struct Ran {
    /// The exit code; none after a signal.
    pub code: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
    /// How long it took.
    pub took: Duration,
}

impl Ran {
    /// Checks the exit code.
    ///
    /// # Panics
    /// It is another one; says what the command wrote.
    #[track_caller]
    pub fn exits(self, code: i32) -> Self {
        let Self { stdout, stderr, .. } = &self;
        assert_eq!(self.code, Some(code), "\n--- stdout\n{stdout}\n--- stderr\n{stderr}");
        self
    }

    /// Checks that the command succeeded.
    ///
    /// # Panics
    /// It did not; says what it wrote.
    #[track_caller]
    pub fn ok(self) -> Self {
        self.exits(0)
    }

    /// Checks that standard output or standard error contains a text.
    ///
    /// # Panics
    /// Neither does.
    #[track_caller]
    pub fn says(self, text: &str) -> Self {
        let Self { stdout, stderr, .. } = &self;
        assert!(
            stdout.contains(text) || stderr.contains(text),
            "it does not say {text:?}\n--- stdout\n{stdout}\n--- stderr\n{stderr}"
        );
        self
    }

    /// Returns the four counts that an import ends with: processed, duplicates, conflicts, rejected. Each is the number
    /// behind the word.
    ///
    /// # Panics
    /// One is missing.
    #[must_use]
    #[track_caller]
    pub fn counts(&self) -> [u64; 4] {
        ["processed", "duplicates", "conflicts", "rejected"].map(|word| {
            let words: Vec<&str> = self.stdout.split_whitespace().collect();
            let at = words.iter().rposition(|w| w.trim_matches([':', ',', '=']) == word);
            let number = at.and_then(|at| words.get(at + 1)).map(|n| n.trim_matches([',', ';', '.']));
            number
                .and_then(|n| n.parse().ok())
                .unwrap_or_else(|| panic!("no count behind {word:?} in {:?}", self.stdout))
        })
    }
}
