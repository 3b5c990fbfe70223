//! Payloads are acknowledged after their commit or their dead letter, and stay in the queue while storage is unavailable.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tallyhouse_core::StoredRecord;
use tallyhouse_core::ports::{Batch, DeadLetter, PortErrorKind, RecordReader as _};
use tallyhouse_testing::{ScriptedSource, generate};

use super::*;
use crate::dependency::breaker::BreakerState;
use crate::settings::PipelineSettings;
use crate::test_harness::{Instance, PausedClock, eventually};

struct Consuming {
    instance: Instance,
    queue: ScriptedSource,
    stop: watch::Sender<bool>,
    work: tokio::task::JoinHandle<()>,
}

impl Consuming {
    fn start() -> Self {
        Self::start_with(PipelineSettings::default())
    }

    fn start_with(settings: PipelineSettings) -> Self {
        let instance = Instance::start(settings);
        let clock = PausedClock::start();
        let queue = ScriptedSource::new(clock.clone());
        let (stop, stopped) = watch::channel(false);
        let consumer = Consumer {
            source: Arc::new(queue.another()),
            ingress: instance.pipeline.ingress(),
            repository: instance.repository.clone(),
            breaker: instance.pipeline.breakers().named("queue-scripted"),
            clock,
            retry: RetryPolicy::default(),
        };
        Self { instance, queue, stop, work: tokio::spawn(consumer.run(stopped)) }
    }

    async fn stored(&self, id: &str) -> Option<StoredRecord> {
        let id = tallyhouse_core::RecordId::new(id).unwrap();
        self.instance.repository.find(&id).await.unwrap()
    }

    async fn until_empty(&self) {
        eventually(|| self.queue.kept() == 0).await;
    }
}

fn json(id: &str, value: &str) -> Vec<u8> {
    serde_json::to_vec(&generate::record(id, "d", "", value, "EUR")).unwrap()
}

fn reasons(dead_letters: &[DeadLetter]) -> Vec<(&str, &str)> {
    dead_letters.iter().map(|letter| (letter.reason.as_str(), letter.detail.as_str())).collect()
}

#[tokio::test(start_paused = true)]
async fn good_payloads_are_processed_and_bad_ones_become_dead_letters_with_their_reasons() {
    let consuming = Consuming::start();
    consuming.queue.push(&json("good-1", "1"));
    consuming.queue.push(b"{");
    consuming.queue.push(&json("good-1", "1.0"));
    consuming.queue.push(&json("good-1", "2"));
    consuming.queue.push(b"{\"recordId\":7}");
    consuming.queue.push_entry(None, None);
    consuming.queue.push(&vec![b' '; PAYLOAD_BYTES_MAX + 1]);
    consuming.queue.push(&json("good-2", "1"));
    consuming.until_empty().await;

    assert!(consuming.stored("good-1").await.is_some());
    assert_eq!(consuming.stored("good-2").await.unwrap().processed.sequence, 2);
    let dead_letters = consuming.queue.dead_letters();
    // One call acknowledges them; the queue chooses their order.
    let mut reasons = reasons(&dead_letters);
    reasons.sort_unstable();
    let codes: Vec<&str> = reasons.iter().map(|(reason, _)| *reason).collect();
    assert_eq!(codes, ["conflict", "not-json", "not-json", "rejected", "too-large"]);
    assert_eq!(reasons[0].1, "was processed before with other content: value");
    assert_eq!(reasons[1].1, "has no field \"record\"");
    assert!(reasons[3].1.contains("/recordId") && reasons[3].1.contains("/unit"), "{}", reasons[3].1);
}

#[tokio::test(start_paused = true)]
async fn a_byte_order_mark_at_the_beginning_of_a_payload_is_passed_over() {
    let consuming = Consuming::start();
    let marked = |payload: &[u8]| [b"\xEF\xBB\xBF", payload].concat();
    consuming.queue.push(&marked(&json("marked", "1")));
    consuming.queue.push(&marked(&marked(&json("marked-twice", "1"))));
    consuming.until_empty().await;
    assert!(consuming.stored("marked").await.is_some());
    assert_eq!(consuming.queue.dead_letters().len(), 1, "only the first mark is passed over");
}

#[tokio::test(start_paused = true)]
async fn a_traceparent_is_stored_with_its_record() {
    let consuming = Consuming::start();
    let traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    consuming.queue.push_entry(Some(&json("r", "1")), Some(traceparent));
    consuming.until_empty().await;
    assert_eq!(consuming.stored("r").await.unwrap().traceparent.as_deref(), Some(traceparent));
}

