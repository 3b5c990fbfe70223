//! A correct store has no findings, and each kind of damage is named.

use futures::stream;
use tallyhouse_core::{ProcessedRecord, Rule, RuleDraft, Timestamp};
use tallyhouse_testing::{MockRecordReader, generate};

use super::*;

/// The parts of a correct store with three records of one key, and one of another.
fn whole() -> Vec<AuditPart> {
    let mut parts = Vec::new();
    let mut position = 0;
    for (destination, values) in [("a", vec!["1.5", "2", "3"]), ("b", vec!["7"])] {
        let (mut running, mut records) = (Summary::default(), Vec::new());
        for (i, value) in values.iter().enumerate() {
            let record = generate::record(&format!("{destination}{i}"), destination, "", value, "EUR");
            let previous = running.clone();
            running.add(&record);
            position += 1;
            let processed_at = Timestamp::parse("2026-01-01T00:00:00Z").unwrap();
            let processed = ProcessedRecord { record, sequence: running.count(), processed_at };
            let stored = StoredRecord { processed, previous, alerts: Vec::new(), traceparent: None };
            records.push(AuditPart::Record(position, Box::new(stored)));
        }
        let key = generate::record("x", destination, "", "1", "EUR").key();
        parts.push(AuditPart::Key(key, Some(running)));
        parts.extend(records);
    }
    parts.push(AuditPart::Outbox(3, 4));
    parts
}

/// Damages a correct store and checks the findings.
#[track_caller]
fn check(damage: impl FnOnce(&mut Vec<AuditPart>), expected: &[&str]) {
    let mut parts = whole();
    damage(&mut parts);
    let mut repository = MockRecordReader::new();
    repository.expect_audit().return_once(move || Ok(Box::pin(stream::iter(parts.into_iter().map(Ok)))));
    let report = futures::executor::block_on(audit(&repository)).unwrap();
    let found = |expected: &&str| report.findings.iter().any(|finding| finding.contains(*expected));
    assert!(expected.iter().all(found), "expected {expected:?} among {:#?}", report.findings);
    assert_eq!(report.findings_count > 0, !expected.is_empty(), "{:#?}", report.findings);
}

fn stored_mut(part: &mut AuditPart) -> &mut StoredRecord {
    match part {
        AuditPart::Record(_, stored) => stored,
        _ => panic!("no record: {part:?}"),
    }
}

#[test]
fn a_correct_store_has_no_findings() {
    check(|_| {}, &[]);
}

#[test]
fn each_kind_of_damage_is_named() {
    check(
        |parts| stored_mut(&mut parts[2]).processed.record.value = crate::Value::parse("9").unwrap(),
        &["record \"a2\": the previous summary", "destination \"a\", reference \"\": the running summary"],
    );
    check(|parts| drop(parts.remove(2)), &["record \"a2\" has sequence 3, expected 2", "the positions are not 1 to 3"]);
    check(|parts| stored_mut(&mut parts[1]).processed.sequence = 7, &["record \"a0\" has sequence 7, expected 1"]);
    check(|parts| stored_mut(&mut parts[3]).previous = Summary::default(), &["record \"a2\": the previous summary"]);
    check(
        |parts| {
            let AuditPart::Key(_, kept) = &mut parts[0] else { panic!("the first part is a key") };
            *kept = None;
        },
        &["destination \"a\", reference \"\" has no running summary"],
    );
    check(
        |parts| drop(parts.remove(5)),
        &["destination \"b\", reference \"\" has a running summary and no record", "the outbox reaches position 4"],
    );
    check(|parts| parts[6] = AuditPart::Outbox(5, 4), &["the outbox has the positions 5 to 4"]);
    check(|parts| parts.push(AuditPart::Outbox(4, 4)), &["two entries of the outbox have the position 4"]);
    check(|parts| parts.push(AuditPart::Unreadable("row 17: bad value".to_owned())), &["row 17: bad value"]);
    check(
        |parts| {
            let never = RuleDraft { name: "never".to_owned(), threshold: "100".to_owned(), ..RuleDraft::default() };
            stored_mut(&mut parts[1]).alerts.push(Arc::new(Rule::new(never).unwrap()));
        },
        &["record \"a0\" has an alert by the rule \"never\""],
    );
}

#[test]
fn a_report_counts_records_keys_and_the_outbox() {
    let mut repository = MockRecordReader::new();
    repository.expect_audit().return_once(|| Ok(Box::pin(stream::iter(whole().into_iter().map(Ok)))));
    let report = futures::executor::block_on(audit(&repository)).unwrap();
    assert_eq!((report.records, report.keys, report.backlog_records), (4, 2, 2));
}

/// The roll-ups of [`whole`]'s records up to the third, which are all of one destination.
fn rolled_up() -> Vec<AuditPart> {
    let mut parts = whole();
    let records: Vec<Record> = parts[1..4].iter_mut().map(|part| stored_mut(part).processed.record.clone()).collect();
    let (first, last) = (records[0].time, records[2].time);
    let mut sum = crate::Sum::default();
    records.iter().for_each(|record| sum.add(record.value));
    let rows = Period::ALL.map(|period| {
        let Record { destination_id, unit, record_type, .. } = records[0].clone();
        let (begin, side) = (period.begin(first), crate::Side { count: 3, sum });
        AuditPart::RollUp(Box::new(RollUp { destination_id, period, begin, unit, record_type, side, first, last }))
    });
    parts.splice(4..4, rows);
    parts.insert(0, AuditPart::RolledUpTo(3));
    parts
}

fn roll_up_mut(part: &mut AuditPart) -> &mut RollUp {
    match part {
        AuditPart::RollUp(kept) => kept,
        _ => panic!("no roll-up: {part:?}"),
    }
}

/// Damages a store with roll-ups and checks the findings.
#[track_caller]
fn check_rolled_up(damage: impl FnOnce(&mut Vec<AuditPart>), expected: &[&str]) {
    check(
        |parts| {
            *parts = rolled_up();
            damage(parts);
        },
        expected,
    );
}

#[test]
fn roll_ups_that_differ_from_their_records_are_named() {
    check_rolled_up(|_| {}, &[]);
    check_rolled_up(
        |parts| parts[0] = AuditPart::RolledUpTo(4),
        &["destination \"b\": the roll-up of all of time is [0,"],
    );
    check_rolled_up(|parts| parts[0] = AuditPart::RolledUpTo(2), &["destination \"a\": the roll-up of 1 days from"]);
    check_rolled_up(
        |parts| parts[0] = AuditPart::RolledUpTo(5),
        &["rolled up to position 5, but the last record is at 4"],
    );
    check_rolled_up(|parts| drop(parts.remove(5)), &["destination \"a\": the roll-up of 1 days from"]);
    check_rolled_up(
        |parts| roll_up_mut(&mut parts[6]).side.count = 2,
        &["destination \"a\": the roll-up of 32 days from"],
    );
    check_rolled_up(
        |parts| roll_up_mut(&mut parts[7]).destination_id = DestinationId::new("c").unwrap(),
        &["destination \"a\": the roll-up of all of time", "destination \"c\": the roll-up of all of time"],
    );
}
