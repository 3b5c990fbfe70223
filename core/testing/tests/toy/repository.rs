//! The toy: a file of JSON lines, one for each transaction, and vectors that are searched from end to end.

use std::collections::{BTreeMap, HashMap};
use std::convert::Infallible;
use std::fs::File;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::io::Write as _;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use futures::stream;
use serde_json::{Value, json};
use tallyhouse_core::ports::{
    AuditPart, Backlog, Batch, ClaimScope, Clock, Committed, GroupPart, Groups, HistoryQuery, Outbox, OutboxEntry,
    OutboxId, Owner, Page, PartStream, PortError, PortErrorKind, RecordReader, RecordRepository, RuleRepository,
};
use tallyhouse_core::{
    GroupQuery, ManagedRules, RecordId, RecordOrder, RecordQuery, Reference, RuleEdit, RuleEditOutcome, StoredRecord,
    Summary, SummaryQuery, amend, plan,
};

use crate::state::{State, Unpublished, rules_to};

pub(crate) struct Toy {
    clock: Arc<dyn Clock>,
    inner: Mutex<Inner>,
    /// A planted fault: between the plan of a commit and its write, the lock is released for so long.
    pub(crate) unlocked_for: Duration,
}

struct Inner {
    file: File,
    state: State,
    /// When each owner's lease ends.
    leases: HashMap<String, Duration>,
}

impl Toy {
    /// Opens the file, and applies every line in it.
    pub(crate) fn open(path: &Path, clock: Arc<dyn Clock>) -> Self {
        let mut state = State::default();
        for line in std::fs::read_to_string(path).unwrap_or_default().lines() {
            state.apply(&serde_json::from_str(line).unwrap());
        }
        let file = File::options().create(true).append(true).open(path).unwrap();
        let inner = Mutex::new(Inner { file, state, leases: HashMap::new() });
        Self { clock, inner, unlocked_for: Duration::ZERO }
    }

    /// The one lock is the whole of the toy's transactions.
    fn read<T>(&self, read: impl FnOnce(&State) -> T) -> T {
        read(&self.inner.lock().unwrap().state)
    }
}

impl Inner {
    /// Makes a change durable, then visible.
    fn write(&mut self, line: &Value) -> Result<(), PortError> {
        let written = writeln!(self.file, "{line}").and_then(|()| self.file.sync_data());
        written.map_err(|error| PortError::new(PortErrorKind::Unavailable, "writing a line", error))?;
        self.state.apply(line);
        Ok(())
    }
}

#[async_trait]
impl RecordRepository for Toy {
    async fn commit(&self, batch: Batch) -> Result<Committed, PortError> {
        let mut inner = self.inner.lock().unwrap();
        let managed = &inner.state.rules;
        let Ok(rules) = batch.rules.in_force(managed.version, || Ok::<_, Infallible>(managed.clone()));
        let plan = plan(&batch.arrivals, inner.state.known(), &rules, batch.now);
        if !self.unlocked_for.is_zero() {
            drop(inner);
            std::thread::sleep(self.unlocked_for);
            inner = self.inner.lock().unwrap();
        }
        inner.write(&json!({
            "stored": plan.stored.iter().map(|stored| stored.to_stored()).collect::<Vec<_>>(),
            "owner": batch.owner.as_ref().map(Owner::as_str),
            "emitter": batch.owner.as_ref().and_then(Owner::emitter),
            "now": batch.now.as_micros(),
            // A hasher is made with random keys.
            "nonce": RandomState::new().build_hasher().finish(),
            "published": batch.published.iter().map(|id| id.nonce()).collect::<Vec<_>>(),
        }))?;
        let entry = inner.state.outbox.last().map(|unpublished| unpublished.entry);
        Ok(Committed { outcomes: plan.outcomes, entry: entry.filter(|_| !plan.stored.is_empty()) })
    }

    async fn ping(&self) -> Result<(), PortError> {
        Ok(())
    }
}

