//! Roll-ups: stored totals of whole days and longer periods, so that totals over many records need not read them.
//!
//! An adapter rolls up its records, in the order of their positions, into one row per period, destination, unit and type,
//! and stores the position up to which it has done so. The totals of a time range are those of the whole periods in it,
//! of the records at either end outside these periods, and of the records after that position. All are read in one
//! snapshot, so that the totals are exact at any state of the roll-up.

use crate::query::Filter;
use crate::record::RecordType;
use crate::record::text::{DestinationId, Unit};
use crate::record::time::Timestamp;
use crate::summary::Side;

const MICROS_PER_DAY: i64 = 86_400_000_000;

/// The end of time: one microsecond after the last instant.
const AFTER_ALL: i64 = Timestamp::MAX.as_micros() + 1;

/// The length of a rolled-up period.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Period {
    /// One day in UTC.
    Day,
    /// 32 days, counted from 0001-01-01.
    Days32,
    /// All of time.
    Ever,
}

/// The periods of one length that begin at or after `from` and before `until`, in microseconds since
/// 1970-01-01T00:00:00Z.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Periods {
    /// How long they are.
    pub period: Period,
    /// The earliest beginning.
    pub from: i64,
    /// Later than the last beginning.
    pub until: i64,
}

/// How to compute the totals of a filter from roll-ups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RollUpPlan {
    /// The periods that lie in the filter's range of time: no two overlap.
    pub periods: Vec<Periods>,
    /// Selects the records in all those periods; an adapter adds the ones that are not rolled up yet.
    pub covered: Filter,
    /// Select the records at either end, outside these periods; up to two.
    pub edges: Vec<Filter>,
}

/// The sum of the records of one destination, unit and type in one period, as an adapter stores it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RollUp {
    /// The destination.
    pub destination_id: DestinationId,
    /// How long the period is.
    pub period: Period,
    /// When it begins: see [`Period::begin`].
    pub begin: i64,
    /// The unit.
    pub unit: Unit,
    /// The type.
    pub record_type: RecordType,
    /// How many records, and their sum.
    pub side: Side,
    /// Their first `time`.
    pub first: Timestamp,
    /// Their last `time`.
    pub last: Timestamp,
}

impl Period {
    /// All of them, the shortest first.
    pub const ALL: [Self; 3] = [Self::Day, Self::Days32, Self::Ever];

    /// Returns the length in days, which an adapter may store: 0 for all of time.
    #[must_use]
    pub fn days(self) -> i16 {
        match self {
            Self::Day => 1,
            Self::Days32 => 32,
            Self::Ever => 0,
        }
    }

    /// Returns the period of this length: the inverse of [`Period::days`].
    #[must_use]
    pub fn of_days(days: i16) -> Option<Self> {
        Self::ALL.into_iter().find(|period| period.days() == days)
    }

    /// Returns the beginning of the period that contains an instant, in microseconds since 1970-01-01T00:00:00Z:
    /// [`Timestamp::MIN`] for all of time.
    #[must_use]
    pub fn begin(self, time: Timestamp) -> i64 {
        floor(time.as_micros(), self)
    }
}

impl RollUpPlan {
    /// Plans the totals of a filter by roll-ups. `None` if roll-ups can't answer it: because it selects by source or
    /// reference, which roll-ups lack, or because its range contains no whole day.
    #[must_use]
    pub fn of(filter: &Filter) -> Option<Self> {
        if filter.source_id.is_some() || filter.reference.is_some() {
            return None;
        }
        let (start, end) = (filter.start.map(Timestamp::as_micros), filter.end.map(Timestamp::as_micros));
        // The first instant of all and the one after the last both begin a day.
        let ever = Periods { period: Period::Ever, from: Timestamp::MIN.as_micros(), until: AFTER_ALL };
        let from = start.map_or(ever.from, |start| ceil(start, Period::Day));
        let until = end.map_or(ever.until, |end| floor(end, Period::Day));
        if from >= until {
            return None;
        }
        let periods = if start.is_none() && end.is_none() { vec![ever] } else { days(from, until) };
        let edge = |start: i64, end: i64| (start < end).then(|| between(filter, Some(start), Some(end)));
        let edges = [start.and_then(|start| edge(start, from)), end.and_then(|end| edge(until, end))];
        let covered = between(filter, start.map(|_| from), end.map(|_| until));
        Some(Self { periods, covered, edges: edges.into_iter().flatten().collect() })
    }
}

/// Splits whole days into the longest periods that fit.
fn days(from: i64, until: i64) -> Vec<Periods> {
    let (long_from, long_until) = (ceil(from, Period::Days32), floor(until, Period::Days32));
    let pieces = if long_from < long_until {
        vec![(Period::Day, from, long_from), (Period::Days32, long_from, long_until), (Period::Day, long_until, until)]
    } else {
        vec![(Period::Day, from, until)]
    };
    let pieces = pieces.into_iter().filter(|(_, from, until)| from < until);
    pieces.map(|(period, from, until)| Periods { period, from, until }).collect()
}

/// The filter for another range of time, whose bounds lie within its own. An end after the last instant bounds nothing.
fn between(filter: &Filter, start: Option<i64>, end: Option<i64>) -> Filter {
    let (start, end) = (start.and_then(Timestamp::from_micros), end.and_then(Timestamp::from_micros));
    Filter { start, end, ..filter.clone() }
}

/// The last beginning at or before an instant. The first period of each length begins with the first instant there is.
fn floor(micros: i64, period: Period) -> i64 {
    let first = Timestamp::MIN.as_micros();
    match i64::from(period.days()) * MICROS_PER_DAY {
        0 => first,
        length => micros - (micros - first).rem_euclid(length),
    }
}

/// The first beginning at or after an instant.
fn ceil(micros: i64, period: Period) -> i64 {
    let floor = floor(micros, period);
    if floor == micros { micros } else { floor.saturating_add(i64::from(period.days()) * MICROS_PER_DAY) }
}

#[cfg(test)]
mod tests;
