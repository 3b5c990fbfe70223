//! Roll-ups: totals that are kept ready (see [`tallyhouse_core::RollUpPlan`]), folded beside the commits, and how a question
//! for totals reads them.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Instant;

use diesel::connection::DefaultLoadingMode;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};
use tallyhouse_core::ports::{GroupPart, PortError, PortErrorKind};
use tallyhouse_core::{
    DestinationId, Filter, GroupQuery, Period, RecordType, RollUpPlan, Side, StoredRecord, Sum, Summary, Timestamp,
    Unit, Value,
};
use tallyhouse_pipeline::adapter::RollUpSchedule;
use tokio::runtime::Handle;

use crate::connection::readers::Readers;
use crate::connection::stream::{Parts, Stop};
use crate::read::groups::Item;
use crate::sql::error::{Failure, Unreadable};
use crate::sql::rows::At;
use crate::sql::schema::{records, roll_up_position};
use crate::sql::statement::{Composed, Statement};
use crate::write::writer::{Writer, transaction};

/// Days of a destination, unit and type that are counted at most, about: to write them keeps the writer for some ten
/// milliseconds.
const DAYS_PER_FOLD: usize = 8_192;

/// Records in one transaction, at most: it keeps the writer for some ten milliseconds.
const RECORDS_PER_FOLD: i64 = 16_384;

diesel::define_sql_function! {
    /// Adds two sums exactly, which are kept as texts; an empty text if one of them is no sum.
    fn add_sums(a: Text, b: Text) -> Text;
}

/// Makes the function `add_sums` known to a connection that folds.
pub(crate) fn register(db: &mut SqliteConnection) -> QueryResult<()> {
    add_sums_utils::register_impl(db, |a: String, b: String| {
        let sums = Sum::parse(&a).zip(Sum::parse(&b));
        sums.map_or_else(String::new, |(mut sum, other)| {
            sum.merge(other);
            sum.to_string()
        })
    })
}

/// Folds records when there are enough of them. Clones share their state.
#[derive(Clone)]
pub(crate) struct RollUpWorker {
    state: Arc<State>,
    writer: Writer,
    readers: Readers,
}

#[derive(Default)]
struct State {
    schedule: RollUpSchedule,
    /// What this process has counted of its own records, as it committed them: nobody need read them again. None before
    /// it is known where to begin.
    counted: Mutex<Option<Folding>>,
}

impl State {
    fn counted(&self) -> MutexGuard<'_, Option<Folding>> {
        // Sums that a panic has left half-added would be wrong; then there are none.
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

    /// Counts records that have just been committed at these positions, the first and those behind it. Only while no
    /// other commit can be.
    pub(crate) fn count(&self, db: &mut SqliteConnection, first: u64, stored: &[Arc<StoredRecord>]) {
        let first = i64::try_from(first).unwrap_or(i64::MAX);
        let mut counted = self.state.counted();
        if counted.as_ref().is_none_or(|folding| folding.until + 1 != first) {
            // Others have written, too, or this is the beginning. Where records lie between that are not folded yet,
            // the next folding reads, and this process counts from there on.
            *counted = position(db).is_ok_and(|folded| folded + 1 == first).then(|| Folding::after(first - 1));
        }
        let Some(folding) = counted.as_mut() else { return };
        for (position, stored) in (first..).zip(stored) {
            let record = &stored.processed.record;
            let (destination_id, unit) = (record.destination_id.as_str(), record.unit.as_str());
            folding.add(position, destination_id, unit, record.record_type, record.time, record.value);
        }
    }

    /// Learns that records have been committed.
    pub(crate) fn committed(&self, records: u64) {
        let schedule = &self.state.schedule;
        let is_much = || self.state.counted().as_ref().is_some_and(|folding| folding.days_count >= DAYS_PER_FOLD);
        if schedule.committed(records, Instant::now()) || (is_much() && schedule.begin()) {
            self.fold();
        }
    }

    /// Learns how many records a question found that are not folded, whoever has committed them.
    fn found(&self, unfolded: u64) {
        if self.state.schedule.found(unfolded) {
            self.fold();
        }
    }

