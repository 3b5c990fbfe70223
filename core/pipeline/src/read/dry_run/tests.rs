//! A dry run gives exactly the alerts of the rule in force.

use std::sync::Mutex;
use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use tallyhouse_core::ports::{HistoryQuery, Owner, PortErrorKind, RecordReader as _};
use tallyhouse_core::{Arrival, Draft, Record, RuleDraft, RuleSet, Topic};
use tallyhouse_testing::generate::{Generator, draft, record};
use tallyhouse_testing::{MemoryRepository, MockRecordReader};

use super::*;
use crate::pipeline::{Pipeline, PipelineParts};
use crate::publish::publisher::Publisher;
use crate::settings::PipelineSettings;
use crate::test_harness::{FaultyEmitter, PausedClock};

fn rule(draft: RuleDraft) -> Arc<Rule> {
    Arc::new(Rule::new(RuleDraft { name: "tried".to_owned(), ..draft }).unwrap())
}

fn above(threshold: &str) -> Arc<Rule> {
    rule(RuleDraft { threshold: threshold.to_owned(), ..RuleDraft::default() })
}

/// A store into which a pipeline has committed the records in batches, with these rules in force, and its messages.
async fn processed(batches: &[Vec<Record>], rules: RuleSet) -> (Arc<MemoryRepository>, Vec<String>) {
    let clock = PausedClock::start();
    let (repository, emitter) = (Arc::new(MemoryRepository::new(clock.clone())), Arc::new(FaultyEmitter::default()));
    let (pipeline, driver) = Pipeline::new(PipelineParts {
        repository: repository.clone(),
        clock,
        rules,
        publisher: Some(Publisher::new(Owner::new("instance"), emitter.clone(), repository.clone())),
        settings: PipelineSettings::default(),
    });
    let work = tokio::spawn(driver.run());
    let ingress = pipeline.ingress();
    for batch in batches {
        ingress.submit(batch.iter().cloned().map(Arrival::from).collect()).await.unwrap();
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    pipeline.close();
    work.await.unwrap();
    let published = emitter.ids.lock().unwrap().clone();
    (repository, published)
}

async fn tried(repository: &Arc<MemoryRepository>, rule: &Arc<Rule>, window: Filter) -> DryRunReport {
    let mut run = DryRun::begin(repository.clone(), Arc::clone(rule), window).await.unwrap();
    while run.step().await.unwrap() {}
    run.report()
}

/// The expected alerts, in the order of processing.
async fn expected_alerts(repository: &MemoryRepository) -> Vec<Message> {
    let query = HistoryQuery { after: 0, alerting_only: true, limit: usize::MAX };
    let stored = repository.history(query).await.unwrap();
    stored.iter().flat_map(|(position, stored)| Message::of(*position, stored, Topic::Alerts)).collect()
}

/// Records of few keys, units and small values, so that totals rise and fall around thresholds.
fn records() -> impl Strategy<Value = Vec<Vec<Record>>> {
    let record = (0..3_u8, 0..2_u8, 0..2_u8, any::<bool>(), 0..6_u8, 0..5_u8);
    vec(vec(record, 0..20), 0..20).prop_map(|batches| {
        let mut ids = 0..;
        let mut record = |(destination, reference, unit, rises, value, hour): (u8, u8, u8, bool, u8, u8)| {
            draft(Draft {
                record_id: &format!("r{}", ids.next().unwrap_or(0)),
                time: &format!("2026-01-01T0{hour}:00:00Z"),
                source_id: if rises { "up" } else { "down" },
                destination_id: &format!("d{destination}"),
                record_type: if rises { "positive" } else { "negative" },
                value: &value.to_string(),
                unit: ["EUR", "minute"][usize::from(unit)],
                reference: &format!("R{reference}"),
            })
        };
        batches.into_iter().map(|batch| batch.into_iter().map(&mut record).collect()).collect()
    })
}

fn rules() -> impl Strategy<Value = Arc<Rule>> {
    let one_of = |texts: &'static [&'static str]| {
        proptest::option::of(proptest::sample::select(texts)).prop_map(|text| text.map(str::to_owned))
    };
    let conditions = (one_of(&["EUR", "minute"]), one_of(&["d0", "d1"]), one_of(&["R0"]));
    let of_values = (one_of(&["positive", "negative"]), one_of(&["up"]));
    (0..5_u8, any::<bool>(), conditions, of_values).prop_map(
        |(threshold, total, conditions, (record_type, source_id))| {
            let (unit, destination_id, reference) = conditions;
            let draft =
                RuleDraft { threshold: threshold.to_string(), unit, destination_id, reference, ..RuleDraft::default() };
            rule(match total {
                true => RuleDraft { on: Some("total".to_owned()), ..draft },
                false => RuleDraft { record_type, source_id, ..draft },
            })
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_dry_run_gives_exactly_the_alerts_of_a_pipeline_with_the_rule_in_force(
        batches in records(), rule in rules(), start in proptest::option::of(0..5_u8), end in proptest::option::of(0..5_u8),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let in_force = RuleSet::new([Rule::clone(&rule)]).unwrap();
            let (before, before_ids) = processed(&batches, RuleSet::default()).await;
            let (with_rule, with_rule_ids) = processed(&batches, in_force).await;
            let hour = |hour: Option<u8>| hour.map(|hour| Timestamp::parse(&format!("2026-01-01T0{hour}:00:00Z")).unwrap());
            let window = Filter { start: hour(start), end: hour(end), ..Filter::default() };
            let report = tried(&before, &rule, window.clone()).await;
            // Of the same records, and to the letter.
            let mut raised = expected_alerts(&with_rule).await;
            let ids = with_rule_ids.iter().filter(|id| id.ends_with("/tried"));
            prop_assert!(ids.eq(raised.iter().map(Message::id).collect::<Vec<_>>().iter()));
            raised.retain(|alert| window.matches(&alert.stored().processed.record));
            raised.reverse();
            check(&report, &raised)?;
            let all = batches.iter().flatten();
            prop_assert_eq!(report.records, all.filter(|record| window.matches(record)).count() as u64);
            // Nothing was written and nothing published.
            prop_assert_eq!(before_ids.len(), batches.iter().flatten().count());
            prop_assert!(expected_alerts(&before).await.is_empty());
            Ok(())
        })?;
    }
}

