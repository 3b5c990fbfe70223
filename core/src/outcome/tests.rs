//! Outcomes, stored records and summaries come back from their JSON as they were.

use proptest::prelude::*;

use super::*;
use crate::plan::{Arrival, Known, plan};
use crate::record::arbitrary::{any_record, record};
use crate::rule::{RuleDraft, RuleSet};

fn rules() -> RuleSet {
    let rule = |name: &str, threshold: &str, on: &str| {
        let (name, threshold, on) = (name.to_owned(), threshold.to_owned(), Some(on.to_owned()));
        Rule::new(RuleDraft { name, threshold, on, ..RuleDraft::default() }).unwrap()
    };
    RuleSet::new([rule("value", "0.50", "value"), rule("total", "100", "total")]).unwrap()
}

/// Writes and reads, and writes again: `==` takes 1.0 for 1.00.
#[track_caller]
fn check_round_trip<T: Serialize + for<'de> Deserialize<'de> + PartialEq + std::fmt::Debug>(value: &T) {
    let json = serde_json::to_string(value).unwrap();
    let read: T = serde_json::from_str(&json).unwrap_or_else(|error| panic!("{error}: {json}"));
    assert_eq!((&read, serde_json::to_string(&read).unwrap()), (value, json));
}

#[track_caller]
fn check_broken<T: for<'de> Deserialize<'de> + std::fmt::Debug>(json: &str, from: &str, to: &str) {
    assert!(json.contains(from), "{json} has no {from}");
    let broken = json.replace(from, to);
    serde_json::from_str::<T>(&broken).expect_err(&broken);
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(records in prop::collection::vec(any_record(), 1..12), traced: bool) {
        let traceparent = traced.then(|| "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".to_owned());
        let mut arrivals: Vec<Arrival> = records
            .iter()
            .map(|record| Arrival { record: record.clone(), traceparent: traceparent.clone() })
            .collect();
        // The same id again: the first one as it was, and one that differs.
        arrivals.push(arrivals[0].clone());
        arrivals.push(Arrival::from(record(records[0].record_id.as_str(), "another", "", "1", "EUR")));
        let at = Timestamp::parse("2026-01-01T00:00:00.000001Z").unwrap();
        for outcome in plan(&arrivals, Known::default(), &rules(), at).outcomes {
            check_round_trip(&outcome);
            if let Outcome::Processed(stored) = &outcome {
                check_round_trip(&stored.processed);
                check_round_trip(&stored.processed.record);
                check_round_trip(&stored.previous);
                let kept = stored.to_stored();
                let read = StoredRecord::from_stored(&kept).unwrap();
                prop_assert_eq!(&read, &**stored);
                prop_assert_eq!(read.to_stored(), kept);
            }
        }
    }
}

#[test]
fn outcomes_are_written_as_results_of_writes() {
    let arrivals = ["12.50", "3"].map(|value| Arrival::from(record("r", "D", "", value, "EUR")));
    let at = Timestamp::parse("2026-01-01T00:00:00Z").unwrap();
    let outcomes = plan(&arrivals, Known::default(), &rules(), at).outcomes;
    let json: Vec<String> = outcomes.iter().map(|outcome| serde_json::to_string(outcome).unwrap()).collect();
    assert_eq!(
        json[0],
        concat!(
            r#"{"outcome":"processed","recordId":"r","time":"2026-01-01T00:00:00Z","sourceId":"source","destinationId":"D","#,
            r#""type":"positive","value":"12.50","unit":"EUR","reference":"","sequence":1,"processedAt":"2026-01-01T00:00:00Z","#,
            r#""previous":{"count":0,"firstTime":null,"lastTime":null,"totals":[]},"alerts":["value"],"#,
            r#""rules":[{"name":"value","threshold":"0.50"}]}"#
        )
    );
    assert_eq!(json[1], r#"{"outcome":"conflict","recordId":"r","error":{"differs":["value"]}}"#);
    let rejected = Outcome::Rejected(Rejection::at(None, "/value", "is missing"));
    let expected = concat!(
        r#"{"outcome":"rejected","recordId":null,"error":{"code":"rejected","#,
        r#""errors":[{"pointer":"/value","detail":"is missing"}]}}"#
    );
    assert_eq!(serde_json::to_string(&rejected).unwrap(), expected);
    check_round_trip(&rejected);
}

#[test]
fn what_contradicts_itself_is_not_read() {
    let arrivals = ["a", "b"].map(|id| Arrival::from(record(id, "D", "", "12.50", "EUR")));
    let at = Timestamp::parse("2026-01-01T00:00:00Z").unwrap();
    let outcomes = plan(&arrivals, Known::default(), &rules(), at).outcomes;
    let json = serde_json::to_string(&outcomes[1]).unwrap();
    check_broken::<Outcome>(&json, r#""sequence":2"#, r#""sequence":3"#);
    check_broken::<Outcome>(&json, r#""value":"12.50""#, r#""value":"-12.50""#);
    check_broken::<Outcome>(&json, r#""name":"value""#, r#""name":"Value""#);
    let Outcome::Processed(stored) = &outcomes[1] else { panic!("{outcomes:?}") };
    assert_eq!(StoredRecord::from_stored(&stored.to_stored().replace(r#""sequence":2"#, r#""sequence":1"#)), None);
    let summary = serde_json::to_string(&stored.previous).unwrap();
    for (from, to) in [
        (r#"{"count":1,"first"#, r#"{"count":2,"first"#),
        (r#""unit":"EUR","count":1"#, r#""unit":"EUR","count":2"#),
        (r#""net":"12.50""#, r#""net":"12.5""#),
        (r#""firstTime":"2026-01-01T00:00:00Z""#, r#""firstTime":null"#),
        (r#""firstTime":"2026-01-01T00:00:00Z""#, r#""firstTime":"2027-01-01T00:00:00Z""#),
        (r#"{"count":0,"sum":"0"}"#, r#"{"count":0,"sum":"1"}"#),
    ] {
        check_broken::<Summary>(&summary, from, to);
    }
    check_broken::<Outcome>(
        &serde_json::to_string(&Outcome::Rejected(Rejection::at(None, "", "x"))).unwrap(),
        r#"[{"pointer":"","detail":"x"}]"#,
        "[]",
    );
}