    /// Folds all there is, beside whatever goes on, as a folding that has begun.
    fn fold(&self) {
        let Ok(runtime) = Handle::try_current() else { return self.state.schedule.end(Instant::now()) };
        let folder = self.clone();
        runtime.spawn(async move {
            match folder.roll_up_all().await {
                Ok(records) => tracing::debug!(records, "records were folded into roll-ups"),
                // The next occasion comes, and the service says elsewhere that the database is away.
                Err(error) if error.kind() == PortErrorKind::Unavailable => tracing::debug!(%error, "folding waits"),
                Err(error) => {
                    tracing::warn!(error = &error as &dyn std::error::Error, "records were not folded into roll-ups");
                }
            }
            folder.state.schedule.end(Instant::now());
            // Those that came meanwhile, if nothing comes any more.
            tokio::time::sleep(RollUpSchedule::PAUSE).await;
            folder.committed(0);
        });
    }

    /// Folds all there is; returns how many records that were.
    pub(crate) async fn roll_up_all(&self) -> Result<u64, PortError> {
        let what = "folding records into roll-ups";
        let state = Arc::clone(&self.state);
        let counted = self.writer.run(what, move |db| fold_counted(db, &state)).await?;
        if counted > 0 {
            return Ok(counted);
        }
        // What other processes have written, or this one before it counted.
        let mut all = 0;
        loop {
            // They are read and added up beside the writer, which has only the sums to write.
            let folding = self.readers.run_upkeep(what, gather).await?;
            let records = folding.records;
            if records == 0 {
                break;
            }
            self.writer.run(what, move |db| write(db, &folding)).await?;
            all += records;
        }
        // What came meanwhile, while nothing more can come: from there on this process counts.
        let state = Arc::clone(&self.state);
        let rest = self.writer.run(what, move |db| fold_rest(db, &state)).await?;
        Ok(all + rest)
    }
}

/// Folds what this process has counted as it committed it, if that begins where the roll-ups end. Else there are other
/// records between, and 0 is returned.
fn fold_counted(db: &mut SqliteConnection, state: &State) -> Result<u64, Failure> {
    let Some(counted) = state.counted().take() else { return Ok(0) };
    if !write(db, &counted)? {
        return Ok(0);
    }
    *state.counted() = Some(Folding::after(counted.until));
    Ok(counted.records)
}

/// Folds what is left, on the connection that writes.
fn fold_rest(db: &mut SqliteConnection, state: &State) -> Result<u64, Failure> {
    let rest = gather(db)?;
    write(db, &rest)?;
    *state.counted() = Some(Folding::after(rest.until));
    Ok(rest.records)
}

/// Records that are added up to be folded.
struct Folding {
    /// After which position they begin, and with which they end.
    after: i64,
    until: i64,
    records: u64,
    /// By destination: by unit and type, by day. Few units and types, so that these are looked through.
    days: HashMap<String, Vec<OfUnit>>,
    /// How many days there are in all of them.
    days_count: usize,
}

/// The records of one destination, unit and type.
struct OfUnit {
    unit: String,
    record_type: RecordType,
    /// By the beginning of the day.
    days: HashMap<i64, Total>,
}

#[derive(Clone, Copy)]
struct Total {
    side: Side,
    first: Timestamp,
    last: Timestamp,
}

impl Total {
    fn merge(&mut self, other: Self) {
        self.side.count += other.side.count;
        self.side.sum.merge(other.side.sum);
        (self.first, self.last) = (self.first.min(other.first), self.last.max(other.last));
    }
}

/// The place of a roll-up: the length of its period in days, its beginning, destination, unit, type.
type Place<'a> = (i16, i64, &'a str, &'a str, &'static str);

/// What a roll-up needs of a record: position, destination, time, type, value, unit.
type FoldedRow = (i64, String, i64, String, String, String);

/// Returns the last position that is folded.
fn position(db: &mut SqliteConnection) -> QueryResult<i64> {
    roll_up_position::table.select(roll_up_position::position).first(db)
}

