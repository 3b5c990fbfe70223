//! Rolls up committed records in the background, so that queries for totals read few rows.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Instant;

use diesel::connection::DefaultLoadingMode;
use diesel::prelude::*;
use tallyhouse_core::StoredRecord;
use tallyhouse_core::ports::{PortError, PortErrorKind};
use tallyhouse_pipeline::adapter::RollUpSchedule;
use tokio::runtime::Handle;

use crate::connection::readers::Readers;
use crate::sql::error::StoreError;
use crate::sql::schema::{records, roll_up_position};
use crate::sql::statement::Statement;
use crate::write::daily_totals::{PeriodTotals, Total, TotalsRow};
use crate::write::writer::{Writer, transaction};

/// Counted days of destinations, units and types at which a roll-up begins: writing them occupies the writer for some ten
/// milliseconds.
const DAYS_PER_ROLL_UP: usize = 8_192;

/// Records in one transaction: writing their totals occupies the writer for some ten milliseconds at most.
const RECORDS_PER_TRANSACTION: i64 = 16_384;

/// Rolls up records when enough of them wait. Clones share their state.
#[derive(Clone)]
pub(crate) struct RollUpWorker {
    state: Arc<State>,
    writer: Writer,
    readers: Readers,
}

#[derive(Default)]
struct State {
    schedule: RollUpSchedule,
    /// The totals of the records that this process has committed since the last roll-up, so that they need not be read
    /// again. `None` if other records lie between.
    counted: Mutex<Option<PeriodTotals>>,
}

impl State {
    fn counted(&self) -> MutexGuard<'_, Option<PeriodTotals>> {
        // A panic may have left a sum half-added.
        self.counted.lock().unwrap_or_else(|poisoned| {
            let mut counted = poisoned.into_inner();
            *counted = None;
            counted
        })
    }
}

impl RollUpWorker {
    pub(crate) fn new(writer: &Writer, readers: &Readers) -> Self {
        Self { state: Arc::default(), writer: writer.clone(), readers: readers.clone() }
    }

    /// Counts records that were just committed at the positions from `first` on. To be called before the writer does other
    /// work.
    pub(crate) fn count(&self, db: &mut SqliteConnection, first: u64, stored: &[Arc<StoredRecord>]) {
        let first = i64::try_from(first).unwrap_or(i64::MAX);
        let mut counted = self.state.counted();
        if counted.as_ref().is_none_or(|totals| totals.until + 1 != first) {
            // Another process has written, or nothing is counted yet. If records lie between that are not rolled up, the
            // next roll-up reads them, and counting starts after it.
            *counted = position(db).is_ok_and(|position| position + 1 == first).then(|| PeriodTotals::after(first - 1));
        }
        let Some(totals) = counted.as_mut() else { return };
        for (position, stored) in (first..).zip(stored) {
            let record = &stored.processed.record;
            let (destination_id, unit) = (record.destination_id.as_str(), record.unit.as_str());
            totals.add(position, destination_id, unit, record.record_type, record.time, record.value);
        }
    }

    /// Learns that this process has committed records.
    pub(crate) fn committed(&self, records: u64) {
        let schedule = &self.state.schedule;
        let is_much = || self.state.counted().as_ref().is_some_and(|totals| totals.days_count >= DAYS_PER_ROLL_UP);
        if schedule.committed(records, Instant::now()) || (is_much() && schedule.begin()) {
            self.spawn();
        }
    }

    /// Learns how many records a query found that are not rolled up, committed by any process.
    pub(crate) fn found(&self, records: u64) {
        if self.state.schedule.found(records) {
            self.spawn();
        }
    }

