//! What further records cost when many are stored.

use anyhow::Result;
use tallyhouse_tests::bench::deployment::{Deployment, await_published};
use tallyhouse_tests::bench::supply::{Ids, Keys, Supply, take};

use crate::figure::{Figures, Meter, own};
use crate::floors::bare_postgres::Bare;
use crate::groups::reads::fill;
use crate::kit::Kit;
use crate::rounds::{Group, Row, Way, measure};
use crate::ways::send_lines;

/// Rows of one bare insert.
const BATCH: usize = 1_000;

/// How often each is measured at each size. What was measured is stored, too.
const ROUNDS: usize = 3;

/// A copy of the table with all its indexes, in a schema of its own.
const COPY: &str = "CREATE SCHEMA bare; CREATE TABLE bare.records (LIKE public.records INCLUDING ALL)";

/// Copies what the service has written since.
const CATCH_UP: &str = "INSERT INTO bare.records SELECT * FROM public.records
    WHERE slot > (SELECT coalesce(max(slot), -1) FROM bare.records) ORDER BY slot";

/// Measures the cost of records and totals at several sizes of the store.
pub(crate) fn growth(kit: &Kit) -> Result<Group> {
    let deployment = Deployment::start(&kit.world)?;
    let bare = Bare::on(&deployment.database)?;
    bare.execute(COPY)?;
    let supply = Supply::new(kit.scale.growth_ids, Keys::Flights);
    let (mut stored, mut rows) = (0, Vec::new());
    for size in &kit.scale.growth {
        let size = *size;
        let numbers = take(size.saturating_sub(stored));
        let meter = Meter::begin(&kit.world, Some(deployment.service.pid()));
        eprintln!("growth: filling up to {size}");
        fill(kit, &deployment, &supply, numbers.clone())?;
        let fill = meter.end(numbers.end - numbers.start, None);
        rows.push(Row { name: format!("filling from {stored} to {size}"), rounds: vec![fill], ratios: Vec::new() });
        // The bare table holds as much.
        bare.execute(CATCH_UP)?;
        for settling in ["VACUUM ANALYZE", "CHECKPOINT"] {
            bare.execute(settling)?;
        }
        let group = at_size(kit, &deployment, &bare, &supply, size)?;
        rows.extend(group.rows);
        stored = deployment.stored()?;
    }
    let ids = match kit.scale.growth_ids {
        Ids::Counted => "that follow one another",
        Ids::Scattered => "in no order",
    };
    let what = format!(
        "NDJSON at several sizes of the store, ids {ids}; the floor is the bare insert of the same rows into a \
                        copy of the table of the same size"
    );
    Ok(Group { name: "growth", what, rows })
}

fn at_size(kit: &Kit, deployment: &Deployment, bare: &Bare, supply: &Supply, size: u64) -> Result<Group> {
    let floor = format!("bare: unnest of 1,000, at {size}");
    let ours = format!("NDJSON, at {size}");
    // The rows that the service has just left are those that are written without it: it goes first.
    let ways = vec![
        Way::new(&ours, |_| lines(kit, deployment, supply)).over(&floor),
        Way::new(&floor, |_| insert(kit, bare)),
        Way::new(format!("totals, at {size}"), |_| totals(kit, deployment)),
    ];
    measure("growth", "", kit.scale.rounds.min(ROUNDS), ways)
}

fn lines(kit: &Kit, deployment: &Deployment, supply: &Supply) -> Result<Figures> {
    let request = supply.lines_request(take(kit.scale.records));
    kit.world.redis.reset_counts()?;
    let meter = Meter::begin(&kit.world, Some(deployment.service.pid()));
    send_lines(deployment.service.address(), &request)?;
    await_published(&kit.world, kit.scale.records)?;
    Ok(meter.end(kit.scale.records, None))
}

/// Writes what the service has written since, as it was.
fn insert(kit: &Kit, bare: &Bare) -> Result<Figures> {
    let rows = bare.rows("r.slot > (SELECT max(slot) FROM bare.records)")?;
    let meter = Meter::begin(&kit.world, None);
    let took = bare.many("bare.records", &rows, BATCH, false)?;
    Ok(meter.end(rows.len() as u64, Some(took)))
}

fn totals(kit: &Kit, deployment: &Deployment) -> Result<Figures> {
    let meter = Meter::begin(&kit.world, Some(deployment.service.pid()));
    let began = std::time::Instant::now();
    let stored = deployment.stored()?;
    let took = began.elapsed();
    let mut figures = meter.end(stored, Some(took));
    figures.push((own("answer s", 2), took.as_secs_f64()));
    Ok(figures)
}
