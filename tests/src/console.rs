//! Runs the examples of a document: what stands behind `$ ` in its `console` blocks is typed into one shell, and what
//! stands below must come out.
//!
//! ````text
//! ```console
//! $ tallyhouse import tests/data/flights-sample.ndjson
//! processed 300 …
//! ```
//! ````
//!
//! - `…` in the expected output stands for anything, also for several lines.
//! - A command goes on in the next line behind `\`, within quotes, and to the end of its here-document; such lines may begin
//!   with the shell's `> `.
//! - A command that ends with ` &` runs on until the document ends; a service begun so has begun to listen when the next
//!   command runs.
//! - A command must succeed, unless it ends with a comment such as `# exits 1`.
//! - `cargo run --release --` is the binary that is tested; port 8080 is another, free one.
//! - The folder is temporary; the workspace's `tests`, `docs` and `deploy` can be named in it.
//! - Below `<!-- not run: reason -->` a block is left alone.

use std::fs;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::folder::{Folder, binary, workspace};
use crate::wait;

/// How long the commands of one document may take together.
const DOCUMENT_PATIENCE: Duration = Duration::from_secs(300);

/// The port that documents use.
const PORT: &str = "8080";

/// A command with what should come of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The line of the document.
    pub line: usize,
    /// What is typed.
    pub command: String,
    /// What should come out.
    pub expected: String,
}

impl Step {
    fn is_background(&self) -> bool {
        self.command.trim_end().ends_with('&')
    }

    /// The exit code that the document names in a comment, or 0.
    fn exit_code(&self) -> i32 {
        let comment = self.command.rsplit_once("# exits ").map(|(_, code)| code.trim());
        comment
            .map_or(0, |code| code.parse().unwrap_or_else(|_| panic!("line {}: not an exit code: {code}", self.line)))
    }
}

/// Finds the steps of a document.
///
/// # Panics
/// A block is not what the rules above say.
#[must_use]
pub fn steps(document: &str) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut lines = (1..).zip(document.lines());
    let mut skip = false;
    while let Some((number, line)) = lines.next() {
        if let Some(reason) = line.trim().strip_prefix("<!-- not run:") {
            assert!(reason.trim_end_matches("-->").trim().len() > 3, "line {number}: say why it is not run");
            skip = true;
        } else if line.trim_end() == "```console" {
            let block: Vec<(usize, &str)> = lines.by_ref().take_while(|(_, line)| line.trim_end() != "```").collect();
            if !skip {
                steps.extend(steps_of(&block));
            }
            skip = false;
        } else if !line.trim().is_empty() {
            skip = false;
        }
    }
    steps
}

fn steps_of(block: &[(usize, &str)]) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let mut lines = block.iter();
    while let Some((line, text)) = lines.next() {
        let Some(command) = text.strip_prefix("$ ") else {
            let step = steps.last_mut().unwrap_or_else(|| panic!("line {line}: output before any command"));
            step.expected.push_str(text);
            step.expected.push('\n');
            continue;
        };
        let mut command = command.to_owned();
        let here = command.split_once("<<").map(|(_, word)| {
            let word = word.split_whitespace().next().unwrap_or_default();
            word.trim_matches(['\'', '"', '-']).to_owned()
        });
        while goes_on(&command, here.as_deref()) {
            let (_, more) = lines.next().unwrap_or_else(|| panic!("line {line}: the command does not end"));
            command.push('\n');
            command.push_str(more.strip_prefix("> ").unwrap_or(more));
        }
        steps.push(Step { line: *line, command, expected: String::new() });
    }
    steps
}

/// Says whether the shell would ask for more: behind a backslash, within quotes, before the end of a here-document.
fn goes_on(command: &str, here: Option<&str>) -> bool {
    if let Some(end) = here {
        return !command.ends_with(&format!("\n{end}"));
    }
    let mut quote = None;
    let mut characters = command.chars();
    while let Some(c) = characters.next() {
        match (quote, c) {
            (None | Some('"'), '\\') if characters.next().is_none() => return true,
            (None, '\'' | '"') => quote = Some(c),
            (Some(open), _) if open == c => quote = None,
            _ => {}
        }
    }
    quote.is_some()
}

/// Says whether an output is what was expected, `…` standing for anything. Blanks at the ends of lines don't count.
#[must_use]
pub fn matches(expected: &str, output: &str) -> bool {
    let tidy = |text: &str| text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n").trim_end().to_owned();
    let (expected, output) = (tidy(expected), tidy(output));
    let pieces: Vec<&str> = expected.split('…').collect();
    let [first, middle @ .., last] = pieces.as_slice() else { return expected == output };
    let Some(rest) = output.strip_prefix(first) else { return false };
    let Some(mut rest) = rest.strip_suffix(last) else { return false };
    for piece in middle {
        let Some(at) = rest.find(piece) else { return false };
        rest = &rest[at + piece.len()..];
    }
    true
}

