//! Commits: outcomes, sequences and summaries, one batch after the other.

use std::sync::Arc;
use tallyhouse_core::ports::{Backlog, Batch, HistoryQuery, Store};
use tallyhouse_core::{
    Arrival, DestinationId, Draft, Field, GroupQuery, Outcome, Record, RecordQuery, RuleDraft, Summary, SummaryQuery,
};

use super::consistency::assert_consistent;
use super::{
    RepositoryFixture, batch, commit, commit_records, exact, exact_outcome, id, moment, processed, rule, rules,
};
use crate::doubles::generate::{AWKWARD_TEXTS, Generator, draft, record};

/// Before the first commit every answer is empty, and none is an error.
pub async fn an_empty_store_has_empty_answers<F: RepositoryFixture>() {
    let fixture = F::fresh().await;
    let repository = fixture.handle().await;
    repository.ping().await.expect("the store answers");
    repository.ping_write().await.expect("the store takes records");
    assert_eq!(repository.head().await.expect("the head is read"), 0);
    assert_eq!(repository.find(&id("nobody")).await.expect("a record is looked up"), None);
    let query = RecordQuery { limit: 10, ..RecordQuery::default() };
    assert_eq!(repository.records(query).await.expect("records are read").rows, []);
    let query = HistoryQuery { after: 0, alerting_only: true, limit: 10 };
    assert_eq!(repository.history(query).await.expect("the history is read"), []);
    assert_eq!(repository.backlog().await.expect("the backlog is read"), Backlog::default());
    let groups =
        repository.groups(GroupQuery { records: true, ..GroupQuery::default() }).await.expect("groups are read");
    assert_eq!(groups.next, None);
    assert_eq!(assert_consistent(&*repository).await, []);
}

/// Every text, time and value that the rules allow comes back unchanged.
pub async fn a_record_is_found_exactly_as_it_came<F: RepositoryFixture>() {
    let fixture = F::fresh().await;
    let repository = fixture.handle().await;
    let longest = "𝄞".repeat(255);
    let unit = "𝄞".repeat(64);
    let mut records = vec![draft(Draft {
        record_id: &longest,
        time: "0001-01-01T00:00:00Z",
        source_id: &longest,
        destination_id: &longest,
        record_type: "negative",
        value: "0.0000000000000000000000000001",
        unit: &unit,
        reference: &longest,
    })];
    for (i, text) in AWKWARD_TEXTS.iter().enumerate() {
        records.push(draft(Draft {
            record_id: text,
            time: ["9999-12-31T23:59:59.999999Z", "1969-12-31T23:59:59.999999Z", "2026-01-01T00:00:00.000001Z"][i % 3],
            source_id: text,
            destination_id: text,
            record_type: ["positive", "negative"][i % 2],
            value: ["12.50", "1250", "0", "0.000", "9999999999999999999999999999", "1.000000000000000000000000000"]
                [i % 6],
            unit: text,
            reference: if i % 2 == 0 { text } else { "" },
        }));
    }
    let outcomes = commit_records(&*repository, records.clone()).await;
    let another = fixture.handle().await;
    for (sent, outcome) in records.iter().zip(&outcomes) {
        let found = another.find(&sent.record_id).await.expect("a record is looked up").expect("the record is there");
        let json = |record: &Record| serde_json::to_string(record).expect("a record is always JSON");
        assert_eq!(json(&found.processed.record), json(sent));
        assert_eq!(exact(&found), exact(processed(outcome)));
        assert_eq!(found.processed.processed_at, moment(0));
    }
    for near in ["plain ", "Plain", "zurich", "Zürich ", "100%", "100%_of_i_"] {
        assert_eq!(another.find(&id(near)).await.expect("a record is looked up"), None, "{near:?} was never sent");
    }
    assert_consistent(&*another).await;
}

