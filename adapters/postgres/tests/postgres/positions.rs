//! Positions: dense, and in the order in which readers see commits.

use std::sync::Arc;
use std::time::Duration;
use tallyhouse_core::ports::{HistoryQuery, RecordReader as _, RecordRepository};
use tallyhouse_core::{Rule, RuleBook, RuleDraft, RuleSet};

use diesel::connection::SimpleConnection;
use tallyhouse_postgres::PostgresRepository;

use crate::support::{batch, commit, connect, database, fresh, record, records, repository};

async fn ids_after(repository: &PostgresRepository, after: u64) -> Vec<(u64, String)> {
    let page = repository.history(HistoryQuery { after, alerting_only: false, limit: 1_000 }).await.unwrap();
    page.into_iter().map(|(position, stored)| (position, stored.processed.record.record_id.to_string())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_commits_late_is_never_skipped() {
    let url = database().await;
    let repository = repository(&url);
    commit(&repository, [record("first", "d", "")]).await;

    // A transaction that has inserted its record, and so taken its slot, before the others, and commits after them.
    let mut late = connect(&url);
    late.batch_execute(
        "BEGIN; INSERT INTO records (time, processed_at, sequence, slot, positive, record_id, source_id, destination_id, \
         reference, unit, value) \
         VALUES ('2026-01-01T00:00:00Z', now(), 1, nextval('slots'), true, 'late', 'source', 'late', '', 'EUR', 1)",
    )
    .unwrap();
    commit(&repository, [record("second", "d", ""), record("third", "d", "")]).await;
    let seen = ids_after(&repository, 0).await;
    assert_eq!(seen, [(1, "first".to_owned()), (2, "second".to_owned()), (3, "third".to_owned())]);

    // As finish_commit does.
    late.batch_execute(
        "SELECT pg_advisory_xact_lock('batches'::regclass::oid::int, 0); \
         INSERT INTO batches SELECT 1 + max(last), 1 + max(last), (SELECT slot FROM records WHERE record_id = 'late'), \
         false FROM batches",
    )
    .unwrap();
    // Its positions are taken and not visible: no other commit may get a higher one first.
    let waiting = repository.clone();
    let mut fifth = tokio::spawn(async move { commit(&waiting, [record("fifth", "d", "")]).await });
    assert!(tokio::time::timeout(Duration::from_millis(300), &mut fifth).await.is_err());
    assert_eq!(repository.head().await.unwrap(), 3);
    late.batch_execute("COMMIT").unwrap();
    fifth.await.unwrap();
    assert_eq!(ids_after(&repository, 3).await, [(4, "late".to_owned()), (5, "fifth".to_owned())]);
}

#[tokio::test]
async fn positions_follow_the_order_of_the_batch_and_have_no_gap_after_an_undone_one() {
    let url = database().await;
    let repository = repository(&url);
    commit(&repository, [record("b", "d", ""), record("a", "e", ""), record("c", "d", "")]).await;
    connect(&url)
        .batch_execute(
            "BEGIN; SELECT nextval('slots'), pg_advisory_xact_lock('batches'::regclass::oid::int, 0); ROLLBACK",
        )
        .unwrap();
    let entry = commit(&repository, [record("b", "d", ""), record("d", "d", "")]).await.entry.unwrap();
    assert_eq!((entry.first, entry.last), (4, 4));
    let ids: Vec<String> = ids_after(&repository, 0).await.into_iter().map(|(_, id)| id).collect();
    assert_eq!(ids, ["b", "a", "c", "d"]);
}

#[tokio::test]
async fn pages_of_any_size_find_every_position_once() {
    let repository = fresh().await;
    for (n, size) in [3, 1, 17, 2, 40, 1].into_iter().enumerate() {
        commit(&repository, records(&format!("batch-{n}"), size, 3)).await;
    }
    for limit in [1, 2, 5, 16, 64, 1_000] {
        let mut after = 0;
        loop {
            let page = repository.history(HistoryQuery { after, alerting_only: false, limit }).await.unwrap();
            let Some((last, _)) = page.last() else { break };
            let positions: Vec<u64> = page.iter().map(|(position, _)| *position).collect();
            assert_eq!(positions, (after + 1..=*last).collect::<Vec<_>>());
            after = *last;
        }
        assert_eq!(after, 64);
    }
}

#[tokio::test]
async fn alerting_records_are_found_among_many_others() {
    let repository = fresh().await;
    let draft = RuleDraft { name: "large".to_owned(), threshold: "12".to_owned(), ..RuleDraft::default() };
    let rules: Arc<RuleBook> = Arc::new(RuleSet::new([Rule::new(draft).unwrap()]).unwrap().into());
    let mut expected = Vec::new();
    for n in 0..30_u64 {
        let mut arrivals = batch((0..10).map(|k| record(&format!("{n}-{k}"), "d", "")));
        if n % 10 == 9 {
            arrivals.rules = Arc::clone(&rules);
            expected.extend(n * 10 + 1..=n * 10 + 10);
        }
        repository.commit(arrivals).await.unwrap();
    }
    let mut found = Vec::new();
    let mut after = 95;
    loop {
        let page = repository.history(HistoryQuery { after, alerting_only: true, limit: 4 }).await.unwrap();
        let Some((last, _)) = page.last() else { break };
        assert_eq!(page[0].0, after + 1);
        assert!(page[1..].iter().all(|(_, stored)| stored.alert_names() == ["large"]));
        after = *last;
        found.extend(page.iter().filter(|(_, stored)| !stored.alerts.is_empty()).map(|(position, _)| *position));
    }
    expected.retain(|position| *position > 95);
    assert_eq!(found, expected);
}
