//! Commits: their statements, their look-ups, and unreadable rows.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use tallyhouse_core::ports::Unordered;
use tallyhouse_testing::generate::Generator;

use diesel::connection::{InstrumentationEvent, SimpleConnection};

use super::*;
use crate::test_support::{Database, a_rule, batch, fill, plan, simple};

fn unordered() -> Arc<dyn CommitOrder> {
    Arc::new(Unordered)
}

/// Commits a batch without an order, which never waits.
fn commit_alone(
    session: &mut Session,
    batch: &Batch,
    planned: Option<PlannedBatch>,
    planning: impl Sized,
) -> Result<Done, StoreError> {
    commit(session, batch, &unordered(), planned, planning).map(Option::unwrap)
}

/// The statements that a connection runs, and those that it prepares and keeps.
#[derive(Clone, Default)]
struct Log {
    run: Arc<Mutex<Vec<String>>>,
    prepared: Arc<Mutex<Vec<String>>>,
}

impl Log {
    fn of(db: &mut SqliteConnection) -> Self {
        let log = Self::default();
        let ours = log.clone();
        db.set_instrumentation(move |event: InstrumentationEvent<'_>| match event {
            InstrumentationEvent::StartQuery { query, .. } => {
                let text = query.to_string();
                let sql = text.split(" -- binds").next().unwrap_or_default().trim_end().to_owned();
                ours.run.lock().unwrap().push(sql);
            }
            InstrumentationEvent::CacheQuery { sql, .. } => ours.prepared.lock().unwrap().push(sql.to_owned()),
            _ => {}
        });
        log
    }

    /// Returns the look-ups since the last call.
    fn look_ups(&self) -> Vec<&'static str> {
        let run = std::mem::take(&mut *self.run.lock().unwrap());
        let names = [(KNOWN_SUMMARIES, "summaries"), (KNOWN_RECORDS, "records")];
        names.into_iter().filter(|(sql, _)| run.iter().any(|run| run == sql)).map(|(_, name)| name).collect()
    }
}

fn names(session: &mut Session, ids: &[&str]) -> Vec<&'static str> {
    let (committed, _) = commit_alone(session, &batch(ids.iter().map(|id| simple(id))), None, ()).unwrap();
    committed.outcomes.iter().map(Outcome::name).collect()
}

/// Commits one record, and returns its sequence.
fn sequence(session: &mut Session, id: &str) -> u64 {
    let (_, stored) = commit_alone(session, &batch([simple(id)]), None, ()).unwrap();
    assert_eq!(stored[0].previous.count() + 1, stored[0].processed.sequence);
    stored[0].processed.sequence
}

#[test]
fn every_statement_of_a_commit_is_prepared_once() {
    let database = Database::new();
    let mut session = Session::new(database.connection(), CommitCache::default());
    let log = Log::of(&mut session.db);
    let mut generator = Generator::new(1);
    let mut published = Vec::new();
    for round in 0..4 {
        let mut records = generator.records(&format!("{round}"), 50);
        // Some that exist already.
        records.extend(generator.clone().records("0", 5));
        let batch = Batch { published, rules: a_rule(), ..batch(records) };
        published =
            commit_alone(&mut session, &batch, None, ()).unwrap().0.entry.map(|entry| entry.id).into_iter().collect();
    }
    let run = log.run.lock().unwrap();
    let of_transactions = ["BEGIN IMMEDIATE", "COMMIT", "ROLLBACK"];
    let distinct: BTreeSet<String> =
        run.iter().filter(|sql| !of_transactions.contains(&sql.as_str())).cloned().collect();
    let prepared = log.prepared.lock().unwrap();
    assert_eq!(prepared.iter().cloned().collect::<BTreeSet<_>>(), distinct);
    assert_eq!(prepared.len(), distinct.len(), "one of them was prepared twice");
    assert!(run.len() > 4 * 50 + 4 * distinct.len() - 4, "the statements were not seen");
}

#[test]
fn cached_summaries_and_new_ids_are_not_looked_up() {
    let database = Database::new();
    let mut session = Session::new(database.connection(), CommitCache::default());
    let log = Log::of(&mut session.db);
    assert_eq!(sequence(&mut session, "1"), 1);
    assert_eq!(log.look_ups(), ["summaries"]);
    assert_eq!(sequence(&mut session, "2"), 2);
    assert_eq!(log.look_ups(), [""; 0]);
    assert_eq!(names(&mut session, &["3", "1", "2"]), ["processed", "duplicate", "duplicate"]);
    assert!(log.look_ups().contains(&"records"), "an id was taken");
    for n in 4..20 {
        assert_eq!(sequence(&mut session, &n.to_string()), n);
        assert_eq!(log.look_ups(), ["records"], "record {n}: ids are looked up for a while");
    }
    assert_eq!(sequence(&mut session, "20"), 20);
    assert_eq!(log.look_ups(), [""; 0]);
}

