//! What was sent, acknowledged, published and read in one world: the evidence for its verdict.

use std::collections::BTreeMap;

use crate::memory::repository::MemoryRepository;
use futures::FutureExt as _;
use tallyhouse_core::ports::RecordReader as _;
use tallyhouse_core::{Outcome, Position, Record, Topic};

#[derive(Default)]
pub(super) struct Ledger {
    /// By id, all contents that are sent under it.
    pub(super) sent: BTreeMap<String, Vec<Record>>,
    /// What ingresses answered, in order.
    pub(super) acknowledged: Vec<(Record, Outcome)>,
    /// The records that were put into the queue.
    pub(super) queued: Vec<Record>,
    /// The payloads that were put into the queue and are no records, with the reasons for which they must be refused.
    pub(super) rubbish: Vec<(Vec<u8>, &'static str)>,
    /// Ids and texts of the messages that were published, in order.
    pub(super) published: Vec<(String, String)>,
    pub(super) readers: Vec<Seen>,
    /// What was wrong at the moment it happened.
    pub(super) wrong: Vec<String>,
}

/// What one reader of a topic has seen, over all its connections.
pub(super) struct Seen {
    pub(super) topic: Topic,
    /// Whether it began before the first message; else with those of its time.
    pub(super) from_start: bool,
    pub(super) messages: Vec<(Position, String)>,
}

impl Ledger {
    pub(super) fn will_send(&mut self, record: &Record) {
        self.sent.entry(record.record_id.to_string()).or_default().push(record.clone());
    }

    /// Notes the answer of an ingress. A record that it acknowledges must be stored at this very moment.
    pub(super) fn acknowledge(&mut self, record: &Record, outcome: Outcome, store: &MemoryRepository) {
        let stored = store.find(&record.record_id).now_or_never().unwrap().unwrap();
        let same = stored.is_some_and(|stored| stored.processed.record.differs(record).is_empty());
        let says_so = matches!(outcome, Outcome::Processed(_) | Outcome::Duplicate { .. });
        if says_so != same {
            let (id, name) = (&record.record_id, outcome.name());
            self.wrong.push(format!("{id} was answered as {name}, but stored with this content: {same}"));
        }
        self.acknowledged.push((record.clone(), outcome));
    }
}
