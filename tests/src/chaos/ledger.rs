//! What producers have sent, and what they were told: the one side of the comparison at the end.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::chaos::content::{Contents, Item};
use crate::data::seed::Seed;

/// Repeats are mostly of what was sent lately: so they meet records that are still in flight.
const RECENT: usize = 500;

/// How many findings are kept in words; the others are counted.
const FINDINGS_KEPT: usize = 40;

/// What producers know of one record.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Sent {
    /// HTTP has said that it is stored.
    pub(crate) stored: bool,
    /// Redis has said that it has it.
    pub(crate) queued: bool,
    /// How often HTTP has said that it was processed just now.
    pub(crate) processed: u8,
    /// The sequence that HTTP has named; 0 for none.
    pub(crate) sequence: u32,
}

/// A payload that is to be among the dead letters.
#[derive(Debug, Clone, Default)]
pub(crate) struct Letter {
    pub(crate) reason: &'static str,
    pub(crate) origin: &'static str,
    /// How often it was sent.
    pub(crate) tried: u32,
    /// How often Redis has said that it has it.
    pub(crate) queued: u32,
}

/// The ledger of a run.
#[derive(Debug)]
pub(crate) struct Ledger {
    pub(crate) contents: Contents,
    records: Mutex<Vec<Sent>>,
    letters: Mutex<BTreeMap<String, Letter>>,
    findings: Mutex<Vec<String>>,
    found: AtomicU64,
    oddities: AtomicU32,
    /// Deliberate repeats that were answered.
    pub(crate) repeats: AtomicU64,
    /// Conflicts that were answered by HTTP.
    pub(crate) conflicts: AtomicU64,
    /// What was no record, and answered so by HTTP.
    pub(crate) refused: AtomicU64,
    /// Requests and commands without an answer, or with one that says to come again.
    pub(crate) unanswered: AtomicU64,
}

impl Ledger {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            contents: Contents(seed),
            records: Mutex::default(),
            letters: Mutex::default(),
            findings: Mutex::default(),
            found: AtomicU64::new(0),
            oddities: AtomicU32::new(0),
            repeats: AtomicU64::new(0),
            conflicts: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            unanswered: AtomicU64::new(0),
        }
    }

    /// Makes a new record.
    pub(crate) fn next(&self) -> u32 {
        let mut records = lock(&self.records);
        records.push(Sent::default());
        number(records.len() - 1)
    }

    /// Draws what to send next: mostly new records, a quarter repeats, a few conflicts, and what is no record.
    pub(crate) fn draw(&self, seed: &mut Seed) -> Item {
        let earlier = match seed.below(100) {
            0..25 => self.earlier(seed).map(Item::Record),
            25..27 => self.stored(seed).map(|n| Item::Conflict(n, self.odd())),
            27 => Some(Item::Bad(self.odd())),
            _ => None,
        };
        earlier.unwrap_or_else(|| Item::Record(self.next()))
    }

    /// Notes what HTTP says of an item.
    pub(crate) fn answered(&self, item: Item, outcome: &str, sequence: u64) {
        match (item, outcome) {
            (Item::Record(n), "processed" | "duplicate") => {
                let mut records = lock(&self.records);
                let sent = &mut records[n as usize];
                let sequence = u32::try_from(sequence).unwrap_or_default();
                if sent.stored {
                    self.repeats.fetch_add(1, Ordering::Relaxed);
                }
                sent.stored = true;
                sent.processed += u8::from(outcome == "processed");
                let other = std::mem::replace(&mut sent.sequence, sequence);
                if sent.processed > 1 || sequence == 0 || (other != 0 && other != sequence) {
                    self.find(format!(
                        "r-{n} was answered as {outcome} with sequence {sequence}, and before: {sent:?}"
                    ));
                }
            }
            (Item::Conflict(..), "conflict") => {
                self.conflicts.fetch_add(1, Ordering::Relaxed);
            }
            (Item::Bad(_), "rejected") => {
                self.refused.fetch_add(1, Ordering::Relaxed);
            }
            _ => self.find(format!("{item:?} was answered as {outcome}")),
        }
    }

    /// Says whether HTTP has said that a record is stored.
    pub(crate) fn is_stored(&self, n: u32) -> bool {
        lock(&self.records)[n as usize].stored
    }

    /// Notes that items are about to be given to a queue.
    pub(crate) fn try_queue(&self, items: &[Item], origin: &'static str) {
        for &item in items {
            let reason = match item {
                Item::Record(_) => continue,
                Item::Conflict(..) => "conflict",
                Item::Bad(k) => ["not-json", "rejected", "rejected"][(k % 3) as usize],
            };
            let mut letters = lock(&self.letters);
            let letter = letters.entry(self.contents.payload(item)).or_default();
            (letter.reason, letter.origin) = (reason, origin);
            letter.tried += 1;
        }
    }

    /// Notes that Redis has items.
    pub(crate) fn queued(&self, items: &[Item]) {
        for &item in items {
            match item {
                Item::Record(n) => {
                    let sent = &mut lock(&self.records)[n as usize];
                    if sent.queued || sent.stored {
                        self.repeats.fetch_add(1, Ordering::Relaxed);
                    }
                    sent.queued = true;
                }
                Item::Conflict(..) | Item::Bad(_) => {
                    lock(&self.letters).entry(self.contents.payload(item)).or_default().queued += 1;
                }
            }
        }
    }

    /// Notes that something is wrong.
    pub(crate) fn find(&self, what: String) {
        self.found.fetch_add(1, Ordering::Relaxed);
        let mut findings = lock(&self.findings);
        if findings.len() < FINDINGS_KEPT {
            println!("WRONG: {what}");
            findings.push(what);
        }
    }

    /// Returns how much was found wrong.
    pub(crate) fn found(&self) -> u64 {
        self.found.load(Ordering::Relaxed)
    }

    /// Returns what was found wrong, in words.
    pub(crate) fn findings(&self) -> Vec<String> {
        lock(&self.findings).clone()
    }

    /// Returns what is known of all records.
    pub(crate) fn records(&self) -> Vec<Sent> {
        lock(&self.records).clone()
    }

    /// Returns the payloads that are to be among the dead letters.
    pub(crate) fn letters(&self) -> BTreeMap<String, Letter> {
        lock(&self.letters).clone()
    }

    fn earlier(&self, seed: &mut Seed) -> Option<u32> {
        let count = lock(&self.records).len();
        match count {
            0 => None,
            _ if seed.below(3) > 0 => Some(number(count - 1 - seed.below(count.min(RECENT)))),
            _ => Some(number(seed.below(count))),
        }
    }

    /// Draws a record that is surely stored.
    fn stored(&self, seed: &mut Seed) -> Option<u32> {
        let n = self.earlier(seed)?;
        lock(&self.records)[n as usize].stored.then_some(n)
    }

    fn odd(&self) -> u32 {
        self.oddities.fetch_add(1, Ordering::Relaxed)
    }
}

fn number(place: usize) -> u32 {
    u32::try_from(place).expect("a run has fewer than four billion records")
}

/// Locks; what a panicking thread leaves is still whole.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
