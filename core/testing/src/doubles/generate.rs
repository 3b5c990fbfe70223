//! Records for tests: plain ones by hand, and any number of seeded random ones. The same seed gives the same records.

use std::sync::Arc;
use tallyhouse_core::{
    Arrival, Draft, Known, Message, Record, Rule, RuleDraft, RuleSet, StoredRecord, Timestamp, plan,
};

/// Valid texts that a wrong query, escape or collation would change or confuse.
pub const AWKWARD_TEXTS: [&str; 14] = [
    "plain",
    "PLAIN",
    " plain ",
    "it's \"quoted\"",
    "back\\slash\\",
    "100%_of_it",
    "{curly,\"array\"}",
    "NULL",
    "a,b;c:d|e",
    "$1 :name ?",
    "Zürich",
    "Zu\u{308}rich",
    "zürich",
    "漢字 🙂🏽 \u{200f}rtl",
];

/// Makes a positive record of 2026-01-01 from the source `source`.
///
/// # Panics
/// If a text breaks the rules of a record: the test is wrong.
#[must_use]
pub fn record(id: &str, destination_id: &str, reference: &str, value: &str, unit: &str) -> Record {
    draft(Draft {
        record_id: id,
        time: "2026-01-01T00:00:00Z",
        source_id: "source",
        destination_id,
        record_type: "positive",
        value,
        unit,
        reference,
    })
}

/// Makes a record from texts that keep the rules.
///
/// # Panics
/// If a text breaks the rules of a record: the test is wrong.
#[must_use]
pub fn draft(draft: Draft<'_>) -> Record {
    draft.check().expect("the test gives a valid record")
}

/// Returns the records as an empty store would store them: in this order, at 2026-01-01, with two rules
/// in force, `default` above 1,000 and `high` above 5,000.
#[must_use]
pub fn stored(records: impl IntoIterator<Item = Record>) -> Vec<Arc<StoredRecord>> {
    let arrivals: Vec<Arrival> = records.into_iter().map(Arrival::from).collect();
    let rules = [("default", "1000"), ("high", "5000")].map(|(name, threshold)| {
        let draft = RuleDraft { name: name.to_owned(), threshold: threshold.to_owned(), ..RuleDraft::default() };
        Rule::new(draft).expect("this is a rule")
    });
    let rules = RuleSet::new(rules).expect("the names differ");
    let now = Timestamp::parse("2026-01-01T00:00:00Z").expect("this is RFC 3339");
    plan(&arrivals, Known::default(), &rules, now).stored
}

/// Returns the messages of the records that [`stored`] would store, in their order, from position 1 on.
#[must_use]
pub fn messages(records: impl IntoIterator<Item = Record>) -> Vec<Message> {
    (1..).zip(stored(records)).flat_map(|(position, stored)| Message::all_of(position, &stored)).collect()
}

/// A seeded source of random records.
///
/// Few destinations and references make hot keys, many make cold ones. Values have up to 28 digits and up to 28 places;
/// times lie in two days of 2026, to the microsecond, and some are equal.
#[derive(Debug, Clone)]
pub struct Generator {
    state: u64,
    destinations: u64,
    references: u64,
}

impl Generator {
    /// Makes a generator of records over 5 destinations with 3 references each.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { state: seed, destinations: 5, references: 3 }
    }

    /// Spreads the records over this many destinations, with this many references each.
    #[must_use]
    pub fn over(self, destinations: u64, references: u64) -> Self {
        Self { destinations, references, ..self }
    }

    /// Returns the next random number: splitmix64 (Steele, Lea, Flood 2014).
    pub fn number(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.state ^ (self.state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Returns a random number below `bound`, which must not be 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.number() % bound
    }

    /// Returns true once in `times` calls, on average.
    pub fn once_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }

    /// Returns one of the items, of which there must be one.
    pub fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        let place = self.below(items.len() as u64);
        &items[usize::try_from(place).expect("a place in a slice is a usize")]
    }

    /// Puts the items into a random order (Fisher and Yates).
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for place in (1..items.len()).rev() {
            let other = usize::try_from(self.below(place as u64 + 1)).expect("a place in a slice is a usize");
            items.swap(place, other);
        }
    }

    /// Returns a random record with this id.
    pub fn record(&mut self, id: &str) -> Record {
        let destination_id = match self.below(self.destinations) {
            // Mixed case and more than ASCII: the order of bytes is not that of a dictionary.
            1 => "b".to_owned(),
            2 => "B".to_owned(),
            3 => "ä".to_owned(),
            n => format!("destination-{n}"),
        };
        let reference = match self.below(self.references) {
            0 => String::new(),
            n => format!("R{n}"),
        };
        let source_id = *self.pick(&["north", "South", "östlich"]);
        let record_type = *self.pick(&["positive", "positive", "negative"]);
        let unit = *self.pick(&["EUR", "eur", "minute"]);
        let (time, value) = (self.time(), self.value());
        draft(Draft {
            record_id: id,
            time: &time,
            source_id,
            destination_id: &destination_id,
            record_type,
            value: &value,
            unit,
            reference: &reference,
        })
    }

    /// Returns `n` random records with the ids `<prefix>-0`, `<prefix>-1` …
    pub fn records(&mut self, prefix: &str, n: usize) -> Vec<Record> {
        (0..n).map(|i| self.record(&format!("{prefix}-{i}"))).collect()
    }

    fn time(&mut self) -> String {
        let (day, hour, second) = (1 + self.below(2), self.below(24), self.below(60));
        match self.below(3) {
            0 => format!("2026-03-0{day}T{hour:02}:00:00Z"),
            1 => format!("2026-03-0{day}T{hour:02}:00:{second:02}Z"),
            _ => format!("2026-03-0{day}T{hour:02}:00:{second:02}.{:06}Z", self.below(1_000_000)),
        }
    }

    fn value(&mut self) -> String {
        match self.below(8) {
            0 => "0.00".to_owned(),
            1 => "9999999999999999999999999999".to_owned(),
            2 => format!("0.{:028}", self.number()),
            3 | 4 => format!("{}.{:02}", self.below(10_000), self.below(100)),
            _ => self.below(20_000).to_string(),
        }
    }
}
