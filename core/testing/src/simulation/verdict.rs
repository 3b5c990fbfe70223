//! The verdict on one world at its end: every guarantee, compared with the ledger.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::simulation::ledger::{Ledger, Seen, is_correct};
use crate::simulation::workload::is_poisonous;
use crate::simulation::world::World;
use futures::FutureExt as _;
use tallyhouse_core::ports::{DeadLetter, GroupPart, RecordReader as _};
use tallyhouse_core::{
    Filter, GroupQuery, Message, MessageFormat, Outcome, Position, Record, RecordType, StoredRecord, Topic,
};
use tallyhouse_pipeline::audit;

/// All that is stored, by id.
type Stored = BTreeMap<String, Arc<StoredRecord>>;

/// Returns the faults found.
pub(super) fn judge(world: &World, dead_letters: &[DeadLetter]) -> Vec<String> {
    let ledger = world.ledger.lock().unwrap();
    let mut wrong = ledger.wrong.clone();
    let history = world.all_stored();
    let stored: Stored =
        history.iter().map(|(_, stored)| (stored.processed.record.record_id.to_string(), Arc::clone(stored))).collect();
    if stored.len() != history.len() {
        wrong.push(format!("{} records are stored under {} ids", history.len(), stored.len()));
    }
    wrong.extend(judge_store(world, &stored));
    wrong.extend(judge_stored(&ledger, &stored));
    wrong.extend(judge_acknowledged(&ledger, &stored));
    wrong.extend(judge_published(&ledger, &history, world.fault_profile().no_duplicates));
    wrong.extend(judge_dead_letters(&ledger, &stored, dead_letters));
    for (number, seen) in ledger.readers.iter().enumerate() {
        wrong.extend(judge_reader(seen, &history).map(|what| format!("reader {number}: {what}")));
    }
    wrong
}

/// Says whether every reader has seen the last message there is.
pub(super) fn all_is_read(world: &World) -> bool {
    let history = world.all_stored();
    let last = |topic: Topic| {
        let last = history.iter().rev().find_map(|(record, stored)| Message::of(*record, stored, topic).last());
        last.map(|message| (message.position(), MessageFormat::default().to_json(&message)))
    };
    world.ledger.lock().unwrap().readers.iter().all(|seen| match seen.messages.last() {
        Some(seen_last) => Some(seen_last) == last(seen.topic).as_ref(),
        // A reader that began late may have seen nothing.
        None => !seen.from_start || last(seen.topic).is_none(),
    })
}

/// Sequences, previous summaries, sums and positions, by the audit; and sums once more, by other means.
fn judge_store(world: &World, stored: &Stored) -> Vec<String> {
    let report = audit(&*world.store).now_or_never().unwrap().unwrap();
    let mut wrong = report.findings;
    if report.backlog_records > 0 {
        wrong.push(format!("the messages of {} records are still in the outbox", report.backlog_records));
    }
    let mut groups = world.store.groups(GroupQuery::default()).now_or_never().unwrap().unwrap();
    while let Some(part) = futures::StreamExt::next(&mut groups.parts).now_or_never().unwrap() {
        let GroupPart::Group(destination_id, summary) = part.unwrap() else { continue };
        let filter = Filter { destination_id: Some(destination_id), ..Filter::default() };
        let records: Vec<&Record> =
            stored.values().map(|stored| &stored.processed.record).filter(|record| filter.matches(record)).collect();
        for total in summary.totals() {
            for (record_type, side) in [(RecordType::Positive, total.positive), (RecordType::Negative, total.negative)]
            {
                let of_side = records.iter().filter(|r| r.unit == total.unit && r.record_type == record_type);
                let cents: i64 = of_side.map(|record| cents(&record.value.to_string())).sum();
                if cents != self::cents(&side.sum.to_string()) {
                    wrong.push(format!("a sum is {}, its records give {cents} cents", side.sum));
                }
            }
        }
    }
    wrong
}

fn cents(decimal: &str) -> i64 {
    let (whole, places) = decimal.split_once('.').unwrap_or((decimal, ""));
    format!("{whole}{places:0<2}").parse().unwrap()
}

fn judge_stored(ledger: &Ledger, stored: &Stored) -> Vec<String> {
    let mut wrong = Vec::new();
    for (id, stored) in stored {
        let record = &stored.processed.record;
        if !ledger.sent.get(id).is_some_and(|sent| sent.contains(record)) {
            wrong.push(format!("{id} is stored with a content that was never sent"));
        }
        if is_poisonous(record) {
            wrong.push(format!("{id} is stored, which storage refuses"));
        }
    }
    for id in ledger.sent.keys().filter(|id| id.starts_with('r')) {
        if !stored.contains_key(id) && !ledger.has_lost(id) {
            wrong.push(format!("{id} was sent until it was acknowledged, and is not stored"));
        }
    }
    wrong
}

