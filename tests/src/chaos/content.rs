//! The records of a run: each is made from its number and the seed, so that none has to be kept.

use serde_json::{Value, json};

use crate::data::seed::Seed;

/// The rule beside the default one, as it stands in the settings file.
pub(crate) const RULE: &str = "[[alerts.rules]]\nname = \"dear\"\nthreshold = \"5000\"\nunit = \"EUR\"\n";

/// How many destinations share the records that do not go to a hot one.
const DESTINATIONS: usize = 300;

/// One thing to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Item {
    /// The record of this number.
    Record(u32),
    /// The id of this record with another value, for the so-manieth time.
    Conflict(u32, u32),
    /// What is no record, for the so-manieth time.
    Bad(u32),
}

/// All records of a seed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Contents(pub(crate) u64);

impl Contents {
    /// Returns the record of a number: half of them under four hot keys, the others spread.
    pub(crate) fn record(self, n: u32) -> Value {
        let Draft { mut seed, whole, cents, scale, unit } = self.draft(n);
        let value = if scale == 0 { whole.to_string() } else { format!("{whole}.{cents:0scale$}") };
        let (destination, reference) = match seed.below(8) {
            0..4 => (format!("hot-{}", seed.below(2)), ["", "R"][seed.below(2)].to_owned()),
            _ => (format!("D{}", seed.below(DESTINATIONS)), format!("R{}", seed.below(3))),
        };
        let (day, hour, minute) = (1 + seed.below(28), seed.below(24), seed.below(60));
        json!({"recordId": format!("r-{n}"), "time": format!("2013-01-{day:02}T{hour:02}:{minute:02}:00Z"),
               "sourceId": format!("S{}", seed.below(9)), "destinationId": destination,
               "type": (["positive", "negative"][seed.below(2)]), "value": value, "unit": unit, "reference": reference})
    }

    /// Returns the names of the rules that the record of a number meets, sorted.
    pub(crate) fn rules_met(self, n: u32) -> Vec<&'static str> {
        let Draft { whole, cents, scale, unit, .. } = self.draft(n);
        let above = |threshold: usize| whole > threshold || (whole == threshold && scale > 0 && cents > 0);
        let met = [("dear", unit == "EUR" && above(5_000)), ("default", above(10_000))];
        met.into_iter().filter(|(_, is_met)| *is_met).map(|(name, _)| name).collect()
    }

    /// Returns what is sent for an item.
    pub(crate) fn payload(self, item: Item) -> String {
        match item {
            Item::Record(n) => self.record(n).to_string(),
            Item::Conflict(n, k) => {
                let mut record = self.record(n);
                let value = record["value"].as_str().expect("a value is a string").to_owned();
                record["value"] = Value::from(format!("1{value}"));
                // Not part of the record: tells this payload from other conflicts.
                record["note"] = Value::from(k);
                record.to_string()
            }
            Item::Bad(k) => match k % 3 {
                0 => format!("{{\"recordId\":\"bad-{k}\""),
                1 => format!("[\"bad-{k}\"]"),
                _ => json!({"recordId": format!("bad-{k}"), "value": "-1"}).to_string(),
            },
        }
    }

    fn draft(self, n: u32) -> Draft {
        let mut seed = Seed::again(self.0 ^ (u64::from(n) << 20));
        let whole = if seed.below(30) == 0 { 4_990 + seed.below(10_000) } else { seed.below(3_000) };
        let scale = seed.below(5);
        let cents = seed.below(10_usize.pow(u32::try_from(scale).expect("it is small")));
        let unit = ["EUR", "minute", "kg"][seed.below(3)];
        Draft { seed, whole, cents, scale, unit }
    }
}

/// What decides about a record's alerts, and what draws the rest of it.
struct Draft {
    seed: Seed,
    whole: usize,
    /// What stands behind the point, with `scale` digits.
    cents: usize,
    scale: usize,
    unit: &'static str,
}

/// Returns the number of a record's id.
pub(crate) fn number_of(id: &str) -> Option<u32> {
    id.strip_prefix("r-")?.parse().ok()
}
