//! Optimistic commits: a wrong expectation is detected, and commits of one process are pipelined.

use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection;
use tallyhouse_core::ports::{PortErrorKind, RecordRepository, RuleRepository};
use tallyhouse_core::{Outcome, Precondition, Rule, RuleDraft, RuleEdit, StoredRecord};
use tallyhouse_postgres::PostgresRepository;
use tallyhouse_testing::generate;
use tallyhouse_tests::servers::postgres::PostgresServer;

use crate::support::{batch, commit, connect, database, now, record, repository};

fn psql(url: &str, sql: &str) -> String {
    PostgresServer::shared().psql(url.rsplit('/').next().unwrap(), sql).unwrap()
}

/// Returns how often a function was called in a database, by sessions that have ended.
async fn calls(url: &str, function: &str, at_least: u64) -> u64 {
    let sql = format!("SELECT coalesce(sum(calls), 0) FROM pg_stat_user_functions WHERE funcname = '{function}'");
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let calls = psql(url, &sql).parse().unwrap();
        if calls >= at_least || Instant::now() > deadline {
            return calls;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[expect(clippy::panic, reason = "a test that is given no record has nothing to say")]
fn stored(outcome: &Outcome) -> &StoredRecord {
    let Outcome::Processed(stored) = outcome else { panic!("{outcome:?}") };
    assert_eq!(stored.previous.count() + 1, stored.processed.sequence);
    stored
}

/// Commits one record of the key `(d, "")`, and returns its sequence.
async fn sequence(repository: &PostgresRepository, id: &str) -> u64 {
    stored(&commit(repository, [record(id, "d", "")]).await.outcomes[0]).processed.sequence
}

#[tokio::test(flavor = "multi_thread")]
async fn commits_of_one_process_on_one_key_go_side_by_side_and_in_order() {
    let url = database().await;
    psql(&url, &format!("ALTER DATABASE {} SET track_functions = 'pl'", url.rsplit('/').next().unwrap()));
    let repository = repository(&url);
    commit(&repository, [record("first", "hot", "")]).await;
    let mut tasks = Vec::new();
    for n in 0..4 {
        let repository = repository.clone();
        tasks.push(tokio::spawn(async move {
            let mut sequences = Vec::new();
            for round in 0..25 {
                let records = (0..300).map(|k| record(&format!("{n}-{round}-{k}"), "hot", ""));
                let committed = commit(&repository, records).await;
                sequences.extend(committed.outcomes.iter().map(|outcome| stored(outcome).processed.sequence));
            }
            sequences
        }));
    }
    let mut sequences = vec![1];
    for task in tasks {
        sequences.extend(task.await.unwrap());
    }
    sequences.sort_unstable();
    assert_eq!(sequences, (1..=30_001).collect::<Vec<u64>>());
    let sums = "SELECT summary FROM summaries WHERE destination_id = 'hot'";
    assert!(psql(&url, sums).contains("[\"EUR\",30001,\"375012.50\",0,\"0\"]"));
    let positions = "SELECT string_agg(d, ',') FROM (SELECT DISTINCT (r.sequence - b.first - (r.slot - b.slot))::text AS d \
                     FROM batches b JOIN records r ON r.slot BETWEEN b.slot AND b.slot + b.last - b.first) AS by_record";
    assert_eq!(psql(&url, positions), "0", "of one key, sequences and positions are the same");

    drop(repository);
    let committed = calls(&url, "finish_commit", 101).await;
    let pipelined = calls(&url, "write_pipelined", 1).await;
    let locked = calls(&url, "lock_and_read", 0).await;
    assert_eq!((committed, locked), (101, 0), "each commit once, and none by lock");
    assert!(pipelined > 10, "{pipelined} of {committed} commits were pipelined");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_others_have_changed_is_read_again() {
    let url = database().await;
    let [one, other] = [repository(&url), repository(&url)];
    for n in 0..20 {
        assert_eq!(sequence(&one, &format!("one-{n}")).await, 2 * n + 1);
        assert_eq!(sequence(&other, &format!("other-{n}")).await, 2 * n + 2);
    }
    // As after a restore: the same count with another sum.
    for n in 40..60 {
        assert_eq!(sequence(&one, &format!("alone-{n}")).await, n + 1);
    }
    psql(&url, "UPDATE summaries SET summary = '[60,0,0,[[\"EUR\",60,\"7.25\",0,\"0\"]]]' WHERE destination_id = 'd'");
    let committed = commit(&one, [record("after", "d", "")]).await;
    let previous = &stored(&committed.outcomes[0]).previous;
    assert_eq!(previous.totals()[0].positive.sum.to_string(), "7.25");
    psql(&url, "DELETE FROM summaries WHERE destination_id = 'd'");
    assert_eq!(sequence(&one, "from-the-beginning").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_others_create_meanwhile_has_one_first_record() {
    let url = database().await;
    for round in 0..30 {
        let commits = (0..4).map(|n| {
            let repository = repository(&url);
            let record = record(&format!("{round}-{n}"), &format!("new-{round}"), "");
            tokio::spawn(async move { commit(&repository, [record]).await })
        });
        let mut sequences = Vec::new();
        for commit in commits.collect::<Vec<_>>() {
            sequences.push(stored(&commit.await.unwrap().outcomes[0]).processed.sequence);
        }
        sequences.sort_unstable();
        assert_eq!(sequences, [1, 2, 3, 4]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_that_another_instance_has_changed_is_in_force_at_once() {
    let url = database().await;
    let [one, other] = [repository(&url), repository(&url)];
    for n in 0_u32..6 {
        let rule = (n % 2 == 0).then(|| {
            let draft = RuleDraft { name: "any".to_owned(), threshold: "1".to_owned(), ..RuleDraft::default() };
            Rule::new(draft).unwrap().into()
        });
        let edit = RuleEdit { name: "any".to_owned(), rule, precondition: Precondition::Any, now: now() };
        other.amend_rules(edit).await.unwrap();
        let committed = commit(&one, [record(&format!("r-{n}"), "d", "")]).await;
        assert_eq!(stored(&committed.outcomes[0]).alerts.len(), usize::from(n % 2 == 0), "after change {n}");
    }
}

/// When a commit fails, so do those that were planned upon it. They are planned again from what is stored.
#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_is_refused_spoils_none_that_was_planned_upon_it() {
    let url = database().await;
    psql(&url, "ALTER TABLE records ADD CHECK (unit <> 'poison')");
    let repository = repository(&url);
    let mut tasks = Vec::new();
    for n in 0..4 {
        let repository = repository.clone();
        tasks.push(tokio::spawn(async move {
            let mut sequences = Vec::new();
            for round in 0..30 {
                let mut records: Vec<_> = (0..20).map(|k| record(&format!("{n}-{round}-{k}"), "hot", "")).collect();
                if (n + round) % 5 == 0 {
                    records.push(generate::record(&format!("{n}-{round}-poison"), "hot", "", "1", "poison"));
                }
                match repository.commit(batch(records)).await {
                    Ok(committed) => {
                        sequences.extend(committed.outcomes.iter().map(|outcome| stored(outcome).processed.sequence));
                    }
                    Err(error) => {
                        assert_eq!((error.kind(), (n + round) % 5), (PortErrorKind::Refused, 0), "{error:?}");
                    }
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
    assert_eq!(sequences, (1..=4 * 24 * 20).collect::<Vec<u64>>());
}

/// Two commits in flight that hold each other's ids would deadlock, which the server detects a second later.
#[tokio::test(flavor = "multi_thread")]
async fn the_same_records_in_two_commits_at_once_do_not_wait_for_each_other() {
    let url = database().await;
    let repository = repository(&url);
    commit(&repository, [record("first", "hot", "")]).await;
    for round in 0..20 {
        let records = |n: u32| -> Vec<_> {
            // Each has some of its own, before and behind those that both have.
            (0..200)
                .map(|k| record(&format!("{round}-{}", if k % 2 == 0 { k } else { 1_000 * n + k }), "hot", ""))
                .collect()
        };
        let [one, other] = [1, 2].map(|n| {
            let repository = repository.clone();
            let records = records(n);
            tokio::spawn(async move { commit(&repository, records).await })
        });
        let (one, other) = (one.await.unwrap(), other.await.unwrap());
        let processed = |outcomes: &[Outcome]| outcomes.iter().filter(|outcome| outcome.name() == "processed").count();
        assert_eq!(processed(&one.outcomes) + processed(&other.outcomes), 300);
    }
    let mut watcher = connect(&url);
    watcher.batch_execute("SELECT pg_stat_force_next_flush()").unwrap();
    drop(repository);
    assert_eq!(psql(&url, "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"), "0");
}
