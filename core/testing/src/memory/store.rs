//! The collections behind the lock, and the operations on them.

use std::collections::{BTreeMap, HashMap};
use std::convert::Infallible;
use std::iter;
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::stream;
use tallyhouse_core::ports::{
    AuditPart, Backlog, Batch, ClaimScope, Committed, GroupPart, Groups, HistoryQuery, OutboxEntry, OutboxId, Owner,
    Page, PartStream, Weigh,
};
use tallyhouse_core::{
    DestinationId, Filter, GroupQuery, Key, Known, ManagedRule, ManagedRules, Plan, RecordId, RecordOrder, RecordQuery,
    Reference, RuleEdit, RuleEditOutcome, StoredRecord, Summary, SummaryQuery, Timestamp, amend, plan,
};

/// Records in one part of a streamed answer: enough to make the cost of a part small, few enough to take little memory.
const PART_RECORDS: usize = 256;

/// The next nonce of an outbox entry: one sequence for all stores of the process, so that no entry has that of another one,
/// also not after a store went back to an earlier state.
static NONCE_NEXT: AtomicU64 = AtomicU64::new(0);

/// Everything that is kept. Texts order by bytes, so the maps do too.
#[derive(Clone, Default)]
pub(super) struct Store {
    /// Every record in the order of commits; its position is its place, counted from 1.
    log: Vec<Arc<StoredRecord>>,
    /// The positions of those that met a rule.
    alerting: Vec<u64>,
    by_id: HashMap<RecordId, u64>,
    by_time: BTreeMap<Timestamp, BTreeMap<RecordId, u64>>,
    keys: BTreeMap<Key, KeyState>,
    outbox: BTreeMap<OutboxId, Unpublished>,
    leases: HashMap<Owner, Lease>,
    managed: ManagedRules,
}

#[derive(Clone, Default)]
struct KeyState {
    summary: Summary,
    /// By sequence.
    positions: Vec<u64>,
}

#[derive(Clone)]
struct Unpublished {
    batch: OutboxEntry,
    owner: Option<Owner>,
    /// The emitter of the commit's owner.
    emitter: Option<String>,
}

/// How long an owner keeps its entries, by the time of day of the clock.
#[derive(Clone, Copy)]
struct Lease {
    ends: Timestamp,
    length_micros: i64,
}

impl Lease {
    fn is_live(&self, now: Timestamp) -> bool {
        let left = self.ends.as_micros().saturating_sub(now.as_micros());
        // A lease that ends more than twice its length from now was written by a clock that was ahead.
        left > 0 && left <= self.length_micros.saturating_mul(2)
    }
}

#[derive(Default)]
struct Group {
    summary: Summary,
    records: Vec<Arc<StoredRecord>>,
}

impl Store {
    pub(super) fn commit(&mut self, batch: &Batch) -> Committed {
        let Ok(rules) = batch.rules.in_force(self.managed.version, || Ok::<_, Infallible>(self.managed.clone()));
        let Plan { outcomes, stored, summaries } = plan(&batch.arrivals, self.known(batch), &rules, batch.now);
        let first = self.head() + 1;
        stored.into_iter().for_each(|record| self.append(record));
        for (key, summary) in summaries {
            self.keys.entry(key).or_default().summary = summary;
        }
        self.mark_published(batch.owner.as_ref(), &batch.published);
        let entry = (self.head() >= first).then(|| self.add_entry(first, batch));
        Committed { outcomes, entry }
    }

    fn known(&self, batch: &Batch) -> Known {
        let mut known = Known::default();
        for arrival in batch.arrivals.iter() {
            if let Some(position) = self.by_id.get(&arrival.record.record_id) {
                let processed = self.at(*position).processed.clone();
                known.records.insert(arrival.record.record_id.clone(), processed);
            }
            let key = arrival.record.key();
            if let Some(state) = self.keys.get(&key) {
                known.summaries.entry(key).or_insert_with(|| state.summary.clone());
            }
        }
        known
    }

    fn append(&mut self, stored: Arc<StoredRecord>) {
        let position = self.head() + 1;
        let record = &stored.processed.record;
        self.by_id.insert(record.record_id.clone(), position);
        self.by_time.entry(record.time).or_default().insert(record.record_id.clone(), position);
        self.keys.entry(record.key()).or_default().positions.push(position);
        if !stored.alerts.is_empty() {
            self.alerting.push(position);
        }
        self.log.push(stored);
    }

    fn add_entry(&mut self, first: u64, batch: &Batch) -> OutboxEntry {
        let id = OutboxId::new(first, NONCE_NEXT.fetch_add(1, Ordering::Relaxed));
        let entry = OutboxEntry { id, first, last: self.head(), processed_at: batch.now };
        let owner = batch.owner.clone();
        let emitter = owner.as_ref().and_then(Owner::emitter).map(str::to_owned);
        self.outbox.insert(entry.id, Unpublished { batch: entry, owner, emitter });
        entry
    }