    /// Rolls up all records in the background. The schedule has begun it.
    fn spawn(&self) {
        let Ok(runtime) = Handle::try_current() else { return self.state.schedule.end(Instant::now()) };
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
            worker.state.schedule.end(Instant::now());
            // Records committed meanwhile are rolled up even if no more come.
            tokio::time::sleep(RollUpSchedule::PAUSE).await;
            worker.committed(0);
        });
    }

    /// Rolls up all records, and returns their number.
    pub(crate) async fn roll_up_all(&self) -> Result<u64, PortError> {
        let what = "rolling up records";
        let state = Arc::clone(&self.state);
        let counted = self.writer.run(what, move |db| roll_up_counted(db, &state)).await?;
        if counted > 0 {
            return Ok(counted);
        }
        // Records of other processes, or of this one before it began to count.
        let mut total = 0;
        loop {
            // A reader sums them up, so that the writer only has to write the totals.
            let totals = self.readers.run_upkeep(what, sum_up).await?;
            let records = totals.records;
            if records == 0 {
                break;
            }
            self.writer.run(what, move |db| add(db, &totals)).await?;
            total += records;
        }
        // The rest is rolled up on the writer, which no commit can use meanwhile. This process counts later records.
        let state = Arc::clone(&self.state);
        let rest = self.writer.run(what, move |db| roll_up_rest(db, &state)).await?;
        Ok(total + rest)
    }
}

/// Rolls up the records that this process has counted, if they follow those that are rolled up. Returns 0 if other records
/// lie between.
fn roll_up_counted(db: &mut SqliteConnection, state: &State) -> Result<u64, StoreError> {
    let Some(counted) = state.counted().take() else { return Ok(0) };
    if !add(db, &counted)? {
        return Ok(0);
    }
    *state.counted() = Some(PeriodTotals::after(counted.until));
    Ok(counted.records)
}

/// Rolls up the remaining records on the writer.
fn roll_up_rest(db: &mut SqliteConnection, state: &State) -> Result<u64, StoreError> {
    let rest = sum_up(db)?;
    add(db, &rest)?;
    *state.counted() = Some(PeriodTotals::after(rest.until));
    Ok(rest.records)
}

/// Returns the last position that is rolled up.
pub(crate) fn position(db: &mut SqliteConnection) -> QueryResult<i64> {
    roll_up_position::table.select(roll_up_position::position).first(db)
}

/// Sums up the next records after those that are rolled up.
fn sum_up(db: &mut SqliteConnection) -> Result<PeriodTotals, StoreError> {
    db.transaction(|db| {
        let mut totals = PeriodTotals::after(position(db)?);
        let rows = records::table
            .select((
                records::position,
                records::destination_id,
                records::time,
                records::record_type,
                records::value,
                records::unit,
            ))
            .filter(
                records::position.gt(totals.after).and(records::position.le(totals.after + RECORDS_PER_TRANSACTION)),
            )
            .order(records::position);
        for row in rows.load_iter::<TotalsRow, DefaultLoadingMode>(db)? {
            totals.add_row(&row?)?;
        }
        Ok(totals)
    })
}

/// All binds are texts; the columns turn numbers back into integers.
const ADD: &str = "INSERT INTO roll_ups (days, starts, destination_id, unit, type, count, sum, first, last) \
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) \
     ON CONFLICT (days, starts, destination_id, unit, type) DO UPDATE SET count = count + excluded.count, \
     sum = add_sums(sum, excluded.sum), first = min(first, excluded.first), last = max(last, excluded.last)";

/// Adds totals to the roll-ups. Returns false, with nothing done, if they do not follow the records that are rolled up.
fn add(db: &mut SqliteConnection, totals: &PeriodTotals) -> Result<bool, StoreError> {
    if totals.records == 0 {
        return Ok(false);
    }
    transaction(db, |db| {
        if position(db)? != totals.after {
            return Ok(false);
        }
        for ((days, starts, destination_id, unit, record_type), Total { side, first, last }) in totals.rows() {
            let [days, starts, count] = [i64::from(days), starts, i64::try_from(side.count).unwrap_or(i64::MAX)]
                .map(|number| number.to_string());
            let [first, last] = [first, last].map(|time| time.as_micros().to_string());
            let sum = side.sum.to_string();
            let texts = [&days, &starts, destination_id, unit, record_type, &count, &sum, &first, &last];
            Statement::<(), 9>::new(ADD, texts).execute(db)?;
        }
        diesel::update(roll_up_position::table).set(roll_up_position::position.eq(totals.until)).execute(db)?;
        Ok(true)
    })
}

#[cfg(test)]
mod tests;
