//! A month of real records: the arrival delays of January 2013 at every airport that New York's flights went to.
//! See `data/README.md`.

use serde_json::Value;
use tallyhouse_tests::data::flights::{RECORDS, month, totals};
use tallyhouse_tests::data::sums;
use tallyhouse_tests::folder::{Folder, workspace};
use tallyhouse_tests::servers::service::Service;

fn data(name: &str) -> String {
    workspace().join("tests/data").join(name).to_str().expect("a path is text").to_owned()
}

#[test]
fn the_month_is_imported_once_however_often_it_is_sent() {
    let folder = Folder::new();
    let file = data("flights-2013-01.ndjson.gz");
    let first = folder.run(&["import", &file]).ok();
    assert_eq!(first.counts(), [RECORDS as u64, 0, 0, 0]);
    assert!(first.stdout.contains("processed 26398"), "{}", first.stdout);
    let before = folder.run(&["aggregate", "--format", "json"]).ok().stdout;
    let again = folder.run(&["import", &file]).ok();
    assert_eq!(again.counts(), [0, RECORDS as u64, 0, 0]);
    assert!(again.stdout.contains("duplicates 26398"), "{}", again.stdout);
    let after = folder.run(&["aggregate", "--format", "json"]).ok().stdout;
    assert_eq!(after, before, "byte for byte");
    folder.run(&["verify"]).ok();

    let service = Service::start_in(folder.into(), tallyhouse_tests::servers::service::Options::new());
    let http = service.http();
    let month = month();
    let totals = totals();
    let iah = http.get("/v1/aggregates?destinationId=IAH&records=false").expect_status(200).json();
    let mine = month.iter().filter(|record| record["destinationId"] == "IAH");
    let mut group = iah["groups"][0].clone();
    group.as_object_mut().expect("an object").remove("destinationId");
    assert_eq!(group, sums::summary(mine));
    assert_eq!(group, totals["IAH"]);

    let whole = http.get("/v1/aggregates?records=false").expect_status(200).json();
    let mut groups = serde_json::Map::new();
    for group in whole["groups"].as_array().expect("a list") {
        let mut group = group.clone();
        let name = group.as_object_mut().expect("an object").remove("destinationId").expect("a name");
        groups.insert(name.as_str().expect("text").to_owned(), group);
    }
    assert_eq!(Value::from(groups), totals);

    // The pages of records hold the same number.
    let listed: usize = http
        .pages("/v1/records?destinationId=IAH&limit=1000")
        .iter()
        .map(|page| page["records"].as_array().map_or(0, Vec::len))
        .sum();
    assert_eq!(listed as u64, group["count"].as_u64().expect("a number"));
}

#[test]
fn the_month_sent_over_http_gives_the_same_totals() {
    let service = Service::start();
    let file = data("flights-2013-01.ndjson.gz");
    let url = service.url();
    let ran = service.run(&["import", &file, "--url", &url]).ok();
    assert_eq!(ran.counts(), [RECORDS as u64, 0, 0, 0]);
    let again = service.run(&["import", &file, "--url", &url]).ok();
    assert_eq!(again.counts(), [0, RECORDS as u64, 0, 0]);
    let imported = Folder::new();
    imported.run(&["import", &file]).ok();
    let here = imported.run(&["aggregate", "--format", "csv"]).ok().stdout;
    let there = service.run(&["aggregate", "--format", "csv", "--url", &url]).ok().stdout;
    assert_eq!(here, there);
    assert_eq!(here.lines().count(), 1 + totals().as_object().expect("an object").len());
}

#[test]
fn the_sample_is_the_beginning_of_the_month() {
    let sample = std::fs::read_to_string(data("flights-sample.ndjson")).expect("the sample is there");
    let sample: Vec<Value> = sample.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(sample, month()[..sample.len()]);
    assert_eq!(sample.len(), 300);
}