#[test]
fn what_another_connection_has_written_is_read() {
    let database = Database::new();
    let [mut one, mut other] = [(); 2].map(|()| Session::new(database.connection(), CommitCache::default()));
    for n in 0..10 {
        assert_eq!(sequence(&mut one, &format!("one-{n}")), 2 * n + 1);
        assert_eq!(sequence(&mut other, &format!("other-{n}")), 2 * n + 2);
        assert_eq!(names(&mut one, &[&format!("other-{n}")]), ["duplicate"]);
    }
}

#[test]
fn what_a_commit_that_failed_would_have_written_is_not_counted_on() {
    let database = Database::new();
    let mut session = Session::new(database.connection(), CommitCache::default());
    assert_eq!(sequence(&mut session, "1"), 1);
    let refuse = "CREATE TEMP TRIGGER refused BEFORE INSERT ON outbox BEGIN SELECT RAISE(ABORT, 'no'); END";
    session.db.batch_execute(refuse).unwrap();
    commit_alone(&mut session, &batch([simple("2")]), None, ()).unwrap_err();
    session.db.batch_execute("DROP TRIGGER refused").unwrap();
    assert_eq!(sequence(&mut session, "2"), 2);
}

/// Plans a batch as if another one was being written.
fn planned(session: &Session, id: &str) -> Option<PlannedBatch> {
    session.cache.plan(&batch([simple(id)]), &unordered())
}

#[test]
fn a_pipelined_plan_is_written_if_it_is_current_and_otherwise_made_again() {
    let database = Database::new();
    let [mut session, mut other] = [(); 2].map(|()| Session::new(database.connection(), CommitCache::default()));
    assert!(planned(&session, "1").is_none(), "nothing is cached");
    assert_eq!(sequence(&mut session, "1"), 1);
    let commit_planned = |session: &mut Session, id: &str, planned: PlannedBatch| {
        let (_, stored) = commit_alone(session, &batch([simple(id)]), Some(planned), ()).unwrap();
        stored[0].processed.sequence
    };
    // Two plans, the second upon the first, are written in order.
    let (second, third) = (planned(&session, "2").unwrap(), planned(&session, "3").unwrap());
    assert_eq!((second.plan.stored[0].processed.sequence, third.plan.stored[0].processed.sequence), (2, 3));
    assert_eq!(commit_planned(&mut session, "2", second), 2);
    assert_eq!(commit_planned(&mut session, "3", third), 3);
    // The first of two plans is dropped.
    let (fourth, fifth) = (planned(&session, "4").unwrap(), planned(&session, "5").unwrap());
    drop(fourth);
    assert!(planned(&session, "6").is_none(), "a dropped plan invalidates the cache");
    assert_eq!(commit_planned(&mut session, "5", fifth), 4);
    // Another connection has written.
    let planned_before = planned(&session, "7").unwrap();
    assert_eq!(sequence(&mut other, "other"), 5);
    assert_eq!(commit_planned(&mut session, "7", planned_before), 6);
    // Another process has it already.
    let again = planned(&session, "1").unwrap();
    let (committed, _) = commit_alone(&mut session, &batch([simple("1")]), Some(again), ()).unwrap();
    assert_eq!(committed.outcomes[0].name(), "duplicate");
    assert_eq!(sequence(&mut session, "8"), 7);
}

#[test]
fn a_row_that_makes_no_sense_fails_the_commit_that_meets_it() {
    let database = Database::new();
    let mut session = Session::new(database.connection(), CommitCache::default());
    let mut generator = Generator::new(2).over(1, 1);
    let records = generator.records("r", 3);
    commit_alone(&mut session, &batch(records.clone()), None, ()).unwrap();
    for spoil in ["UPDATE summaries SET summary = '[1,2]'", "UPDATE records SET value = '1e999' WHERE position = 2"] {
        database.spoil(&format!("SAVEPOINT before; {spoil}; RELEASE before"));
        let error = commit_alone(&mut session, &batch(records.clone()), None, ()).unwrap_err();
        assert_eq!(error.kind(), tallyhouse_core::ports::PortErrorKind::Corrupt, "{error}");
    }
}

#[tokio::test]
async fn what_is_known_of_a_batch_is_found_by_indexes() {
    let database = Database::new();
    fill(&database.repository().await, 5_000).await;
    let db = &mut database.connection();
    for statistics in ["", "ANALYZE"] {
        db.batch_execute(statistics).unwrap();
        let records = plan(db, &Statement::<ProcessedSql, 1>::new(KNOWN_RECORDS, ["[]"]));
        assert!(records.contains("SEARCH records USING INDEX sqlite_autoindex_records_1 (record_id=?)"), "{records}");
        let summaries = plan(db, &Statement::<(Text, Text, Text), 1>::new(KNOWN_SUMMARIES, ["[]"]));
        assert!(
            summaries.contains("SEARCH summaries USING PRIMARY KEY (destination_id=? AND reference=?)"),
            "{summaries}"
        );
    }
}
