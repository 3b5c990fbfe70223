//! Roll-ups: totals that are kept ready (see [`tallyhouse_core::RollUpPlan`]), folded beside the commits, and how a question
//! for totals reads them.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use diesel::pg::PgConnection;
use diesel::query_dsl::RunQueryDsl;
use diesel::sql_types::{BigInt, Date, SmallInt, Text};
use tallyhouse_core::ports::{PortError, PortErrorKind};
use tallyhouse_core::{DestinationId, GroupQuery, Period, Periods, RollUpPlan};
use tallyhouse_pipeline::adapter::RollUpSchedule;
use tokio::runtime::Handle;

use crate::connection::pool::Pool;
use crate::sql::error::Fault;
use crate::sql::row::{count, pg_date};
use crate::sql::statement::Statement;

/// Records in one transaction, about: it takes some ten milliseconds.
const RECORDS_PER_FOLD: i64 = 16_384;

/// Folds records when there are enough of them. Clones share their state.
#[derive(Clone)]
pub(crate) struct RollUpWorker {
    schedule: Arc<RollUpSchedule>,
    upkeep: Pool,
}

impl fmt::Debug for RollUpWorker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RollUpWorker").finish_non_exhaustive()
    }
}

impl RollUpWorker {
    /// Folds on a connection of `upkeep`.
    pub(crate) fn new(upkeep: &Pool) -> Self {
        Self { schedule: Arc::default(), upkeep: upkeep.clone() }
    }

    /// Learns that records have been committed.
    pub(crate) fn committed(&self, records: u64) {
        if self.schedule.committed(records, Instant::now()) {
            self.fold();
        }
    }

    /// Learns how many records a question found that are not folded, whoever has committed them.
    fn found(&self, unfolded: u64) {
        if self.schedule.found(unfolded) {
            self.fold();
        }
    }

    /// Folds all there is, beside whatever goes on, as a folding that has begun.
    fn fold(&self) {
        let Ok(runtime) = Handle::try_current() else { return self.schedule.end(Instant::now()) };
        let folder = self.clone();
        runtime.spawn(async move {
            match folder.roll_up_all().await {
                Ok(records) => tracing::debug!(records, "records were folded into roll-ups"),
                // The database is away; the service says so elsewhere, and the next occasion comes.
                Err(error) if error.kind() == PortErrorKind::Unavailable => tracing::debug!(%error, "folding waits"),
                Err(error) => {
                    tracing::warn!(error = &error as &dyn std::error::Error, "records were not folded into roll-ups");
                }
            }
            folder.schedule.end(Instant::now());
            // Those that came meanwhile, if nothing comes any more.
            tokio::time::sleep(RollUpSchedule::PAUSE).await;
            folder.committed(0);
        });
    }

    /// Folds all there is; returns how many records that were.
    pub(crate) async fn roll_up_all(&self) -> Result<u64, PortError> {
        let mut all = 0;
        loop {
            let folded = self.upkeep.run_once("folding records into roll-ups", fold).await?;
            all += folded;
            if folded == 0 {
                return Ok(all);
            }
        }
    }
}

fn fold(connection: &mut PgConnection) -> Result<u64, Fault> {
    let folded: i64 = Statement::<BigInt>::new("SELECT roll_up(")
        .bind::<BigInt, _>(RECORDS_PER_FOLD)
        .sql(")")
        .get_result(connection)?;
    count(folded)
}

/// Where totals are read from.
pub(crate) enum Source<'a> {
    /// From the records that match.
    Records(&'a GroupQuery),
    /// From roll-ups, and the records that they leave out.
    RollUps {
        query: &'a GroupQuery,
        cover: Box<RollUpPlan>,
        /// The last position that is folded.
        position: i64,
    },
}

impl<'a> Source<'a> {
    /// Chooses, in the snapshot of the question.
    pub(crate) fn choose(
        connection: &mut PgConnection,
        query: &'a GroupQuery,
        folder: &RollUpWorker,
    ) -> Result<Self, Fault> {
        let Some(cover) = RollUpPlan::of(&query.filter) else { return Ok(Self::Records(query)) };
        let (position, head): (i64, i64) = Statement::<(BigInt, BigInt)>::new(
            "SELECT p.position, coalesce((SELECT max(b.last) FROM batches b), 0) FROM roll_up_position p WHERE p.only_row",
        )
        .get_result(connection)?;
        folder.found(count((head - position).max(0))?);
        Ok(Self::RollUps { query, cover: Box::new(cover), position })
    }

    /// Continues a statement by `FROM (…) r`, whose columns are `destination_id`, `unit`, `positive`, `count`, `sum`,
    /// `first` and `last`, many rows for each of the first three.
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
            Self::RollUps { query, cover, position } => push_cover(statement, query, cover, *position, until),
        };
        statement.sql(") r")
    }
}

/// The columns of totals, of single records.
const RECORDS: &str =
    "SELECT r.destination_id, r.unit, r.positive, 1::bigint AS count, r.value AS sum, r.time AS first, r.time AS last";

fn push_cover<'s, ST>(
    mut statement: Statement<'s, ST>,
    query: &'s GroupQuery,
    cover: &'s RollUpPlan,
    position: i64,
    until: Option<&'s DestinationId>,
) -> Statement<'s, ST> {
    for whole in &cover.whole {
        statement = statement
            .sql("SELECT r.destination_id, r.unit, r.positive, r.count, r.sum, r.first, r.last FROM roll_ups r");
        statement = bounded(push_stretches(statement, whole).filtered_beside_time(&query.filter), query, until)
            .sql(" UNION ALL ");
    }
    for edge in &cover.edges {
        statement = statement.sql(RECORDS).sql(" FROM records r").filtered(edge);
        statement = bounded(statement, query, until).sql(" UNION ALL ");
    }
    // Batch by batch, each batch's records by an index of their own: OFFSET 0 keeps the planner from any other way.
    let statement = statement
        .sql(RECORDS)
        .sql(
            " FROM batches b CROSS JOIN LATERAL (SELECT * FROM records r WHERE r.slot >= b.slot \
             AND r.slot <= b.slot + (b.last - b.first) OFFSET 0) r",
        )
        .filtered(&cover.within)
        .sql(" AND b.last > ")
        .bind::<BigInt, _>(position);
    bounded(statement, query, until)
}

fn push_stretches<'s, ST>(statement: Statement<'s, ST>, whole: &Periods) -> Statement<'s, ST> {
    let statement = statement.sql(" WHERE r.days = ").bind::<SmallInt, _>(whole.period.days());
    if whole.period == Period::Ever {
        return statement.sql(" AND r.starts = '-infinity'");
    }
    statement
        .sql(" AND r.starts >= ")
        .bind::<Date, _>(pg_date(whole.from))
        .sql(" AND r.starts < ")
        .bind::<Date, _>(pg_date(whole.until))
}

/// Continues a statement by the destinations of a query's page.
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
