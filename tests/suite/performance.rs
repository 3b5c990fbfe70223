//! The benchmark and the load tests for seconds: they work, whatever the figures. What they are for is told in
//! docs/PERFORMANCE.md.

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::Value;
use tallyhouse_tests::folder::{Folder, Running, binary};

/// The programs lie beside the binary.
fn program(name: &str) -> Command {
    let path = binary().with_file_name(name);
    assert!(path.is_file(), "{} is missing: build it first with `cargo build --workspace --bins`", path.display());
    Command::new(path)
}

#[test]
fn the_benchmark_measures_every_group_and_writes_it_down_in_every_form() {
    let folder = Folder::new();
    let mut bench = program("bench");
    bench.current_dir(folder.path()).args(["--quick", "--no-build", "--json", "b.json", "--markdown", "b.md"]);
    bench.args(["--plot", "b.svg"]).args(GROUPS);
    Running::start(bench, Vec::new()).finish().ok();
    let report: Value = serde_json::from_str(&folder.read("b.json")).expect("JSON");
    let groups = report["groups"].as_array().expect("a list of groups");
    let names: BTreeSet<&str> = groups.iter().map(|group| group["name"].as_str().expect("a name")).collect();
    assert_eq!(names, BTreeSet::from(GROUPS));
    let (page, plot) = (folder.read("b.md"), folder.read("b.svg"));
    for group in groups {
        let rows = group["rows"].as_array().expect("a list of rows");
        assert!(!rows.is_empty(), "{group}");
        for row in rows {
            let figures = row["figures"].as_object().expect("figures");
            let positive = figures.values().any(|figure| figure["median"].as_f64().is_some_and(|figure| figure > 0.0));
            assert!(positive, "{row}");
            let name = row["name"].as_str().expect("a name");
            assert!(page.contains(name), "the page lacks {name}");
        }
        let name = group["name"].as_str().expect("a name");
        assert!(plot.contains(name), "the picture lacks {name}");
    }
}

/// All of them.
const GROUPS: [&str; 14] = [
    "single",
    "batch",
    "queues",
    "keys",
    "duplicates",
    "mixed",
    "observed",
    "latency",
    "publish",
    "reads",
    "trips",
    "idle",
    "sqlite",
    "growth",
];

#[test]
fn a_soak_of_seconds_is_stored_exactly_once_and_leaves_nothing_behind() {
    let mut soak = program("load-soak");
    soak.args(["--no-build", "--minutes", "0.05", "--looks", "3", "--rate", "200"]);
    Running::start(soak, Vec::new()).finish().ok().says("every message was received").says("records sent; good");
}

#[test]
fn an_overload_of_seconds_is_refused_in_good_order_and_everything_taken_is_stored() {
    let mut overload = program("load-overload");
    // So small that it is one on any machine. How much is taken of it says little in so short a time, beside other
    // tests: whether it ends with success is left to a longer one.
    overload.args(["--no-build", "--seconds", "0.4", "--connections", "128", "--intake", "16", "--batch", "1"]);
    let ran = Running::start(overload, Vec::new()).finish().says("taken/s");
    for fault in ["requests broke", "did not say when", "this was no overload", "are stored, and", "verify finds"] {
        assert!(!ran.stdout.contains(fault), "{}", ran.stdout);
    }
}
