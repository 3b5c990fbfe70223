//! The transaction: its round trips, its locks, its races.

use std::time::Duration;
use tallyhouse_core::ports::{ClaimScope, Outbox as _, Owner, RecordReader as _, RecordRepository};
use tallyhouse_core::{DestinationId, Outcome, RecordId, SummaryQuery};
use tallyhouse_testing::generate;

use diesel::connection::SimpleConnection;
use tallyhouse_tests::servers::postgres::PostgresServer;

use crate::proxy::Proxy;
use crate::support::{batch, commit, connect, database, fresh, make_it_lock, record, records, repository};

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_of_any_size_takes_one_round_trip_and_four_beside_other_instances() {
    let proxy = Proxy::before(PostgresServer::shared().port()).await;
    let direct = database().await;
    let repository = repository(&proxy.url(&direct));
    let trips = async |records| {
        let before = proxy.round_trips();
        let committed = commit(&repository, records).await;
        (proxy.round_trips() - before, committed)
    };
    // They connect and prepare the statements. After a duplicate, ids are looked up for a while.
    let warm = |n: u32| [record(&format!("warm-{n}"), "warm", "")];
    for n in [0, 0].into_iter().chain(1..=16) {
        commit(&repository, warm(n)).await;
    }

    for (name, count, keys) in [("one", 1, 1), ("some", 100, 40), ("many", 1_500, 700)] {
        let (first, committed) = trips(records(name, count, keys)).await;
        assert!(committed.entry.is_some());
        assert_eq!(first, 2, "for {count} records of new keys, which are read first");
        // Of the same keys, which `records` draws by these numbers.
        let (again, _) = trips(records(&format!("{name}-more"), count, keys)).await;
        assert_eq!(again, 1, "for {count} records of cached keys");
    }
    let (meeting, again) = trips(records("many", 1_500, 700)).await;
    assert!(again.outcomes.iter().all(|outcome| outcome.name() == "duplicate"));
    assert_eq!(meeting, 5, "for unexpected duplicates: a failed write, BEGIN, a read, a write, COMMIT");
    let (expecting, _) = trips(records("many", 1_500, 700)).await;
    assert_eq!(expecting, 2, "for expected duplicates: a read, and a commit that waits until they are durable");

    make_it_lock(&repository, &direct).await;
    let (shared, _) = trips(records("shared", 500, 200)).await;
    assert_eq!(shared, 4, "where other instances write the same keys");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_locked_while_its_batch_is_open() {
    let url = database().await;
    let repository = repository(&url);
    commit(&repository, [record("r-1", "d", "known")]).await;
    for reference in ["known", "new"] {
        let mut other = connect(&url);
        other
            .batch_execute(&format!("BEGIN; SELECT * FROM lock_and_read(ARRAY['d'], ARRAY['{reference}'], '{{}}')"))
            .unwrap();
        let waiting = repository.clone();
        let id = format!("r-{reference}");
        let mut commit =
            tokio::spawn(async move { waiting.commit(batch([record(&id, "d", reference)])).await.unwrap() });
        let early = tokio::time::timeout(Duration::from_millis(300), &mut commit).await;
        assert!(early.is_err(), "the key {reference} was not locked");
        other.batch_execute("COMMIT").unwrap();
        assert_eq!(commit.await.unwrap().outcomes[0].name(), "processed");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn batches_with_the_same_keys_in_any_order_never_deadlock() {
    let url = database().await;
    let writers: Vec<_> = (0..4).map(|_| repository(&url)).collect();
    let mut tasks = Vec::new();
    for (n, writer) in writers.into_iter().enumerate() {
        tasks.push(tokio::spawn(async move {
            for round in 0..20 {
                let mut records: Vec<_> =
                    (0..50).map(|k| record(&format!("{n}-{round}-{k}"), &format!("d{k}"), "")).collect();
                if n % 2 == 0 {
                    records.reverse();
                }
                writer.commit(batch(records)).await.unwrap();
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    let deadlocks = PostgresServer::shared()
        .psql(
            url.rsplit('/').next().unwrap(),
            "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()",
        )
        .unwrap();
    assert_eq!(deadlocks, "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_that_another_transaction_takes_meanwhile_is_judged_again() {
    let url = database().await;
    let repository = repository(&url);
    // Another transaction has inserted the id under another key, and not committed: only the insert finds out.
    let mut other = connect(&url);
    other
        .batch_execute(
            "BEGIN; INSERT INTO summaries VALUES ('elsewhere', '', '[1,0,0,[[\"EUR\",1,\"12.50\",0,\"0\"]]]'); \
             INSERT INTO records (time, processed_at, sequence, slot, positive, record_id, source_id, destination_id, \
             reference, unit, value) \
             VALUES ('2026-01-01T00:00:00Z', now(), 1, 0, true, 'raced', 'source', 'elsewhere', '', 'EUR', 12.50)",
        )
        .unwrap();
    let racing = repository.clone();
    let task = tokio::spawn(async move {
        racing.commit(batch([record("before", "here", ""), record("raced", "here", "")])).await.unwrap()
    });
    let name = url.rsplit('/').next().unwrap();
    let waiting =
        "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()";
    while PostgresServer::shared().psql(name, waiting).unwrap() != "1" {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    other.batch_execute("COMMIT").unwrap();

    let committed = task.await.unwrap();
    assert_eq!(committed.outcomes[0].name(), "processed");
    let Outcome::Conflict { differs, .. } = &committed.outcomes[1] else { panic!("{:?}", committed.outcomes[1]) };
    assert_eq!(differs.iter().map(|field| field.name()).collect::<Vec<_>>(), ["destinationId"]);
    assert_eq!(committed.entry.map(|entry| (entry.first, entry.last)), Some((1, 1)));
    assert_eq!(repository.head().await.unwrap(), 1, "the attempt that was undone has no positions");
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_leave_no_row_behind() {
    let url = database().await;
    let repository = repository(&url);
    let owner = Owner::new("owner");
    let mut first = batch([record("r", "d", "")]);
    first.owner = Some(owner.clone());
    let entry = repository.commit(first).await.unwrap().entry.unwrap();

    // Alone, with a published entry, and with a good record.
    let conflict = || generate::record("r", "other", "", "1", "EUR");
    let alone = repository.commit(batch([conflict()])).await.unwrap();
    let mut marking = batch([conflict()]);
    marking.owner = Some(owner.clone());
    marking.published = vec![entry.id];
    let marked = repository.commit(marking).await.unwrap();
    let mixed = repository.commit(batch([conflict(), record("s", "good", "")])).await.unwrap();

    for committed in [alone, marked, mixed] {
        assert_eq!(committed.outcomes[0].name(), "conflict");
    }
    let query =
        SummaryQuery { destination_id: DestinationId::new("other").unwrap(), reference: None, after: None, limit: 10 };
    assert_eq!(repository.summaries(query).await.unwrap().rows, []);
    let rows =
        PostgresServer::shared().psql(url.rsplit('/').next().unwrap(), "SELECT count(*) FROM summaries").unwrap();
    assert_eq!(rows, "2");
    assert!(repository.claim(&owner, ClaimScope::Own, 10).await.unwrap().is_empty(), "it was marked as published");
}

#[tokio::test(flavor = "multi_thread")]
async fn three_repositories_share_one_hot_key() {
    let url = database().await;
    let mut tasks = Vec::new();
    for n in 0..3 {
        let repository = repository(&url);
        tasks.push(tokio::spawn(async move {
            let mut sequences = Vec::new();
            for round in 0..30 {
                let records: Vec<_> = (0..20).map(|k| record(&format!("{n}-{round}-{k}"), "hot", "")).collect();
                for outcome in repository.commit(batch(records)).await.unwrap().outcomes {
                    let Outcome::Processed(stored) = outcome else { panic!("{outcome:?}") };
                    assert_eq!(stored.previous.count() + 1, stored.processed.sequence);
                    sequences.push(stored.processed.sequence);
                }
            }
            sequences
        }));
    }
    let mut sequences = Vec::new();
    for task in tasks {
        sequences.extend(task.await.unwrap());
    }
    sequences.sort_unstable();
    assert_eq!(sequences, (1..=1_800).collect::<Vec<u64>>());
}

#[tokio::test]
async fn the_longest_texts_fit_the_indexes() {
    let repository = fresh().await;
    let longest = |n: usize| "\u{10348}".repeat(n);
    let record = generate::record(&longest(255), &longest(255), &longest(255), "1", &longest(64));
    commit(&repository, [record.clone()]).await;
    let found = repository.find(&RecordId::new(&longest(255)).unwrap()).await.unwrap().unwrap();
    assert_eq!(found.processed.record, record);
}
