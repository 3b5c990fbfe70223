//! The SQL source of totals: the records, or the roll-ups and the records that are not in them yet (see
//! [`tallyhouse_core::RollUpPlan`]).

use diesel::pg::PgConnection;
use diesel::query_dsl::RunQueryDsl;
use diesel::sql_types::{BigInt, Date, SmallInt, Text};
use tallyhouse_core::{DestinationId, GroupQuery, Period, Periods, RollUpPlan};

use crate::sql::error::StoreError;
use crate::sql::row::{count, pg_date};
use crate::sql::statement::Statement;
use crate::write::roll_ups::RollUpWorker;

/// The source of totals.
pub(crate) enum TotalsSource<'a> {
    /// The matching records.
    Records(&'a GroupQuery),
    /// Roll-ups, and the records that they leave out.
    RollUps {
        query: &'a GroupQuery,
        plan: Box<RollUpPlan>,
        /// The last position that is rolled up.
        position: i64,
    },
}

impl<'a> TotalsSource<'a> {
    /// Chooses the source in the snapshot of the query.
    pub(crate) fn choose(
        connection: &mut PgConnection,
        query: &'a GroupQuery,
        worker: &RollUpWorker,
    ) -> Result<Self, StoreError> {
        let Some(plan) = RollUpPlan::of(&query.filter) else { return Ok(Self::Records(query)) };
        let (position, head): (i64, i64) = Statement::<(BigInt, BigInt)>::new(
            "SELECT p.position, coalesce((SELECT max(b.last) FROM batches b), 0) FROM roll_up_position p WHERE p.only_row",
        )
        .get_result(connection)?;
        worker.found(count((head - position).max(0))?);
        Ok(Self::RollUps { query, plan: Box::new(plan), position })
    }

    /// Appends `FROM (…) r` with the columns `destination_id`, `unit`, `positive`, `count`, `sum`, `first` and `last`;
    /// several rows may have the same first three.
    pub(crate) fn push<'s, ST>(
        &'s self,
        statement: Statement<'s, ST>,
        until: Option<&'s DestinationId>,
    ) -> Statement<'s, ST> {
        let statement = statement.sql(" FROM (");
        let statement = match self {
            Self::Records(query) => {
                bounded(statement.sql(RECORDS).sql(" FROM records r").filtered(&query.filter), query, until)
            }
            Self::RollUps { query, plan, position } => push_roll_ups(statement, query, plan, *position, until),
        };
        statement.sql(") r")
    }
}

/// Single records with the columns of totals.
const RECORDS: &str =
    "SELECT r.destination_id, r.unit, r.positive, 1::bigint AS count, r.value AS sum, r.time AS first, r.time AS last";

fn push_roll_ups<'s, ST>(
    mut statement: Statement<'s, ST>,
    query: &'s GroupQuery,
    plan: &'s RollUpPlan,
    position: i64,
    until: Option<&'s DestinationId>,
) -> Statement<'s, ST> {
    for periods in &plan.periods {
        statement = statement
            .sql("SELECT r.destination_id, r.unit, r.positive, r.count, r.sum, r.first, r.last FROM roll_ups r");
        statement = bounded(push_periods(statement, periods).filtered_except_time(&query.filter), query, until)
            .sql(" UNION ALL ");
    }
    for edge in &plan.edges {
        statement = statement.sql(RECORDS).sql(" FROM records r").filtered(edge);
        statement = bounded(statement, query, until).sql(" UNION ALL ");
    }
    // OFFSET 0 makes the planner find each batch's records by the index of their slots.
    let statement = statement
        .sql(RECORDS)
        .sql(
            " FROM batches b CROSS JOIN LATERAL (SELECT * FROM records r WHERE r.slot >= b.slot \
             AND r.slot <= b.slot + (b.last - b.first) OFFSET 0) r",
        )
        .filtered(&plan.covered)
        .sql(" AND b.last > ")
        .bind::<BigInt, _>(position);
    bounded(statement, query, until)
}

fn push_periods<'s, ST>(statement: Statement<'s, ST>, periods: &Periods) -> Statement<'s, ST> {
    let statement = statement.sql(" WHERE r.days = ").bind::<SmallInt, _>(periods.period.days());
    if periods.period == Period::Ever {
        return statement.sql(" AND r.starts = '-infinity'");
    }
    statement
        .sql(" AND r.starts >= ")
        .bind::<Date, _>(pg_date(periods.from))
        .sql(" AND r.starts < ")
        .bind::<Date, _>(pg_date(periods.until))
}

/// Appends the bounds of a query's page: its destinations.
pub(crate) fn bounded<'a, ST>(
    mut statement: Statement<'a, ST>,
    query: &'a GroupQuery,
    until: Option<&'a DestinationId>,
) -> Statement<'a, ST> {
    if let Some(after) = &query.after {
        statement = statement.sql(" AND r.destination_id > ").bind::<Text, _>(after.as_str());
    }
    if let Some(until) = until {
        statement = statement.sql(" AND r.destination_id <= ").bind::<Text, _>(until.as_str());
    }
    statement
}
