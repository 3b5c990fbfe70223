//! The records and messages that were sent, acknowledged, published and read in one world: the evidence for its
//! verdict.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use crate::memory::repository::MemoryRepository;
use futures::FutureExt as _;
use tallyhouse_core::ports::RecordReader as _;
use tallyhouse_core::{Message, MessageFormat, Outcome, Position, Record, StoredRecord, Topic};

#[derive(Default)]
pub(super) struct Ledger {
    /// By id, all contents that are sent under it.
    pub(super) sent: BTreeMap<String, Vec<Record>>,
    /// The answers of ingresses, in order.
    pub(super) acknowledged: Vec<(Record, Outcome)>,
    /// The records that were put into the queue.
    pub(super) queued: Vec<Record>,
    /// The payloads that were put into the queue and are no records, with the reasons for which they must be refused.
    pub(super) invalid_payloads: Vec<(Vec<u8>, &'static str)>,
    /// Ids and texts of the messages that were published, in order.
    pub(super) published: Vec<(String, String)>,
    pub(super) readers: Vec<Seen>,
    /// The records that the store has lost although they may have been acknowledged, with the time of the loss.
    lost: Vec<(Arc<StoredRecord>, Duration)>,
    /// The messages of all records that the store has lost.
    pub(super) lost_messages: BTreeSet<String>,
    /// FaultRates that were noticed as they happened.
    pub(super) wrong: Vec<String>,
}

/// The messages that one reader of a topic has seen, over all its connections.
pub(super) struct Seen {
    pub(super) topic: Topic,
    /// Whether it began before the first message; otherwise it began at the head of the topic.
    pub(super) from_start: bool,
    pub(super) messages: Vec<(Position, String)>,
}

/// Whether a commit is still in the store when it is acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum StoredState {
    Kept,
    /// The store has gone back since.
    Lost,
}

impl Ledger {
    pub(super) fn will_send(&mut self, record: &Record) {
        self.sent.entry(record.record_id.to_string()).or_default().push(record.clone());
    }

    /// Notes that the store has gone back, and has lost these records. If they may have been acknowledged, their
    /// acknowledgements are void; returns the number of these.
    pub(super) fn record_rollback(
        &mut self,
        lost: &[(u64, Arc<StoredRecord>)],
        now: Duration,
        may_be_acknowledged: bool,
    ) -> usize {
        let format = MessageFormat::default();
        let messages = lost.iter().flat_map(|(position, stored)| Message::all_of(*position, stored));
        self.lost_messages.extend(messages.map(|message| format.to_json(&message)));
        if may_be_acknowledged {
            self.lost.extend(lost.iter().map(|(_, stored)| (Arc::clone(stored), now)));
            let is_lost = |id| lost.iter().any(|(_, stored)| stored.processed.record.record_id == id);
            let before = self.acknowledged.len();
            self.acknowledged.retain(|(record, _)| !is_lost(record.record_id.clone()));
            return before - self.acknowledged.len();
        }
        0
    }

    /// Says whether a record of this id was lost that may have been acknowledged.
    pub(super) fn has_lost(&self, id: &str) -> bool {
        self.lost.iter().any(|(stored, _)| stored.processed.record.record_id.as_str() == id)
    }

    /// Notes that a reader was told that its history has changed. This is a fault if the reader's last message was
    /// never lost.
    pub(super) fn start_over(&mut self, reader: usize) {
        let seen = &mut self.readers[reader];
        if seen.messages.last().is_some_and(|(_, last)| !self.lost_messages.contains(last)) {
            self.wrong
                .push(format!("reader {reader} started over after {:?}, which was never lost", seen.messages.last()));
        }
        *seen = Seen { from_start: true, messages: Vec::new(), ..*seen };
    }

    /// Notes the answer of an ingress to a record that was sent at this time. A record that it acknowledges must be
    /// stored at this very moment, unless the store has gone back since.
    pub(super) fn acknowledge(
        &mut self,
        record: &Record,
        outcome: Outcome,
        sent_at: Duration,
        store: &MemoryRepository,
    ) -> StoredState {
        let stored = store.find(&record.record_id).now_or_never().unwrap().unwrap();
        let mut lost = self.lost.iter().filter(|(_, lost_at)| *lost_at >= sent_at);
        if !is_correct(record, &outcome, stored.as_ref())
            && lost.any(|(lost, _)| is_correct(record, &outcome, Some(lost)))
        {
            return StoredState::Lost;
        }
        let same = stored.is_some_and(|stored| stored.processed.record.differs(record).is_empty());
        let says_so = matches!(outcome, Outcome::Processed(_) | Outcome::Duplicate { .. });
        if says_so != same {
            let (id, name) = (&record.record_id, outcome.name());
            self.wrong.push(format!("{id} was answered as {name}, but stored with this content: {same}"));
        }
        self.acknowledged.push((record.clone(), outcome));
        StoredState::Kept
    }
}

/// Says whether the outcome of a record is right, given the record that is stored under its id.
pub(super) fn is_correct(record: &Record, outcome: &Outcome, kept: Option<&StoredRecord>) -> bool {
    kept.is_some_and(|kept| match outcome {
        Outcome::Processed(told) => **told == *kept && kept.processed.record == *record,
        Outcome::Duplicate { sequence, processed_at, .. } => {
            let same = kept.processed.record.differs(record).is_empty();
            same && kept.processed.sequence == *sequence && kept.processed.processed_at == *processed_at
        }
        Outcome::Conflict { differs, .. } => !differs.is_empty() && kept.processed.record.differs(record) == *differs,
        Outcome::Rejected(_) => false,
    })
}
