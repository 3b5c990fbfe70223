//! Nothing is promised that no test shows: each promise of `docs/GUARANTEES.md` names its test, and the test is there.

use std::path::Path;

use tallyhouse_tests::folder::workspace;

fn page() -> String {
    std::fs::read_to_string(workspace().join("docs/GUARANTEES.md")).expect("there is a page of guarantees")
}

/// Finds the names of tests in a row: `path/to/file.rs::name_of_the_test` in backticks.
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
        let tests = tests_in(row);
        assert!(!tests.is_empty(), "a promise without a test: {row}");
        for (file, name) in tests {
            let source = std::fs::read_to_string(workspace().join(Path::new(file)));
            let source = source.unwrap_or_else(|error| panic!("{file}: {error}, in {row}"));
            let is_there = ["(", "<"].iter().any(|end| source.contains(&format!("fn {name}{end}")));
            assert!(is_there, "there is no test {name} in {file}, in {row}");
        }
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