#[tokio::test(start_paused = true)]
async fn while_storage_is_unavailable_payloads_stay_in_the_queue_and_are_processed_afterwards() {
    let consuming = Consuming::start();
    let unavailable = Arc::new(AtomicBool::new(true));
    let is_down = Arc::clone(&unavailable);
    let fault = move |_: &_| is_down.load(Ordering::SeqCst).then_some(PortErrorKind::Unavailable);
    consuming.instance.repository.fail_commits(fault);
    for i in 0..10 {
        consuming.queue.push(&json(&format!("r{i}"), "1"));
        consuming.queue.push(b"not json");
    }
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(consuming.queue.kept(), 20);
    assert!(consuming.queue.dead_letters().is_empty());

    unavailable.store(false, Ordering::SeqCst);
    consuming.until_empty().await;
    assert_eq!(consuming.queue.dead_letters().len(), 10);
    assert_eq!(consuming.instance.repository.head().await.unwrap(), 10);
}

/// Payloads that were received in advance go back into the queue after the earlier ones, in any number of rounds.
#[tokio::test(start_paused = true)]
async fn the_order_of_the_queue_survives_an_outage_of_storage() {
    for outage in 1..40 {
        let settings = PipelineSettings { writers: 2, batch_records_max: 2, ..PipelineSettings::default() };
        let consuming = Consuming::start_with(settings);
        consuming.instance.repository.starts_early.store(outage % 2 == 0, Ordering::SeqCst);
        let unavailable = Arc::new(AtomicBool::new(true));
        let is_down = Arc::clone(&unavailable);
        // Pings are answered, so that payloads are received.
        let fault = move |batch: &Batch| {
            let fails = is_down.load(Ordering::SeqCst) && !batch.arrivals.is_empty();
            fails.then_some(PortErrorKind::Unavailable)
        };
        consuming.instance.repository.fail_commits(fault);
        for i in 0..20 {
            consuming.queue.push(&json(&format!("r{i}"), "1"));
        }
        tokio::time::sleep(Duration::from_secs(outage)).await;
        unavailable.store(false, Ordering::SeqCst);
        consuming.until_empty().await;
        for i in 0..20 {
            let sequence = consuming.stored(&format!("r{i}")).await.unwrap().processed.sequence;
            assert_eq!(sequence, i + 1, "record {i} after {outage} s");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_failing_queue_is_retried_and_an_unacknowledged_payload_is_a_duplicate() {
    let consuming = Consuming::start();
    consuming.queue.push(&json("r", "1"));
    consuming.queue.fail_next_receives(3);
    consuming.queue.fail_next_acks(1);
    eventually(|| consuming.queue.kept() == 1).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(consuming.stored("r").await.unwrap().processed.sequence, 1);
    // This consumer still has the payload. When it has ended, another one receives the payload, which is a duplicate now.
    consuming.stop.send(true).unwrap();
    consuming.work.await.unwrap();
    let (_stop, stopped) = watch::channel(false);
    let consumer = Consumer {
        source: Arc::new(consuming.queue.another()),
        ingress: consuming.instance.pipeline.ingress(),
        repository: consuming.instance.repository.clone(),
        breaker: consuming.instance.pipeline.breakers().named("queue-scripted"),
        clock: PausedClock::start(),
        retry: RetryPolicy::default(),
    };
    let work = tokio::spawn(consumer.run(stopped));
    eventually(|| consuming.queue.kept() == 0).await;
    assert_eq!(consuming.instance.repository.head().await.unwrap(), 1);
    work.abort();
}

#[tokio::test(start_paused = true)]
async fn the_breaker_of_an_unavailable_queue_opens_and_closes_with_the_next_success() {
    let consuming = Consuming::start();
    let breaker = consuming.instance.pipeline.breakers().named("queue-scripted");
    consuming.queue.fail_next_receives(20);
    eventually(|| breaker.state() == BreakerState::Open).await;
    consuming.queue.push(&json("r", "1"));
    consuming.until_empty().await;
    assert_eq!(breaker.state(), BreakerState::Closed);
    assert_eq!(
        *consuming.instance.pipeline.watch_breaker().borrow(),
        BreakerState::Closed,
        "storage was available all the time"
    );
}

#[tokio::test(start_paused = true)]
async fn unreachable_storage_opens_its_breaker_without_any_write() {
    let consuming = Consuming::start();
    consuming.instance.repository.frozen.send_replace(true);
    let storage = consuming.instance.pipeline.watch_breaker();
    eventually(|| *storage.borrow() == BreakerState::Open).await;
    consuming.queue.push(&json("r", "1"));
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(consuming.queue.kept(), 1);
    consuming.instance.repository.frozen.send_replace(false);
    consuming.until_empty().await;
    assert_eq!(*storage.borrow(), BreakerState::Closed);
}

#[tokio::test(start_paused = true)]
async fn a_stop_ends_a_consumer_at_once() {
    let consuming = Consuming::start();
    tokio::time::sleep(Duration::from_millis(10)).await;
    consuming.stop.send(true).unwrap();
    let begun = tokio::time::Instant::now();
    consuming.work.await.unwrap();
    assert!(begun.elapsed() < Duration::from_millis(10));
}