fn gather(db: &mut SqliteConnection) -> Result<Folding, Failure> {
    db.transaction(|db| {
        let mut folding = Folding::after(position(db)?);
        let rows = records::table
            .select((
                records::position,
                records::destination_id,
                records::time,
                records::record_type,
                records::value,
                records::unit,
            ))
            .filter(records::position.gt(folding.after).and(records::position.le(folding.after + RECORDS_PER_FOLD)))
            .order(records::position);
        for row in rows.load_iter::<FoldedRow, DefaultLoadingMode>(db)? {
            folding.add_row(&row?)?;
        }
        Ok(folding)
    })
}

impl Folding {
    fn after(position: i64) -> Self {
        Self { after: position, until: position, records: 0, days: HashMap::new(), days_count: 0 }
    }

    fn add_row(
        &mut self,
        (position, destination_id, time, record_type, value, unit): &FoldedRow,
    ) -> Result<(), Unreadable> {
        let at = At(*position);
        let (time, record_type) = (at.time("time", *time)?, at.record_type(record_type)?);
        self.add(*position, destination_id, unit, record_type, time, at.text("value", value, Value::parse)?);
        Ok(())
    }

    fn add(
        &mut self,
        position: i64,
        destination_id: &str,
        unit: &str,
        record_type: RecordType,
        time: Timestamp,
        value: Value,
    ) {
        // Without a copy of what is there, as it nearly always is.
        if !self.days.contains_key(destination_id) {
            self.days.insert(destination_id.to_owned(), Vec::new());
        }
        let Some(of_destination) = self.days.get_mut(destination_id) else { return };
        let place = of_destination.iter().position(|of| of.record_type == record_type && of.unit == unit);
        let place = place.unwrap_or_else(|| {
            of_destination.push(OfUnit { unit: unit.to_owned(), record_type, days: HashMap::new() });
            of_destination.len() - 1
        });
        let days = &mut of_destination[place].days;
        let before = days.len();
        let begin = Period::Day.begin(time);
        let total = days.entry(begin).or_insert(Total { side: Side::default(), first: time, last: time });
        total.side.count += 1;
        total.side.sum.add(value);
        (total.first, total.last) = (total.first.min(time), total.last.max(time));
        self.days_count += days.len() - before;
        self.until = position;
        self.records += 1;
    }

    /// The totals of all periods, in the order in which they are kept.
    fn rows(&self) -> BTreeMap<Place<'_>, Total> {
        let mut rows: BTreeMap<Place<'_>, Total> = BTreeMap::new();
        for (destination_id, of_destination) in &self.days {
            for OfUnit { unit, record_type, days } in of_destination {
                for total in days.values() {
                    for period in Period::ALL {
                        let begin = period.begin(total.first);
                        let place = (period.days(), begin, destination_id.as_str(), unit.as_str(), record_type.name());
                        rows.entry(place).and_modify(|sum| sum.merge(*total)).or_insert(*total);
                    }
                }
            }
        }
        rows
    }
}

/// Numbers come as texts, too, which the columns turn back.
const FOLD: &str = "INSERT INTO roll_ups (days, starts, destination_id, unit, type, count, sum, first, last) \
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) \
     ON CONFLICT (days, starts, destination_id, unit, type) DO UPDATE SET count = count + excluded.count, \
     sum = add_sums(sum, excluded.sum), first = min(first, excluded.first), last = max(last, excluded.last)";

/// Adds to the roll-ups; says whether that was done. Otherwise another process has folded meanwhile, or there are
/// others before.
fn write(db: &mut SqliteConnection, folding: &Folding) -> Result<bool, Failure> {
    if folding.records == 0 {
        return Ok(false);
    }
    transaction(db, |db| {
        if position(db)? != folding.after {
            return Ok(false);
        }
        for ((days, starts, destination_id, unit, record_type), Total { side, first, last }) in folding.rows() {
            let [days, starts, count] = [i64::from(days), starts, i64::try_from(side.count).unwrap_or(i64::MAX)]
                .map(|number| number.to_string());
            let [first, last] = [first, last].map(|time| time.as_micros().to_string());
            let sum = side.sum.to_string();
            let texts = [&days, &starts, destination_id, unit, record_type, &count, &sum, &first, &last];
            Statement::<(), 9>::new(FOLD, texts).execute(db)?;
        }
        diesel::update(roll_up_position::table).set(roll_up_position::position.eq(folding.until)).execute(db)?;
        Ok(true)
    })
}

