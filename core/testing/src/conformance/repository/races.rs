//! Concurrent commits of two handles, and commits that are cancelled.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tallyhouse_core::ports::{Batch, ClaimScope, HistoryQuery, Owner, Store};
use tallyhouse_core::{Arrival, Field, Outcome, Record, RecordId, StoredRecord};

use futures::future::{join, join_all, select};

use super::consistency::assert_consistent;
use super::outbox::claim;
use super::{RepositoryFixture, batch, commit, commit_records, exact, id, parallel_handle, processed};
use crate::conformance::yield_now;
use crate::doubles::generate::{Generator, record};

/// Commits in flight at once on each of two handles.
const WRITERS: usize = 3;

/// Every writer adds to the same key, and no record is lost.
pub async fn one_hot_key_counts_every_record_of_all_writers<F: RepositoryFixture>() {
    let fixture = F::fresh().await;
    let handles = handles(&fixture).await;
    let write = async |writer: usize| {
        for round in 0..12 {
            let records = (0..5).map(|i| record(&format!("{writer}-{round}-{i}"), "hot", "key", "0.10", "EUR"));
            let outcomes = commit_records(&*handles[writer], records).await;
            outcomes.iter().for_each(|outcome| drop(Arc::clone(processed(outcome))));
            yield_now().await;
        }
    };
    join_all((0..handles.len()).map(write)).await;
    let records = assert_consistent(&*handles[0]).await;
    assert_eq!(records.len(), handles.len() * 60);
    let last = records.last().expect("there are records");
    assert_eq!(last.processed.sequence, records.len() as u64);
}

/// Every writer commits the same records, in other batches and other orders, over keys that the batches share. There is
/// no deadlock, each id has one effect, and all outcomes of a record agree.
pub async fn the_same_records_in_opposite_orders_have_one_effect_each<F: RepositoryFixture>() {
    let fixture = F::fresh().await;
    let handles = handles(&fixture).await;
    for (seed, destinations, references) in [(41, 3, 1), (43, 40, 5)] {
        let records = Generator::new(seed).over(destinations, references).records(&format!("{seed}"), 400);
        let before = handles[0].head().await.expect("the head is read");
        let write = async |writer: usize| {
            let mut mine = records.clone();
            match writer % 3 {
                0 => {}
                1 => mine.reverse(),
                _ => Generator::new(writer as u64).shuffle(&mut mine),
            }
            let mut outcomes = Vec::new();
            for records in mine.chunks(17 + 5 * writer) {
                outcomes.extend(commit_records(&*handles[writer], records.to_vec()).await);
                yield_now().await;
            }
            outcomes
        };
        let outcomes: Vec<Outcome> = join_all((0..handles.len()).map(write)).await.into_iter().flatten().collect();
        assert_eq!(outcomes.iter().filter(|outcome| outcome.name() == "processed").count(), records.len());
        assert!(outcomes.iter().all(|outcome| matches!(outcome.name(), "processed" | "duplicate")));
        let stored = assert_consistent(&*handles[1]).await;
        assert_eq!(stored.len() as u64, before + records.len() as u64);
        assert_outcomes_agree(&outcomes, &stored);
    }
}

/// Two batches race for one id under two keys. One of the two records is processed, the other is a conflict, and the
/// other records of both batches are processed.
pub async fn one_id_raced_under_two_keys_has_one_effect<F: RepositoryFixture>() {
    let fixture = F::fresh().await;
    let handles = handles(&fixture).await;
    for round in 0..25 {
        let contested: Vec<String> = (0..4).map(|i| format!("contested-{round}-{i}")).collect();
        let race = |writer: usize| {
            let key = format!("key-{}", round % 5 + writer * 100);
            let mut records: Vec<Record> = contested.iter().map(|id| record(id, &key, "", "1", "EUR")).collect();
            if writer == 1 {
                records.reverse();
            }
            records.insert(2, record(&format!("own-{writer}-{round}"), &key, "", "1", "EUR"));
            let repository = &handles[writer];
            async move { commit_records(&**repository, records).await }
        };
        let (mut one, mut other) = join(race(0), race(1)).await;
        for outcomes in [&mut one, &mut other] {
            processed(&outcomes.remove(2));
        }
        other.reverse();
        for ((one, other), contested) in one.iter().zip(&other).zip(&contested) {
            let refused = if one.name() == "processed" { other } else { one };
            assert_ne!(one.name(), other.name(), "{contested}");
            let expected = Outcome::Conflict { record_id: id(contested), differs: vec![Field::DestinationId] };
            assert_eq!(*refused, expected, "{contested}");
        }
    }
    assert_eq!(assert_consistent(&*handles[0]).await.len(), 25 * 6);
}

