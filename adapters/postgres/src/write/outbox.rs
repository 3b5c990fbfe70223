//! The outbox: the entries of committed batches, and the leases of their owners. Each call is one short statement; no
//! transaction is open while messages are published.

use std::time::Duration;

use diesel::data_types::PgTimestamp;
use diesel::pg::PgConnection;
use diesel::query_dsl::RunQueryDsl;
use diesel::sql_types::{Array, BigInt, Nullable, Text, Timestamptz};
use tallyhouse_core::ports::{Backlog, ClaimScope, OutboxEntry, OutboxId, Owner};

use crate::sql::error::StoreError;
use crate::sql::row::{count, limit, timestamp};
use crate::sql::statement::Statement;
use crate::write::plan::id_columns;

/// Age at which a lapsed lease is deleted. A missing lease means the same.
const LAPSED_LEASES_KEPT: &str = "1 day";

type EntrySql = (BigInt, BigInt, BigInt, Timestamptz);
type EntryRow = (i64, i64, i64, PgTimestamp);

/// Entries without an owner, and those of an owner without a live lease.
const ABANDONED: &str = "(o.owner IS NULL OR NOT EXISTS (SELECT 1 FROM leases l WHERE l.owner = o.owner \
     AND l.until > clock_timestamp() AND l.until <= clock_timestamp() + 2 * l.length))";

/// Renews or ends a lease, by the clock of the database.
pub(crate) fn renew(connection: &mut PgConnection, owner: &Owner, lease: Duration) -> Result<(), StoreError> {
    if lease.is_zero() {
        Statement::<()>::new("DELETE FROM leases WHERE owner = ")
            .bind::<Text, _>(owner.as_str())
            .execute(connection)?;
        return Ok(());
    }
    let micros = i64::try_from(lease.as_micros()).unwrap_or(i64::MAX);
    Statement::<()>::new("WITH old AS (DELETE FROM leases WHERE (until < clock_timestamp() - interval '")
        .sql(LAPSED_LEASES_KEPT)
        .sql("' OR until > clock_timestamp() + 2 * length) AND owner <> ")
        .bind::<Text, _>(owner.as_str())
        .sql(") INSERT INTO leases (owner, length, until) VALUES (")
        .bind::<Text, _>(owner.as_str())
        .sql(", ")
        // The multiplication is by a double, which holds the microseconds of 285 years exactly.
        .bind::<BigInt, _>(micros)
        .sql(" * interval '1 microsecond', clock_timestamp() + ")
        .bind::<BigInt, _>(micros)
        .sql(
            " * interval '1 microsecond') ON CONFLICT (owner) DO UPDATE SET until = excluded.until, \
             length = excluded.length",
        )
        .execute(connection)?;
    Ok(())
}

/// Returns entries, oldest first. Abandoned ones become this owner's.
pub(crate) fn claim(
    connection: &mut PgConnection,
    owner: &Owner,
    scope: ClaimScope,
    entries_max: usize,
) -> Result<Vec<OutboxEntry>, StoreError> {
    let statement = match scope {
        ClaimScope::Own => Statement::<EntrySql>::new("SELECT first, last, nonce, processed_at FROM outbox WHERE owner = ")
            .bind::<Text, _>(owner.as_str())
            .sql(" ORDER BY first LIMIT ")
            .bind::<BigInt, _>(limit(entries_max)),
        // Entries that another instance is claiming are skipped, not waited for. So are entries that it has claimed
        // since this statement began: the statement can't see a lease that new.
        ClaimScope::Abandoned => Statement::<EntrySql>::new(
            "WITH claimed AS MATERIALIZED (SELECT o.first FROM outbox o WHERE (o.emitter IS NULL OR o.emitter = ",
        )
        .bind::<Nullable<Text>, _>(owner.emitter())
        .sql(") AND ")
        .sql(ABANDONED)
        .sql(" AND o.owner IS DISTINCT FROM ")
        .bind::<Text, _>(owner.as_str())
        .sql(" AND o.owner IS NOT DISTINCT FROM (SELECT seen.owner FROM outbox seen WHERE seen.first = o.first)")
        .sql(" ORDER BY o.first LIMIT ")
        .bind::<BigInt, _>(limit(entries_max))
        .sql(" FOR UPDATE SKIP LOCKED) UPDATE outbox SET owner = ")
        .bind::<Text, _>(owner.as_str())
        .sql(" FROM claimed WHERE outbox.first = claimed.first RETURNING outbox.first, outbox.last, \
              outbox.nonce, outbox.processed_at"),
        ClaimScope::Foreign => Statement::<EntrySql>::new(
            "SELECT o.first, o.last, o.nonce, o.processed_at FROM outbox o WHERE o.emitter IS NOT NULL AND o.emitter IS DISTINCT FROM ",
        )
        .bind::<Nullable<Text>, _>(owner.emitter())
        .sql(" AND ")
        .sql(ABANDONED)
        .sql(" AND o.owner IS DISTINCT FROM ")
        .bind::<Text, _>(owner.as_str())
        .sql(" ORDER BY o.first LIMIT ")
        .bind::<BigInt, _>(limit(entries_max)),
    };
    let mut rows: Vec<EntryRow> = statement.load(connection)?;
    rows.sort_unstable_by_key(|(first, ..)| *first);
    rows.into_iter().map(entry).collect()
}

/// Removes published entries that are still this owner's.
pub(crate) fn mark_published(
    connection: &mut PgConnection,
    owner: &Owner,
    published: &[OutboxId],
) -> Result<(), StoreError> {
    let (firsts, nonces) = id_columns(published);
    Statement::<()>::new("DELETE FROM outbox o USING unnest(")
        .bind::<Array<BigInt>, _>(firsts)
        .sql(", ")
        .bind::<Array<BigInt>, _>(nonces)
        .sql(") AS p (first, nonce) WHERE o.first = p.first AND o.nonce = p.nonce AND o.owner = ")
        .bind::<Text, _>(owner.as_str())
        .execute(connection)?;
    Ok(())
}

/// Returns how much is still to be published.
pub(crate) fn backlog(connection: &mut PgConnection) -> Result<Backlog, StoreError> {
    let row: (i64, i64, Option<PgTimestamp>) = Statement::<(BigInt, BigInt, Nullable<Timestamptz>)>::new(
        "SELECT count(*), coalesce(sum(last - first + 1), 0)::bigint, min(processed_at) FROM outbox",
    )
    .get_result(connection)?;
    let (batches, records, oldest) = row;
    Ok(Backlog { batches: count(batches)?, records: count(records)?, oldest: oldest.and_then(timestamp) })
}

fn entry((first, last, nonce, processed_at): EntryRow) -> Result<OutboxEntry, StoreError> {
    let (first, last) = (count(first)?, count(last)?);
    let unreadable = || StoreError::Corrupt(format!("outbox, first {first}: processed_at is out of range"));
    let processed_at = timestamp(processed_at).ok_or_else(unreadable)?;
    Ok(OutboxEntry { id: OutboxId::new(first, nonce.cast_unsigned()), first, last, processed_at })
}
