//! The outbox: which batches owe messages, who owes them, and for how long an owner may be silent. Each call is one
//! short statement; no transaction is ever held while messages are published.

use std::time::Duration;

use diesel::data_types::PgTimestamp;
use diesel::pg::PgConnection;
use diesel::query_dsl::RunQueryDsl;
use diesel::sql_types::{Array, BigInt, Nullable, Text, Timestamptz};
use tallyhouse_core::ports::{OwedBatch, OwedId, OwedStats, Owner, Whose};

use crate::error::Fault;
use crate::read::limit;
use crate::row::{count, timestamp};
use crate::statement::Statement;

/// Leases that lapsed this long ago are of no instance that still runs; they mean the same as none, and are dropped.
const LEASES_KEPT: &str = "1 day";

type OwedSql = (BigInt, BigInt);

/// Renews or ends a lease, by the clock of the database.
pub(crate) fn renew(connection: &mut PgConnection, owner: &Owner, lease: Duration) -> Result<(), Fault> {
    if lease.is_zero() {
        Statement::<()>::new("DELETE FROM leases WHERE owner = ")
            .bind::<Text, _>(owner.as_str())
            .execute(connection)?;
        return Ok(());
    }
    let micros = i64::try_from(lease.as_micros()).unwrap_or(i64::MAX);
    Statement::<()>::new("WITH old AS (DELETE FROM leases WHERE until < clock_timestamp() - interval '")
        .sql(LEASES_KEPT)
        .sql("' AND owner <> ")
        .bind::<Text, _>(owner.as_str())
        .sql(") INSERT INTO leases (owner, until) VALUES (")
        .bind::<Text, _>(owner.as_str())
        .sql(", clock_timestamp() + ")
        // No lease is so long that a double would round its microseconds.
        .bind::<BigInt, _>(micros)
        .sql(" * interval '1 microsecond') ON CONFLICT (owner) DO UPDATE SET until = excluded.until")
        .execute(connection)?;
    Ok(())
}

/// Returns owed batches, oldest first; abandoned ones become this owner's.
pub(crate) fn claim(
    connection: &mut PgConnection,
    owner: &Owner,
    whose: Whose,
    batches_max: usize,
) -> Result<Vec<OwedBatch>, Fault> {
    let statement = match whose {
        Whose::Own => Statement::<OwedSql>::new("SELECT first, last FROM owed WHERE owner = ")
            .bind::<Text, _>(owner.as_str())
            .sql(" ORDER BY first LIMIT ")
            .bind::<BigInt, _>(limit(batches_max)),
        // Rows that another caller is taking at this moment are skipped, and not waited for.
        Whose::Abandoned => Statement::<OwedSql>::new(
            "WITH taken AS MATERIALIZED (SELECT o.first FROM owed o WHERE o.owner IS NULL OR NOT EXISTS \
             (SELECT 1 FROM leases l WHERE l.owner = o.owner AND l.until > clock_timestamp()) \
             ORDER BY o.first LIMIT ",
        )
        .bind::<BigInt, _>(limit(batches_max))
        .sql(" FOR UPDATE SKIP LOCKED) UPDATE owed SET owner = ")
        .bind::<Text, _>(owner.as_str())
        .sql(" FROM taken WHERE owed.first = taken.first RETURNING owed.first, owed.last"),
    };
    let mut rows: Vec<(i64, i64)> = statement.load(connection)?;
    rows.sort_unstable();
    rows.into_iter().map(owed_batch).collect()
}

/// Forgets batches, as far as they are still this owner's.
pub(crate) fn settle(connection: &mut PgConnection, owner: &Owner, published: &[OwedId]) -> Result<(), Fault> {
    let ids: Vec<i64> = published.iter().map(|id| id.0).collect();
    Statement::<()>::new("DELETE FROM owed WHERE first = ANY (")
        .bind::<Array<BigInt>, _>(ids)
        .sql(") AND owner = ")
        .bind::<Text, _>(owner.as_str())
        .execute(connection)?;
    Ok(())
}

/// Returns how much is owed.
pub(crate) fn owed(connection: &mut PgConnection) -> Result<OwedStats, Fault> {
    let row: (i64, i64, Option<PgTimestamp>) = Statement::<(BigInt, BigInt, Nullable<Timestamptz>)>::new(
        "SELECT count(*), coalesce(sum(last - first + 1), 0)::bigint, min(processed_at) FROM owed",
    )
    .get_result(connection)?;
    let (batches, records, oldest) = row;
    Ok(OwedStats { batches: count(batches)?, records: count(records)?, oldest: oldest.and_then(timestamp) })
}

fn owed_batch((first, last): (i64, i64)) -> Result<OwedBatch, Fault> {
    Ok(OwedBatch { id: OwedId(first), first: count(first)?, last: count(last)? })
}
