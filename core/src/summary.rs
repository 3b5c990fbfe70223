//! The summary of a set of records: their count, their first and last time, and exact totals per unit.

pub(crate) mod sum;
mod json;
mod compact;

use serde::{Deserialize, Serialize};

use crate::record::text::Unit;
use crate::record::time::Timestamp;
use crate::record::value::Value;
use crate::record::{Record, RecordType};
use crate::summary::sum::{Net, Sum};

/// The highest count that a stored summary may have: databases count up to the largest signed number of 64 bits. Adding
/// as many again can't wrap.
const COUNT_MAX: u64 = i64::MAX.cast_unsigned();

/// How many records of one type there are, and their exact sum.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Side {
    /// How many records.
    pub count: u64,
    /// Their sum.
    pub sum: Sum,
}

/// The totals of one unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnitTotal {
    /// The unit.
    pub unit: Unit,
    /// The positive records.
    pub positive: Side,
    /// The negative records.
    pub negative: Side,
}

/// The summary of a set of records. The summary of no records has `count` 0, no times and no totals.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Summary {
    count: u64,
    /// First and last `time` among the records.
    times: Option<(Timestamp, Timestamp)>,
    /// Sorted by unit, by bytes.
    totals: Vec<UnitTotal>,
}

impl UnitTotal {
    /// Returns how many records there are of both types.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.positive.count + self.negative.count
    }

    /// Returns the positive sum less the negative one.
    #[must_use]
    pub fn net(&self) -> Net {
        self.positive.sum.minus(self.negative.sum)
    }
}

impl Summary {
    /// Most units of one key. The record with the next one is rejected, so that a summary stays small: every later record
    /// of the key has it as `previous`.
    pub const UNITS_MAX: usize = 100;

    /// Most bytes that the units of one key have together, in UTF-8: room for 100 units of 80 bytes. Every stored
    /// record, response and message holds the previous summary, so a few large units would make all of them large.
    pub const UNIT_BYTES_MAX: usize = 8 * 1024;

    /// Returns how many records are summed up.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Returns the first and the last `time`.
    #[must_use]
    pub fn times(&self) -> Option<(Timestamp, Timestamp)> {
        self.times
    }

    /// Returns the totals, sorted by unit.
    #[must_use]
    pub fn totals(&self) -> &[UnitTotal] {
        &self.totals
    }

    /// Says whether a record of this unit would be one unit too many for one key.
    #[must_use]
    pub fn would_exceed_unit_limit(&self, unit: &Unit) -> bool {
        // Fewer units than this always fit, however large each is.
        let is_small = self.totals.len() < Self::UNIT_BYTES_MAX / (Unit::CHARS_MAX * char::MAX.len_utf8());
        if is_small || self.find_unit(unit).is_ok() {
            return false;
        }
        let bytes: usize = self.totals.iter().map(|total| total.unit.as_str().len()).sum();
        self.totals.len() >= Self::UNITS_MAX || bytes + unit.as_str().len() > Self::UNIT_BYTES_MAX
    }

    /// Returns the summary's approximate size in bytes, in memory and in JSON, for bounds on queues and pages.
    #[must_use]
    pub fn weight(&self) -> usize {
        let unit = |total: &UnitTotal| size_of::<UnitTotal>() + 2 * size_of::<usize>() + total.unit.as_str().len();
        size_of::<Self>() + self.totals.iter().map(unit).sum::<usize>()
    }

    /// Adds one record, exactly.
    pub fn add(&mut self, record: &Record) {
        self.add_value(record.time, record.record_type, record.value, &record.unit);
    }

    /// Adds the fields of a record that count for a summary, where the rest is not loaded.
    pub fn add_value(&mut self, time: Timestamp, record_type: RecordType, value: Value, unit: &Unit) {
        self.count += 1;
        self.span(time, time);
        let total = self.total_mut(unit);
        let side = match record_type {
            RecordType::Positive => &mut total.positive,
            RecordType::Negative => &mut total.negative,
        };
        side.count += 1;
        side.sum.add(value);
    }

    /// Adds records of one type and unit at once: how many, their sum, and their first and last `time`. The same as
    /// adding them one by one; a side without records changes nothing.
    pub fn add_side(&mut self, unit: &Unit, record_type: RecordType, side: Side, first: Timestamp, last: Timestamp) {
        if side.count == 0 {
            return;
        }
        self.count += side.count;
        self.span(first, last);
        let total = self.total_mut(unit);
        let mine = match record_type {
            RecordType::Positive => &mut total.positive,
            RecordType::Negative => &mut total.negative,
        };
        mine.count += side.count;
        mine.sum.merge(side.sum);
    }

    /// Returns the net total in a record's unit as it is, and as it will be with the record.
    pub(crate) fn nets_around(&self, record: &Record) -> (Net, Net) {
        let total = self.find_unit(&record.unit).ok().map(|place| &self.totals[place]);
        let (mut positive, mut negative) =
            total.map_or((Sum::ZERO, Sum::ZERO), |total| (total.positive.sum, total.negative.sum));
        let before = positive.minus(negative);
        match record.record_type {
            RecordType::Positive => positive.add(record.value),
            RecordType::Negative => negative.add(record.value),
        }
        (before, positive.minus(negative))
    }

    fn span(&mut self, first: Timestamp, last: Timestamp) {
        self.times = Some(self.times.map_or((first, last), |(a, b)| (a.min(first), b.max(last))));
    }

    fn find_unit(&self, unit: &Unit) -> Result<usize, usize> {
        self.totals.binary_search_by(|total| total.unit.cmp(unit))
    }

    fn total_mut(&mut self, unit: &Unit) -> &mut UnitTotal {
        let place = self.find_unit(unit).unwrap_or_else(|place| {
            let total = UnitTotal { unit: unit.clone(), positive: Side::default(), negative: Side::default() };
            self.totals.insert(place, total);
            place
        });
        &mut self.totals[place]
    }
}

impl<'a> FromIterator<&'a Record> for Summary {
    fn from_iter<I: IntoIterator<Item = &'a Record>>(records: I) -> Self {
        let mut summary = Self::default();
        records.into_iter().for_each(|record| summary.add(record));
        summary
    }
}

impl Summary {
    /// Makes a summary of parts that were read; `None` if they contradict each other.
    fn of_parts(count: u64, times: Option<(Timestamp, Timestamp)>, totals: Vec<UnitTotal>) -> Option<Self> {
        let counted =
            totals.iter().try_fold(0_u64, |n, t| n.checked_add(t.positive.count)?.checked_add(t.negative.count))?;
        let possible = |side: &Side| side.sum.can_be_of(side.count);
        let sides_fit = totals.iter().all(|t| t.count() > 0 && possible(&t.positive) && possible(&t.negative));
        let sorted = totals.windows(2).all(|pair| pair[0].unit < pair[1].unit);
        let in_order = times.is_none_or(|(first, last)| first <= last);
        let counts_fit = counted == count && count <= COUNT_MAX && times.is_some() == (count > 0);
        (counts_fit && sides_fit && sorted && in_order).then_some(Self { count, times, totals })
    }
}

#[cfg(test)]
mod tests;
