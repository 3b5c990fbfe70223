//! Values, sums and times come back as they were, to the last digit.

use futures::StreamExt;
use tallyhouse_core::ports::{GroupPart, RecordReader as _};
use tallyhouse_core::{Draft, Filter, GroupQuery, RecordId, RecordQuery, Summary, Timestamp};
use tallyhouse_testing::Generator;

use crate::support::{commit, fresh};

fn draft(id: &str, time: &str, value: &str) -> tallyhouse_core::Record {
    let draft = Draft {
        record_id: id,
        time,
        source_id: "s",
        destination_id: "d",
        record_type: "positive",
        value,
        unit: "EUR",
        reference: "",
    };
    draft.check().unwrap()
}

#[tokio::test]
async fn every_value_keeps_its_digits_and_its_scale() {
    let repository = fresh().await;
    let values = [
        "0",
        "0.0",
        "0.0000000000000000000000000000",
        "0.0000000000000000000000000001",
        "1",
        "12.50",
        "100",
        "9999999999999999999999999999",
        "0.9999999999999999999999999999",
        "99999999999999.99999999999999",
        "1000000000000000000000000000",
        "10000.0001",
        "12345678.0000",
    ];
    let records: Vec<_> =
        values.iter().enumerate().map(|(n, value)| draft(&format!("v-{n}"), "2026-01-01T00:00:00Z", value)).collect();
    commit(&repository, records.clone()).await;
    for (n, value) in values.iter().enumerate() {
        let found = repository.find(&RecordId::new(&format!("v-{n}")).unwrap()).await.unwrap().unwrap();
        assert_eq!(found.processed.record.value.to_string(), *value);
    }
    let summary: Summary = records.iter().collect();
    let mut parts = repository.groups(GroupQuery::default()).await.unwrap().parts;
    let Some(Ok(GroupPart::Group(_, total))) = parts.next().await else { panic!("there is one group") };
    assert_eq!(total, summary);
}

#[tokio::test]
async fn the_sums_of_postgres_are_those_of_the_core() {
    let repository = fresh().await;
    let mut generator = Generator::new(7).over(4, 2);
    let records: Vec<_> = (0..3_000).map(|n| generator.record(&format!("r-{n}"))).collect();
    commit(&repository, records.clone()).await;
    let mut parts = repository.groups(GroupQuery { records: true, ..GroupQuery::default() }).await.unwrap().parts;
    let mut groups = 0;
    while let Some(part) = parts.next().await {
        if let GroupPart::Group(destination, summary) = part.unwrap() {
            let mine = records.iter().filter(|record| record.destination_id == destination);
            assert_eq!(summary, mine.collect::<Summary>());
            groups += 1;
        }
    }
    assert!(groups > 1);
}

#[tokio::test]
async fn every_time_is_kept_to_the_microsecond() {
    let repository = fresh().await;
    let times = [
        "0001-01-01T00:00:00Z",
        "0001-01-01T00:00:00.000001Z",
        "1582-10-10T12:00:00.123456Z",
        "1969-12-31T23:59:59.999999Z",
        "1999-12-31T23:59:59.999999Z",
        "2000-01-01T00:00:00Z",
        "9999-12-31T23:59:59.999999Z",
    ];
    let records = times.iter().enumerate().map(|(n, time)| draft(&format!("t-{n}"), time, "1"));
    commit(&repository, records).await;
    let all = RecordQuery { limit: 100, ..RecordQuery::default() };
    let found = repository.records(all.clone()).await.unwrap().rows;
    let found: Vec<String> = found.iter().map(|stored| stored.processed.record.time.to_string()).collect();
    assert_eq!(found, times);

    // The bound that rounds up beyond the last instant that a record may have.
    let bound = Timestamp::parse_bound("9999-12-31T23:59:59.9999999Z").unwrap();
    let before = Filter { end: Some(bound), ..Filter::default() };
    let after = Filter { start: Some(bound), ..Filter::default() };
    assert_eq!(
        repository.records(RecordQuery { filter: before, ..all.clone() }).await.unwrap().rows.len(),
        times.len()
    );
    assert_eq!(repository.records(RecordQuery { filter: after, ..all }).await.unwrap().rows.len(), 0);
}
