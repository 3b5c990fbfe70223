//! Roll-ups: totals of whole days and of longer stretches that an adapter keeps ready, so that totals over many records
//! need not read them.
//!
//! An adapter folds its records, in the order of their positions, into one row per stretch, destination, unit and type,
//! and keeps the position up to which it has done so. Totals of a range of time are then those of the whole stretches
//! in it, of the records in what sticks out at either end, and of the records behind that position: all read in one
//! snapshot, so that they are exact however far the folding has come.

mod schedule;

use crate::query::Filter;
use crate::time::Timestamp;

pub use schedule::FoldSchedule;

const MICROS_PER_DAY: i64 = 86_400_000_000;

/// Where time ends: one microsecond after the last instant.
const AFTER_ALL: i64 = Timestamp::MAX.as_micros() + 1;

/// How long the stretches are that are kept ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Stretch {
    /// One day in UTC.
    Day,
    /// 32 days, counted from 0001-01-01.
    Days32,
    /// All of time.
    Ever,
}

/// The stretches of one length that begin at or after `from` and before `until`, in microseconds since
/// 1970-01-01T00:00:00Z.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stretches {
    /// How long they are.
    pub stretch: Stretch,
    /// The earliest beginning.
    pub from: i64,
    /// Later than the last beginning.
    pub until: i64,
}

/// How the records that match a filter are found by roll-ups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cover {
    /// The stretches that lie in the filter's range of time: no two overlap.
    pub whole: Vec<Stretches>,
    /// The filter of the records in all those stretches: for those that are not folded yet.
    pub within: Filter,
    /// The filters of the records in what sticks out at the ends; up to two.
    pub edges: Vec<Filter>,
}

impl Stretch {
    /// All of them, the shortest first.
    pub const ALL: [Self; 3] = [Self::Day, Self::Days32, Self::Ever];

    /// Returns the length in days, by which an adapter may tell them apart: 0 for all of time.
    #[must_use]
    pub fn days(self) -> i16 {
        match self {
            Self::Day => 1,
            Self::Days32 => 32,
            Self::Ever => 0,
        }
    }

    /// Returns the stretch of this length: the inverse of [`Stretch::days`].
    #[must_use]
    pub fn of_days(days: i16) -> Option<Self> {
        Self::ALL.into_iter().find(|stretch| stretch.days() == days)
    }

    /// Returns when the stretch begins in which an instant lies, in microseconds since 1970-01-01T00:00:00Z:
    /// [`Timestamp::MIN`] for all of time.
    #[must_use]
    pub fn begin(self, time: Timestamp) -> i64 {
        floor(time.as_micros(), self)
    }
}

impl Cover {
    /// Says how a filter's records are found by roll-ups; `None` where they are of no use: they know neither sources
    /// nor references, and there must be a whole day in the range.
    #[must_use]
    pub fn of(filter: &Filter) -> Option<Self> {
        if filter.source_id.is_some() || filter.reference.is_some() {
            return None;
        }
        let (start, end) = (filter.start.map(Timestamp::as_micros), filter.end.map(Timestamp::as_micros));
        // The first instant of all and the one after the last both begin a day.
        let ever = Stretches { stretch: Stretch::Ever, from: Timestamp::MIN.as_micros(), until: AFTER_ALL };
        let from = start.map_or(ever.from, |start| ceil(start, Stretch::Day));
        let until = end.map_or(ever.until, |end| floor(end, Stretch::Day));
        if from >= until {
            return None;
        }
        let whole = if start.is_none() && end.is_none() { vec![ever] } else { days(from, until) };
        let edge = |start: i64, end: i64| (start < end).then(|| between(filter, Some(start), Some(end)));
        let edges = [start.and_then(|start| edge(start, from)), end.and_then(|end| edge(until, end))];
        let within = between(filter, start.map(|_| from), end.map(|_| until));
        Some(Self { whole, within, edges: edges.into_iter().flatten().collect() })
    }
}

/// Covers whole days by the longest stretches that fit.
fn days(from: i64, until: i64) -> Vec<Stretches> {
    let (long_from, long_until) = (ceil(from, Stretch::Days32), floor(until, Stretch::Days32));
    let pieces = if long_from < long_until {
        vec![
            (Stretch::Day, from, long_from),
            (Stretch::Days32, long_from, long_until),
            (Stretch::Day, long_until, until),
        ]
    } else {
        vec![(Stretch::Day, from, until)]
    };
    let pieces = pieces.into_iter().filter(|(_, from, until)| from < until);
    pieces.map(|(stretch, from, until)| Stretches { stretch, from, until }).collect()
}

/// The filter for another range of time, whose bounds lie within its own. An end after the last instant bounds nothing.
fn between(filter: &Filter, start: Option<i64>, end: Option<i64>) -> Filter {
    let (start, end) = (start.and_then(Timestamp::from_micros), end.and_then(Timestamp::from_micros));
    Filter { start, end, ..filter.clone() }
}

/// The last beginning at or before an instant. The first stretch of each length begins with the first instant there is.
fn floor(micros: i64, stretch: Stretch) -> i64 {
    let first = Timestamp::MIN.as_micros();
    match i64::from(stretch.days()) * MICROS_PER_DAY {
        0 => first,
        length => micros - (micros - first).rem_euclid(length),
    }
}

/// The first beginning at or after an instant.
fn ceil(micros: i64, stretch: Stretch) -> i64 {
    let floor = floor(micros, stretch);
    if floor == micros { micros } else { floor.saturating_add(i64::from(stretch.days()) * MICROS_PER_DAY) }
}

#[cfg(test)]
mod tests;
