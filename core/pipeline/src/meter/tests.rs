//! Each record is counted once, by ingress and outcome, with its times.

use std::sync::atomic::Ordering as Order;
use std::time::Duration;

use tallyhouse_testing::generate;

use super::*;
use crate::ingress::Ingress;
use crate::settings::PipelineSettings;
use crate::test_harness::{Instance, arrivals, eventually};

fn outcomes(reading: &IngressReading) -> [u64; 4] {
    let OutcomeCounts { processed, duplicates, conflicts, rejected } = reading.outcomes;
    [processed, duplicates, conflicts, rejected]
}

#[test]
fn a_histogram_counts_each_value_at_its_bound_and_above() {
    let histogram = Histogram::of_records();
    for (value, times) in [(0, 1), (1, 2), (2, 3), (5_000, 1), (5_001, 4), (7, 0)] {
        histogram.observe(value, times);
    }
    let HistogramReading { buckets, count, sum } = histogram.read();
    assert_eq!((count, sum), (11, 2 + 6 + 5_000 + 4 * 5_001));
    assert_eq!((buckets[0], buckets[1], buckets[10], buckets[11]), ((1, 3), (2, 6), (2_000, 6), (5_000, 7)));

    let times = Histogram::of_times();
    times.observe_time(Duration::from_micros(250), 1);
    times.observe_time(Duration::from_micros(251), 1);
    times.observe_time(Duration::from_secs(3_600), 1);
    let reading = times.read();
    assert_eq!((reading.buckets[0], reading.buckets[1], reading.buckets[15]), ((250, 1), (500, 2), (60_000_000, 2)));
    assert_eq!((reading.count, reading.sum), (3, 501 + 3_600_000_000));
}

#[tokio::test(start_paused = true)]
async fn records_are_counted_by_ingress_and_outcome_and_times_by_record() {
    let instance = Instance::start(PipelineSettings { batch_records_max: 100, ..PipelineSettings::default() });
    *instance.repository.commit_takes.lock().unwrap() = Duration::from_millis(10);
    let (http, list) = (instance.pipeline.named_ingress("http"), instance.pipeline.named_ingress("list"));
    http.submit(arrivals("r", 100)).await.unwrap();
    http.submit(arrivals("r", 30)).await.unwrap();
    let changed = generate::record("r-0", "d0", "", "2", "EUR");
    list.submit(vec![changed.into(), generate::record("large", "d", "", "1001", "EUR").into()]).await.unwrap();
    list.count_refused(3);
    instance.pipeline.process(generate::record("by-hand", "d", "", "1", "EUR")).await.unwrap();
    eventually(|| instance.published().len() == 103).await;

    let readings = instance.pipeline.readings();
    let ingresses: Vec<_> = readings.ingresses.iter().map(|ingress| (ingress.name, outcomes(ingress))).collect();
    assert_eq!(ingresses, [("library", [1, 0, 0, 0]), ("http", [100, 30, 0, 0]), ("list", [1, 0, 1, 3])]);
    assert!(readings.ingresses.iter().all(|ingress| ingress.waiting_records == 0 && ingress.waiting_bytes == 0));
    let HistogramReading { count, sum, .. } = readings.batch_records;
    assert_eq!((count, sum), (4, 100 + 30 + 2 + 1));
    assert_eq!((readings.commit_micros.count, readings.commit_micros.sum), (4, 40_000));
    let waited = readings.accept_to_commit_micros;
    assert_eq!((waited.count, waited.sum), (133, 133 * 10_000));
    assert_eq!(readings.commit_to_publish_micros.count, 102);
    assert_eq!(readings.published, [(Topic::Notifications, 102), (Topic::Alerts, 1)]);
    assert_eq!((readings.commits_failed, readings.publishing_failed), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn of_ingresses_with_one_name_the_fuller_is_shown() {
    let instance = Instance::start(PipelineSettings { intake_records_max: 10, ..PipelineSettings::default() });
    *instance.repository.commit_takes.lock().unwrap() = Duration::from_secs(1);
    for (first, second) in [(9, 2), (2, 9)] {
        let ingresses = ["http"; 2].map(|name| instance.pipeline.named_ingress(name));
        let submit = |ingress: &Ingress, records| {
            let ingress = ingress.clone();
            tokio::spawn(async move { ingress.submit(arrivals(&format!("{first}-{records}"), records)).await })
        };
        let submitted = [submit(&ingresses[0], first), submit(&ingresses[1], second)];
        tokio::task::yield_now().await;
        let reading = instance.pipeline.readings().ingresses.swap_remove(1);
        assert_eq!((reading.waiting_records, reading.intake_records_max), (9, 10));
        for submitted in submitted {
            submitted.await.unwrap().unwrap();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn waiting_records_are_shown_in_the_readings() {
    let instance = Instance::start(PipelineSettings { intake_records_max: 10, ..PipelineSettings::default() });
    *instance.repository.commit_takes.lock().unwrap() = Duration::from_secs(1);
    let ingress = instance.pipeline.named_ingress("http");
    let submitted = tokio::spawn({
        let ingress = ingress.clone();
        async move { ingress.submit(arrivals("r", 7)).await }
    });
    tokio::task::yield_now().await;
    let read = || instance.pipeline.readings().ingresses.swap_remove(1);
    assert_eq!((read().waiting_records, read().intake_records_max), (7, 10));
    assert!(read().waiting_bytes > 0);
    assert_eq!(ingress.submit_now(arrivals("more", 4)).await, Err(SubmitError::Overloaded));
    submitted.await.unwrap().unwrap();
    assert_eq!((read().waiting_records, read().waiting_bytes, read().overloaded), (0, 0, 4));

    instance.pipeline.close();
    assert_eq!(ingress.submit(arrivals("late", 2)).await, Err(SubmitError::Stopped));
    assert_eq!((read().stopped, outcomes(&read())), (2, [7, 0, 0, 0]));
}

#[tokio::test(start_paused = true)]
async fn failures_are_counted_and_late_messages_are_measured() {
    let instance = Instance::start(PipelineSettings::default());
    instance.emitter.down.store(true, Order::SeqCst);
    let ingress = instance.pipeline.named_ingress("http");
    ingress.submit(arrivals("r", 10)).await.unwrap();
    tokio::time::sleep(Duration::from_secs(20)).await;
    let readings = instance.pipeline.readings();
    assert!(readings.publishing_failed > 0);
    assert_eq!((readings.commit_to_publish_micros.count, readings.published[0].1), (0, 0));
    instance.emitter.down.store(false, Order::SeqCst);
    eventually(|| instance.pipeline.readings().published[0].1 == 10).await;
    let late = instance.pipeline.readings().commit_to_publish_micros;
    assert!(late.count == 10 && late.sum >= 10 * 20_000_000, "{late:?}");
}