#[async_trait]
impl RecordReader for Toy {
    async fn find(&self, id: &RecordId) -> Result<Option<StoredRecord>, PortError> {
        Ok(self.read(|state| {
            let found = state.records.iter().find(|stored| stored.processed.record.record_id == *id);
            found.map(|stored| (**stored).clone())
        }))
    }

    async fn records(&self, query: RecordQuery) -> Result<Page<StoredRecord>, PortError> {
        let place = |stored: &Arc<StoredRecord>| {
            let record = &stored.processed.record;
            (record.time, record.record_id.clone())
        };
        let mut found = self.read(|state| state.records.clone());
        found.retain(|stored| query.filter.matches(&stored.processed.record));
        found.retain(|stored| query.alerting.as_ref().is_none_or(|alerting| alerting.matches(stored)));
        found.sort_by_key(place);
        if query.order == RecordOrder::NewestFirst {
            found.reverse();
        }
        if let Some(after) = &query.after {
            found.retain(|stored| match query.order {
                RecordOrder::OldestFirst => place(stored) > *after,
                RecordOrder::NewestFirst => place(stored) < *after,
            });
        }
        Page::take(found.iter().map(|stored| Ok((**stored).clone())), query.limit)
    }

    async fn summaries(&self, query: SummaryQuery) -> Result<Page<(Reference, Summary)>, PortError> {
        let all = self.read(State::summaries).into_iter();
        let found = all
            .filter(|(key, _)| key.destination_id == query.destination_id)
            .map(|(key, summary)| (key.reference, summary))
            .filter(|(reference, _)| query.reference.as_ref().is_none_or(|asked| reference == asked))
            .filter(|(reference, _)| query.after.as_ref().is_none_or(|after| reference > after));
        Page::take(found.map(Ok), query.limit)
    }

    async fn groups(&self, query: GroupQuery) -> Result<Groups, PortError> {
        let mut groups = BTreeMap::<_, Vec<_>>::new();
        for stored in self.read(|state| state.records.clone()) {
            if query.filter.matches(&stored.processed.record) {
                let group = groups.entry(stored.processed.record.destination_id.clone()).or_default();
                group.push(stored.processed.clone());
            }
        }
        groups.retain(|destination, _| query.after.as_ref().is_none_or(|after| destination > after));
        let limit = query.limit.unwrap_or(usize::MAX);
        let more = groups.len() > limit;
        let mut parts = Vec::new();
        let mut last = None;
        for (destination, mut records) in groups.into_iter().take(limit) {
            let summary = records.iter().map(|processed| &processed.record).collect();
            last = Some(destination.clone());
            parts.push(Ok(GroupPart::Group(destination, summary)));
            if query.records {
                records.sort_by_key(|processed| (processed.record.time, processed.record.record_id.clone()));
                parts.push(Ok(GroupPart::Records(records)));
            }
        }
        Ok(Groups { parts: Box::pin(stream::iter(parts)), next: last.filter(|_| more) })
    }

    async fn history(&self, query: HistoryQuery) -> Result<Vec<(u64, Arc<StoredRecord>)>, PortError> {
        let all = self.read(|state| (1..).zip(state.records.clone()).collect::<Vec<_>>());
        let found = all.into_iter().filter(|(position, stored)| {
            let is_wanted = !query.alerting_only || !stored.alerts.is_empty() || *position == query.after + 1;
            *position > query.after && is_wanted
        });
        Ok(Page::take(found.map(Ok), query.limit)?.rows)
    }

    async fn head(&self) -> Result<u64, PortError> {
        Ok(self.read(|state| state.records.len() as u64))
    }

