//! Every message is published, once if nothing fails, in bounded memory.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tallyhouse_core::ports::{Batch, Outbox as _, Owner, RecordRepository as _};
use tallyhouse_core::{Arrival, Known, RuleSet, StoredRecord, Timestamp, plan};
use tallyhouse_testing::generate;

use super::{CLAIM_BATCHES, EMIT_WEIGHT_MAX, parts};
use crate::dependency::breaker::BreakerState;
use crate::publish::handoff::Reservation;
use crate::settings::PipelineSettings;
use crate::test_harness::{FaultyRepository, Instance, PausedClock, arrivals, eventually};

fn few_in_memory() -> PipelineSettings {
    PipelineSettings { relay_batches_max: 2, batch_records_max: 10, ..PipelineSettings::default() }
}

async fn unpublished(repository: &FaultyRepository) -> u64 {
    repository.inner.backlog().await.unwrap().records
}

/// Waits until the outbox is empty.
async fn until_outbox_is_empty(repository: &FaultyRepository) {
    for _ in 0..10_000 {
        if unpublished(repository).await == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the outbox still has entries");
}

fn unique(ids: &[String]) -> HashSet<&String> {
    ids.iter().collect()
}

/// Commits records whose messages have no owner, or one that never comes back.
async fn abandon(repository: &FaultyRepository, prefix: &str, owner: Option<Owner>) {
    abandon_at("2026-01-01T00:00:00Z", repository, prefix, owner).await;
}

async fn abandon_at(now: &str, repository: &FaultyRepository, prefix: &str, owner: Option<Owner>) {
    let batch = Batch {
        arrivals: arrivals(prefix, 10).into(),
        rules: Arc::default(),
        now: Timestamp::parse(now).unwrap(),
        owner,
        published: Vec::new(),
    };
    repository.inner.commit(batch).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_record_is_published_with_its_alerts_and_marked_when_idle() {
    let instance = Instance::start(PipelineSettings::default());
    instance.pipeline.process(generate::record("big", "d", "", "1000.01", "EUR")).await.unwrap();
    instance.pipeline.process(generate::record("small", "d", "", "1000", "EUR")).await.unwrap();
    until_outbox_is_empty(&instance.repository).await;
    assert_eq!(instance.published(), ["big", "big/large", "small"]);
}

#[tokio::test(start_paused = true)]
async fn a_slow_emitter_gets_every_message_once_through_the_outbox() {
    let instance = Instance::start(few_in_memory());
    *instance.emitter.takes.lock().unwrap() = Duration::from_millis(50);
    let ingress = instance.pipeline.ingress();
    for i in 0..100 {
        ingress.submit(arrivals(&format!("b{i}"), 10)).await.unwrap();
        if i % 10 == 0 {
            tokio::time::sleep(Duration::from_millis(120)).await;
        }
    }
    until_outbox_is_empty(&instance.repository).await;
    let ids = instance.published();
    assert_eq!((ids.len(), unique(&ids).len()), (1_000, 1_000));
}

#[tokio::test(start_paused = true)]
async fn an_entry_that_a_commit_removes_while_its_claim_is_answered_is_published_once() {
    // The time of an emit decides which commit takes the entry along.
    for emit_takes in 5..25 {
        let instance = Instance::start(few_in_memory());
        *instance.repository.gate.commit_takes.lock().unwrap() = Duration::from_millis(10);
        *instance.repository.gate.claim_returns_after.lock().unwrap() = Duration::from_millis(15);
        let ingress = instance.pipeline.ingress();
        for i in 0..100 {
            // Now and then so slow that batches spill.
            let takes = if i % 10 < 3 { 45 } else { emit_takes };
            *instance.emitter.takes.lock().unwrap() = Duration::from_millis(takes);
            ingress.submit(arrivals(&format!("b{i}"), 10)).await.unwrap();
        }
        until_outbox_is_empty(&instance.repository).await;
        let ids = instance.published();
        assert_eq!((ids.len(), unique(&ids).len()), (1_000, 1_000), "{emit_takes}");
    }
}

#[tokio::test(start_paused = true)]
async fn batches_that_are_too_heavy_for_memory_are_published_once_from_the_outbox() {
    let instance = Instance::start(PipelineSettings { relay_bytes_max: 1, ..PipelineSettings::default() });
    *instance.emitter.takes.lock().unwrap() = Duration::from_millis(50);
    let ingress = instance.pipeline.ingress();
    for i in 0..20 {
        ingress.submit(arrivals(&format!("b{i}"), 10)).await.unwrap();
    }
    until_outbox_is_empty(&instance.repository).await;
    let ids = instance.published();
    assert_eq!((ids.len(), unique(&ids).len()), (200, 200));
}

#[test]
fn memory_takes_one_batch_of_any_weight_and_others_beside_it_up_to_the_limit() {
    let one = stored("a", 1);
    let weight = one[0].weight();
    let total = Arc::new(AtomicUsize::new(0));
    let add = |stored: &[Arc<StoredRecord>], bytes_max: usize| Reservation::try_reserve(&total, stored, bytes_max);
    let first = add(&stored("b", 10), 1).expect("the first is taken at any weight");
    assert!(add(&one, weight).is_none());
    assert_eq!(total.load(Ordering::SeqCst), 10 * weight, "one that is not taken does not count");
    let second = add(&one, 11 * weight).expect("both fit");
    assert!(add(&one, 11 * weight).is_none());
    drop(first);
    assert!(add(&one, 2 * weight).is_some());
    drop(second);
    assert_eq!(total.load(Ordering::SeqCst), 0);
}

#[test]
fn the_emitter_gets_heavy_records_in_parts() {
    let light: Vec<_> = (1..).zip(stored("a", 1_000)).collect();
    assert_eq!(parts(&light).map(<[_]>::len).collect::<Vec<_>>(), [1_000]);
    assert_eq!(parts(&[]).count(), 0);
    let long = |n: usize| generate::record(&format!("r{n}"), "d", "", "1", &format!("{:x>64}", n % 100));
    let heavy: Vec<Arrival> = (0..500).map(|n| long(n).into()).collect();
    let now = Timestamp::parse("2026-01-01T00:00:00Z").unwrap();
    let heavy: Vec<_> = (1..).zip(plan(&heavy, Known::default(), &RuleSet::default(), now).stored).collect();
    let weights = parts(&heavy).map(|part| part.iter().map(|(_, stored)| stored.weight()).sum::<usize>());
    let weights: Vec<usize> = weights.collect();
    assert!(weights.len() > 1 && weights.iter().all(|weight| *weight < EMIT_WEIGHT_MAX + 30_000), "{weights:?}");
    assert!(parts(&heavy).flatten().eq(&heavy));
}

fn stored(prefix: &str, n: usize) -> Vec<Arc<StoredRecord>> {
    let now = Timestamp::parse("2026-01-01T00:00:00Z").unwrap();
    let one = |arrival: Arrival| plan(&[arrival], Known::default(), &RuleSet::default(), now).stored.remove(0);
    // Each is the first of its key, so that all weigh the same.
    (0..n).map(|i| generate::record(&format!("{prefix}{i:04}"), "d", "", "1", "EUR").into()).map(one).collect()
}

#[tokio::test(start_paused = true)]
async fn small_batches_are_published_together_also_through_the_outbox() {
    for relay_batches_max in [2, 1_000] {
        let instance = Instance::start(PipelineSettings { relay_batches_max, ..few_in_memory() });
        let takes = Duration::from_millis(50);
        *instance.emitter.takes.lock().unwrap() = takes;
        let began = tokio::time::Instant::now();
        for i in 0..200 {
            instance.pipeline.process(generate::record(&format!("r{i}"), "d", "", "1", "EUR")).await.unwrap();
        }
        until_outbox_is_empty(&instance.repository).await;
        // One by one they would take 200 times as long.
        assert!(began.elapsed() < 20 * takes, "{:?}", began.elapsed());
        let ids = instance.published();
        assert_eq!((ids.len(), unique(&ids).len()), (200, 200));
    }
}

#[tokio::test(start_paused = true)]
async fn while_the_emitter_is_unavailable_records_are_committed_and_all_messages_follow() {
    let instance = Instance::start(few_in_memory());
    instance.emitter.down.store(true, Ordering::SeqCst);
    let ingress = instance.pipeline.ingress();
    for i in 0..100 {
        ingress.submit(arrivals(&format!("b{i}"), 10)).await.unwrap();
    }
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(unpublished(&instance.repository).await, 1_000);
    assert!(instance.emitter.failures.load(Ordering::SeqCst) < 100, "the emitter is retried with pauses");

    instance.emitter.down.store(false, Ordering::SeqCst);
    until_outbox_is_empty(&instance.repository).await;
    assert_eq!(unique(&instance.published()).len(), 1_000);
}

#[tokio::test(start_paused = true)]
async fn entries_without_an_owner_are_published_and_those_of_a_dead_owner_after_its_lease() {
    let repository = crate::test_harness::faulty_repository(PausedClock::start());
    let dead = Owner::new("dead");
    repository.inner.renew(&dead, Duration::from_secs(10)).await.unwrap();
    abandon(&repository, "dead", Some(dead)).await;
    abandon(&repository, "import", None).await;

    let instance = Instance::on(repository, "alive", PipelineSettings::default());
    eventually(|| instance.published().len() == 10).await;
    assert!(instance.published().iter().all(|id| id.starts_with("import")), "a live lease is respected");
    let begun = tokio::time::Instant::now();
    until_outbox_is_empty(&instance.repository).await;
    assert!(begun.elapsed() < Duration::from_secs(15), "claimed within seconds: {:?}", begun.elapsed());
    let ids = instance.published();
    assert_eq!((ids.len(), unique(&ids).len()), (20, 20));
}

#[tokio::test(start_paused = true)]
async fn abandoned_messages_do_not_delay_new_ones() {
    let repository = crate::test_harness::faulty_repository(PausedClock::start());
    for i in 0..500 {
        abandon(&repository, &format!("old{i}"), None).await;
    }
    let instance = Instance::on(repository, "alive", PipelineSettings::default());
    *instance.emitter.takes.lock().unwrap() = Duration::from_millis(20);
    tokio::time::sleep(Duration::from_millis(100)).await;
    instance.pipeline.process(generate::record("new", "d", "", "1", "EUR")).await.unwrap();
    eventually(|| instance.published().contains(&"new".to_owned())).await;
    assert!(instance.published().len() < 2_000, "the new one went out before {} others", instance.published().len());
    until_outbox_is_empty(&instance.repository).await;
    assert_eq!(instance.published().len(), 5_001);
}

#[tokio::test(start_paused = true)]
async fn two_instances_on_one_store_publish_each_message_once() {
    let repository = crate::test_harness::faulty_repository(PausedClock::start());
    let one = Instance::on(Arc::clone(&repository), "one", few_in_memory());
    let two = Instance::on(Arc::clone(&repository), "two", few_in_memory());
    let (a, b) = (one.pipeline.ingress(), two.pipeline.ingress());
    for i in 0..50 {
        let records = arrivals(&format!("r{i}"), 10);
        let (first, second) = tokio::join!(a.submit(records.clone()), b.submit(records));
        assert_eq!(first.unwrap().len() + second.unwrap().len(), 20);
    }
    until_outbox_is_empty(&repository).await;
    let ids: Vec<String> = one.published().into_iter().chain(two.published()).collect();
    assert_eq!((ids.len(), unique(&ids).len()), (500, 500));
}

#[tokio::test(start_paused = true)]
async fn a_stop_with_the_emitter_unavailable_ends_and_the_messages_can_be_claimed_at_once() {
    let instance = Instance::start(PipelineSettings::default());
    instance.emitter.down.store(true, Ordering::SeqCst);
    instance.pipeline.ingress().submit(arrivals("r", 10)).await.unwrap();
    let repository = Arc::clone(&instance.repository);
    tokio::time::timeout(Duration::from_secs(10), instance.stop()).await.expect("the stop ends");
    assert_eq!(unpublished(&repository).await, 10);

    let next = Instance::on(repository, "next", PipelineSettings::default());
    let begun = tokio::time::Instant::now();
    until_outbox_is_empty(&next.repository).await;
    assert!(begun.elapsed() < Duration::from_secs(1), "the stop ended the lease: {:?}", begun.elapsed());
    assert_eq!(next.published().len(), 10);
}

#[tokio::test(start_paused = true)]
async fn messages_of_a_commit_without_an_answer_are_published_by_its_own_instance() {
    let instance = Instance::start(PipelineSettings::default());
    instance.repository.answers_lost.store(1, Ordering::SeqCst);
    let outcome = instance.pipeline.process(generate::record("r", "d", "", "1", "EUR")).await.unwrap();
    assert_eq!(outcome.name(), "duplicate", "the first attempt was carried out");
    until_outbox_is_empty(&instance.repository).await;
    assert_eq!(instance.published(), ["r"]);
}

#[tokio::test(start_paused = true)]
async fn an_open_publishing_breaker_only_pings_and_a_stop_does_not_wait_for_it() {
    let instance = Instance::start(few_in_memory());
    let publishing = instance.pipeline.breakers().named("publishing");
    instance.emitter.down.store(true, Ordering::SeqCst);
    let ingress = instance.pipeline.ingress();
    ingress.submit(arrivals("first", 10)).await.unwrap();
    eventually(|| publishing.state() == BreakerState::Open).await;
    let attempts = instance.emitter.failures.load(Ordering::SeqCst);
    for i in 0..20 {
        ingress.submit(arrivals(&format!("b{i}"), 10)).await.unwrap();
    }
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(instance.emitter.failures.load(Ordering::SeqCst), attempts);
    let pings = instance.emitter.pings.load(Ordering::SeqCst);
    assert!((15..=40).contains(&pings), "{pings} pings in a minute");

    instance.emitter.down.store(false, Ordering::SeqCst);
    until_outbox_is_empty(&instance.repository).await;
    assert_eq!((instance.published().len(), publishing.state()), (210, BreakerState::Closed));

    instance.emitter.down.store(true, Ordering::SeqCst);
    ingress.submit(arrivals("last", 10)).await.unwrap();
    eventually(|| publishing.state() == BreakerState::Open).await;
    let (repository, begun) = (Arc::clone(&instance.repository), tokio::time::Instant::now());
    instance.stop().await;
    assert!(begun.elapsed() < Duration::from_millis(100), "{:?}", begun.elapsed());
    assert_eq!(unpublished(&repository).await, 10);
}

#[tokio::test(start_paused = true)]
async fn entries_of_a_claim_without_an_answer_are_published_by_their_new_owner() {
    let repository = crate::test_harness::faulty_repository(PausedClock::start());
    abandon(&repository, "import", None).await;
    repository.claims_lost.store(1, Ordering::SeqCst);
    let instance = Instance::on(repository, "alive", PipelineSettings::default());
    until_outbox_is_empty(&instance.repository).await;
    assert_eq!(instance.published().len(), 10);
}

#[tokio::test(start_paused = true)]
async fn entries_of_another_emitter_stay_in_the_outbox_and_are_counted() {
    let repository = crate::test_harness::faulty_repository(PausedClock::start());
    let dead = Owner::new("dead").with_emitter(Some("elsewhere"));
    abandon(&repository, "theirs", Some(dead)).await;
    abandon(&repository, "import", None).await;
    let instance = Instance::on(repository, "alive", PipelineSettings::default());
    eventually(|| instance.published().len() == 10).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!((instance.published().len(), unpublished(&instance.repository).await), (10, 10));
    assert_eq!(instance.pipeline.readings().foreign_batches, 1);

    *instance.repository.emitter_name.lock().unwrap() = Some("elsewhere".to_owned());
    let heir = Instance::on(Arc::clone(&instance.repository), "heir", PipelineSettings::default());
    until_outbox_is_empty(&heir.repository).await;
    assert!(heir.published().iter().all(|id| id.starts_with("theirs")));
    eventually(|| instance.pipeline.readings().foreign_batches == 0).await;
}

#[tokio::test(start_paused = true)]
async fn entries_that_come_back_with_an_earlier_state_are_published_by_their_live_owner() {
    let instance = Instance::start(PipelineSettings::default());
    instance.emitter.down.store(true, Ordering::SeqCst);
    instance.pipeline.ingress().submit(arrivals("r", 10)).await.unwrap();
    let copy = instance.repository.inner.snapshot();
    instance.emitter.down.store(false, Ordering::SeqCst);
    until_outbox_is_empty(&instance.repository).await;

    instance.repository.inner.restore(copy);
    assert_eq!(unpublished(&instance.repository).await, 10);
    until_outbox_is_empty(&instance.repository).await;
    let ids = instance.published();
    assert_eq!((ids.len(), unique(&ids).len()), (20, 10));
}

/// The store goes back between the claim of an entry and the read of its records, has other records at the same positions
/// for that moment, and returns.
#[tokio::test(start_paused = true)]
async fn an_entry_whose_positions_had_other_records_when_they_were_read_is_published_with_its_own() {
    let repository = crate::test_harness::faulty_repository(PausedClock::start());
    let empty = repository.inner.snapshot();
    abandon_at("2026-01-01T00:00:01Z", &repository, "other", None).await;
    let other = repository.inner.snapshot();
    repository.inner.restore(empty);
    abandon(&repository, "own", None).await;

    *repository.detour.lock().unwrap() = Some((Arc::clone(&repository.inner), other));
    let instance = Instance::on(repository, "instance", PipelineSettings::default());
    until_outbox_is_empty(&instance.repository).await;
    assert!(instance.repository.detour.lock().unwrap().is_none(), "the other records were read");
    let ids = instance.published();
    assert_eq!((ids.len(), ids.iter().all(|id| id.starts_with("own"))), (10, true), "{ids:?}");
}

/// The same for entries of this instance, which a sweep finds, with more of them than one claim takes.
#[tokio::test(start_paused = true)]
async fn own_entries_that_are_read_in_another_history_hold_up_no_later_one() {
    let instance = Instance::start(PipelineSettings::default());
    let (repository, owner) = (Arc::clone(&instance.repository), Owner::new("instance"));
    let empty = repository.inner.snapshot();
    for i in 0..CLAIM_BATCHES + 1 {
        abandon_at("2026-01-01T00:00:01Z", &repository, &format!("other{i}"), Some(owner.clone())).await;
    }
    let other = repository.inner.snapshot();
    repository.inner.restore(empty);
    for i in 0..CLAIM_BATCHES + 1 {
        abandon(&repository, &format!("own{i}"), Some(owner.clone())).await;
    }
    *repository.detour.lock().unwrap() = Some((Arc::clone(&repository.inner), other));
    until_outbox_is_empty(&repository).await;
    assert!(repository.detour.lock().unwrap().is_none(), "the other records were read");
    let ids = instance.published();
    assert_eq!((ids.len(), unique(&ids).len()), (650, 650));
    assert!(ids.iter().all(|id| id.starts_with("own")));
}