fn judge_acknowledged(ledger: &Ledger, stored: &Stored) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut processed = BTreeSet::new();
    for (record, outcome) in &ledger.acknowledged {
        let id = record.record_id.as_str();
        let kept = stored.get(id);
        let is_right = match outcome {
            Outcome::Rejected(_) => is_poisonous(record),
            Outcome::Processed(_) if !processed.insert(id) => false,
            Outcome::Processed(_) | Outcome::Duplicate { .. } | Outcome::Conflict { .. } => {
                is_correct(record, outcome, kept.map(|kept| &**kept))
            }
        };
        if !is_right {
            wrong.push(format!("{id} was answered with {outcome:?}, which does not fit what is stored: {kept:?}"));
        }
    }
    wrong
}

fn judge_published(ledger: &Ledger, history: &[(u64, Arc<StoredRecord>)], no_duplicates: bool) -> Vec<String> {
    let format = MessageFormat::default();
    let messages = history.iter().flat_map(|(position, stored)| Message::all_of(*position, stored));
    let mut expected_messages: BTreeMap<String, (String, usize)> =
        messages.map(|message| (message.id(), (format.to_json(&message), 0))).collect();
    let mut wrong = Vec::new();
    for (id, json) in &ledger.published {
        match expected_messages.get_mut(id) {
            Some((expected, _)) if expected != json && ledger.lost_messages.contains(json) => {}
            None if ledger.lost_messages.contains(json) => {}
            Some((expected, times)) if expected == json => *times += 1,
            Some((expected, _)) => wrong.push(format!("published was {json}, which is {expected}")),
            None => wrong.push(format!("the message {id} was published, which belongs to no stored record")),
        }
    }
    for (id, (_, times)) in expected_messages {
        if times == 0 || (no_duplicates && times > 1) {
            wrong.push(format!("the message {id} was published {times} times"));
        }
    }
    wrong
}

fn judge_dead_letters(ledger: &Ledger, stored: &Stored, dead_letters: &[DeadLetter]) -> Vec<String> {
    let letters: BTreeSet<(&[u8], &str)> =
        dead_letters.iter().map(|letter| (letter.payload.as_slice(), letter.reason.as_str())).collect();
    let mut wrong = Vec::new();
    let mut allowed: BTreeSet<(&[u8], &str)> = BTreeSet::new();
    for (payload, reason) in &ledger.invalid_payloads {
        allowed.insert((payload, reason));
        if !letters.contains(&(payload.as_slice(), *reason)) {
            wrong.push(format!("no dead letter with the reason {reason} for {:?}", String::from_utf8_lossy(payload)));
        }
    }
    for record in &ledger.queued {
        let kept = stored.get(record.record_id.as_str());
        let is_conflict = kept.is_some_and(|kept| !kept.processed.record.differs(record).is_empty());
        let reason = if is_conflict { "conflict" } else { "rejected" };
        let is_refused = is_conflict || is_poisonous(record);
        let letter = letters.iter().find(|(payload, _)| Record::from_json(payload).is_ok_and(|found| found == *record));
        match letter {
            Some((payload, found)) if is_refused && *found == reason => {
                allowed.insert((payload, reason));
            }
            // It was judged by the store of that time: it may have conflicted with a lost record, or have been stored
            // itself.
            Some((payload, found)) if *found == "conflict" && ledger.has_lost(record.record_id.as_str()) => {
                allowed.insert((payload, "conflict"));
            }
            None if is_conflict && ledger.has_lost(record.record_id.as_str()) => {}
            None if !is_refused => {}
            Some(_) | None => wrong.push(format!("{} is {letter:?} among the dead letters", record.record_id)),
        }
    }
    // One payload may be written in several ways.
    let is_known = |payload: &[u8]| Record::from_json(payload).is_ok_and(|found| ledger.queued.contains(&found));
    for (payload, reason) in letters.iter().filter(|letter| !allowed.contains(*letter) && !is_known(letter.0)) {
        wrong.push(format!("a dead letter too many, {reason}: {:?}", String::from_utf8_lossy(payload)));
    }
    wrong
}

fn judge_reader(seen: &Seen, history: &[(u64, Arc<StoredRecord>)]) -> Option<String> {
    let format = MessageFormat::default();
    let messages = history.iter().flat_map(|(record, stored)| Message::of(*record, stored, seen.topic));
    let all: Vec<(Position, String)> = messages.map(|message| (message.position(), format.to_json(&message))).collect();
    // A reader that began late goes on from its first message, and may have begun only when all was done (see
    // `all_is_read`).
    let began = seen.messages.first().and_then(|first| all.iter().position(|message| message == first));
    let expected = match began.filter(|_| !seen.from_start) {
        Some(began) => &all[began..all.len().min(began + seen.messages.len())],
        None if seen.from_start => &all[..],
        None => &[],
    };
    if seen.messages == expected {
        return None;
    }
    let place = seen.messages.iter().zip(expected).take_while(|(a, b)| a == b).count();
    let (got, due) = (seen.messages.get(place), expected.get(place));
    Some(format!("of {} messages of {:?}, number {place} was {got:?}, not {due:?}", expected.len(), seen.topic))
}
