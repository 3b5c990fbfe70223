//! Short reads: one record, a page of records, of summaries, of the history.

use std::sync::Arc;

use diesel::connection::DefaultLoadingMode;
use diesel::dsl::max;
use diesel::prelude::*;
use diesel::sqlite::Sqlite;
use tallyhouse_core::ports::{HistoryQuery, Page};
use tallyhouse_core::{
    Alerting, Filter, RecordId, RecordOrder, RecordQuery, Reference, StoredRecord, Summary, SummaryQuery,
};

use crate::sql::error::StoreError;
use crate::sql::filter::{After, Filtered, TimeBy, filtered, instr};
use crate::sql::rows::{StoredRow, limit, read_key, read_summary};
use crate::sql::schema::{records, summaries};

/// Returns the stored record with this id.
pub(crate) fn find(db: &mut SqliteConnection, id: &RecordId) -> Result<Option<StoredRecord>, StoreError> {
    let row = find_query(id.as_str()).first::<StoredRow>(db).optional()?;
    Ok(row.map(StoredRow::read).transpose()?.map(|(_, stored)| stored))
}

/// Returns the stored record of each of these ids. The statement stays prepared, and a call of SQLite is no round trip.
pub(crate) fn find_all(db: &mut SqliteConnection, ids: &[RecordId]) -> Result<Vec<Option<StoredRecord>>, StoreError> {
    db.transaction(|db| ids.iter().map(|id| find(db, id)).collect())
}

#[diesel::dsl::auto_type]
pub(crate) fn find_query<'a>(id: &'a str) -> _ {
    let row: diesel::dsl::AsSelect<StoredRow, Sqlite> = StoredRow::as_select();
    records::table.filter(records::record_id.eq(id)).select(row)
}

/// Returns a page of records by `time` and id.
pub(crate) fn records(db: &mut SqliteConnection, query: &RecordQuery) -> Result<Page<StoredRecord>, StoreError> {
    let rows = records_query(query).select(StoredRow::as_select()).load_iter::<StoredRow, DefaultLoadingMode>(db)?;
    let read = rows.map(|row| Ok::<_, StoreError>(row?.read()?.1));
    Page::take(read, query.limit)
}

pub(crate) fn records_query<'a>(query: &RecordQuery) -> Filtered<'a> {
    let mut filter = query.filter.clone();
    let mut after = query.after.as_ref();
    // With two bounds on one side SQLite may seek the wider one and scan from there. The narrower one is enough.
    let bound = match query.order {
        RecordOrder::OldestFirst => &mut filter.start,
        RecordOrder::NewestFirst => &mut filter.end,
    };
    if let (Some(at), Some((time, _))) = (*bound, after) {
        let is_narrower = match query.order {
            RecordOrder::OldestFirst => *time < at,
            RecordOrder::NewestFirst => *time >= at,
        };
        if is_narrower {
            after = None;
        } else {
            *bound = None;
        }
    }
    let page = filtered(&filter, TimeBy::Index).limit(limit_of_page(query.limit));
    let page = match query.order {
        RecordOrder::OldestFirst => page.order((records::time, records::record_id)),
        RecordOrder::NewestFirst => page.order((records::time.desc(), records::record_id.desc())),
    };
    let page = match &query.alerting {
        Some(alerting) => alerting_only(page, alerting),
        None => page,
    };
    match after {
        Some((time, id)) => page.filter(After::new(*time, id, query.order)),
        None => page,
    }
}

fn alerting_only<'a>(page: Filtered<'a>, alerting: &Alerting) -> Filtered<'a> {
    let page = page.filter(records::alerts.is_not_null());
    match alerting.json_part() {
        Some(part) => page.filter(instr(records::alerts, part).gt(0)),
        None => page,
    }
}

/// Returns a page of the running summaries of a destination by reference.
pub(crate) fn summaries(
    db: &mut SqliteConnection,
    query: &SummaryQuery,
) -> Result<Page<(Reference, Summary)>, StoreError> {
    let destination_id = query.destination_id.as_str();
    let mut found = (summaries::table.filter(summaries::destination_id.eq(destination_id)))
        .select((summaries::reference, summaries::summary))
        .order(summaries::reference)
        .limit(limit_of_page(query.limit))
        .into_boxed();
    if let Some(reference) = &query.reference {
        found = found.filter(summaries::reference.eq(reference.as_str()));
    }
    if let Some(after) = &query.after {
        found = found.filter(summaries::reference.gt(after.as_str()));
    }
    let rows = found.load_iter::<(String, String), DefaultLoadingMode>(db)?;
    let read = rows.map(|row| {
        let (reference, summary) = row?;
        let key = read_key(destination_id, &reference)?;
        Ok::<_, StoreError>((key.reference, read_summary(destination_id, &reference, &summary)?))
    });
    Page::take(read, query.limit)
}

/// Returns a page of the history by position.
pub(crate) fn history(
    db: &mut SqliteConnection,
    query: HistoryQuery,
) -> Result<Vec<(u64, Arc<StoredRecord>)>, StoreError> {
    if !query.alerting_only {
        return history_rows(db, query);
    }
    // The first record is read in any case, in one snapshot with the rest.
    db.transaction(|db| {
        let first = HistoryQuery { alerting_only: false, limit: query.limit.min(1), ..query };
        let mut found = history_rows(db, first)?;
        let rest = HistoryQuery { after: query.after.saturating_add(1), limit: query.limit - found.len(), ..query };
        found.extend(history_rows(db, rest)?);
        Ok(found)
    })
}

fn history_rows(db: &mut SqliteConnection, query: HistoryQuery) -> Result<Vec<(u64, Arc<StoredRecord>)>, StoreError> {
    let rows = history_query(query).select(StoredRow::as_select()).load_iter::<StoredRow, DefaultLoadingMode>(db)?;
    let read = rows.map(|row| {
        let (position, stored) = row?.read()?;
        Ok::<_, StoreError>((position, Arc::new(stored)))
    });
    Ok(Page::take(read, query.limit)?.rows)
}

pub(crate) fn history_query<'a>(query: HistoryQuery) -> Filtered<'a> {
    let after = i64::try_from(query.after).unwrap_or(i64::MAX);
    let page = filtered(&Filter::default(), TimeBy::Index)
        .filter(records::position.gt(after))
        .order(records::position)
        .limit(limit(query.limit));
    if query.alerting_only { page.filter(records::alerts.is_not_null()) } else { page }
}

/// Returns the limit of a page's statement: one row beyond the page shows that there is more.
fn limit_of_page(rows: usize) -> i64 {
    limit(rows.saturating_add(1))
}

/// Returns the last position, 0 if there is none.
pub(crate) fn head(db: &mut SqliteConnection) -> Result<u64, StoreError> {
    let last: Option<i64> = records::table.select(max(records::position)).first(db)?;
    // Positions begin at 1.
    Ok(u64::try_from(last.unwrap_or(0)).unwrap_or(0))
}

#[cfg(test)]
mod tests;
