//! Nothing is promised that no test shows: each promise of `docs/GUARANTEES.md` names its test, and what that page and
//! `docs/SECURITY.md` name is there.

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

#[test]
fn every_promise_names_a_test_that_exists() {
    let page = page();
    let rows = rows(&page);
    assert!(rows.len() >= 10, "the page promises next to nothing");
    for row in rows {
        assert!(!tests_in(row).is_empty(), "a promise without a test: {row}");
        check_tests_exist(row);
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
    let page = page();
    let rows = rows(&page);
    for number in 1..=10 {
        let name = format!("I{number}");
        let named = |row: &&str| row.split(|c: char| !c.is_ascii_alphanumeric()).any(|word| word == name);
        assert!(rows.iter().any(named), "{name} is missing");
    }
}
