//! The messages to the letter.

use super::*;
use crate::plan::{Arrival, Known, plan};
use crate::record::Record;
use crate::record::draft::Draft;
use crate::record::time::Timestamp;
use crate::rule::{RuleDraft, RuleSet};

const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

fn flight(id: &str, time: &str, record_type: &str, value: &str) -> Record {
    let draft = Draft {
        record_id: id,
        time,
        source_id: "UA",
        destination_id: "IAH",
        record_type,
        value,
        unit: "minute",
        reference: "EWR",
    };
    draft.check().unwrap()
}

fn rule(name: &str, threshold: &str, unit: Option<&str>) -> Rule {
    let draft = RuleDraft {
        name: name.into(),
        threshold: threshold.into(),
        unit: unit.map(Into::into),
        ..RuleDraft::default()
    };
    Rule::new(draft).unwrap()
}

fn stored(records: Vec<Record>, traceparent: Option<&str>) -> Vec<Arc<StoredRecord>> {
    let arrival = |record| Arrival { record, traceparent: traceparent.map(str::to_owned) };
    let batch: Vec<Arrival> = records.into_iter().map(arrival).collect();
    let rules = RuleSet::new([rule("large-value", "10.50", Some("minute")), rule("default", "10", None)]).unwrap();
    plan(&batch, Known::default(), &rules, Timestamp::parse("2026-01-01T00:00:00.000001Z").unwrap()).stored
}

fn flights() -> Vec<Record> {
    vec![
        flight("2013-01-01-UA1545-EWR-IAH", "2013-01-01T10:00:00Z", "positive", "11"),
        flight("2013-01-01-UA1714-LGA-IAH", "2013-01-01T09:29:00Z", "negative", "4.50"),
        flight("2013-01-02 \"ÜA\"/1", "2013-01-02T10:00:00.000500Z", "positive", "20"),
    ]
}

fn json(message: &Message) -> String {
    MessageFormat::default().to_json(message)
}

#[track_caller]
fn only(mut messages: impl Iterator<Item = Message>) -> Message {
    let message = messages.next().unwrap();
    assert_eq!(messages.next(), None);
    message
}

#[test]
fn the_first_notification_has_the_empty_summary_before_it() {
    let stored = stored(flights(), None);
    let expected = concat!(
        r#"{"specversion":"1.0","type":"tallyhouse.record.processed.v1","source":"urn:tallyhouse:records","#,
        r#""id":"2013-01-01-UA1545-EWR-IAH","subject":"IAH","time":"2026-01-01T00:00:00.000001Z","#,
        r#""datacontenttype":"application/json","position":"1~438abea08e2f53dd","data":{"record":{"recordId":"2013-01-01-UA1545-EWR-IAH","#,
        r#""time":"2013-01-01T10:00:00Z","sourceId":"UA","destinationId":"IAH","type":"positive","value":"11","#,
        r#""unit":"minute","reference":"EWR"},"sequence":1,"#,
        r#""previous":{"count":0,"firstTime":null,"lastTime":null,"totals":[]}}}"#,
    );
    assert_eq!(json(&only(Message::of(1, &stored[0], Topic::Notifications))), expected);
}

#[test]
fn a_later_notification_has_the_summary_of_those_before_it() {
    let stored = stored(flights(), None);
    let expected = concat!(
        r#"{"specversion":"1.0","type":"tallyhouse.record.processed.v1","source":"urn:tallyhouse:records","#,
        r#""id":"2013-01-02 \"ÜA\"/1","subject":"IAH","time":"2026-01-01T00:00:00.000001Z","#,
        r#""datacontenttype":"application/json","position":"3~3eb84092015781ec","data":{"record":{"recordId":"2013-01-02 \"ÜA\"/1","#,
        r#""time":"2013-01-02T10:00:00.000500Z","sourceId":"UA","destinationId":"IAH","type":"positive","value":"20","#,
        r#""unit":"minute","reference":"EWR"},"sequence":3,"previous":{"count":2,"#,
        r#""firstTime":"2013-01-01T09:29:00Z","lastTime":"2013-01-01T10:00:00Z","totals":[{"unit":"minute","count":2,"#,
        r#""positive":{"count":1,"sum":"11"},"negative":{"count":1,"sum":"4.50"},"net":"6.50"}]}}}"#,
    );
    assert_eq!(json(&only(Message::of(3, &stored[2], Topic::Notifications))), expected);
}

