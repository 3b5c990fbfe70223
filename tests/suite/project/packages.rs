//! What the program is made of: every package has a licence that `deny.toml` allows, and comes from where it may.
//!
//! `cargo deny check` says the same and more (advisories, withdrawn versions), where it is installed and online. This
//! needs neither.

use std::process::Command;

use serde_json::Value;
use spdx::{Expression, Licensee, ParseMode};
use tallyhouse_tests::folder::workspace;
use toml::Table;

fn toml_of(file: &str) -> Table {
    let text = std::fs::read_to_string(workspace().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
    text.parse().unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// Returns a list of texts out of `deny.toml`.
fn allowed(section: &str, name: &str) -> Vec<String> {
    let list = toml_of("deny.toml")[section][name].clone();
    let list: Vec<String> = list.try_into().expect("a list of texts");
    assert!(!list.is_empty(), "deny.toml: {section}.{name} allows nothing");
    list
}

fn run(program: &str, args: &[&str]) -> String {
    let output = Command::new(program).args(args).current_dir(workspace()).output().expect("Rust is installed");
    assert!(output.status.success(), "{program} {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

/// All packages that are built on this kind of machine: those of others need not have been downloaded.
fn packages() -> Vec<Value> {
    let version = run("rustc", &["-vV"]);
    let host = version.lines().find_map(|line| line.strip_prefix("host: ")).expect("rustc says where it runs");
    let args = ["metadata", "--offline", "--locked", "--format-version", "1", "--filter-platform", host];
    let metadata: Value = serde_json::from_str(&run("cargo", &args)).expect("JSON");
    metadata["packages"].as_array().expect("a list of packages").clone()
}

fn is_allowed(expression: &str, licences: &[Licensee]) -> bool {
    // Older packages write `MIT/Apache-2.0`, which crates.io takes.
    let parsed = Expression::parse_mode(expression, ParseMode::LAX);
    parsed.is_ok_and(|parsed| parsed.evaluate(|req| licences.iter().any(|licence| licence.satisfies(req))))
}

fn licences() -> Vec<Licensee> {
    let parse = |text: &String| Licensee::parse(text).unwrap_or_else(|error| panic!("deny.toml: {error}"));
    allowed("licenses", "allow").iter().map(parse).collect()
}

#[test]
fn every_package_has_a_licence_that_is_allowed() {
    let (packages, licences) = (packages(), licences());
    assert!(packages.len() > 100, "only {} packages", packages.len());
    let refused: Vec<String> = packages
        .iter()
        .filter(|package| !package["license"].as_str().is_some_and(|licence| is_allowed(licence, &licences)))
        .map(|package| format!("{} {}: {}", package["name"], package["version"], package["license"]))
        .collect();
    assert!(refused.is_empty(), "deny.toml allows no licence of these:\n{}", refused.join("\n"));
}

#[test]
fn what_a_licence_demands_is_understood() {
    let licences = licences();
    for good in
        ["MIT", "MIT OR GPL-3.0-only", "MIT/Apache-2.0", "(MIT OR Apache-2.0) AND Unicode-3.0", "Apache-2.0 / MIT"]
    {
        assert!(is_allowed(good, &licences), "{good}");
    }
    for bad in ["GPL-3.0-only", "MIT AND AGPL-3.0-only", "MPL-2.0", "Proprietary", "", "LicenseRef-ours"] {
        assert!(!is_allowed(bad, &licences), "{bad}");
    }
}

#[test]
fn every_package_is_of_this_workspace_or_of_crates_io_and_its_content_is_fixed() {
    // cargo-deny names registries without the kind of their index.
    let registries = allowed("sources", "allow-registry").into_iter().map(|url| format!("registry+{url}"));
    let registries: Vec<String> = registries.collect();
    let lock = toml_of("Cargo.lock");
    let locked = lock["package"].as_array().expect("a list of packages");
    assert!(locked.len() > 100, "only {} packages", locked.len());
    let own: Vec<Value> = packages().into_iter().filter(|package| package["source"].is_null()).collect();
    for package in locked {
        let name = package["name"].as_str().expect("a name");
        match package.get("source").and_then(toml::Value::as_str) {
            Some(source) => {
                assert!(registries.iter().any(|registry| registry == source), "{name} comes from {source}");
                let checksum = package.get("checksum").and_then(toml::Value::as_str).unwrap_or_default();
                assert_eq!(checksum.len(), 64, "{name} has no checksum");
            }
            None => {
                let here = workspace().canonicalize().expect("it is there");
                let is_ours = own.iter().any(|ours| {
                    let manifest = ours["manifest_path"].as_str().expect("a path");
                    ours["name"] == name && std::path::Path::new(manifest).starts_with(&here)
                });
                assert!(is_ours, "{name} has no source, and is no package of this workspace");
            }
        }
    }
}

#[test]
fn packages_that_are_banned_are_not_there() {
    let banned = toml_of("deny.toml")["bans"]["deny"].as_array().expect("a list of bans").clone();
    let lock = toml_of("Cargo.lock");
    let locked: Vec<&str> =
        lock["package"].as_array().expect("packages").iter().filter_map(|package| package["name"].as_str()).collect();
    for ban in &banned {
        let name = ban["crate"].as_str().expect("the name of a package");
        assert!(!locked.contains(&name), "{name} is banned by deny.toml: {}", ban["reason"]);
    }
}

/// What each package that is published is to hold, beside its manifest and sources.
const PUBLISHED: [(&str, &[&str]); 9] = [
    ("tallyhouse-core", &["src/ports.rs"]),
    ("tallyhouse-pipeline", &["examples/embed.rs"]),
    ("tallyhouse-testing", &["src/conformance.rs"]),
    (
        "tallyhouse-migrations",
        &[
            "postgres/00000000000001_tallyhouse/up.sql",
            "postgres/00000000000001_tallyhouse/down.sql",
            "sqlite/00000000000001_tallyhouse/up.sql",
            "sqlite/00000000000001_tallyhouse/down.sql",
        ],
    ),
    ("tallyhouse-http", &["dashboard/index.html", "dashboard/vendor/uplot.LICENSE"]),
    ("tallyhouse-postgres", &["src/repository.rs"]),
    ("tallyhouse-redis", &["src/list/scripts/move.lua"]),
    ("tallyhouse-sqlite", &["src/repository.rs"]),
    ("tallyhouse", &["src/main.rs"]),
];

#[test]
fn what_is_published_holds_all_that_it_is_built_of() {
    for (name, files) in PUBLISHED {
        let listed = run("cargo", &["package", "--list", "--offline", "--allow-dirty", "--package", name]);
        let listed: Vec<&str> = listed.lines().collect();
        for file in ["Cargo.toml", "README.md", "LICENSE-MIT", "LICENSE-APACHE"].iter().chain(files) {
            assert!(listed.contains(file), "{name} lacks {file}: it holds {listed:#?}");
        }
    }
    const FOLDERS: [&str; 9] = [
        "core",
        "core/pipeline",
        "core/testing",
        "migrations",
        "adapters/http",
        "adapters/postgres",
        "adapters/redis",
        "adapters/sqlite",
        "bin",
    ];
    for folder in FOLDERS {
        for licence in ["LICENSE-MIT", "LICENSE-APACHE"] {
            let [here, there] = ["", folder].map(|folder| workspace().join(folder).join(licence));
            let [here, there] = [here, there].map(|path| std::fs::read(path).expect("it can be read"));
            assert!(here == there, "{folder}/{licence} is not that of the whole");
        }
    }
}

#[test]
fn every_package_says_what_it_is_or_is_not_published() {
    for package in packages().iter().filter(|package| package["source"].is_null()) {
        let name = package["name"].as_str().expect("a name");
        let is_published = package["publish"].is_null();
        assert_eq!(is_published, PUBLISHED.iter().any(|(published, _)| *published == name), "{name}");
        for field in ["description", "license", "readme"].iter().filter(|_| is_published) {
            assert!(package[*field].as_str().is_some_and(|text| !text.is_empty()), "{name} has no {field}");
        }
        for field in ["keywords", "categories"].iter().filter(|_| is_published) {
            assert!(package[*field].as_array().is_some_and(|list| !list.is_empty()), "{name} has no {field}");
        }
    }
}

#[test]
fn the_oldest_rust_of_the_crates_for_embedding_is_the_one_that_is_checked() {
    let workflow = std::fs::read_to_string(workspace().join(".github/workflows/ci.yml")).expect("there is a workflow");
    let embedded = ["tallyhouse-core", "tallyhouse-pipeline", "tallyhouse-testing"];
    for package in packages().iter().filter(|package| embedded.iter().any(|name| package["name"] == *name)) {
        let name = package["name"].as_str().expect("a name");
        let oldest = package["rust_version"].as_str().expect("a version of Rust");
        let check = format!("cargo +{oldest} check --locked ");
        let is_checked = workflow.lines().any(|line| line.contains(&check) && line.contains(&format!("-p {name}")));
        assert!(is_checked, "{name} is not checked with Rust {oldest}");
    }
}

#[test]
fn the_deployment_files_name_the_version_of_the_program() {
    let version = toml_of("Cargo.toml")["workspace"]["package"]["version"].as_str().expect("a version").to_owned();
    for (file, line) in [
        ("deploy/helm/tallyhouse/Chart.yaml", format!("version: {version}")),
        ("deploy/helm/tallyhouse/Chart.yaml", format!("appVersion: \"{version}\"")),
        ("deploy/kubernetes/kustomization.yaml", format!("newTag: {version}")),
    ] {
        let text = std::fs::read_to_string(workspace().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
        assert!(text.lines().any(|found| found.trim() == line), "{file} lacks the line {line}");
    }
}

#[test]
fn actions_of_the_workflows_are_fixed_by_the_digest_of_their_commit() {
    let folder = workspace().join(".github/workflows");
    let mut used = 0;
    for entry in std::fs::read_dir(folder).expect("workflows") {
        let text = std::fs::read_to_string(entry.expect("an entry").path()).expect("text");
        for action in text.lines().filter_map(|line| line.split_once("uses: ").map(|(_, action)| action)) {
            let digest = action.split(' ').next().and_then(|action| action.split_once('@')).map(|(_, digest)| digest);
            let is_digest = |text: &str| text.len() == 40 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
            assert!(digest.is_some_and(is_digest), "{action}: a tag can be moved to other code");
            used += 1;
        }
    }
    assert!(used > 0);
}

#[test]
fn base_images_are_fixed_by_their_digest() {
    for file in ["Dockerfile", "compose.yaml"] {
        let text = std::fs::read_to_string(workspace().join(file)).expect("text");
        let named = |line: &str| {
            let line = line.trim();
            line.strip_prefix("FROM ").or_else(|| line.strip_prefix("image: ")).map(str::to_owned)
        };
        let images: Vec<String> = text.lines().filter_map(named).collect();
        assert!(!images.is_empty(), "{file} names no image");
        for image in images {
            let digest =
                image.split(' ').next().and_then(|image| image.split_once("@sha256:")).map(|(_, digest)| digest);
            let is_digest = |text: &str| text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
            assert!(digest.is_some_and(is_digest), "{file}: {image}: a tag can be moved to other contents");
        }
    }
}