/// A record that was seen before with the same content has its first sequence and time as its outcome.
pub async fn a_duplicate_changes_nothing<F: RepositoryFixture>() {
    let fixture = F::fresh().await;
    let repository = fixture.handle().await;
    commit_records(&*repository, [record("r-1", "D", "R", "1", "EUR"), record("r-2", "D", "R", "2.50", "EUR")]).await;
    let before = state(&*repository).await;
    // The same number, written otherwise.
    let again = Batch { now: moment(9), ..batch([record("r-2", "D", "R", "2.5", "EUR")]) };
    let committed = commit(&*repository, again).await;
    let expected = Outcome::Duplicate { record_id: id("r-2"), sequence: 2, processed_at: moment(0) };
    assert_eq!(committed.outcomes, [expected]);
    assert_eq!(committed.entry, None);
    assert_eq!(state(&*repository).await, before);
    let kept = repository.find(&id("r-2")).await.expect("a record is looked up").expect("the record is there");
    assert_eq!(kept.processed.record.value.to_string(), "2.50");
}

/// A record that was seen before with other content is refused, and each field that differs is named.
pub async fn a_conflict_names_the_fields_and_changes_nothing<F: RepositoryFixture>() {
    let fixture = F::fresh().await;
    let repository = fixture.handle().await;
    let first = Draft {
        record_id: "r-1",
        time: "2026-01-01T00:00:00.000001Z",
        source_id: "S",
        destination_id: "D",
        record_type: "positive",
        value: "1",
        unit: "EUR",
        reference: "",
    };
    commit_records(&*repository, [draft(first)]).await;
    let before = state(&*repository).await;
    let all = Draft {
        record_id: "r-1",
        time: "2026-01-01T00:00:00.000002Z",
        source_id: "s",
        destination_id: "d",
        record_type: "negative",
        value: "1.000000000000000000000000001",
        unit: "eur",
        reference: " ",
    };
    let cases = [
        (Draft { time: all.time, ..first }, vec![Field::Time]),
        (Draft { source_id: all.source_id, ..first }, vec![Field::SourceId]),
        (Draft { destination_id: all.destination_id, ..first }, vec![Field::DestinationId]),
        (Draft { record_type: all.record_type, ..first }, vec![Field::Type]),
        (Draft { value: all.value, ..first }, vec![Field::Value]),
        (Draft { unit: all.unit, ..first }, vec![Field::Unit]),
        (Draft { reference: all.reference, ..first }, vec![Field::Reference]),
        (all, Field::ALL[1..].to_vec()),
    ];
    for (sent, differs) in cases {
        let committed = commit(&*repository, batch([draft(sent)])).await;
        assert_eq!(committed.outcomes, [Outcome::Conflict { record_id: id("r-1"), differs }]);
        assert_eq!(committed.entry, None);
    }
    assert_eq!(state(&*repository).await, before);
}

/// Repetitions inside one batch are judged one after the other.
pub async fn records_inside_a_batch_are_judged_as_against_the_store<F: RepositoryFixture>() {
    let fixture = F::fresh().await;
    let repository = fixture.handle().await;
    commit_records(&*repository, [record("old", "D", "", "5", "EUR")]).await;
    let outcomes = commit_records(
        &*repository,
        [
            record("new", "D", "", "7", "EUR"),
            record("new", "D", "", "7.0", "EUR"),
            record("old", "D", "", "5", "EUR"),
            record("new", "E", "", "7", "EUR"),
            record("old", "D", "x", "6", "EUR"),
            record("next", "D", "", "1", "EUR"),
            record("new", "D", "", "7", "EUR"),
        ],
    )
    .await;
    let names: Vec<&str> = outcomes.iter().map(Outcome::name).collect();
    assert_eq!(names, ["processed", "duplicate", "duplicate", "conflict", "conflict", "processed", "duplicate"]);
    assert_eq!(outcomes[1], Outcome::Duplicate { record_id: id("new"), sequence: 2, processed_at: moment(0) });
    assert_eq!(outcomes[2], Outcome::Duplicate { record_id: id("old"), sequence: 1, processed_at: moment(0) });
    assert_eq!(outcomes[3], Outcome::Conflict { record_id: id("new"), differs: vec![Field::DestinationId] });
    assert_eq!(outcomes[4], Outcome::Conflict { record_id: id("old"), differs: vec![Field::Value, Field::Reference] });
    assert_eq!(processed(&outcomes[5]).processed.sequence, 3);
    assert_eq!(assert_consistent(&*repository).await.len(), 3);
}

