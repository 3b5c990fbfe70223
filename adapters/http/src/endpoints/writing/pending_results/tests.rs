//! How results that wait share their budget, and in which order they are sent.

use tallyhouse_pipeline::Rejection;
use tallyhouse_testing::{MockRecordReader, generate};

use super::*;

fn caller(name: &str) -> Caller {
    Caller::Key(name.into())
}

fn stored(n: usize) -> Arc<StoredRecord> {
    let records = [generate::record(&format!("r{n:04}"), "D", &n.to_string(), "1", "EUR")];
    generate::stored(records).remove(0)
}

fn processed(n: usize) -> Outcome {
    Outcome::Processed(stored(n))
}

fn rejected() -> Outcome {
    Outcome::Rejected(Rejection::at(None, "/value", "x".repeat(1_000)))
}

fn whole(results: &WaitingResults) -> usize {
    results.results.iter().filter(|result| matches!(result.kept, Kept::Whole(_))).count()
}

#[test]
fn results_of_one_caller_leave_budget_to_the_others() {
    let weight = stored(0).weight();
    let budget = SharedBudget::new(100 * weight);
    let mut greedy = WaitingResults::new(&budget, &caller("greedy"), false);
    greedy.add((0..500).map(processed).collect());
    assert!(
        (60..=76).contains(&whole(&greedy)),
        "three quarters, less what the ids of the others take: {}",
        whole(&greedy)
    );
    drop(greedy);
    let mut greedy = WaitingResults::new(&budget, &caller("greedy"), false);
    greedy.add((0..90).map(processed).collect());
    let mut other = WaitingResults::new(&budget, &caller("other"), false);
    other.add((0..10).map(processed).collect());
    assert_eq!(whole(&other), 10);
    drop((greedy, other));
    assert_eq!(budget.in_use(), 0);
}

#[test]
fn results_of_refused_records_reserve_memory_even_beyond_the_budget() {
    let budget = SharedBudget::new(100_000);
    let mut refused = WaitingResults::new(&budget, &caller("a"), true);
    refused.add((0..200).map(|_| rejected()).collect());
    assert!(budget.in_use() > 200_000, "{}", budget.in_use());
    let mut other = WaitingResults::new(&budget, &caller("b"), false);
    other.add(vec![processed(0)]);
    assert_eq!((whole(&refused), whole(&other)), (200, 0));
}

#[test]
fn where_failures_alone_are_wanted_the_others_are_counted_and_take_nothing() {
    let budget = SharedBudget::new(100_000);
    let mut results = WaitingResults::new(&budget, &caller("a"), true);
    results.add(vec![processed(0), rejected(), processed(1)]);
    let failed = rejected().weight();
    assert_eq!((results.counts().processed, results.counts().rejected, budget.in_use()), (2, 1, failed));
    assert_eq!(results.results.iter().map(|result| result.index).collect::<Vec<_>>(), [1]);
}

#[tokio::test]
async fn dropped_results_are_read_again_a_few_hundred_at_a_time_and_sent_in_order() {
    let mut reader = MockRecordReader::new();
    let mut asked = Vec::new();
    reader.expect_find().returning(|id| {
        let n = id.as_str()[1..].parse().unwrap();
        Ok(Some((*stored(n)).clone()))
    });
    let budget = SharedBudget::new(0);
    let mut results = WaitingResults::new(&budget, &caller("a"), false);
    results.add((0..600).map(processed).collect());
    results.add(vec![rejected()]);
    results.add((601..700).map(processed).collect());
    let waiting = budget.in_use();
    let mut sent = results.send(Arc::new(reader));
    let mut held = 0;
    while let Some((index, outcome)) = sent.next().await.unwrap() {
        held = held.max(budget.in_use() - waiting);
        asked.push((index, outcome.record_id().map(|id| id.as_str().to_owned())));
    }
    let expect = |n: u64| (n, (n != 600).then(|| format!("r{n:04}")));
    assert_eq!(asked, (0..700).map(expect).collect::<Vec<_>>());
    assert!(sent.are_sent());
    let page = READ_AGAIN_MAX * stored(0).weight();
    assert!(held > page / 2 && held < 2 * page, "what is read again is reserved, too: {held}");
    drop(sent);
    assert_eq!(budget.in_use(), 0);
}
