//! The outbox: the entries of committed batches, and the leases of their owners. Each call is one short statement; no
//! transaction is ever held while messages are published.

use std::time::Duration;

use diesel::data_types::PgTimestamp;
use diesel::pg::PgConnection;
use diesel::query_dsl::RunQueryDsl;
use diesel::sql_types::{Array, BigInt, Nullable, Text, Timestamptz};
use tallyhouse_core::ports::{Backlog, ClaimScope, OutboxEntry, OutboxId, Owner};

use crate::read::records::limit;
use crate::sql::error::Fault;
use crate::sql::row::{count, timestamp};
use crate::sql::statement::Statement;

/// Leases that lapsed this long ago are of no instance that still runs; they mean the same as none, and are dropped.
const LEASES_KEPT: &str = "1 day";

type EntrySql = (BigInt, BigInt);

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

/// Returns entries, oldest first; abandoned ones become this owner's.
pub(crate) fn claim(
    connection: &mut PgConnection,
    owner: &Owner,
    scope: ClaimScope,
    entries_max: usize,
) -> Result<Vec<OutboxEntry>, Fault> {
    let statement = match scope {
        ClaimScope::Own => Statement::<EntrySql>::new("SELECT first, last FROM outbox WHERE owner = ")
            .bind::<Text, _>(owner.as_str())
            .sql(" ORDER BY first LIMIT ")
            .bind::<BigInt, _>(limit(entries_max)),
        // Rows that another caller is taking at this moment are skipped, and not waited for.
        ClaimScope::Abandoned => Statement::<EntrySql>::new(
            "WITH taken AS MATERIALIZED (SELECT o.first FROM outbox o WHERE o.owner IS NULL OR NOT EXISTS \
             (SELECT 1 FROM leases l WHERE l.owner = o.owner AND l.until > clock_timestamp()) \
             ORDER BY o.first LIMIT ",
        )
        .bind::<BigInt, _>(limit(entries_max))
        .sql(" FOR UPDATE SKIP LOCKED) UPDATE outbox SET owner = ")
        .bind::<Text, _>(owner.as_str())
        .sql(" FROM taken WHERE outbox.first = taken.first RETURNING outbox.first, outbox.last"),
    };
    let mut rows: Vec<(i64, i64)> = statement.load(connection)?;
    rows.sort_unstable();
    rows.into_iter().map(entry).collect()
}

/// Removes published entries, as far as they are still this owner's.
pub(crate) fn mark_published(
    connection: &mut PgConnection,
    owner: &Owner,
    published: &[OutboxId],
) -> Result<(), Fault> {
    let ids: Vec<i64> = published.iter().map(|id| id.0).collect();
    Statement::<()>::new("DELETE FROM outbox WHERE first = ANY (")
        .bind::<Array<BigInt>, _>(ids)
        .sql(") AND owner = ")
        .bind::<Text, _>(owner.as_str())
        .execute(connection)?;
    Ok(())
}

/// Returns how much is still to be published.
pub(crate) fn backlog(connection: &mut PgConnection) -> Result<Backlog, Fault> {
    let row: (i64, i64, Option<PgTimestamp>) = Statement::<(BigInt, BigInt, Nullable<Timestamptz>)>::new(
        "SELECT count(*), coalesce(sum(last - first + 1), 0)::bigint, min(processed_at) FROM outbox",
    )
    .get_result(connection)?;
    let (batches, records, oldest) = row;
    Ok(Backlog { batches: count(batches)?, records: count(records)?, oldest: oldest.and_then(timestamp) })
}

fn entry((first, last): (i64, i64)) -> Result<OutboxEntry, Fault> {
    Ok(OutboxEntry { id: OutboxId(first), first: count(first)?, last: count(last)? })
}
