//! What the toy keeps: a few vectors, changed by the lines of its file.

use std::sync::Arc;

use serde_json::{Value, json};
use tallyhouse_core::ports::{OutboxEntry, OutboxId};
use tallyhouse_core::{Key, Known, ManagedRule, ManagedRules, Rule, StoredRecord, Summary, Timestamp};

/// An outbox entry, and its owner.
pub(crate) struct Unpublished {
    pub(crate) entry: OutboxEntry,
    pub(crate) owner: Option<String>,
    pub(crate) emitter: Option<String>,
}

/// Everything that was committed. A record's position is its place, counted from 1.
#[derive(Default)]
pub(crate) struct State {
    pub(crate) records: Vec<Arc<StoredRecord>>,
    pub(crate) outbox: Vec<Unpublished>,
    pub(crate) rules: ManagedRules,
}

impl State {
    /// Applies one line of the file.
    pub(crate) fn apply(&mut self, line: &Value) {
        let ids = |name: &str| -> Vec<u64> {
            line[name].as_array().into_iter().flatten().map(|id| id.as_u64().unwrap()).collect()
        };
        let owner = line["owner"].as_str().map(str::to_owned);
        let emitter = line["emitter"].as_str().map(str::to_owned);
        let now = line["now"].as_i64().and_then(Timestamp::from_micros);
        let first = self.records.len() as u64 + 1;
        for stored in line["stored"].as_array().into_iter().flatten() {
            self.records.push(Arc::new(StoredRecord::from_stored(stored.as_str().unwrap()).unwrap()));
        }
        let last = self.records.len() as u64;
        self.publish(owner.as_deref(), &ids("published"));
        if first <= last {
            let id = OutboxId::new(first, line["nonce"].as_u64().unwrap());
            let entry = OutboxEntry { id, first, last, processed_at: now.unwrap() };
            self.outbox.push(Unpublished { entry, owner: owner.clone(), emitter });
        }
        for id in ids("claimed") {
            let claimed = self.outbox.iter_mut().find(|unpublished| unpublished.entry.id.nonce() == id);
            claimed.unwrap().owner.clone_from(&owner);
        }
        if let Some(rules) = line.get("rules") {
            self.rules = rules_from(rules);
        }
    }

    fn publish(&mut self, owner: Option<&str>, ids: &[u64]) {
        self.outbox.retain(|unpublished| {
            let is_owners = owner.is_some() && unpublished.owner.as_deref() == owner;
            !(is_owners && ids.contains(&unpublished.entry.id.nonce()))
        });
    }

    /// What the plan of a batch needs to know: here simply everything.
    pub(crate) fn known(&self) -> Known {
        let mut known = Known::default();
        for stored in &self.records {
            known.records.insert(stored.processed.record.record_id.clone(), stored.processed.clone());
        }
        known.summaries = self.summaries().into_iter().collect();
        known
    }

    /// Returns the running summary of every key, by key.
    pub(crate) fn summaries(&self) -> Vec<(Key, Summary)> {
        let mut summaries = std::collections::BTreeMap::<Key, Summary>::new();
        for stored in &self.records {
            let mut summary = stored.previous.clone();
            summary.add(&stored.processed.record);
            summaries.insert(stored.processed.record.key(), summary);
        }
        summaries.into_iter().collect()
    }
}

/// Writes the managed rules as JSON.
pub(crate) fn rules_to(rules: &ManagedRules) -> Value {
    let rule =
        |managed: &ManagedRule| json!([managed.rule.to_stored(), managed.version, managed.changed_at.as_micros()]);
    json!([rules.version, rules.rules.iter().map(rule).collect::<Vec<_>>()])
}

fn rules_from(json: &Value) -> ManagedRules {
    let rule = |rule: &Value| ManagedRule {
        rule: Arc::new(Rule::from_stored(rule[0].as_str().unwrap()).unwrap()),
        version: rule[1].as_u64().unwrap(),
        changed_at: Timestamp::from_micros(rule[2].as_i64().unwrap()).unwrap(),
    };
    ManagedRules { version: json[0].as_u64().unwrap(), rules: json[1].as_array().unwrap().iter().map(rule).collect() }
}
