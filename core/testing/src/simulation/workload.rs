//! The workload of one world: records in submissions to ingresses and as payloads of the queue, with repeats,
//! conflicts, poison and invalid_payloads among them.

use crate::doubles::generate::{self, Generator};
use crate::simulation::ledger::Ledger;
use tallyhouse_core::{Arrival, Draft, Record};

/// The workload of one world.
pub(super) struct Workload {
    /// For each producer at an ingress, its submissions in order.
    pub(super) producers: Vec<Vec<Vec<Arrival>>>,
    /// For the queue, in order; `None` is an entry without a payload.
    pub(super) queue: Vec<Option<Vec<u8>>>,
}

/// Says whether storage refuses this record for ever.
pub(super) fn is_poisonous(record: &Record) -> bool {
    record.record_id.as_str().starts_with("poison")
}

impl Workload {
    /// Draws a workload, and notes its records in the ledger.
    pub(super) fn draw(rng: &mut Generator, ledger: &mut Ledger) -> Self {
        let mut records = pool(rng);
        records.iter().for_each(|record| ledger.will_send(record));
        // Each record is sent at least once; some several times, by any way.
        for _ in 0..rng.below(20) {
            let again = rng.pick(&records).clone();
            records.push(again);
        }
        rng.shuffle(&mut records);
        let mut producers: Vec<Vec<Vec<Arrival>>> = (0..1 + rng.below(4)).map(|_| Vec::new()).collect();
        let mut queue = Vec::new();
        let by_queue = rng.below(4);
        while let Some(record) = records.pop() {
            if rng.below(4) < by_queue {
                ledger.queued.push(record.clone());
                queue.push(Some(spell(rng, &record)));
                continue;
            }
            let size = usize::try_from(1 + rng.below(6) * rng.below(2)).unwrap();
            let rest = records.split_off(records.len().saturating_sub(size - 1));
            let submission = std::iter::once(record).chain(rest).map(Arrival::from).collect();
            let producer = usize::try_from(rng.below(producers.len() as u64)).unwrap();
            producers[producer].push(submission);
        }
        if by_queue > 0 {
            for number in 0..rng.below(8) {
                let (payload, reason) = invalid_payloads(rng, number);
                ledger.invalid_payloads.push((payload.clone().unwrap_or_default(), reason));
                queue.push(payload);
            }
        }
        rng.shuffle(&mut queue);
        Self { producers, queue }
    }
}

/// Draws different records: good ones, some with another of the same id, and perhaps poisonous ones.
fn pool(rng: &mut Generator) -> Vec<Record> {
    let mut records: Vec<Record> = Vec::new();
    for number in 0..5 + rng.below(60) {
        let id = format!("r{number}");
        records.push(record(rng, &id));
        if rng.once_in(10) {
            let other = record(rng, &id);
            if !records[records.len() - 1].differs(&other).is_empty() {
                records.push(other);
            }
        }
    }
    for number in 0..rng.below(2) * rng.below(4) {
        records.push(record(rng, &format!("poison{number}")));
    }
    records
}

/// Draws a record of one of a few keys, so that all of them are hot.
pub(super) fn record(rng: &mut Generator, id: &str) -> Record {
    let cents = rng.below(200_000);
    generate::draft(Draft {
        record_id: id,
        time: pick(rng, &["2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z", "2026-01-01T12:00:00.5Z"]),
        source_id: "source",
        destination_id: pick(rng, &["a", "b"]),
        record_type: pick(rng, &["positive", "positive", "negative"]),
        value: &format!("{}.{:02}", cents / 100, cents % 100),
        unit: pick(rng, &["EUR", "minute"]),
        reference: pick(rng, &["", "", "R1"]),
    })
}

fn pick<'a>(rng: &mut Generator, texts: &[&'a str]) -> &'a str {
    rng.pick::<&str>(texts)
}

/// Writes a record as JSON; the same record may be written in several ways.
fn spell(rng: &mut Generator, record: &Record) -> Vec<u8> {
    if rng.once_in(2) {
        serde_json::to_vec(record).unwrap()
    } else {
        format!(" {}\n", serde_json::to_string_pretty(record).unwrap()).into_bytes()
    }
}

/// Draws a payload that is no record, with the reason that its dead letter must have.
fn invalid_payloads(rng: &mut Generator, number: u64) -> (Option<Vec<u8>>, &'static str) {
    match rng.below(16) {
        0 => (Some(vec![b' '; tallyhouse_pipeline::PAYLOAD_BYTES_MAX + 1]), "too-large"),
        1 | 2 => (None, "not-json"),
        3..8 => (Some(format!("{{{number}").into_bytes()), "not-json"),
        _ => (Some(format!("{{\"recordId\":\"bad{number}\"}}").into_bytes()), "rejected"),
    }
}
