//! The house rules that a machine can see.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tallyhouse_tests::folder::workspace;

/// Everything that the core may depend on.
const CORE_DEPENDENCIES: [&str; 8] =
    ["async-trait", "chrono", "ethnum", "futures-core", "rust_decimal", "serde", "serde_json", "thiserror"];

/// Longest file of Rust, in lines.
const LINES_MAX: usize = 500;

/// All files that the project keeps, by their paths in the workspace.
fn tracked() -> Vec<PathBuf> {
    let output = Command::new("git").args(["ls-files", "-z"]).current_dir(workspace()).output();
    let names = match output {
        Ok(output) if output.status.success() => String::from_utf8(output.stdout).expect("names are text"),
        // A copy without its history, as an archive is.
        _ => return walk(&workspace(), Path::new("")),
    };
    names
        .split('\0')
        .filter(|name| !name.is_empty())
        .map(PathBuf::from)
        .filter(|path| workspace().join(path).is_file())
        .collect()
}

fn walk(root: &Path, folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(root.join(folder)).expect("a folder") {
        let name = folder.join(entry.expect("an entry").file_name());
        let hidden_or_built = name.starts_with("target") || name.starts_with(".git");
        match root.join(&name) {
            _ if hidden_or_built => {}
            path if path.is_dir() => found.extend(walk(root, &name)),
            _ => found.push(name),
        }
    }
    found
}

fn with_extension(extension: &str) -> Vec<(PathBuf, String)> {
    let files = tracked().into_iter().filter(|path| path.extension().is_some_and(|found| found == extension));
    files.map(|path| (path.clone(), fs::read_to_string(workspace().join(&path)).expect("text"))).collect()
}

#[track_caller]
fn none(findings: &[String], what: &str) {
    assert!(findings.is_empty(), "{what}:\n{}", findings.join("\n"));
}

#[test]
fn the_core_depends_on_nothing_beyond_its_list() {
    let args = ["tree", "--offline", "--locked", "-p", "tallyhouse-core", "-e", "normal", "--prefix", "none"];
    let tree = |depth: &str| -> BTreeSet<String> {
        let output = Command::new("cargo").args(args).args(["--depth", depth]).current_dir(workspace()).output();
        let output = output.expect("cargo is installed");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).expect("names are text");
        text.lines().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect()
    };
    let expected = CORE_DEPENDENCIES.into_iter().chain(["tallyhouse-core"]).map(str::to_owned).collect();
    assert_eq!(tree("1"), expected);
    let whole = tree("99");
    for runtime in ["tokio", "tracing", "backon", "quick_cache", "futures-util", "diesel", "hyper"] {
        assert!(!whole.contains(runtime), "the core depends on {runtime}");
    }
}

#[test]
fn the_service_fetches_nothing() {
    // Nothing in the service could call an address that a caller sends: its parts have no client of
    // HTTP, and in the program only the commands have.
    for package in ["core", "core/pipeline", "adapters/http", "adapters/redis", "adapters/postgres", "adapters/sqlite"]
    {
        let manifest = fs::read_to_string(workspace().join(package).join("Cargo.toml")).expect("a manifest");
        let own = manifest.split("\n[dev-dependencies]").next().expect("it begins");
        for client in ["reqwest", "ureq", "\"client\""] {
            assert!(!own.contains(client), "{package} has a client of HTTP: {client}");
        }
    }
    let commands = [
        "bin/src/remote.rs",
        "bin/src/remote/",
        "bin/src/import/",
        "bin/src/aggregate/",
        "bin/src/export/",
        "bin/src/commands/watch/",
    ];
    // What is traced goes to the one address of the setting otlp.endpoint.
    let traces = "bin/src/telemetry/traces/otlp_exporter.rs";
    let fetching: Vec<String> = with_extension("rs")
        .iter()
        .map(|(path, text)| (path.display().to_string(), text))
        .filter(|(path, text)| path.starts_with("bin/src/") && text.contains("reqwest::"))
        .map(|(path, _)| path)
        .filter(|path| path != traces && !commands.iter().any(|command| path.starts_with(command)))
        .collect();
    none(&fetching, "these are no commands, and have a client of HTTP");
}

#[test]
fn every_rust_file_begins_by_saying_what_it_is() {
    let silent: Vec<String> = with_extension("rs")
        .iter()
        .filter(|(_, text)| !text.starts_with("//! "))
        .map(|(path, _)| path.display().to_string())
        .collect();
    none(&silent, "these begin without //!");
}

#[test]
fn no_rust_file_is_longer_than_a_reader_stands() {
    let long: Vec<String> = with_extension("rs")
        .iter()
        .map(|(path, text)| (path, text.lines().count()))
        .filter(|(_, lines)| *lines > LINES_MAX)
        .map(|(path, lines)| format!("{} {lines}", path.display()))
        .collect();
    none(&long, "these are too long");
}

#[test]
fn nothing_is_left_undone_in_silence() {
    // Put together here, so that this file does not find itself.
    let marks = [["FIX", "ME"], ["XX", "X"], ["todo", "!("], ["unimplemented", "!("], ["#[ig", "nore"], ["dbg", "!("]]
        .map(|parts| parts.concat());
    let mut found = Vec::new();
    for (path, text) in with_extension("rs").into_iter().chain(with_extension("sql")).chain(with_extension("py")) {
        let lines = (1..).zip(text.lines()).filter(|(_, line)| marks.iter().any(|mark| line.contains(mark)));
        found.extend(lines.map(|(n, line)| format!("{}:{n} {}", path.display(), line.trim())));
    }
    none(&found, "left undone");
}

