//! A summary in JSON, as it is sent: written, and read back with every contradiction found.

use serde::de::Error;
use serde::ser::SerializeStruct;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::record::text::Unit;
use crate::record::time::Timestamp;
use crate::summary::{Side, Summary, UnitTotal};

impl Serialize for UnitTotal {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_struct("UnitTotal", 5)?;
        object.serialize_field("unit", &self.unit)?;
        object.serialize_field("count", &self.count())?;
        object.serialize_field("positive", &self.positive)?;
        object.serialize_field("negative", &self.negative)?;
        object.serialize_field("net", &self.net())?;
        object.end()
    }
}

impl Serialize for Summary {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_struct("Summary", 4)?;
        object.serialize_field("count", &self.count)?;
        object.serialize_field("firstTime", &self.times.map(|(first, _)| first))?;
        object.serialize_field("lastTime", &self.times.map(|(_, last)| last))?;
        object.serialize_field("totals", &self.totals)?;
        object.end()
    }
}

/// The members of a summary, not yet checked against each other.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Parts {
    count: u64,
    first_time: Option<Timestamp>,
    last_time: Option<Timestamp>,
    totals: Vec<TotalParts>,
}

#[derive(Deserialize)]
struct TotalParts {
    unit: Unit,
    count: u64,
    positive: Side,
    negative: Side,
    net: String,
}

impl TotalParts {
    fn check(self) -> Option<UnitTotal> {
        let counted = self.positive.count.checked_add(self.negative.count);
        let total = UnitTotal { unit: self.unit, positive: self.positive, negative: self.negative };
        (counted == Some(self.count) && total.net().to_string() == self.net).then_some(total)
    }
}

impl<'de> Deserialize<'de> for Summary {
    /// Reads the output of `Serialize`; a contradictory summary is an error.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Parts { count, first_time, last_time, totals } = Parts::deserialize(deserializer)?;
        let times = first_time.zip(last_time);
        let is_half = first_time.is_some() != last_time.is_some();
        let totals: Option<Vec<UnitTotal>> = totals.into_iter().map(TotalParts::check).collect();
        let summary = totals.filter(|_| !is_half).and_then(|totals| Self::of_parts(count, times, totals));
        summary.ok_or_else(|| D::Error::custom("the summary contradicts itself"))
    }
}
