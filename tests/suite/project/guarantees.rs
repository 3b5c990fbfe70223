//! No promise without a test: each promise of `docs/GUARANTEES.md` names its tests and its assumptions, and every test
//! that this page and `docs/SECURITY.md` name exists.

use std::path::Path;

use tallyhouse_tests::folder::workspace;

fn page() -> String {
    document("GUARANTEES.md")
}

fn document(name: &str) -> String {
    let path = workspace().join("docs").join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[track_caller]
fn check_tests_exist(text: &str) {
    for (file, name) in tests_in(text) {
        let source = std::fs::read_to_string(workspace().join(Path::new(file)));
        let source = source.unwrap_or_else(|error| panic!("{file}: {error}, in {text}"));
        let is_there = ["(", "<"].iter().any(|end| source.contains(&format!("fn {name}{end}")));
        assert!(is_there, "there is no test {name} in {file}, in {text}");
    }
}

/// Finds the names of tests in a line: `path/to/file.rs::name_of_the_test` in backticks.
fn tests_in(row: &str) -> Vec<(&str, &str)> {
    let quoted = row.split('`').skip(1).step_by(2);
    quoted.filter_map(|text| text.rsplit_once("::")).filter(|(file, _)| file.ends_with(".rs")).collect()
}

/// The rows of the page's tables, without heads and rules.
fn rows(page: &str) -> Vec<&str> {
    let lines: Vec<&str> = page.lines().collect();
    let is_rule = |line: &str| line.starts_with('|') && line.chars().all(|c| "|-: ".contains(c));
    let is_head = |i: usize| lines.get(i + 1).is_some_and(|next| is_rule(next));
    let rows = lines.iter().enumerate().filter(|(i, line)| line.starts_with('|') && !is_rule(line) && !is_head(*i));
    rows.map(|(_, line)| *line).collect()
}

/// The promises of the page: the items of its lists, each joined with its indented lines, up to the section on their
/// assumptions.
fn promises(page: &str) -> Vec<String> {
    let (promises, _) = page.split_once("\n## Assumptions\n").expect("the page lists their assumptions");
    let mut items: Vec<String> = Vec::new();
    let mut in_item = false;
    for line in promises.lines() {
        assert!(!line.starts_with('|') && !line.starts_with('*'), "promises are items of a list: {line}");
        let continues = in_item && line.starts_with("  ");
        if line.starts_with("- ") {
            items.push(line.to_owned());
        } else if let Some(item) = items.last_mut().filter(|_| continues) {
            item.push(' ');
            item.push_str(line.trim_start());
        }
        in_item = continues || line.starts_with("- ");
    }
    items
}

/// The marks of a promise: `Assumes: T, D.`
fn marks(promise: &str) -> Vec<&str> {
    let marks = promise.split_once(" Assumes: ").and_then(|(_, rest)| rest.split_once('.'));
    marks.map(|(marks, _)| marks.split(", ").collect()).unwrap_or_default()
}

#[test]
fn every_promise_names_a_test_that_exists() {
    let promises = promises(&page());
    assert!(promises.len() >= 50, "the page promises only {} things", promises.len());
    for promise in promises {
        assert!(promise.starts_with("- **"), "a promise begins with its short form: {promise}");
        assert!(!tests_in(&promise).is_empty(), "a promise without a test: {promise}");
        check_tests_exist(&promise);
    }
}

#[test]
fn every_promise_names_its_assumptions() {
    let page = page();
    let explained: Vec<&str> =
        rows(&page).iter().filter_map(|row| row.strip_prefix("| ")?.split(" |").next()).collect();
    for promise in promises(&page) {
        let marks = marks(&promise);
        assert!(!marks.is_empty(), "it names no assumption: {promise}");
        for mark in marks {
            assert!(explained.contains(&mark), "{mark} is not explained: {promise}");
        }
    }
}

#[test]
fn every_test_that_the_page_on_security_names_exists() {
    let page = document("SECURITY.md");
    page.lines().for_each(check_tests_exist);
    let rows = rows(&page);
    for number in 1..=10 {
        // OWASP API Security Top 10 (2023): none of the ten is passed over, and each is shown.
        let risk = format!("| API{number} ");
        let row = rows.iter().find(|row| row.starts_with(&risk)).unwrap_or_else(|| panic!("{risk}is missing"));
        assert!(!tests_in(row).is_empty(), "{row}");
    }
}

#[test]
fn every_invariant_is_on_the_page() {
    let promises = promises(&page());
    for number in 1..=10 {
        let name = format!("- **I{number}. ");
        assert!(promises.iter().any(|promise| promise.starts_with(&name)), "I{number} is missing");
    }
}