/// A row of totals: destination, unit, type, count, sum, first and last time; many for each of the first three.
type TotalSql = (Text, Text, Text, BigInt, Text, BigInt, BigInt);
type TotalRow = (String, String, String, i64, String, i64, i64);

/// Answers a question for totals, in the read transaction of the caller; how many groups belong to the answer shows on
/// the way.
pub(crate) fn totals(
    db: &mut SqliteConnection,
    query: &GroupQuery,
    cover: &RollUpPlan,
    folder: &RollUpWorker,
    parts: &Parts<Item>,
) -> Result<(), Stop> {
    let position = position(db)?;
    let head: i64 = records::table.select(diesel::dsl::max(records::position)).first::<Option<i64>>(db)?.unwrap_or(0);
    folder.found(u64::try_from(head - position).unwrap_or(0));
    let statement = composed(query, cover, position);
    if query.limit.is_none() {
        parts.send(Item::Next(None))?;
    }
    let mut page = Page { parts, limit: query.limit, held: Vec::new() };
    let mut open: Option<(DestinationId, Summary)> = None;
    for row in statement.load_iter::<TotalRow, DefaultLoadingMode>(db)? {
        parts.check()?;
        let (destination_id, unit, record_type, count, sum, first, last) = row?;
        let place = || format!("the totals of destination {destination_id:?}");
        let unreadable = |what: &str| Unreadable { place: place(), what: what.to_owned() };
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

/// The groups of an answer. Those of a page are held until it shows whether more follow.
struct Page<'a> {
    parts: &'a Parts<Item>,
    limit: Option<usize>,
    held: Vec<(DestinationId, Summary)>,
}

impl Page<'_> {
    fn add(&mut self, (destination_id, summary): (DestinationId, Summary)) -> Result<(), Stop> {
        match self.limit {
            Some(_) => {
                self.held.push((destination_id, summary));
                Ok(())
            }
            None => self.parts.send(Item::Part(GroupPart::Group(destination_id, summary))),
        }
    }

    fn is_full(&self) -> bool {
        self.limit.is_some_and(|limit| self.held.len() >= limit)
    }

    fn end(self, more: bool) -> Result<(), Stop> {
        if self.limit.is_some() {
            let last = self.held.last().map(|(destination_id, _)| destination_id.clone());
            self.parts.send(Item::Next(last.filter(|_| more)))?;
        }
        for (destination_id, summary) in self.held {
            self.parts.send(Item::Part(GroupPart::Group(destination_id, summary)))?;
        }
        Ok(())
    }
}

/// The totals of whole periods, the records in the edges, and the records that are not folded yet. Which index finds
/// the records is said: else SQLite might walk through all of them in the order of the answer.
fn composed<'a>(query: &'a GroupQuery, cover: &'a RollUpPlan, position: i64) -> Composed<'a, TotalSql> {
    const RECORDS: &str = "SELECT destination_id, unit, type, 1, value, time, time FROM records ";
    let mut statement = Composed::new("");
    for whole in &cover.whole {
        statement = statement
            .sql("SELECT destination_id, unit, type, count, sum, first, last FROM roll_ups WHERE days = ")
            .bind_int(whole.period.days().into())
            .sql(" AND starts >= ")
            .bind_int(whole.from)
            .sql(" AND starts < ")
            .bind_int(whole.until);
        statement = beside_time(statement, query).sql(" UNION ALL ");
    }
    for edge in &cover.edges {
        let index = if query.filter.destination_id.is_some() {
            "INDEXED BY records_by_destination WHERE true"
        } else {
            "INDEXED BY records_by_time WHERE true"
        };
        statement = within(statement.sql(RECORDS).sql(index), edge);
        statement = beside_time(statement, query).sql(" UNION ALL ");
    }
    let statement = statement.sql(RECORDS).sql("NOT INDEXED WHERE position > ").bind_int(position);
    beside_time(within(statement, &cover.within), query).sql(" ORDER BY destination_id")
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

fn beside_time<'a>(mut statement: Composed<'a, TotalSql>, query: &'a GroupQuery) -> Composed<'a, TotalSql> {
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