#[test]
fn an_alert_has_its_rule_as_it_was() {
    let stored = stored(flights(), Some(TRACE));
    let alerts: Vec<String> = Message::of(1, &stored[0], Topic::Alerts).map(|message| json(&message)).collect();
    let alert = |position: &str, name: &str, rule: &str| {
        [
            r#"{"specversion":"1.0","type":"tallyhouse.record.alert.v1","source":"urn:tallyhouse:alerts","#,
            r#""id":"2013-01-01-UA1545-EWR-IAH/"#,
            name,
            r#"","subject":"IAH","time":"2026-01-01T00:00:00.000001Z","datacontenttype":"application/json","#,
            r#""traceparent":"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01","#,
            r#""position":""#,
            position,
            r#"~438abea08e2f53dd","data":{"record":{"recordId":"2013-01-01-UA1545-EWR-IAH","time":"2013-01-01T10:00:00Z","sourceId":"UA","#,
            r#""destinationId":"IAH","type":"positive","value":"11","unit":"minute","reference":"EWR"},"sequence":1,"#,
            r#""rule":"#,
            rule,
            "}}",
        ]
        .concat()
    };
    let expected = [
        alert("1", "large-value", r#"{"name":"large-value","threshold":"10.50","unit":"minute"}"#),
        alert("1-1", "default", r#"{"name":"default","threshold":"10"}"#),
    ];
    assert_eq!(alerts, expected);
}

#[test]
fn a_trace_is_handed_on_with_every_message_and_absent_without_one() {
    for trace in [None, Some(TRACE)] {
        for message in stored(flights(), trace).iter().flat_map(|stored| Message::all_of(7, stored)) {
            let event: serde_json::Value = serde_json::from_str(&json(&message)).unwrap();
            assert_eq!(event.get("traceparent").and_then(serde_json::Value::as_str), trace);
        }
    }
}

#[test]
fn a_record_has_a_notification_and_an_alert_for_every_rule_it_met() {
    let stored = stored(flights(), None);
    let ids = |stored: &Arc<StoredRecord>| -> Vec<String> {
        Message::all_of(1, stored).map(|message| message.id()).collect()
    };
    let id = "2013-01-01-UA1545-EWR-IAH";
    assert_eq!(ids(&stored[0]), [id.to_owned(), format!("{id}/large-value"), format!("{id}/default")]);
    assert_eq!(ids(&stored[1]), ["2013-01-01-UA1714-LGA-IAH"]);
    assert_eq!(Message::of(2, &stored[1], Topic::Alerts).next(), None);
    let topics: Vec<Topic> = Message::all_of(1, &stored[0]).map(|message| message.topic()).collect();
    assert_eq!(topics, [Topic::Notifications, Topic::Alerts, Topic::Alerts]);
    let rules: Vec<Option<String>> =
        Message::all_of(1, &stored[0]).map(|message| message.rule().map(|rule| rule.name().to_owned())).collect();
    assert_eq!(rules, [None, Some("large-value".to_owned()), Some("default".to_owned())]);
}

#[test]
fn the_sources_are_settings_and_nothing_else_changes() {
    let format = MessageFormat { records_source: "urn:a".to_owned(), alerts_source: "urn:\"b\"".to_owned() };
    for message in Message::all_of(1, &stored(flights(), None)[0]) {
        let default = json(&message);
        let expected = match message.topic() {
            Topic::Notifications => default.replace("urn:tallyhouse:records", "urn:a"),
            Topic::Alerts => default.replace("urn:tallyhouse:alerts", r#"urn:\"b\""#),
        };
        assert_eq!(format.to_json(&message), expected);
        assert_ne!(expected, default);
    }
}

#[test]
fn a_message_is_one_line() {
    for message in stored(flights(), Some(TRACE)).iter().flat_map(|stored| Message::all_of(7, stored)) {
        assert!(!json(&message).contains('\n'));
    }
}

#[test]
fn a_topic_has_the_name_of_its_channel() {
    assert_eq!(Topic::ALL.map(Topic::name), ["notifications", "alerts"]);
}
