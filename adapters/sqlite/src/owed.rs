//! What is owed, and by whom.

use std::time::Duration;

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable};
use tallyhouse_core::Timestamp;
use tallyhouse_core::ports::{OwedBatch, OwedId, OwedStats, Owner, Whose};

use crate::error::{Failure, Unreadable};
use crate::schema::{leases, owed};
use crate::statement::Statement;
use crate::writer::transaction;

/// `SUM` of whole numbers is exact, and fails rather than wraps.
const STATS: &str = "SELECT count(*), coalesce(sum(last - first + 1), 0), min(processed_at) FROM owed";

/// Makes an owner's lease last `lease` from now. Those that have lapsed are as good as none, and are swept away.
pub(crate) fn renew(db: &mut SqliteConnection, owner: &Owner, now: Timestamp, lease: Duration) -> Result<(), Failure> {
    let lease_micros = i64::try_from(lease.as_micros()).unwrap_or(i64::MAX);
    let until = now.as_micros().saturating_add(lease_micros);
    transaction(db, |db| {
        diesel::delete(leases::table.filter(leases::until.le(now.as_micros()))).execute(db)?;
        if lease.is_zero() {
            diesel::delete(leases::table.filter(leases::owner.eq(owner.as_str()))).execute(db)?;
        } else {
            let lease = (leases::owner.eq(owner.as_str()), leases::until.eq(until));
            diesel::replace_into(leases::table).values(lease).execute(db)?;
        }
        Ok(())
    })
}

/// Returns the owed batches that an owner may have, oldest first, and changes nothing.
pub(crate) fn candidates(
    db: &mut SqliteConnection,
    owner: &Owner,
    whose: Whose,
    now: Timestamp,
    batches_max: usize,
) -> Result<Vec<OwedBatch>, Failure> {
    let page = owed::table.select((owed::first, owed::last)).order(owed::first).limit(limit(batches_max)).into_boxed();
    let page = match whose {
        Whose::Own => page.filter(owed::owner.eq(owner.as_str())),
        Whose::Abandoned => {
            let alive = leases::table.filter(leases::until.gt(now.as_micros())).select(leases::owner);
            let mut alive: Vec<String> = alive.load(db)?;
            alive.push(owner.as_str().to_owned());
            page.filter(owed::owner.is_null().or(owed::owner.ne_all(alive)))
        }
    };
    let rows: Vec<(i64, i64)> = page.load(db)?;
    Ok(rows.into_iter().map(read_owed).collect::<Result<_, _>>()?)
}

/// Makes the abandoned batches this owner's. The write lock, had before they are looked for, keeps others from them.
pub(crate) fn take_over(
    db: &mut SqliteConnection,
    owner: &Owner,
    now: Timestamp,
    batches_max: usize,
) -> Result<Vec<OwedBatch>, Failure> {
    transaction(db, |db| {
        let found = candidates(db, owner, Whose::Abandoned, now, batches_max)?;
        for batch in &found {
            diesel::update(owed::table.find(batch.id.0)).set(owed::owner.eq(owner.as_str())).execute(db)?;
        }
        Ok(found)
    })
}

/// Forgets batches, as far as they are this owner's.
pub(crate) fn forget(db: &mut SqliteConnection, owner: &Owner, published: &[OwedId]) -> Result<(), Failure> {
    for id in published {
        diesel::delete(owed::table.find(id.0).filter(owed::owner.eq(owner.as_str()))).execute(db)?;
    }
    Ok(())
}

/// Counts what is owed.
pub(crate) fn stats(db: &mut SqliteConnection) -> Result<OwedStats, Failure> {
    let statement = Statement::<(BigInt, BigInt, Nullable<BigInt>), 0>::new(STATS, []);
    let (batches, records, oldest): (i64, i64, Option<i64>) = statement.get_result(db)?;
    let unreadable = |what: &str| Unreadable { place: "table owed".to_owned(), what: what.to_owned() };
    let count = |n: i64| u64::try_from(n).map_err(|_| unreadable("the batches hold fewer than no records"));
    let time = |micros: i64| Timestamp::from_micros(micros).ok_or_else(|| unreadable("processed_at is out of range"));
    Ok(OwedStats { batches: count(batches)?, records: count(records)?, oldest: oldest.map(time).transpose()? })
}

/// Reads a row: a batch is known by its first position, which no other will ever have.
pub(crate) fn read_owed((first, last): (i64, i64)) -> Result<OwedBatch, Unreadable> {
    let position = |n: i64| {
        let what = format!("position {n} must be 1 or more");
        u64::try_from(n).map_err(|_| Unreadable { place: format!("table owed, first {first}"), what })
    };
    Ok(OwedBatch { id: OwedId(first), first: position(first)?, last: position(last)? })
}

/// Returns a limit as SQL takes it.
pub(crate) fn limit(rows: usize) -> i64 {
    i64::try_from(rows).unwrap_or(i64::MAX)
}