/// Runs the examples of a document, and returns how many commands it has.
///
/// # Panics
/// A command fails, or says something else than the document.
pub fn run(path: &Path) -> usize {
    let document = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let port = free_port().to_string();
    let steps = steps(&document.replace(PORT, &port));
    let folder = Folder::new();
    for name in ["tests", "docs", "deploy"] {
        std::os::unix::fs::symlink(workspace().join(name), folder.path().join(name)).expect("a link can be made");
    }
    let outputs = folder.path().join(".steps");
    fs::create_dir(&outputs).expect("a folder can be made");
    fs::write(outputs.join("script"), script(&steps, &outputs, &port)).expect("a file can be written");
    let mut shell = Shell::start(&folder, &outputs, &port);
    for (i, step) in steps.iter().enumerate() {
        check(
            step,
            &format!("{}:{}", path.file_name().unwrap_or_default().display(), step.line),
            &outputs.join(i.to_string()),
            &mut shell,
        );
    }
    steps.len()
}

/// The process group of the shell; killed with all that it has started when dropped.
struct Shell(std::process::Child);

impl Shell {
    fn start(folder: &Folder, outputs: &Path, port: &str) -> Self {
        let bin = binary();
        let mut path = std::ffi::OsString::from(bin.parent().expect("a file has a folder"));
        path.push(":");
        path.push(std::env::var_os("PATH").unwrap_or_default());
        let mut command = Command::new("bash");
        command.arg(outputs.join("script")).current_dir(folder.path()).env_clear();
        command.env("PATH", path).env("HOME", folder.path()).env("TALLYHOUSE_LISTEN", format!("127.0.0.1:{port}"));
        command.env("TERM", "dumb").env("LC_ALL", "C.UTF-8").process_group(0);
        Self(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("bash is there"))
    }

    fn has_ended(&mut self) -> bool {
        self.0.try_wait().expect("a child can be waited for").is_some()
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        let group = format!("-{}", self.0.id());
        // Where all of them have ended already, there is nothing to kill.
        drop(Command::new("kill").args(["-KILL", "--", &group]).stderr(Stdio::null()).status());
        drop(self.0.wait());
    }
}

/// Writes the script: each step writes what it says and its exit code into files of its own.
fn script(steps: &[Step], outputs: &Path, port: &str) -> String {
    let outputs = outputs.display();
    let mut script = String::new();
    for (i, step) in steps.iter().enumerate() {
        let command =
            step.command.replace("cargo run --release --", "tallyhouse").replace("cargo run --release", "tallyhouse");
        script.push_str(&format!(
            "{{\n{command}\n}} >{outputs}/{i}.out 2>&1 </dev/null\necho $? >{outputs}/{i}.partial\n"
        ));
        if step.is_background() {
            // Either it listens, or it has ended; the reader of a document would wait for that, too.
            let listens = format!("(exec 3<>/dev/tcp/127.0.0.1/{port}) 2>/dev/null");
            script.push_str(&format!(
                "background=$!\nuntil {listens} || ! kill -0 $background 2>/dev/null; do sleep 0.05; done\n"
            ));
        }
        script.push_str(&format!("mv {outputs}/{i}.partial {outputs}/{i}.code\n"));
    }
    script
}

fn check(step: &Step, place: &str, files: &Path, shell: &mut Shell) {
    let code = wait::within(DOCUMENT_PATIENCE, || {
        let ended = shell.has_ended();
        let code = fs::read_to_string(files.with_extension("code")).ok();
        code.or_else(|| ended.then(String::new))
    });
    let output = || fs::read_to_string(files.with_extension("out")).unwrap_or_default();
    let code = code.unwrap_or_else(|| panic!("{place}: `{}` does not end; it says:\n{}", step.command, output()));
    let expected_code = step.exit_code().to_string();
    assert_eq!(code.trim(), expected_code, "{place}: `{}` says:\n{}", step.command, output());
    if step.is_background() {
        // What it says may come a moment later; where nothing is expected, it may say what it likes.
        let said = step.expected.is_empty()
            || wait::within(Duration::from_secs(20), || matches(&step.expected, &output()).then_some(())).is_some();
        assert!(said, "{place}: `{}` should say\n{}\nand says\n{}", step.command, step.expected, output());
    } else {
        let said = output();
        assert!(
            matches(&step.expected, &said),
            "{place}: `{}` should say\n{}\nand says\n{said}",
            step.command,
            step.expected
        );
    }
}

fn free_port() -> u16 {
    loop {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("there are free ports");
        let port = listener.local_addr().expect("a listener has an address").port();
        drop(listener);
        // Not one that would be found in the middle of other numbers, and nobody's.
        if port >= 10_000 && TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            return port;
        }
    }
}

#[cfg(test)]
mod tests;
