//! A commit: its statements, its look-ups, and rows that make no sense.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use diesel::connection::{InstrumentationEvent, SimpleConnection};
use tallyhouse_core::testing::generate::Generator;

use super::*;
use crate::support::{Database, a_rule, batch, fill, plan};

#[test]
fn every_statement_of_a_commit_is_prepared_once() {
    let database = Database::new();
    let db = &mut database.connection();
    let (run, prepared) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(Vec::new())));
    let (run_too, prepared_too) = (Arc::clone(&run), Arc::clone(&prepared));
    db.set_instrumentation(move |event: InstrumentationEvent<'_>| match event {
        InstrumentationEvent::StartQuery { query, .. } => {
            let text = query.to_string();
            let sql = text.split(" -- binds").next().unwrap_or_default().trim_end().to_owned();
            run_too.lock().unwrap().push(sql);
        }
        InstrumentationEvent::CacheQuery { sql, .. } => prepared_too.lock().unwrap().push(sql.to_owned()),
        _ => {}
    });
    let mut generator = Generator::new(1);
    let mut settled = Vec::new();
    for round in 0..4 {
        let mut records = generator.records(&format!("{round}"), 50);
        // Some that exist already.
        records.extend(generator.clone().records("0", 5));
        let batch = Batch { settled, rules: a_rule(), ..batch(records) };
        settled = commit(db, &batch).unwrap().0.owed.map(|owed| owed.id).into_iter().collect();
    }
    let run = run.lock().unwrap();
    let distinct: BTreeSet<String> =
        run.iter().filter(|sql| !["BEGIN IMMEDIATE", "COMMIT"].contains(&sql.as_str())).cloned().collect();
    let prepared = prepared.lock().unwrap();
    assert_eq!(prepared.iter().cloned().collect::<BTreeSet<_>>(), distinct);
    assert_eq!(prepared.len(), distinct.len(), "one of them was prepared twice");
    assert!(run.len() > 4 * 50 + 4 * distinct.len() - 4, "the statements were not seen");
}

#[test]
fn a_row_that_makes_no_sense_fails_the_commit_that_meets_it() {
    let database = Database::new();
    let db = &mut database.connection();
    let mut generator = Generator::new(2).over(1, 1);
    let records = generator.records("r", 3);
    commit(db, &batch(records.clone())).unwrap();
    for spoil in ["UPDATE summaries SET summary = '[1,2]'", "UPDATE records SET value = '1e999' WHERE position = 2"] {
        database.spoil(&format!("SAVEPOINT before; {spoil}; RELEASE before"));
        let error = commit(db, &batch(records.clone())).unwrap_err();
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
