//! Sums and limits at their edges.

use super::consistency::assert_consistent;
use super::groups::read_groups;
use super::{RepositoryFixture, commit_records, processed};
use crate::doubles::generate::{draft, record};
use tallyhouse_core::ports::{GroupPart, Store};
use tallyhouse_core::{DestinationId, Draft, Field, Filter, GroupQuery, Outcome, Summary, SummaryQuery};

/// Adding never rounds: sums outgrow a single value, on both sides of the point.
pub async fn sums_stay_exact_far_beyond_one_value<F: RepositoryFixture>() {
    let fixture = F::fresh().await;
    let repository = fixture.handle().await;
    let nines = "9".repeat(28);
    let smallest = "0.0000000000000000000000000001";
    for round in 0..3 {
        let many = (0..400).map(|i| record(&format!("nines-{round}-{i}"), "nines", "", &nines, "EUR"));
        commit_records(&*repository, many).await;
    }
    let signed = |id: &str, record_type: &str, value: &str| {
        draft(Draft {
            record_id: id,
            time: "2026-01-01T00:00:00Z",
            source_id: "source",
            destination_id: "mixed",
            record_type,
            value,
            unit: "EUR",
            reference: "",
        })
    };
    let large = format!("1{}", "0".repeat(27));
    let mixed = [
        signed("m-1", "positive", smallest),
        signed("m-2", "positive", &large),
        signed("m-3", "negative", "0.1"),
        signed("m-4", "negative", &large),
        signed("m-5", "negative", "1.50"),
    ];
    for record in mixed {
        commit_records(&*repository, [record]).await;
    }
    assert_consistent(&*repository).await;
    // 1,200 × (10^28 − 1), and 10^27 + 10^−28.
    let (nines_sum, mixed_sum) = (format!("1199{}8800", "9".repeat(24)), format!("{large}.{}", &smallest[2..]));
    let mixed_negative = format!("{}1.60", &large[..27]);
    // 10^-28 − 1.60
    let mixed_net = "-1.5999999999999999999999999999";
    let cases =
        [("nines", nines_sum.as_str(), "0", nines_sum.as_str()), ("mixed", &mixed_sum, &mixed_negative, mixed_net)];
    for (destination, positive, negative, net) in cases {
        for summary in
            [running_summary(&*repository, destination).await, group_summary(&*repository, destination).await]
        {
            let total = &summary.totals()[0];
            let texts = (total.positive.sum.to_string(), total.negative.sum.to_string(), total.net().to_string());
            assert_eq!(texts, (positive.to_owned(), negative.to_owned(), net.to_owned()), "{destination}");
        }
    }
}

/// A sum has the largest scale among its addends, also where the last digits are zeros.
pub async fn a_sum_keeps_the_largest_scale<F: RepositoryFixture>() {
    let fixture = F::fresh().await;
    let repository = fixture.handle().await;
    let records = [("1", "12.50"), ("2", "1"), ("3", "0.000"), ("4", "7.500")];
    for (id, value) in records {
        commit_records(&*repository, [record(id, "D", "", value, "EUR")]).await;
    }
    let stored = assert_consistent(&*repository).await;
    let sums = stored.iter().skip(1).map(|stored| stored.previous.totals()[0].positive.sum.to_string());
    assert_eq!(sums.collect::<Vec<_>>(), ["12.50", "13.50", "13.500"]);
    for summary in [running_summary(&*repository, "D").await, group_summary(&*repository, "D").await] {
        assert_eq!(summary.totals()[0].positive.sum.to_string(), "21.000");
        assert_eq!(summary.totals()[0].negative.sum.to_string(), "0");
    }
}

/// A key has at most [`Summary::UNITS_MAX`] units; the record that would bring one more is refused, in the same batch
/// or in a later one, and the units that are there go on. A group over several keys has no such limit.
pub async fn the_unit_beyond_the_limit_is_rejected<F: RepositoryFixture>() {
    let fixture = F::fresh().await;
    let repository = fixture.handle().await;
    let of_unit =
        |n: usize, reference: &str| record(&format!("{reference}-{n}"), "D", reference, "1", &format!("unit {n}"));
    let outcomes = commit_records(&*repository, (0..=Summary::UNITS_MAX).map(|n| of_unit(n, "a"))).await;
    let (refused, taken) = outcomes.split_last().expect("there are outcomes");
    taken.iter().for_each(|outcome| drop(processed(outcome).clone()));
    assert_unit_limit_exceeded(refused);

    let again = [
        of_unit(Summary::UNITS_MAX, "a"),
        record("known unit", "D", "a", "1", "unit 0"),
        record("other key", "D", "b", "1", &format!("unit {}", Summary::UNITS_MAX)),
    ];
    let outcomes = commit_records(&*repository, again).await;
    assert_unit_limit_exceeded(&outcomes[0]);
    assert_eq!(processed(&outcomes[1]).processed.sequence, 101);
    assert_eq!(processed(&outcomes[2]).processed.sequence, 1);
    assert_eq!(assert_consistent(&*repository).await.len(), 102);
    assert_eq!(group_summary(&*repository, "D").await.totals().len(), 101);

    // A processed record that comes again with another unit is a conflict, whether or not that unit has room. This holds
    // also for a repository that speculates on new ids.
    for n in 0..40 {
        commit_records(&*repository, [record(&format!("new {n}"), "D", "c", "1", "unit 0")]).await;
    }
    let other = record("a-0", "D", "a", "1", "one unit more");
    assert_eq!(commit_records(&*repository, [other]).await[0].name(), "conflict");
}

#[track_caller]
fn assert_unit_limit_exceeded(outcome: &Outcome) {
    let Outcome::Rejected(rejection) = outcome else { unreachable!("expected a rejection, got {outcome:?}") };
    assert_eq!(rejection.errors[0].pointer, Field::Unit.pointer());
    assert!(rejection.record_id.is_some());
}

async fn running_summary(repository: &dyn Store, destination: &str) -> Summary {
    let destination_id = DestinationId::new(destination).expect("a valid destination");
    let query = SummaryQuery { destination_id, reference: None, after: None, limit: 1 };
    let mut summaries = repository.summaries(query).await.expect("summaries are read").rows;
    summaries.pop().expect("the destination has a summary").1
}

async fn group_summary(repository: &dyn Store, destination: &str) -> Summary {
    let filter = Filter {
        destination_id: Some(DestinationId::new(destination).expect("a valid destination")),
        ..Filter::default()
    };
    let (parts, _) = read_groups(repository, GroupQuery { filter, ..GroupQuery::default() }).await;
    match parts.as_slice() {
        [GroupPart::Group(_, summary)] => summary.clone(),
        other => unreachable!("expected one group, got {other:?}"),
    }
}
