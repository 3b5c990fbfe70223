//! Each answer is of one snapshot, also one that takes several statements, while others commit, publish and change rules.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tallyhouse_core::ports::{Backlog, Batch, GroupPart, Owner, RuleRepository, Store};
use tallyhouse_core::{
    DestinationId, Draft, GroupQuery, Precondition, Record, RecordQuery, Rule, RuleEdit, SummaryQuery,
};

use futures::future::join;

use super::consistency::assert_consistent;
use super::groups::read_groups;
use super::{RepositoryFixture, batch_of, commit, moment, parallel_handle, rule};
use crate::conformance::yield_now;
use crate::doubles::generate::draft;

/// Keys of each batch under one destination: more than an adapter reads of a page by one statement.
const REFERENCES: u64 = 300;
/// Further destinations of each batch, with a record each.
const DESTINATIONS: u64 = 10;
const BATCH: u64 = REFERENCES + DESTINATIONS;
const BATCHES: u64 = 12;

/// Every batch has one record of each key, at the same times, so that one snapshot has the same number of records for each
/// key and each time. The reader asks every question again and again while the batches are committed.
pub async fn every_answer_is_one_snapshot_while_others_commit<F: RepositoryFixture>() {
    let fixture = F::fresh().await;
    let (reader, writer) = (parallel_handle(&fixture).await, parallel_handle(&fixture).await);
    let rules = fixture.rules().await;
    let (me, is_writing) = (Owner::new("me"), AtomicBool::new(true));
    let write = async {
        let mut published = Vec::new();
        for n in 0..BATCHES {
            let next = Batch { published: std::mem::take(&mut published), ..batch_of(&me, records_of(n)) };
            let entry = commit(&*writer, next).await.entry.expect("records are stored");
            // Every other entry is removed, and the outbox grows all the same.
            published.extend((n % 2 == 0).then_some(entry.id));
            rules.amend_rules(edit(n)).await.expect("a rule is changed");
            yield_now().await;
        }
        is_writing.store(false, Ordering::SeqCst);
    };
    let read = async {
        loop {
            // Asked before the read, so that there is one after the last batch.
            let was_writing = is_writing.load(Ordering::SeqCst);
            check_pages(&*reader).await;
            check_groups(&*reader).await;
            check_outbox_and_rules(&*reader, &*rules).await;
            if !was_writing {
                return;
            }
            yield_now().await;
        }
    };
    join(read, write).await;
    assert_eq!(assert_consistent(&*reader).await.len() as u64, BATCHES * BATCH);
}

fn records_of(n: u64) -> Vec<Record> {
    let one = |i: u64| {
        let reference = if i < REFERENCES { format!("{i:03}") } else { String::new() };
        let destination = if i < REFERENCES { "D".to_owned() } else { format!("d{i}") };
        // Batches lie side by side in time: a later one has records before those of an earlier one.
        let time = format!("2026-01-01T00:{:02}:{:02}Z", i / 60, i % 60);
        draft(Draft {
            record_id: &format!("{i:03}-{n}"),
            time: &time,
            source_id: "S",
            destination_id: &destination,
            record_type: "positive",
            value: "1",
            unit: "EUR",
            reference: &reference,
        })
    };
    (0..BATCH).map(one).collect()
}

/// Changes one of three rules, which no record meets.
fn edit(n: u64) -> RuleEdit {
    let rule =
        Rule::new(rule(&format!("rule-{}", n % 3), &format!("{}", 1_000 + n))).expect("the case gives a valid rule");
    RuleEdit {
        name: rule.name().to_owned(),
        rule: Some(Arc::new(rule)),
        precondition: Precondition::Any,
        now: moment(7),
    }
}

async fn check_pages(reader: &dyn Store) {
    let all = usize::try_from(BATCHES * BATCH).expect("a few thousand") + 1;
    let destination_id = DestinationId::new("D").expect("the case gives a valid destination");
    let query = SummaryQuery { destination_id, reference: None, after: None, limit: all };
    let summaries = reader.summaries(query).await.expect("summaries are read");
    let counts: Vec<u64> = summaries.rows.iter().map(|(_, summary)| summary.count()).collect();
    assert_same(&counts, REFERENCES, "the summaries of a page");

    let page = reader.records(RecordQuery { limit: all, ..RecordQuery::default() }).await.expect("records are read");
    let mut by_time = BTreeMap::new();
    for stored in &page.rows {
        *by_time.entry(stored.processed.record.time).or_insert(0) += 1;
    }
    assert_same(&by_time.into_values().collect::<Vec<u64>>(), BATCH, "the records of a page");
}

async fn check_groups(reader: &dyn Store) {
    for records in [true, false] {
        let (parts, _) = read_groups(reader, GroupQuery { records, ..GroupQuery::default() }).await;
        let (mut told, mut listed) = (Vec::new(), Vec::new());
        for part in parts {
            match part {
                GroupPart::Group(_, summary) => {
                    told.push(summary.count());
                    listed.push(0);
                }
                GroupPart::Records(some) => *listed.last_mut().expect("a group comes first") += some.len() as u64,
            }
        }
        assert!(!records || told == listed, "the totals {told:?} are those of other records than {listed:?}");
        if let Some(of_references) = told.first_mut() {
            *of_references /= REFERENCES;
        }
        assert_same(&told, DESTINATIONS + 1, "the groups of an answer");
    }
}

async fn check_outbox_and_rules(reader: &dyn Store, rules: &dyn RuleRepository) {
    let Backlog { batches, records, oldest } = reader.backlog().await.expect("the backlog is read");
    assert_eq!((batches * BATCH, batches == 0), (records, oldest.is_none()), "the backlog");
    let managed = rules.managed_rules().await.expect("the rules are read");
    let newest = managed.rules.iter().map(|managed| managed.version).max();
    assert_eq!(newest.unwrap_or_default(), managed.version, "the rules and their version");
    let report = tallyhouse_pipeline::audit(reader).await.expect("the audit ends");
    assert_eq!((report.findings, report.records % BATCH), (Vec::new(), 0), "the audit");
}

#[track_caller]
fn assert_same(counts: &[u64], expected: u64, what: &str) {
    let is_empty = counts.is_empty();
    assert!(is_empty || counts.len() as u64 == expected, "{what} have {} of {expected} rows", counts.len());
    assert!(counts.iter().all(|count| *count == counts[0]), "{what} are of several moments: {counts:?}");
}
