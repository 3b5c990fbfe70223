//! Accumulates records into daily totals in memory, before they are merged into the roll-ups.

use std::collections::{BTreeMap, HashMap};

use tallyhouse_core::{Period, RecordType, Side, Timestamp, Value};

use crate::sql::error::Unreadable;
use crate::sql::rows::At;

/// The columns of a record that totals need: position, destination, time, type, value, unit.
pub(crate) type TotalsRow = (i64, String, i64, String, String, String);

/// The totals of the records at the positions above `after`, up to `until`.
pub(crate) struct PeriodTotals {
    pub(crate) after: i64,
    pub(crate) until: i64,
    pub(crate) records: u64,
    /// By destination, then by unit and type, then by day. A destination has few units and types, so these are a list.
    days: HashMap<String, Vec<UnitDays>>,
    /// The number of days in all of them.
    pub(crate) days_count: usize,
}

/// The days of one destination, unit and type.
struct UnitDays {
    unit: String,
    record_type: RecordType,
    /// By the beginning of the day.
    days: HashMap<i64, Total>,
}

#[derive(Clone, Copy)]
pub(crate) struct Total {
    pub(crate) side: Side,
    pub(crate) first: Timestamp,
    pub(crate) last: Timestamp,
}

impl Total {
    fn merge(&mut self, other: Self) {
        self.side.count += other.side.count;
        self.side.sum.merge(other.side.sum);
        (self.first, self.last) = (self.first.min(other.first), self.last.max(other.last));
    }
}

/// The primary key of a roll-up: days, starts, destination, unit, type.
pub(crate) type RollUpKey<'a> = (i16, i64, &'a str, &'a str, &'static str);

impl PeriodTotals {
    pub(crate) fn after(position: i64) -> Self {
        Self { after: position, until: position, records: 0, days: HashMap::new(), days_count: 0 }
    }

    pub(crate) fn add_row(
        &mut self,
        (position, destination_id, time, record_type, value, unit): &TotalsRow,
    ) -> Result<(), Unreadable> {
        let at = At(*position);
        let (time, record_type) = (at.time("time", *time)?, at.record_type(record_type)?);
        self.add(*position, destination_id, unit, record_type, time, at.text("value", value, Value::parse)?);
        Ok(())
    }

    pub(crate) fn add(
        &mut self,
        position: i64,
        destination_id: &str,
        unit: &str,
        record_type: RecordType,
        time: Timestamp,
        value: Value,
    ) {
        // Unlike entry(), this copies the id only for a new destination.
        if !self.days.contains_key(destination_id) {
            self.days.insert(destination_id.to_owned(), Vec::new());
        }
        let Some(units) = self.days.get_mut(destination_id) else { return };
        let place = units.iter().position(|days| days.record_type == record_type && days.unit == unit);
        let place = place.unwrap_or_else(|| {
            units.push(UnitDays { unit: unit.to_owned(), record_type, days: HashMap::new() });
            units.len() - 1
        });
        let days = &mut units[place].days;
        let before = days.len();
        let begin = Period::Day.begin(time);
        let total = days.entry(begin).or_insert(Total { side: Side::default(), first: time, last: time });
        total.side.count += 1;
        total.side.sum.add(value);
        (total.first, total.last) = (total.first.min(time), total.last.max(time));
        self.days_count += days.len() - before;
        self.until = position;
        self.records += 1;
    }

    /// Returns the totals of all periods, in the order of the primary key.
    pub(crate) fn rows(&self) -> BTreeMap<RollUpKey<'_>, Total> {
        let mut rows: BTreeMap<RollUpKey<'_>, Total> = BTreeMap::new();
        for (destination_id, units) in &self.days {
            for UnitDays { unit, record_type, days } in units {
                for total in days.values() {
                    for period in Period::ALL {
                        let begin = period.begin(total.first);
                        let key = (period.days(), begin, destination_id.as_str(), unit.as_str(), record_type.name());
                        rows.entry(key).and_modify(|sum| sum.merge(*total)).or_insert(*total);
                    }
                }
            }
        }
        rows
    }
}

#[cfg(test)]
mod tests;
