//! Totals in memory: their days and periods.

use super::*;

#[test]
fn rows_are_counted_by_day_and_summed_up_by_period() {
    let mut totals = PeriodTotals::after(3);
    let (one, next) =
        (Timestamp::parse("2026-01-01T23:59:59Z").unwrap(), Timestamp::parse("2026-01-02T00:00:00Z").unwrap());
    let value = Value::parse("1.5").unwrap();
    let places = [("D", "EUR", one), ("D", "EUR", one), ("D", "EUR", next), ("D", "minute", one), ("E", "EUR", one)];
    for (position, (destination, unit, time)) in (4..).zip(places) {
        totals.add(position, destination, unit, RecordType::Positive, time, value);
    }
    totals.add(9, "D", "EUR", RecordType::Negative, one, value);
    assert_eq!((totals.after, totals.until, totals.records, totals.days_count), (3, 9, 6, 5));
    // Five days, and 32 days and all time for each of four destinations, units and types.
    let rows = totals.rows();
    assert_eq!(rows.len(), 5 + 4 + 4);
    let ever = &rows[&(0, Timestamp::MIN.as_micros(), "D", "EUR", "positive")];
    assert_eq!((ever.side.count, ever.side.sum.to_string(), ever.first, ever.last), (3, "4.5".to_owned(), one, next));
}