#[test]
fn both_databases_have_the_same_migrations() {
    let names = |database: &str| -> BTreeSet<String> {
        let entries = fs::read_dir(workspace().join("migrations").join(database)).expect("there are migrations");
        entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("text")).collect()
    };
    assert_eq!(names("postgres"), names("sqlite"));
    for database in ["postgres", "sqlite"] {
        for name in names(database) {
            for file in ["up.sql", "down.sql"] {
                let path = workspace().join("migrations").join(database).join(&name).join(file);
                assert!(path.is_file(), "{}", path.display());
            }
        }
    }
}

#[test]
fn links_in_documents_lead_somewhere() {
    let mut dead = Vec::new();
    for (path, text) in with_extension("md") {
        let folder = path.parent().expect("a file has a folder");
        for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
            if file.contains("://") || file.starts_with("mailto:") {
                continue;
            }
            let place = if file.is_empty() { path.clone() } else { folder.join(file) };
            let there = workspace().join(&place);
            if !there.exists() {
                dead.push(format!("{}: {target}", path.display()));
            } else if !anchor.is_empty() && place.extension().is_some_and(|extension| extension == "md") {
                let page = fs::read_to_string(there).expect("text");
                if !anchors(&page).contains(anchor) {
                    dead.push(format!("{}: {target}", path.display()));
                }
            }
        }
    }
    none(&dead, "links that lead nowhere");
}

#[test]
fn files_that_documents_name_exist() {
    let folders = ["adapters/", "bin/", "core/", "deploy/", "docs/", "examples/", "migrations/", "tests/"];
    let mut dead = Vec::new();
    for (path, text) in with_extension("md") {
        let beside = path.parent().expect("a file has a folder");
        for name in text.split('`').skip(1).step_by(2) {
            let place = name.split("::").next().expect("a text has a first part");
            let is_path =
                folders.iter().any(|folder| place.starts_with(folder)) && !place.contains([' ', '*', '{', '…']);
            let is_there = [Path::new(place), &beside.join(place)].iter().any(|path| workspace().join(path).exists());
            if is_path && !is_there {
                dead.push(format!("{}: {place}", path.display()));
            }
        }
    }
    none(&dead, "documents name files that are not there");
}

/// The anchors of a page's headings, as hosts of repositories make them.
fn anchors(page: &str) -> BTreeSet<String> {
    let heading = |line: &str| {
        let text = line.trim_start_matches('#').trim().to_lowercase();
        let kept = text.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
        kept.map(|c| if c == ' ' { '-' } else { c }).collect::<String>()
    };
    page.lines().filter(|line| line.starts_with('#')).map(heading).collect()
}

#[test]
fn the_readme_begins_with_one_command_to_run_and_one_to_test() {
    let readme = fs::read_to_string(workspace().join("README.md")).expect("there is a README");
    let lines = readme.lines().map(|line| line.trim().trim_start_matches("$ "));
    let commands: Vec<&str> = lines
        .filter(|line| line.starts_with("cargo ") || line.starts_with("./"))
        .map(|line| line.split(" #").next().expect("a line").trim())
        .collect();
    assert_eq!(commands.first(), Some(&"cargo run --release"));
    assert_eq!(commands.get(1), Some(&"./test.sh"));
    let script = workspace().join("test.sh");
    let mode = std::os::unix::fs::PermissionsExt::mode(&fs::metadata(script).expect("it is there").permissions());
    assert_ne!(mode & 0o111, 0, "test.sh can be run");
}

/// `cargo run` hands variables of a build script to the program, which would take them for settings.
#[test]
fn no_build_script_sets_a_variable_that_reads_as_a_setting() {
    let scripts = with_extension("rs").into_iter().filter(|(path, _)| path.ends_with("build.rs"));
    let sets_one = |text: &str| {
        ["rustc-env=TALLYHOUSE", "rustc-env=DATABASE", "rustc-env=REDIS"].iter().any(|start| text.contains(start))
    };
    let scripts: Vec<(PathBuf, String)> = scripts.collect();
    assert!(!scripts.is_empty(), "the binary has one");
    let found: Vec<String> =
        scripts.iter().filter(|(_, text)| sets_one(text)).map(|(path, _)| path.display().to_string()).collect();
    none(&found, "build scripts set variables that read as settings");
}

#[test]
fn no_file_names_a_place_on_somebodys_machine() {
    let root = workspace();
    let mut places: Vec<String> = ["/home", "/Users", "/root"].iter().map(|place| format!("{place}/")).collect();
    // Where this copy lies, unless that is a name that anything might have.
    let here = root.display().to_string();
    if here.matches('/').count() > 1 {
        places.push(here);
    }
    let mut found = Vec::new();
    for path in tracked() {
        let Ok(text) = fs::read_to_string(root.join(&path)) else { continue };
        for (n, line) in (1..).zip(text.lines()) {
            let named = places.iter().any(|place| line.contains(place.as_str()));
            let own = path.ends_with("tidy.rs") && line.contains("let mut places");
            if named && !own {
                found.push(format!("{}:{n} {}", path.display(), line.trim()));
            }
        }
    }
    none(&found, "places on somebody's machine");
}

#[test]
fn every_package_obeys_the_lints_of_the_workspace() {
    // The client is copied out of the workspace.
    let client = Path::new("examples/clients/rust/Cargo.toml");
    let is_package = |path: &PathBuf| path.ends_with("Cargo.toml") && path.components().count() > 1 && path != client;
    let manifests = tracked().into_iter().filter(is_package);
    let lax: Vec<String> = manifests
        .filter(|path| !fs::read_to_string(workspace().join(path)).expect("text").contains("[lints]\nworkspace = true"))
        .map(|path| path.display().to_string())
        .collect();
    none(&lax, "these have lints of their own");
}
