//! An export is all of one moment, in order, or fails.

use futures::StreamExt as _;
use tallyhouse_core::ports::{Batch, RecordReader as _, RecordRepository as _};
use tallyhouse_core::{Arrival, DestinationId, Timestamp};
use tallyhouse_testing::{MemoryRepository, MockRecordReader, generate};

use super::*;
use crate::settings::PipelineSettings;
use crate::test_harness::{Instance, PausedClock};

/// So many records are read at a time.
const PAGE: usize = 500;

async fn commit(repository: &MemoryRepository, ids: std::ops::Range<usize>) {
    let arrival = |i: usize| {
        let destination = if i.is_multiple_of(3) { "third" } else { "other" };
        Arrival::from(generate::record(&format!("r{i}"), destination, "", "1", "EUR"))
    };
    let now = Timestamp::parse("2026-01-01T00:00:00Z").unwrap();
    let arrivals = ids.map(arrival).collect();
    let batch = Batch { arrivals, rules: Arc::default(), now, owner: None, published: Vec::new() };
    repository.commit(batch).await.unwrap();
}

fn ids(pages: &[ExportPage]) -> Vec<&str> {
    let records = pages.iter().flat_map(|page| &page.records);
    records.map(|stored| stored.processed.record.record_id.as_str()).collect()
}

async fn all(export: Export) -> Vec<ExportPage> {
    export.pages.map(Result::unwrap).collect().await
}

#[tokio::test(start_paused = true)]
async fn records_stored_during_an_export_are_not_in_it() {
    let repository = Arc::new(MemoryRepository::new(PausedClock::start()));
    commit(&repository, 0..PAGE + 20).await;
    let begun = export(repository.clone(), Filter::default()).await.unwrap();
    commit(&repository, 2_000..4_000).await;
    assert_eq!(begun.head, PAGE_RECORDS + 20);
    let pages = all(begun).await;
    assert_eq!(pages.iter().map(|page| page.position).collect::<Vec<_>>(), [PAGE_RECORDS, 520]);
    assert_eq!(ids(&pages), (0..PAGE + 20).map(|i| format!("r{i}")).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn a_filter_keeps_the_order_of_matching_records() {
    let repository = Arc::new(MemoryRepository::new(PausedClock::start()));
    commit(&repository, 0..1_200).await;
    let filter = Filter { destination_id: Some(DestinationId::new("third").unwrap()), ..Filter::default() };
    let pages = all(export(repository, filter).await.unwrap()).await;
    assert_eq!(ids(&pages), (0..1_200).step_by(3).map(|i| format!("r{i}")).collect::<Vec<_>>());
    assert_eq!(pages.last().map(|page| page.position), Some(1_200));
}

#[tokio::test(start_paused = true)]
async fn an_empty_store_has_an_empty_export() {
    let instance = Instance::start(PipelineSettings::default());
    let empty = export(instance.repository.clone(), Filter::default()).await.unwrap();
    assert_eq!((empty.head, all(empty).await), (0, Vec::new()));
}

#[tokio::test(start_paused = true)]
async fn an_export_with_a_gap_fails() {
    let whole = MemoryRepository::new(PausedClock::start());
    commit(&whole, 0..10).await;
    let query = HistoryQuery { after: 0, alerting_only: false, limit: 10 };
    let mut read = whole.history(query).await.unwrap();
    read.remove(4);
    let mut repository = MockRecordReader::new();
    repository.expect_head().return_once(|| Ok(10));
    repository.expect_history().return_once(move |_| Ok(read));
    let mut pages = export(Arc::new(repository), Filter::default()).await.unwrap().pages;
    let error = pages.next().await.unwrap().unwrap_err();
    assert_eq!(error.kind(), PortErrorKind::Corrupt);
    assert!(pages.next().await.is_none());
}
