//! The documents say what is so: their examples are run.

use std::path::PathBuf;

use tallyhouse_tests::console;
use tallyhouse_tests::folder::workspace;

fn documents() -> Vec<PathBuf> {
    let docs = std::fs::read_dir(workspace().join("docs")).expect("there are documents");
    let mut paths: Vec<PathBuf> = docs.map(|entry| entry.expect("a file").path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "md"));
    paths.push(workspace().join("README.md"));
    paths.sort();
    paths
}

#[test]
fn the_examples_of_the_documents_say_what_they_show() {
    let mut failures = Vec::new();
    for path in documents() {
        // One document after the other, and all of them, so that one run shows everything that is wrong.
        if let Err(panic) = std::panic::catch_unwind(|| console::run(&path)) {
            let text = panic.downcast_ref::<String>().cloned();
            failures.push(text.unwrap_or_else(|| format!("{}: {panic:?}", path.display())));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}

#[test]
fn the_readme_has_examples() {
    let readme = std::fs::read_to_string(workspace().join("README.md")).expect("there is a README");
    assert!(!console::steps(&readme).is_empty());
}

#[test]
fn every_problem_is_explained() {
    let api = std::fs::read_to_string(workspace().join("docs/API.md")).expect("there is a page on the API");
    let codes = [
        "not-json",
        "bad-parameter",
        "unauthorized",
        "forbidden",
        "not-found",
        "method-not-allowed",
        "timeout",
        "conflict",
        "too-large",
        "unsupported-media-type",
        "rejected",
        "rate-limited",
        "internal",
        "unavailable",
        "overloaded",
    ];
    for code in codes {
        assert!(api.contains(&format!("| `{code}` |")), "{code} is not explained");
    }
}

/// The directives of a text, without what is after them: `proxy_read_timeout 1h;` and so on.
fn directives(text: &str) -> Vec<&str> {
    text.lines().map(str::trim).filter(|line| line.ends_with(';') && !line.starts_with('#')).collect()
}

#[test]
fn the_configuration_for_nginx_has_what_the_document_asks_for() {
    let read = |path: &str| std::fs::read_to_string(workspace().join(path)).expect("the file is there");
    let (document, whole) = (read("docs/PROXIES.md"), read("deploy/nginx.conf"));
    let (_, block) = document.split_once("```nginx\n").expect("a block");
    let (block, _) = block.split_once("```").expect("its end");
    let asked = directives(block);
    assert!(asked.len() > 6, "{asked:?}");
    for directive in asked.into_iter().filter(|directive| !directive.starts_with("proxy_pass ")) {
        assert!(directives(&whole).contains(&directive), "{directive}");
    }
}
