//! Records folded into kept sums: the totals are the same for any part that is kept ready.

use proptest::prelude::*;

use super::*;
use crate::record::arbitrary::{any_record, any_timestamp};
use crate::record::text::{Reference, SourceId};

fn at(text: &str) -> Timestamp {
    Timestamp::parse_bound(text).unwrap()
}

fn range(start: Option<&str>, end: Option<&str>) -> Filter {
    Filter { start: start.map(at), end: end.map(at), ..Filter::default() }
}

/// How often an instant is counted: by whole periods, and in the edges.
fn counted(cover: &RollUpPlan, time: Timestamp) -> (usize, usize) {
    let whole = cover.periods.iter().filter(|s| (s.from..s.until).contains(&s.period.begin(time)));
    let within = |filter: &&Filter| filter.start.is_none_or(|s| time >= s) && filter.end.is_none_or(|e| time < e);
    (whole.count(), cover.edges.iter().filter(within).count())
}

#[test]
fn all_of_time_is_one_stretch() {
    let cover = RollUpPlan::of(&Filter::default()).unwrap();
    assert_eq!(cover.periods.iter().map(|s| s.period).collect::<Vec<_>>(), [Period::Ever]);
    assert_eq!((cover.covered, cover.edges), (Filter::default(), vec![]));
    assert_eq!(Period::Ever.begin(Timestamp::MAX), Timestamp::MIN.as_micros());
}

#[test]
fn a_year_is_mostly_long_stretches() {
    let cover = RollUpPlan::of(&range(Some("2013-01-01T00:00:00Z"), Some("2014-01-01T00:00:00Z"))).unwrap();
    assert_eq!(cover.periods.iter().map(|s| s.period).collect::<Vec<_>>(), [Period::Day, Period::Days32, Period::Day]);
    assert!(cover.edges.is_empty());
    let days = |s: &Periods| (s.until - s.from) / MICROS_PER_DAY;
    assert_eq!(cover.periods.iter().map(days).sum::<i64>(), 365);
    assert!(cover.periods.iter().filter(|s| s.period == Period::Day).all(|s| days(s) < 32));
}

#[test]
fn what_sticks_out_is_read_record_by_record() {
    let cover = RollUpPlan::of(&range(Some("2013-01-01T10:00:00Z"), Some("2013-01-04T00:00:00.000001Z"))).unwrap();
    let edges = [
        range(Some("2013-01-01T10:00:00Z"), Some("2013-01-02T00:00:00Z")),
        range(Some("2013-01-04T00:00:00Z"), Some("2013-01-04T00:00:00.000001Z")),
    ];
    assert_eq!(cover.edges, edges);
    assert_eq!(cover.covered, range(Some("2013-01-02T00:00:00Z"), Some("2013-01-04T00:00:00Z")));
}

#[test]
fn what_roll_ups_do_not_know_is_left_to_the_records() {
    let none = [
        range(Some("2013-01-01T10:00:00Z"), Some("2013-01-02T23:00:00Z")),
        range(Some("2013-01-02T00:00:00Z"), Some("2013-01-01T00:00:00Z")),
        range(Some("9999-12-31T12:00:00Z"), None),
        range(Some("9999-12-31T23:59:59.9999991Z"), None),
        range(None, Some("0001-01-01T12:00:00Z")),
        Filter { source_id: Some(SourceId::new("s").unwrap()), ..Filter::default() },
        Filter { reference: Some(Reference::new("").unwrap()), ..Filter::default() },
    ];
    for filter in none {
        assert_eq!(RollUpPlan::of(&filter), None, "{filter:?}");
    }
}

#[test]
fn the_first_and_the_last_day_there_is_are_days_like_others() {
    let first = RollUpPlan::of(&range(None, Some("0001-01-02T00:00:00Z"))).unwrap();
    assert_eq!(counted(&first, Timestamp::MIN), (1, 0));
    let last = RollUpPlan::of(&range(Some("9999-12-31T00:00:00Z"), None)).unwrap();
    assert_eq!(counted(&last, Timestamp::MAX), (1, 0));
    let to_the_end =
        RollUpPlan::of(&range(Some("9999-12-30T01:00:00Z"), Some("9999-12-31T23:59:59.9999991Z"))).unwrap();
    assert_eq!(counted(&to_the_end, Timestamp::MAX), (1, 0));
    assert_eq!(to_the_end.covered.end, None);
}

proptest! {
    #[test]
    fn every_record_that_matches_is_counted_once(
        record in any_record(),
        bounds in (proptest::option::of(any_timestamp()), proptest::option::of(any_timestamp())),
        near in -40_000_000..40_000_000_i64,
    ) {
        // One of the bounds close to the record, so that it lies in each of the places.
        let close = Timestamp::from_micros(record.time.as_micros().saturating_add(near * 100_000));
        for (start, end) in [bounds, (close, bounds.1), (bounds.0, close)] {
            let filter = Filter { start, end, ..Filter::default() };
            if let Some(cover) = RollUpPlan::of(&filter) {
                let (whole, edges) = counted(&cover, record.time);
                prop_assert_eq!(whole + edges, usize::from(filter.matches(&record)), "{:?}", filter);
                prop_assert_eq!(whole, usize::from(cover.covered.matches(&record)), "{:?}", filter);
            }
        }
    }
}
