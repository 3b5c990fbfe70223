//! One round of a consumer: the payloads that were received together, and how each of them ends.

use std::collections::HashMap;

use tallyhouse_core::ports::{Acknowledgement, DeadLetterReason, Delivery, Disposition, PAYLOAD_BYTES_MAX};
use tallyhouse_core::{Arrival, Field, Outcome, Record, Rejection, RejectionCode, without_byte_order_mark};

/// Payloads that were received together.
pub(super) struct Round {
    /// The tag of each payload.
    pub(super) tags: Vec<String>,
    /// The indexes of the payloads that are records.
    pub(super) record_indexes: Vec<usize>,
    /// The dispositions of the other payloads, by index.
    pub(super) dispositions: HashMap<usize, Disposition>,
    /// The first trace, for the log.
    pub(super) trace_id: Option<String>,
}

pub(super) fn parse_round(deliveries: Vec<Delivery>) -> (Round, Vec<Arrival>) {
    let tags = deliveries.iter().map(|delivery| delivery.tag.clone()).collect();
    let (mut record_indexes, mut arrivals, mut dispositions) = (Vec::new(), Vec::new(), HashMap::new());
    for (index, delivery) in deliveries.into_iter().enumerate() {
        match parse(delivery.payload) {
            Ok(record) => {
                record_indexes.push(index);
                arrivals.push(Arrival { record, traceparent: delivery.traceparent });
            }
            Err(rejection) => {
                dispositions.insert(index, dead_letter(&rejection));
            }
        }
    }
    let trace_id = arrivals.iter().find_map(Arrival::trace_id).map(str::to_owned);
    (Round { tags, record_indexes, dispositions, trace_id }, arrivals)
}

impl Round {
    pub(super) fn nack(self) -> Acknowledgements {
        let nack = |tag| Acknowledgement { tag, disposition: Disposition::Nack };
        Acknowledgements { list: self.tags.into_iter().map(nack).collect(), trace_id: self.trace_id }
    }
}

/// The acknowledgements of one round.
pub(super) struct Acknowledgements {
    pub(super) list: Vec<Acknowledgement>,
    pub(super) trace_id: Option<String>,
}

fn parse(payload: Result<Vec<u8>, Rejection>) -> Result<Record, Rejection> {
    let payload = payload?;
    if payload.len() > PAYLOAD_BYTES_MAX {
        return Err(Rejection::too_large(PAYLOAD_BYTES_MAX));
    }
    Record::from_json(without_byte_order_mark(&payload))
}

pub(super) fn disposition(outcome: &Outcome) -> Disposition {
    match outcome {
        Outcome::Processed(_) | Outcome::Duplicate { .. } => Disposition::Ack,
        Outcome::Conflict { differs, .. } => {
            let names: Vec<&str> = differs.iter().copied().map(Field::name).collect();
            let detail = format!("was processed before with other content: {}", names.join(", "));
            Disposition::DeadLetter { reason: DeadLetterReason::Conflict, detail }
        }
        Outcome::Rejected(rejection) => dead_letter(rejection),
    }
}

fn dead_letter(rejection: &Rejection) -> Disposition {
    let reason = match rejection.code {
        code @ (RejectionCode::NotJson | RejectionCode::TooLarge | RejectionCode::Rejected) => {
            DeadLetterReason::Rejection(code)
        }
    };
    Disposition::DeadLetter { reason, detail: rejection.detail() }
}
