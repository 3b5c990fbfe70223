//! Rolls up committed records in the background, so that queries for totals read few rows.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use diesel::pg::PgConnection;
use diesel::query_dsl::RunQueryDsl;
use diesel::sql_types::BigInt;
use tallyhouse_core::ports::{PortError, PortErrorKind};
use tallyhouse_pipeline::adapter::RollUpSchedule;
use tokio::runtime::Handle;

use crate::connection::pool::Pool;
use crate::sql::error::StoreError;
use crate::sql::row::count;
use crate::sql::statement::Statement;

/// Records in one transaction, about: some ten milliseconds of work.
const RECORDS_PER_TRANSACTION: i64 = 16_384;

/// Rolls up records when enough of them wait. Clones share their state.
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
    /// Creates a worker that uses the connections of `upkeep`.
    pub(crate) fn new(upkeep: &Pool) -> Self {
        Self { schedule: Arc::default(), upkeep: upkeep.clone() }
    }

    /// Learns that this process has committed records.
    pub(crate) fn committed(&self, records: u64) {
        if self.schedule.committed(records, Instant::now()) {
            self.spawn();
        }
    }

    /// Learns how many records a query found that are not rolled up, committed by any process.
    pub(crate) fn found(&self, records: u64) {
        if self.schedule.found(records) {
            self.spawn();
        }
    }

    /// Rolls up all records in the background. The schedule has begun it.
    fn spawn(&self) {
        let Ok(runtime) = Handle::try_current() else { return self.schedule.end(Instant::now()) };
        let worker = self.clone();
        runtime.spawn(async move {
            match worker.roll_up_all().await {
                Ok(records) => tracing::debug!(records, "records were rolled up"),
                // The database is unavailable, which the service reports elsewhere. The next commit or query tries again.
                Err(error) if error.kind() == PortErrorKind::Unavailable => tracing::debug!(%error, "rolling up waits"),
                Err(error) => {
                    tracing::warn!(error = &error as &dyn std::error::Error, "records were not rolled up");
                }
            }
            worker.schedule.end(Instant::now());
            // Records committed meanwhile are rolled up even if no more come.
            tokio::time::sleep(RollUpSchedule::PAUSE).await;
            worker.committed(0);
        });
    }

    /// Rolls up all records, and returns their number.
    pub(crate) async fn roll_up_all(&self) -> Result<u64, PortError> {
        let mut total = 0;
        loop {
            let records = self.upkeep.run_once("rolling up records", roll_up).await?;
            total += records;
            if records == 0 {
                return Ok(total);
            }
        }
    }
}

fn roll_up(connection: &mut PgConnection) -> Result<u64, StoreError> {
    let records: i64 = Statement::<BigInt>::new("SELECT roll_up(")
        .bind::<BigInt, _>(RECORDS_PER_TRANSACTION)
        .sql(")")
        .get_result(connection)?;
    count(records)
}
