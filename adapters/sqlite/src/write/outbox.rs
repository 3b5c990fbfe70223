//! The outbox: the entries of committed batches, and the leases of their owners.

use std::time::Duration;

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable};
use tallyhouse_core::Timestamp;
use tallyhouse_core::ports::{Backlog, ClaimScope, OutboxEntry, OutboxId, Owner};

use crate::sql::error::{StoreError, Unreadable};
use crate::sql::rows::limit;
use crate::sql::schema::{leases, outbox};
use crate::sql::statement::Statement;
use crate::write::writer::transaction;

/// The first and last position of an entry, its nonce, and when its records were processed.
pub(crate) type EntryRow = (i64, i64, i64, i64);

/// `SUM` of whole numbers is exact, and fails rather than wraps.
const STATS: &str = "SELECT count(*), coalesce(sum(last - first + 1), 0), min(processed_at) FROM outbox";

/// Makes an owner's lease last `lease` from now. Deletes the leases that have lapsed.
pub(crate) fn renew(
    db: &mut SqliteConnection,
    owner: &Owner,
    now: Timestamp,
    lease: Duration,
) -> Result<(), StoreError> {
    let lease_micros = i64::try_from(lease.as_micros()).unwrap_or(i64::MAX);
    let until = now.as_micros().saturating_add(lease_micros);
    transaction(db, |db| {
        let has_lapsed = leases::until.le(now.as_micros());
        let is_from_the_future = (leases::until - leases::length - leases::length).gt(now.as_micros());
        diesel::delete(leases::table.filter(has_lapsed.or(is_from_the_future))).execute(db)?;
        if lease.is_zero() {
            diesel::delete(leases::table.filter(leases::owner.eq(owner.as_str()))).execute(db)?;
        } else {
            let lease = (leases::owner.eq(owner.as_str()), leases::until.eq(until), leases::length.eq(lease_micros));
            diesel::replace_into(leases::table).values(lease).execute(db)?;
        }
        Ok(())
    })
}

/// Returns the entries that an owner may claim, oldest first, and changes nothing.
pub(crate) fn candidates(
    db: &mut SqliteConnection,
    owner: &Owner,
    scope: ClaimScope,
    now: Timestamp,
    entries_max: usize,
) -> Result<Vec<OutboxEntry>, StoreError> {
    let page = outbox::table
        .select((outbox::first, outbox::last, outbox::nonce, outbox::processed_at))
        .order(outbox::first)
        .limit(limit(entries_max))
        .into_boxed();
    let page = match scope {
        ClaimScope::Own => page.filter(outbox::owner.eq(owner.as_str())),
        ClaimScope::Abandoned | ClaimScope::Foreign => {
            // A lease that ends more than twice its length from now was written by a clock that was ahead.
            let is_valid = leases::until
                .gt(now.as_micros())
                .and((leases::until - leases::length - leases::length).le(now.as_micros()));
            let mut valid: Vec<String> = leases::table.filter(is_valid).select(leases::owner).load(db)?;
            valid.push(owner.as_str().to_owned());
            let page = page.filter(outbox::owner.is_null().or(outbox::owner.ne_all(valid)));
            match (scope, owner.emitter()) {
                (ClaimScope::Foreign, None) => page.filter(outbox::emitter.is_not_null()),
                (ClaimScope::Foreign, Some(ours)) => page.filter(outbox::emitter.ne(ours.to_owned())),
                (ClaimScope::Own | ClaimScope::Abandoned, None) => page.filter(outbox::emitter.is_null()),
                (ClaimScope::Own | ClaimScope::Abandoned, Some(ours)) => {
                    page.filter(outbox::emitter.is_null().or(outbox::emitter.eq(ours.to_owned())))
                }
            }
        }
    };
    let rows: Vec<EntryRow> = page.load(db)?;
    Ok(rows.into_iter().map(read_entry).collect::<Result<_, _>>()?)
}

/// Claims abandoned entries. The write lock, taken before the look-up, keeps other owners from claiming them.
pub(crate) fn claim_abandoned(
    db: &mut SqliteConnection,
    owner: &Owner,
    now: Timestamp,
    entries_max: usize,
) -> Result<Vec<OutboxEntry>, StoreError> {
    transaction(db, |db| {
        let found = candidates(db, owner, ClaimScope::Abandoned, now, entries_max)?;
        for entry in &found {
            diesel::update(outbox::table.find(first_of(entry.id))).set(outbox::owner.eq(owner.as_str())).execute(db)?;
        }
        Ok(found)
    })
}

/// Removes published entries that are this owner's.
pub(crate) fn mark_published(
    db: &mut SqliteConnection,
    owner: &Owner,
    published: &[OutboxId],
) -> Result<(), StoreError> {
    for id in published {
        let entry = outbox::table.find(first_of(*id)).filter(outbox::nonce.eq(id.nonce().cast_signed()));
        diesel::delete(entry.filter(outbox::owner.eq(owner.as_str()))).execute(db)?;
    }
    Ok(())
}

/// Counts the entries.
pub(crate) fn backlog(db: &mut SqliteConnection) -> Result<Backlog, StoreError> {
    let statement = Statement::<(BigInt, BigInt, Nullable<BigInt>), 0>::new(STATS, []);
    let (batches, records, oldest): (i64, i64, Option<i64>) = statement.get_result(db)?;
    let unreadable = |what: &str| Unreadable { row: "table outbox".to_owned(), what: what.to_owned() };
    let count = |n: i64| u64::try_from(n).map_err(|_| unreadable("the batches hold fewer than no records"));
    let time = |micros: i64| Timestamp::from_micros(micros).ok_or_else(|| unreadable("processed_at is out of range"));
    Ok(Backlog { batches: count(batches)?, records: count(records)?, oldest: oldest.map(time).transpose()? })
}

/// Decodes an entry.
pub(crate) fn read_entry((first, last, nonce, processed_at): EntryRow) -> Result<OutboxEntry, Unreadable> {
    let unreadable = |what: String| Unreadable { row: format!("table outbox, first {first}"), what };
    let position = |n: i64| u64::try_from(n).map_err(|_| unreadable(format!("position {n} must be 1 or more")));
    let time = |micros: i64| {
        Timestamp::from_micros(micros).ok_or_else(|| unreadable("processed_at is out of range".to_owned()))
    };
    let (first, last, processed_at) = (position(first)?, position(last)?, time(processed_at)?);
    Ok(OutboxEntry { id: OutboxId::new(first, nonce.cast_unsigned()), first, last, processed_at })
}

fn first_of(id: OutboxId) -> i64 {
    i64::try_from(id.first()).unwrap_or(i64::MAX)
}
