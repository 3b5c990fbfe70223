//! The short form in which adapters store a summary.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::record::text::Unit;
use crate::record::time::Timestamp;
use crate::summary::sum::Sum;
use crate::summary::{Side, Summary, UnitTotal};

/// The short form in which adapters store a summary, as JSON text:
/// `[count, first µs, last µs, [[unit, positive count, positive sum, negative count, negative sum], …]]`.
#[derive(Serialize, Deserialize)]
struct Compact<'a>(u64, Option<i64>, Option<i64>, #[serde(borrow)] Vec<CompactTotal<'a>>);

#[derive(Serialize, Deserialize)]
struct CompactTotal<'a>(
    #[serde(borrow)] Cow<'a, str>,
    u64,
    #[serde(borrow)] Cow<'a, str>,
    u64,
    #[serde(borrow)] Cow<'a, str>,
);

impl Summary {
    /// Writes the short form in which adapters store a summary: a JSON array,
    /// `[count, first µs, last µs, [[unit, positive count, positive sum, negative count, negative sum], …]]`.
    #[must_use]
    pub fn to_compact(&self) -> String {
        let (first, last) = self.times.map(|(first, last)| (first.as_micros(), last.as_micros())).unzip();
        let compact = Compact(self.count, first, last, self.totals.iter().map(CompactTotal::of).collect());
        serde_json::to_string(&compact).expect("numbers and strings are always JSON")
    }

    /// Reads the output of [`Summary::to_compact`]; `None` for any other text, or a contradictory one.
    #[must_use]
    pub fn from_compact(text: &str) -> Option<Self> {
        let Compact(count, first, last, totals) = serde_json::from_str(text).ok()?;
        let times = match (first, last) {
            (Some(first), Some(last)) => Some((Timestamp::from_micros(first)?, Timestamp::from_micros(last)?)),
            (None, None) => None,
            (Some(_), None) | (None, Some(_)) => return None,
        };
        let totals: Vec<UnitTotal> = totals.into_iter().map(CompactTotal::read).collect::<Option<_>>()?;
        Self::of_parts(count, times, totals)
    }
}

impl<'a> CompactTotal<'a> {
    fn of(total: &'a UnitTotal) -> Self {
        let UnitTotal { unit, positive, negative } = total;
        let (positive_sum, negative_sum) = (positive.sum.to_string(), negative.sum.to_string());
        Self(unit.as_str().into(), positive.count, positive_sum.into(), negative.count, negative_sum.into())
    }

    fn read(self) -> Option<UnitTotal> {
        let Self(unit, positive, positive_sum, negative, negative_sum) = self;
        let side = |count, sum: &str| Sum::parse(sum).map(|sum| Side { count, sum });
        Some(UnitTotal {
            unit: Unit::new(&unit).ok()?,
            positive: side(positive, &positive_sum)?,
            negative: side(negative, &negative_sum)?,
        })
    }
}
