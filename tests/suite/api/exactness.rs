//! Sums are exact from end to end, at any size; compared with pen and paper, and with Python.

use std::io::Write as _;
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use tallyhouse_tests::data::records::{ndjson, record_with};
use tallyhouse_tests::data::seed::Seed;
use tallyhouse_tests::data::sums;
use tallyhouse_tests::folder::workspace;
use tallyhouse_tests::servers::service::Service;

const LARGEST: &str = "9999999999999999999999999999";

fn totals(service: &Service) -> Value {
    let mut group = service.http().get("/v1/aggregates?records=false").expect_status(200).json()["groups"][0].clone();
    group.as_object_mut().expect("an object").remove("destinationId");
    group
}

/// Sends the values, and compares what the service makes of them with two others who add.
#[track_caller]
fn check(values: &[(&str, &str)]) -> Value {
    let sent: Vec<Value> = values
        .iter()
        .enumerate()
        .map(|(i, (kind, value))| record_with(&format!("r{i}"), json!({"type": kind, "value": value})))
        .collect();
    let service = Service::start();
    let counts = service.http().lines("?results=failed", ndjson(&sent));
    assert_eq!(counts, [json!({"processed": sent.len(), "duplicates": 0, "conflicts": 0, "rejected": 0})]);
    let totals = totals(&service);
    assert_eq!(totals, sums::summary(&sent));
    assert_eq!(totals, summary_of_the_script(&service, &sent));
    let running = service.http().get("/v1/summaries/IAH").json()["summaries"][0].clone();
    assert_eq!(running["totals"], totals["totals"], "the running summary says the same");
    service.run(&["verify"]).ok();
    totals["totals"].clone()
}

fn summary_of_the_script(service: &Service, sent: &[Value]) -> Value {
    service.folder().write("sent.ndjson", ndjson(sent));
    let mut command = Command::new("python3");
    command
        .arg(workspace().join("tests/scripts/totals.py"))
        .arg(service.folder().path().join("sent.ndjson"))
        .arg("IAH");
    let output = command.stdin(Stdio::null()).output().expect("python3 is there");
    std::io::stderr().write_all(&output.stderr).expect("standard error takes text");
    serde_json::from_slice(&output.stdout).expect("the script writes JSON")
}

#[test]
fn ten_tenths_are_one() {
    let totals = check(&[("positive", "0.1"); 10]);
    assert_eq!(totals[0]["net"], "1.0");
}

#[test]
fn a_hundredth_is_not_lost_beside_the_largest_number() {
    let totals = check(&[("positive", LARGEST), ("positive", "0.0000000000000000000000000001"), ("negative", LARGEST)]);
    assert_eq!(totals[0]["net"], "0.0000000000000000000000000001");
    assert_eq!(totals[0]["positive"]["sum"], "9999999999999999999999999999.0000000000000000000000000001");
}

#[test]
fn totals_grow_far_beyond_one_value() {
    let totals = check(&[("positive", LARGEST); 2_000]);
    assert_eq!(totals[0]["net"], "19999999999999999999999999998000");
    let totals = check(&[("negative", "7922816251426433759354395033"); 11]);
    assert_eq!(totals[0]["net"], "-87150978765690771352898345363");
}

#[test]
fn a_sum_has_the_largest_scale_of_its_addends_and_no_negative_zero() {
    let totals = check(&[("positive", "12.50"), ("positive", "1"), ("negative", "13.5")]);
    assert_eq!(totals[0]["positive"]["sum"], "13.50");
    assert_eq!(totals[0]["net"], "0.00");
    let totals = check(&[("negative", "0.000")]);
    assert_eq!((&totals[0]["positive"]["sum"], &totals[0]["net"]), (&json!("0"), &json!("0.000")));
}

#[test]
fn unlike_units_are_never_added() {
    let service = Service::start();
    let sent = [("a", "EUR", "1"), ("b", "eur", "2"), ("c", "minute", "4"), ("d", "EUR ", "8"), ("e", "É", "16")]
        .map(|(id, unit, value)| record_with(id, json!({"unit": unit, "value": value})));
    service.http().batch(&sent);
    let totals = totals(&service);
    assert_eq!(totals, sums::summary(&sent));
    let units: Vec<&Value> = totals["totals"].as_array().expect("a list").iter().map(|total| &total["unit"]).collect();
    assert_eq!(units, ["EUR", "EUR ", "eur", "minute", "É"], "by bytes");
}

/// Any values that a record may have, many at once.
#[test]
fn random_values_are_summed_exactly() {
    let mut seed = Seed::draw();
    let drawn: Vec<(&str, String)> = (0..500)
        .map(|_| {
            let digits: String = (0..1 + seed.below(28)).map(|_| char::from(b'0' + (seed.bits() % 10) as u8)).collect();
            let digits = digits.trim_start_matches('0').to_owned();
            let scale = seed.below(28);
            let digits = format!("{}{digits}", "0".repeat((scale + 1).saturating_sub(digits.len())));
            let (whole, fraction) = digits.split_at(digits.len() - scale);
            let point = if fraction.is_empty() { "" } else { "." };
            (*seed.choose(&["positive", "negative"]), format!("{whole}{point}{fraction}"))
        })
        .collect();
    let values: Vec<(&str, &str)> = drawn.iter().map(|(side, value)| (*side, value.as_str())).collect();
    check(&values);
}