/// Each batch continues the sequences of its keys, and `previous` is the summary of all earlier records.
pub async fn sequences_and_previous_summaries_continue_across_batches<F: RepositoryFixture>() {
    let fixture = F::fresh().await;
    let mut generator = Generator::new(11);
    for round in 0..12 {
        // Every batch by another handle: no state may live outside the store.
        let repository = fixture.handle().await;
        let records = generator.records(&format!("batch-{round}"), 1 + 7 * round);
        let batch = Batch { now: moment(i64::try_from(round).expect("a small number")), ..batch(records) };
        for outcome in commit(&*repository, batch).await.outcomes {
            processed(&outcome);
        }
    }
    let repository = fixture.handle().await;
    let records = assert_consistent(&*repository).await;
    assert_eq!(records.len(), (0..12).map(|round| 1 + 7 * round).sum::<usize>());
    assert!(records.iter().map(|stored| stored.processed.sequence).max() > Some(20), "some key is hot");
}

/// One batch of n records has the same effect as n batches of one.
pub async fn a_batch_of_n_does_what_n_batches_of_one_do<F: RepositoryFixture>() {
    let (one, many) = (F::fresh().await, F::fresh().await);
    let (one, many) = (one.handle().await, many.handle().await);
    let mut generator = Generator::new(5).over(2, 2);
    let mut records = generator.records("r", 60);
    for _ in 0..40 {
        // Some come again as they were, some with other content.
        let mut again = generator.pick(&records).clone();
        if generator.once_in(2) {
            again = generator.record(again.record_id.as_str());
        }
        records.push(again);
    }
    generator.shuffle(&mut records);
    let at_once = commit_records(&*one, records.clone()).await;
    let mut one_by_one = Vec::new();
    for record in records {
        one_by_one.extend(commit_records(&*many, [record]).await);
    }
    for (a, b) in at_once.iter().zip(&one_by_one) {
        assert_eq!(exact_outcome(a), exact_outcome(b));
    }
    assert_eq!(state(&*one).await, state(&*many).await);
}

/// A refused record may have a key that no record has; the key stays without a summary.
pub async fn a_key_of_refused_records_only_has_no_summary<F: RepositoryFixture>() {
    let fixture = F::fresh().await;
    let repository = fixture.handle().await;
    commit_records(&*repository, [record("r-1", "D", "", "1", "EUR")]).await;
    let outcomes = commit_records(
        &*repository,
        [record("r-1", "elsewhere", "", "1", "EUR"), record("r-1", "D", "other", "1", "EUR")],
    );
    assert!(outcomes.await.iter().all(|outcome| outcome.name() == "conflict"));
    for (destination, expected) in [("elsewhere", vec![]), ("D", vec![""])] {
        let destination_id = DestinationId::new(destination).expect("a valid destination");
        let query = SummaryQuery { destination_id, reference: None, after: None, limit: 10 };
        let summaries = repository.summaries(query).await.expect("summaries are read").rows;
        let references: Vec<&str> = summaries.iter().map(|(reference, _)| reference.as_str()).collect();
        assert_eq!(references, expected, "the references of {destination}");
    }
    assert_consistent(&*repository).await;
    // The same keys can be used afterwards.
    let outcomes = commit_records(&*repository, [record("r-2", "elsewhere", "", "1", "EUR")]).await;
    assert_eq!(processed(&outcomes[0]).processed.sequence, 1);
}

/// A record keeps the rules that it met as they were then, and its trace; later rules change nothing.
pub async fn rules_and_traces_are_stored_as_they_were<F: RepositoryFixture>() {
    let fixture = F::fresh().await;
    let repository = fixture.handle().await;
    let everything = RuleDraft {
        unit: Some("it's \"EUR\"".to_owned()),
        record_type: Some("positive".to_owned()),
        destination_id: Some("D\\1".to_owned()),
        source_id: Some("source".to_owned()),
        reference: Some(String::new()),
        ..rule("everything", "10.50")
    };
    let trace = Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".to_owned());
    let arrivals = [
        Arrival { record: record("r-1", "D\\1", "", "11", "it's \"EUR\""), traceparent: trace.clone() },
        Arrival { record: record("r-2", "D\\1", "", "10.5", "it's \"EUR\""), traceparent: None },
        Arrival { record: record("r-3", "D", "", "11", "it's \"EUR\""), traceparent: trace },
    ];
    let first = rules([everything.clone(), rule("default", "10")]);
    let outcomes =
        commit(&*repository, Batch { arrivals: Arc::from(arrivals), rules: first, ..batch([]) }).await.outcomes;
    let later = rules([RuleDraft { threshold: "1".to_owned(), ..everything }, rule("another", "0")]);
    commit(&*repository, Batch { rules: later, ..batch([record("r-4", "D\\1", "", "2", "it's \"EUR\"")]) }).await;

    let expected = [vec!["everything", "default"], vec!["default"], vec!["default"], vec!["everything", "another"]];
    for (stored, names) in assert_consistent(&*repository).await.iter().zip(expected) {
        assert_eq!(stored.alert_names(), names, "{}", stored.processed.record.record_id);
    }
    let another = fixture.handle().await;
    for outcome in &outcomes {
        let stored = processed(outcome);
        let record_id = &stored.processed.record.record_id;
        let found = another.find(record_id).await.expect("a record is looked up").expect("the record is there");
        assert_eq!(exact(&found), exact(stored));
    }
}