    fn at(&self, position: u64) -> &Arc<StoredRecord> {
        let place = usize::try_from(position - 1).expect("a place in a Vec is a usize");
        &self.log[place]
    }

    pub(super) fn find(&self, id: &RecordId) -> Option<StoredRecord> {
        self.by_id.get(id).map(|position| (**self.at(*position)).clone())
    }

    /// Returns the matching records by `time`, then id.
    fn matching<'a>(
        &'a self,
        filter: &'a Filter,
        from: Option<Timestamp>,
    ) -> impl Iterator<Item = &'a Arc<StoredRecord>> {
        let from = filter.start.max(from).map_or(Bound::Unbounded, Bound::Included);
        (self.by_time.range((from, Bound::Unbounded)))
            .take_while(|(time, _)| filter.end.is_none_or(|end| **time < end))
            .flat_map(|(_, ids)| ids.values().map(|position| self.at(*position)))
            .filter(|stored| filter.matches(&stored.processed.record))
    }

    pub(super) fn records(&self, query: &RecordQuery) -> Page<StoredRecord> {
        let mut found: Vec<&Arc<StoredRecord>> = self.matching(&query.filter, None).collect();
        let follows: fn(&(Timestamp, &RecordId), &(Timestamp, &RecordId)) -> bool = match query.order {
            RecordOrder::OldestFirst => |place, after| place > after,
            RecordOrder::NewestFirst => {
                found.reverse();
                |place, after| place < after
            }
        };
        let after = query.after.as_ref().map(|(time, id)| (*time, id));
        let found = (found.into_iter())
            .filter(|stored| query.alerting.as_ref().is_none_or(|alerting| alerting.matches(stored)))
            .filter(|stored| {
                let record = &stored.processed.record;
                after.as_ref().is_none_or(|after| follows(&(record.time, &record.record_id), after))
            })
            .map(|stored| (**stored).clone());
        light(found, query.limit)
    }

    pub(super) fn summaries(&self, query: &SummaryQuery) -> Page<(Reference, Summary)> {
        let key =
            |reference: &Reference| Key { destination_id: query.destination_id.clone(), reference: reference.clone() };
        let from = query.after.as_ref().map_or_else(
            || Bound::Included(key(&Reference::new("").expect("a reference may be empty"))),
            |after| Bound::Excluded(key(after)),
        );
        let found = (self.keys.range((from, Bound::Unbounded)))
            .take_while(|(key, _)| key.destination_id == query.destination_id)
            .filter(|(key, _)| query.reference.as_ref().is_none_or(|reference| key.reference == *reference))
            .map(|(key, state)| (key.reference.clone(), state.summary.clone()));
        light(found, query.limit)
    }

    pub(super) fn groups(&self, query: &GroupQuery) -> Groups {
        let mut groups = BTreeMap::<DestinationId, Group>::new();
        for stored in self.matching(&query.filter, None) {
            let record = &stored.processed.record;
            if query.after.as_ref().is_some_and(|after| record.destination_id <= *after) {
                continue;
            }
            let group = groups.entry(record.destination_id.clone()).or_default();
            group.summary.add(record);
            if query.records {
                group.records.push(Arc::clone(stored));
            }
        }
        let mut groups: Vec<(DestinationId, Group)> = groups.into_iter().collect();
        let limit = query.limit.unwrap_or(groups.len());
        let more = groups.len() > limit;
        groups.truncate(limit);
        let next = groups.last().filter(|_| more).map(|(destination_id, _)| destination_id.clone());
        let parts = groups.into_iter().flat_map(|(destination_id, group)| {
            iter::once(GroupPart::Group(destination_id, group.summary)).chain(record_parts(group.records))
        });
        Groups { parts: Box::pin(stream::iter(parts.map(Ok))), next }
    }

    pub(super) fn history(&self, query: HistoryQuery) -> Vec<(u64, Arc<StoredRecord>)> {
        let page = |positions: &mut dyn Iterator<Item = u64>| {
            light(positions.map(|position| (position, Arc::clone(self.at(position)))), query.limit).rows
        };
        let first = query.after.saturating_add(1);
        if query.alerting_only {
            let rest = self.alerting.partition_point(|position| *position <= first);
            page(&mut (first..=self.head()).take(1).chain(self.alerting[rest..].iter().copied()))
        } else {
            page(&mut (first..=self.head()))
        }
    }

    pub(super) fn head(&self) -> u64 {
        self.log.len() as u64
    }

    pub(super) fn renew(&mut self, owner: &Owner, now: Timestamp, length: Duration) {
        // Lapsed leases would pile up otherwise, one for every start of an instance.
        self.leases.retain(|_, lease| lease.is_live(now));
        if length.is_zero() {
            self.leases.remove(owner);
            return;
        }
        let length_micros = i64::try_from(length.as_micros()).unwrap_or(i64::MAX);
        let ends = now.as_micros().saturating_add(length_micros);
        let ends = Timestamp::from_micros(ends).unwrap_or(Timestamp::MAX);
        self.leases.insert(owner.clone(), Lease { ends, length_micros });
    }

    pub(super) fn claim(
        &mut self,
        owner: &Owner,
        scope: ClaimScope,
        entries_max: usize,
        now: Timestamp,
    ) -> Vec<OutboxEntry> {
        let leases = &self.leases;
        let is_abandoned = |entry: &Unpublished| match &entry.owner {
            None => true,
            Some(theirs) => theirs != owner && !leases.get(theirs).is_some_and(|lease| lease.is_live(now)),
        };
        let may_publish = |entry: &Unpublished| owner.may_publish(entry.emitter.as_deref());
        let wanted = |entry: &Unpublished| match scope {
            ClaimScope::Own => entry.owner.as_ref() == Some(owner),
            ClaimScope::Abandoned => is_abandoned(entry) && may_publish(entry),
            ClaimScope::Foreign => is_abandoned(entry) && !may_publish(entry),
        };
        (self.outbox.values_mut().filter(|entry| wanted(entry)))
            .take(entries_max)
            .map(|entry| {
                if scope == ClaimScope::Abandoned {
                    entry.owner = Some(owner.clone());
                }
                entry.batch
            })
            .collect()
    }

    pub(super) fn mark_published(&mut self, owner: Option<&Owner>, published: &[OutboxId]) {
        for id in published {
            if owner.is_some() && self.outbox.get(id).is_some_and(|entry| entry.owner.as_ref() == owner) {
                self.outbox.remove(id);
            }
        }
    }

    pub(super) fn backlog(&self) -> Backlog {
        Backlog {
            batches: self.outbox.len() as u64,
            records: self.outbox.values().map(|entry| entry.batch.last - entry.batch.first + 1).sum(),
            oldest: self.outbox.values().map(|entry| entry.batch.processed_at).min(),
        }
    }

    pub(super) fn managed_rules(&self) -> ManagedRules {
        self.managed.clone()
    }

    pub(super) fn amend_rules(&mut self, edit: &RuleEdit) -> RuleEditOutcome {
        let edited = amend(&self.managed, edit);
        let Some(version) = edited.version() else { return edited };
        self.managed.version = version;
        let rules = &mut self.managed.rules;
        rules.retain(|managed| managed.rule.name() != edit.name);
        match &edited {
            RuleEditOutcome::Created(managed) | RuleEditOutcome::Replaced(managed) => {
                rules.push(ManagedRule::clone(managed))
            }
            RuleEditOutcome::Deleted(_)
            | RuleEditOutcome::Unchanged(_)
            | RuleEditOutcome::Missing
            | RuleEditOutcome::PreconditionFailed
            | RuleEditOutcome::Full => {}
        }
        rules.sort_by(|a, b| a.rule.name().cmp(b.rule.name()));
        edited
    }

    pub(super) fn audit(&self) -> PartStream<AuditPart> {
        type Entry = (Key, Summary, Vec<(u64, Arc<StoredRecord>)>);
        let entry = |(key, state): (&Key, &KeyState)| -> Entry {
            let records = state.positions.iter().map(|position| (*position, Arc::clone(self.at(*position)))).collect();
            (key.clone(), state.summary.clone(), records)
        };
        let keys: Vec<Entry> = self.keys.iter().map(entry).collect();
        let outbox: Vec<AuditPart> =
            self.outbox.values().map(|entry| AuditPart::Outbox(entry.batch.first, entry.batch.last)).collect();
        let parts = keys.into_iter().flat_map(|(key, summary, records)| {
            let records = records.into_iter().map(|(at, stored)| AuditPart::Record(at, Box::new((*stored).clone())));
            iter::once(AuditPart::Key(key, Some(summary))).chain(records)
        });
        Box::pin(stream::iter(parts.chain(outbox).map(Ok)))
    }
}

/// Ends a page early where its rows are heavy.
fn light<T: Weigh>(rows: impl Iterator<Item = T>, limit: usize) -> Page<T> {
    let Ok(page) = Page::take(rows.map(Ok::<_, Infallible>), limit);
    page
}

fn record_parts(records: Vec<Arc<StoredRecord>>) -> impl Iterator<Item = GroupPart> {
    let mut records = records.into_iter();
    iter::from_fn(move || {
        let part: Vec<_> = records.by_ref().take(PART_RECORDS).map(|stored| stored.processed.clone()).collect();
        (!part.is_empty()).then_some(GroupPart::Records(part))
    })
}