fn check(report: &DryRunReport, raised: &[Message]) -> Result<(), TestCaseError> {
    prop_assert!(report.complete);
    prop_assert_eq!(report.alerts_count, raised.len() as u64);
    let listed: Vec<(String, Option<&Rule>)> = report.alerts.iter().map(|alert| (alert.id(), alert.rule())).collect();
    let latest = raised.iter().take(DryRunReport::ALERTS_LISTED);
    prop_assert_eq!(listed, latest.clone().map(|alert| (alert.id(), alert.rule())).collect::<Vec<_>>());
    let content = |alert: &Message| (alert.stored().processed.clone(), alert.stored().previous.clone());
    prop_assert!(report.alerts.iter().map(content).eq(latest.map(content)));
    let times = raised.iter().map(|alert| alert.stored().processed.record.time);
    prop_assert_eq!(report.times, times.clone().min().zip(times.max()));
    let of = |destination: &str| {
        raised.iter().filter(|alert| alert.stored().processed.record.destination_id.as_str() == destination).count()
    };
    let mut counts = ["d0", "d1", "d2"].map(|destination| (destination, of(destination) as u64)).to_vec();
    counts.retain(|(_, alerts)| *alerts > 0);
    counts.sort_by_key(|(_, alerts)| Reverse(*alerts));
    let listed: Vec<(&str, u64)> = report.destinations.iter().map(|(id, alerts)| (id.as_str(), *alerts)).collect();
    prop_assert_eq!(report.destinations_count, counts.len() as u64);
    prop_assert_eq!(listed, counts);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_total_counts_records_before_the_window() {
    let steps = [
        ("00", "8", "positive"),
        ("01", "1", "positive"),
        ("02", "4", "positive"),
        ("03", "9", "negative"),
        ("04", "9", "positive"),
    ];
    let records = steps.map(|(hour, value, record_type)| {
        draft(Draft {
            record_id: hour,
            time: &format!("2026-01-01T{hour}:00:00Z"),
            source_id: "s",
            destination_id: "d",
            record_type,
            value,
            unit: "EUR",
            reference: "",
        })
    });
    let (repository, _) = processed(&[records.to_vec()], RuleSet::default()).await;
    let rule = rule(RuleDraft { threshold: "10".to_owned(), on: Some("total".to_owned()), ..RuleDraft::default() });
    let start = Some(Timestamp::parse("2026-01-01T01:30:00Z").unwrap());
    let report = tried(&repository, &rule, Filter { start, ..Filter::default() }).await;
    let ids: Vec<String> = report.alerts.iter().map(Message::id).collect();
    assert_eq!((report.records, ids), (3, vec!["04/tried".to_owned(), "02/tried".to_owned()]));
    let end = Some(Timestamp::parse("2026-01-01T04:00:00Z").unwrap());
    let report = tried(&repository, &rule, Filter { start, end, ..Filter::default() }).await;
    assert_eq!((report.records, report.alerts_count), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn lists_are_bounded_and_counts_are_not() {
    let mut generator = Generator::new(7).over(60, 2);
    let records = generator.records("r", 3_000);
    let (repository, _) = processed(std::slice::from_ref(&records), RuleSet::default()).await;
    let report = tried(&repository, &above("0"), Filter::default()).await;
    let met = records.iter().rev().filter(|record| record.value > above("0").threshold());
    assert_eq!((report.complete, report.records), (true, 3_000));
    assert_eq!(report.alerts_count, met.clone().count() as u64);
    let ids: Vec<String> = met.take(20).map(|record| format!("{}/tried", record.record_id)).collect();
    assert_eq!(report.alerts.iter().map(Message::id).collect::<Vec<_>>(), ids);
    assert_eq!((report.destinations.len(), report.destinations_count), (20, 60));
    assert!(report.destinations.is_sorted_by_key(|(id, alerts)| (Reverse(*alerts), id.clone())));
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_that_ends_early_has_read_the_newest_records() {
    let batches: Vec<Vec<Record>> = (0..12)
        .map(|batch| (0..100).map(|i| record(&format!("r{}", batch * 100 + i), "d", "", "2", "EUR")).collect())
        .collect();
    let (repository, _) = processed(&batches, RuleSet::default()).await;
    let mut run = DryRun::begin(repository.clone(), above("1"), Filter::default()).await.unwrap();
    assert!(run.step().await.unwrap());
    let report = run.report();
    assert_eq!((report.complete, report.records, report.alerts_count), (false, PAGE_RECORDS, PAGE_RECORDS));
    assert_eq!(report.alerts[0].id(), "r1199/tried");
    let oldest = repository.find(&record("r700", "d", "", "2", "EUR").record_id).await.unwrap().unwrap();
    assert_eq!(report.back_to, Some(oldest.processed.processed_at));
}

#[tokio::test(start_paused = true)]
async fn a_rule_that_is_met_in_too_many_destinations_ends_the_run() {
    let records = (0..20_000).map(|i| record(&format!("r{i}"), &format!("d{i}"), "", "2", "EUR")).collect();
    let (repository, _) = processed(&[records], RuleSet::default()).await;
    let report = tried(&repository, &above("1"), Filter::default()).await;
    assert!(!report.complete);
    assert!((10_001..=10_500).contains(&report.destinations_count), "{}", report.destinations_count);
    assert_eq!((report.records, report.alerts_count), (report.destinations_count, report.destinations_count));
    let report = tried(&repository, &above("2"), Filter::default()).await;
    assert_eq!((report.complete, report.records, report.alerts_count), (true, 20_000, 0));
}

#[tokio::test(start_paused = true)]
async fn an_empty_store_raises_nothing() {
    let (repository, _) = processed(&[], RuleSet::default()).await;
    let report = tried(&repository, &above("0"), Filter::default()).await;
    assert_eq!(report, DryRunReport { complete: true, ..DryRunReport::default() });
}

#[tokio::test(start_paused = true)]
async fn a_step_that_fails_counts_for_nothing_and_can_be_repeated() {
    let records = (0..3).map(|i| record(&format!("r{i}"), "d", "", "2", "EUR")).collect();
    let (whole, _) = processed(&[records], RuleSet::default()).await;
    let read = whole.history(HistoryQuery { after: 0, alerting_only: false, limit: 3 }).await.unwrap();
    let unavailable = PortError::new(PortErrorKind::Unavailable, "reading", "scripted");
    let answers = Mutex::new(Vec::from([Ok(read.clone()), Ok(read[1..].to_vec()), Err(unavailable)]));
    let mut repository = MockRecordReader::new();
    repository.expect_head().return_once(|| Ok(3));
    repository.expect_history().returning(move |_| answers.lock().unwrap().pop().unwrap());
    let mut run = DryRun::begin(Arc::new(repository), above("1"), Filter::default()).await.unwrap();
    assert_eq!(run.step().await.unwrap_err().kind(), PortErrorKind::Unavailable);
    assert_eq!(run.step().await.unwrap_err().kind(), PortErrorKind::Corrupt);
    assert!(!run.step().await.unwrap());
    assert_eq!(run.report().alerts_count, 3);
}