/// The largest batch that an ingress takes is one commit, although one statement may not hold it.
pub async fn ten_thousand_records_are_one_commit<F: RepositoryFixture>() {
    let fixture = F::fresh().await;
    let repository = fixture.handle().await;
    let records = Generator::new(3).over(400, 20).records("r", 10_000);
    let committed = commit(&*repository, batch(records.clone())).await;
    let entry = committed.entry.expect("records are stored");
    assert_eq!((entry.first, entry.last), (1, 10_000));
    let stored = assert_consistent(&*repository).await;
    assert_eq!(stored.len(), 10_000);
    for (sent, stored) in records.iter().zip(&stored) {
        assert_eq!(*sent, stored.processed.record, "positions follow the order in the batch");
    }
    let again = commit_records(&*repository, records).await;
    assert!(again.iter().all(|outcome| outcome.name() == "duplicate"));
    assert_eq!(repository.head().await.expect("the head is read"), 10_000);
}

/// A batch without records is no error: it may only mark entries as published.
pub async fn an_empty_batch_stores_nothing<F: RepositoryFixture>() {
    let fixture = F::fresh().await;
    let repository = fixture.handle().await;
    assert_eq!(commit(&*repository, batch([])).await.entry, None);
    assert_eq!(assert_consistent(&*repository).await, []);
}

/// All that the store shows, as text.
async fn state(repository: &dyn Store) -> Vec<String> {
    let records = assert_consistent(repository).await;
    let summary: Summary = records.iter().map(|stored| &stored.processed.record).collect();
    records.iter().map(|stored| exact(stored)).chain([summary.to_compact()]).collect()
}

/// A batch of records of thousands of known keys continues each of them.
pub async fn a_batch_over_thousands_of_known_keys_continues_each<F: RepositoryFixture>() {
    let fixture = F::fresh().await;
    let repository = fixture.handle().await;
    for round in 1..=2_u64 {
        let records = (0..2_000).map(|n| record(&format!("{round}-{n}"), &format!("d-{n}"), "", "1", "EUR"));
        for outcome in commit_records(&*repository, records).await {
            assert_eq!(processed(&outcome).processed.sequence, round);
        }
    }
    assert_consistent(&*repository).await;
}

/// Ids are compared byte by byte with those that are stored: neither case, blanks nor composition make two alike.
pub async fn ids_are_compared_by_bytes_with_stored_ones<F: RepositoryFixture>() {
    let fixture = F::fresh().await;
    let repository = fixture.handle().await;
    for id in ["a", "A", "a ", " a", "\u{e9}", "e\u{301}"] {
        let outcomes = commit_records(&*repository, [record(id, "D", "", "1", "EUR")]).await;
        assert_eq!(outcomes[0].name(), "processed", "{id:?}");
    }
    assert_consistent(&*repository).await;
}

/// The time of processing is kept to the microsecond.
pub async fn the_time_of_processing_is_kept_to_the_microsecond<F: RepositoryFixture>() {
    let fixture = F::fresh().await;
    let repository = fixture.handle().await;
    let now = moment(123_456);
    commit(&*repository, Batch { now, ..batch([record("r", "D", "", "1", "EUR")]) }).await;
    let found = repository.find(&id("r")).await.expect("a record is looked up").expect("the record is there");
    assert_eq!(found.processed.processed_at, now);
}