    async fn audit(&self) -> Result<PartStream<AuditPart>, PortError> {
        let parts = self.read(|state| {
            let mut by_key = BTreeMap::<_, Vec<_>>::new();
            for (at, stored) in (1..).zip(&state.records) {
                let of_key = by_key.entry(stored.processed.record.key()).or_default();
                of_key.push(AuditPart::Record(at, Box::new((**stored).clone())));
            }
            let mut parts = Vec::new();
            for (key, summary) in state.summaries() {
                let records = by_key.remove(&key).unwrap_or_default();
                parts.push(AuditPart::Key(key, Some(summary)));
                parts.extend(records);
            }
            parts.extend(state.outbox.iter().map(|found| AuditPart::Outbox(found.entry.first, found.entry.last)));
            parts
        });
        Ok(Box::pin(stream::iter(parts.into_iter().map(Ok))))
    }
}

#[async_trait]
impl Outbox for Toy {
    async fn renew(&self, owner: &Owner, lease: Duration) -> Result<(), PortError> {
        let ends = self.clock.elapsed() + lease;
        self.inner.lock().unwrap().leases.insert(owner.as_str().to_owned(), ends);
        Ok(())
    }

    async fn claim(&self, owner: &Owner, scope: ClaimScope, entries_max: usize) -> Result<Vec<OutboxEntry>, PortError> {
        let now = self.clock.elapsed();
        let mut inner = self.inner.lock().unwrap();
        let is_live = |name: &String| inner.leases.get(name).is_some_and(|ends| *ends > now);
        let is_own = |found: &Unpublished| found.owner.as_deref() == Some(owner.as_str());
        let is_abandoned = |found: &Unpublished| !is_own(found) && !found.owner.as_ref().is_some_and(is_live);
        let may_publish = |found: &Unpublished| owner.may_publish(found.emitter.as_deref());
        let is_wanted = |found: &&Unpublished| match scope {
            ClaimScope::Own => is_own(found),
            ClaimScope::Abandoned => is_abandoned(found) && may_publish(found),
            ClaimScope::Foreign => is_abandoned(found) && !may_publish(found),
        };
        let claimed = inner.state.outbox.iter().filter(is_wanted).map(|found| found.entry).take(entries_max);
        let claimed: Vec<OutboxEntry> = claimed.collect();
        if scope == ClaimScope::Abandoned && !claimed.is_empty() {
            let ids: Vec<u64> = claimed.iter().map(|entry| entry.id.nonce()).collect();
            inner.write(&json!({ "owner": owner.as_str(), "claimed": ids }))?;
        }
        Ok(claimed)
    }

    async fn mark_published(&self, owner: &Owner, published: &[OutboxId]) -> Result<(), PortError> {
        let ids: Vec<u64> = published.iter().map(|id| id.nonce()).collect();
        self.inner.lock().unwrap().write(&json!({ "owner": owner.as_str(), "published": ids }))
    }

    async fn backlog(&self) -> Result<Backlog, PortError> {
        Ok(self.read(|state| Backlog {
            batches: state.outbox.len() as u64,
            records: state.outbox.iter().map(|found| found.entry.last - found.entry.first + 1).sum(),
            oldest: state.outbox.iter().map(|found| found.entry.processed_at).min(),
        }))
    }
}

#[async_trait]
impl RuleRepository for Toy {
    async fn managed_rules(&self) -> Result<ManagedRules, PortError> {
        Ok(self.read(|state| state.rules.clone()))
    }

    async fn amend_rules(&self, edit: RuleEdit) -> Result<RuleEditOutcome, PortError> {
        let mut inner = self.inner.lock().unwrap();
        let edited = amend(&inner.state.rules, &edit);
        let mut rules = inner.state.rules.clone();
        if let Some(version) = edited.version() {
            rules.version = version;
            rules.rules.retain(|managed| managed.rule.name() != edit.name);
            if let RuleEditOutcome::Created(managed) | RuleEditOutcome::Replaced(managed) = &edited {
                rules.rules.push(managed.clone());
            }
            rules.rules.sort_by(|a, b| a.rule.name().cmp(b.rule.name()));
            inner.write(&json!({ "rules": rules_to(&rules) }))?;
        }
        Ok(edited)
    }
}