/// A reader that follows the history while others commit sees every position, in order.
pub async fn history_shows_every_position_in_order_while_others_commit<F: RepositoryFixture>() {
    let fixture = F::fresh().await;
    let handles = handles(&fixture).await;
    let reader = parallel_handle(&fixture).await;
    let writing = AtomicUsize::new(handles.len());
    let write = async |writer: usize| {
        let mut generator = Generator::new(writer as u64).over(30, 2);
        for round in 0..15 {
            // Batches of very different sizes: a small one that begins later may commit earlier.
            let records = generator.records(&format!("{writer}-{round}"), [1, 60, 5][(writer + round) % 3]);
            commit_records(&*handles[writer], records).await;
            yield_now().await;
        }
        writing.fetch_sub(1, Ordering::SeqCst);
    };
    let follow = async {
        let mut seen = Vec::<Arc<StoredRecord>>::new();
        loop {
            // Loaded before the read: the read must see everything that was committed by then.
            let done = writing.load(Ordering::SeqCst) == 0;
            let head = reader.head().await.expect("the head is read");
            let query = HistoryQuery { after: seen.len() as u64, alerting_only: false, limit: 50 };
            let page = reader.history(query).await.expect("the history is read");
            for (position, stored) in &page {
                assert_eq!(*position, seen.len() as u64 + 1, "the next position is the one after");
                seen.push(Arc::clone(stored));
            }
            assert!(page.len() == 50 || seen.len() as u64 >= head, "what the head shows can be read");
            if done && page.is_empty() {
                return seen;
            }
            yield_now().await;
        }
    };
    let (seen, _) = join(follow, join_all((0..handles.len()).map(write))).await;
    let stored = assert_consistent(&*reader).await;
    assert!(seen.iter().map(|stored| exact(stored)).eq(stored.iter().map(|stored| exact(stored))));
    let written: usize =
        (0..handles.len()).map(|writer| (0..15).map(|r| [1, 60, 5][(writer + r) % 3]).sum::<usize>()).sum();
    assert_eq!(seen.len(), written);
}

/// A caller may cancel a commit at any time. The batch is then committed as a whole or not at all, and can be repeated.
pub async fn a_cancelled_commit_is_whole_or_nothing<F: RepositoryFixture>() {
    let fixture = F::fresh().await;
    let repository = fixture.handle().await;
    let mut generator = Generator::new(47).over(10, 1);
    let mut batches = Vec::new();
    for round in 0..20 {
        let records = generator.records(&format!("{round}"), 30);
        batches.push(records.clone());
        let time_out = async {
            for _ in 0..round * 3 {
                yield_now().await;
            }
        };
        let commit = Box::pin(commit(&*repository, batch(records)));
        drop(select(commit, Box::pin(time_out)).await);
    }
    for records in batches {
        let outcomes = commit_records(&*repository, records).await;
        let first = outcomes[0].name();
        assert!(matches!(first, "processed" | "duplicate"));
        assert!(outcomes.iter().all(|outcome| outcome.name() == first), "one batch has one result");
    }
    assert_eq!(assert_consistent(&*repository).await.len(), 600);
    let entries = claim(&*repository, &Owner::new("heir"), ClaimScope::Abandoned).await;
    let in_outbox: Vec<u64> = entries.iter().flat_map(|entry| entry.first..=entry.last).collect();
    assert!(in_outbox.into_iter().eq(1..=600), "every record has its messages in the outbox");
}

/// Several writers commit the same batch at the same moment, as callers do after a time-out.
pub async fn a_batch_sent_by_all_at_once_is_processed_once<F: RepositoryFixture>() {
    let fixture = F::fresh().await;
    let handles = handles(&fixture).await;
    for round in 0..10 {
        let records = Generator::new(round).over(4, 2).records(&format!("{round}"), 40);
        let arrivals: Arc<[Arrival]> = records.into_iter().map(Arrival::from).collect();
        let sends = handles.iter().map(|repository| {
            let batch = Batch { arrivals: Arc::clone(&arrivals), ..batch([]) };
            async move { commit(&**repository, batch).await }
        });
        let committed = join_all(sends).await;
        let winners: Vec<_> = committed.iter().filter(|committed| committed.entry.is_some()).collect();
        assert_eq!(winners.len(), 1, "one send has the effect");
        assert!(winners[0].outcomes.iter().all(|outcome| outcome.name() == "processed"));
    }
    assert_eq!(assert_consistent(&*handles[0]).await.len(), 400);
}

/// Two handles, each for several writers.
async fn handles<F: RepositoryFixture>(fixture: &F) -> Vec<Arc<dyn Store>> {
    let two = [parallel_handle(fixture).await, parallel_handle(fixture).await];
    (0..2 * WRITERS).map(|writer| Arc::clone(&two[writer % 2])).collect()
}

/// Checks that every outcome of a record, the first and the repeated ones, has the sequence that is stored.
fn assert_outcomes_agree(outcomes: &[Outcome], stored: &[Arc<StoredRecord>]) {
    let sequences: HashMap<&RecordId, u64> =
        stored.iter().map(|stored| (&stored.processed.record.record_id, stored.processed.sequence)).collect();
    for outcome in outcomes {
        let sequence = match outcome {
            Outcome::Processed(stored) => Some(stored.processed.sequence),
            Outcome::Duplicate { sequence, .. } => Some(*sequence),
            Outcome::Conflict { .. } | Outcome::Rejected(_) => None,
        };
        let id = outcome.record_id().expect("every outcome here names its record");
        assert_eq!(sequence, sequences.get(id).copied(), "{id}");
    }
}
