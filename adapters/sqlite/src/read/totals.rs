//! Answers a query for totals from roll-ups and the records not rolled up yet.

use diesel::connection::DefaultLoadingMode;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};
use tallyhouse_core::{DestinationId, Filter, GroupQuery, RecordType, RollUpPlan, Side, Sum, Summary, Timestamp, Unit};

use crate::connection::blocking_stream::{Parts, Stop};
use crate::read::groups::{Item, Overflow, TotalsPage};
use crate::sql::error::Unreadable;
use crate::sql::schema::records;
use crate::sql::statement::Composed;
use crate::write::roll_ups::{self, RollUpWorker};

/// A row of totals: destination, unit, type, count, sum, first and last time. Several rows may have the same first
/// three.
type TotalSql = (Text, Text, Text, BigInt, Text, BigInt, BigInt);
type TotalRow = (String, String, String, i64, String, i64, i64);

/// Answers a query for totals in the read transaction of the caller. The end of the page is found while reading.
pub(crate) fn totals(
    db: &mut SqliteConnection,
    query: &GroupQuery,
    plan: &RollUpPlan,
    worker: &RollUpWorker,
    parts: &Parts<Item>,
) -> Result<(), Stop> {
    let position = roll_ups::position(db)?;
    let head: i64 = records::table.select(diesel::dsl::max(records::position)).first::<Option<i64>>(db)?.unwrap_or(0);
    worker.found(u64::try_from(head - position).unwrap_or(0));
    let overflow = sum_up(db, query, plan, position, TotalsPage::begin(parts, query.limit)?)?;
    if let Some(Overflow { after, groups }) = overflow {
        let query = GroupQuery { after: Some(after), ..query.clone() };
        sum_up(db, &query, plan, position, TotalsPage::resume(parts, groups))?;
    }
    Ok(())
}

fn sum_up(
    db: &mut SqliteConnection,
    query: &GroupQuery,
    plan: &RollUpPlan,
    position: i64,
    mut page: TotalsPage<'_>,
) -> Result<Option<Overflow>, Stop> {
    let statement = compose(query, plan, position);
    let mut open: Option<(DestinationId, Summary)> = None;
    for row in statement.load_iter::<TotalRow, DefaultLoadingMode>(db)? {
        page.check()?;
        let (destination_id, unit, record_type, count, sum, first, last) = row?;
        let row = || format!("the totals of destination {destination_id:?}");
        let unreadable = |what: &str| Unreadable { row: row(), what: what.to_owned() };
        if open.as_ref().is_none_or(|(open, _)| open.as_str() != destination_id) {
            if let Some(group) = open.take() {
                page.add(group)?;
            }
            if page.is_full() {
                return page.end(true);
            }
            let next = DestinationId::new(&destination_id).map_err(|error| unreadable(&error.to_string()))?;
            open = Some((next, Summary::default()));
        }
        let total = (|| {
            let side = Side { count: u64::try_from(count).ok()?, sum: Sum::parse(&sum)? };
            let (first, last) = (Timestamp::from_micros(first)?, Timestamp::from_micros(last)?);
            Some((Unit::new(&unit).ok()?, RecordType::named(&record_type)?, side, first, last))
        })();
        let (unit, record_type, side, first, last) = total.ok_or_else(|| unreadable("can't be read"))?;
        if let Some((_, summary)) = &mut open {
            summary.add_side(&unit, record_type, side, first, last);
        }
    }
    if let Some(group) = open.take() {
        page.add(group)?;
    }
    page.end(false)
}

/// Composes the statement: the totals of whole periods, the records at the edges, and the records that are not rolled up.
/// It names the indexes; otherwise SQLite might scan all records in the order of the answer.
fn compose<'a>(query: &'a GroupQuery, plan: &'a RollUpPlan, position: i64) -> Composed<'a, TotalSql> {
    const RECORDS: &str = "SELECT destination_id, unit, type, 1, value, time, time FROM records ";
    let mut statement = Composed::new("");
    for periods in &plan.periods {
        statement = statement
            .sql("SELECT destination_id, unit, type, count, sum, first, last FROM roll_ups WHERE days = ")
            .bind_int(periods.period.days().into())
            .sql(" AND starts >= ")
            .bind_int(periods.from)
            .sql(" AND starts < ")
            .bind_int(periods.until);
        statement = except_time(statement, query).sql(" UNION ALL ");
    }
    for edge in &plan.edges {
        let index = if query.filter.destination_id.is_some() {
            "INDEXED BY records_by_destination WHERE true"
        } else {
            "INDEXED BY records_by_time WHERE true"
        };
        statement = within(statement.sql(RECORDS).sql(index), edge);
        statement = except_time(statement, query).sql(" UNION ALL ");
    }
    let statement = statement.sql(RECORDS).sql("NOT INDEXED WHERE position > ").bind_int(position);
    except_time(within(statement, &plan.covered), query).sql(" ORDER BY destination_id")
}

fn within<'a>(mut statement: Composed<'a, TotalSql>, filter: &Filter) -> Composed<'a, TotalSql> {
    if let Some(start) = filter.start {
        statement = statement.sql(" AND time >= ").bind_int(start.as_micros());
    }
    if let Some(end) = filter.end {
        statement = statement.sql(" AND time < ").bind_int(end.as_micros());
    }
    statement
}

fn except_time<'a>(mut statement: Composed<'a, TotalSql>, query: &'a GroupQuery) -> Composed<'a, TotalSql> {
    let filter = &query.filter;
    let texts = [
        (" AND type = ", filter.record_type.map(RecordType::name)),
        (" AND destination_id = ", filter.destination_id.as_ref().map(DestinationId::as_str)),
        (" AND unit = ", filter.unit.as_ref().map(Unit::as_str)),
        (" AND destination_id > ", query.after.as_ref().map(DestinationId::as_str)),
    ];
    for (condition, text) in texts {
        if let Some(text) = text {
            statement = statement.sql(condition).bind_text(text);
        }
    }
    statement
}

#[cfg(test)]
mod tests;
