//! Reads, beside what Postgres takes for the same rows.

use std::sync::Arc;

use anyhow::{Result, ensure};
use tallyhouse_tests::bench::deployment::{Deployment, await_published};
use tallyhouse_tests::bench::load::{Load, Requests, UNTIL_DONE};
use tallyhouse_tests::bench::supply::{Ids, Keys, Supply, take};

use crate::figure::{ANSWERS, Figures, Meter, RATE, own, peak};
use crate::floors::bare_postgres::Bare;
use crate::kit::Kit;
use crate::rounds::{Group, Way, measure};
use crate::ways::{ask, send_lines};

/// Records of one request that fills the store.
const FILL: u64 = 100_000;

/// Connections that ask for single records.
const CONNECTIONS: usize = 64;

const MATCHING: &str = "type = positive, EWR, half of the month";

/// What `COPY` copies: what an aggregate answers, in its order.
const ROWS: &str =
    "SELECT record_id, time, source_id, destination_id, positive, value, unit, reference, sequence, processed_at
    FROM records ORDER BY destination_id, time, record_id";

/// What an aggregate without records adds up.
const TOTALS: &str =
    "SELECT destination_id, unit, positive, count(*), sum(value)::text, min(time), max(time) FROM records";

const FILTER: &str = "positive AND reference = 'EWR' AND time >= '2013-01-01Z' AND time < '2013-01-16Z'";

const FILTER_QUERY: &str = "type=positive&reference=EWR&start=2013-01-01T00:00:00Z&end=2013-01-16T00:00:00Z";

/// Measures questions over many records.
pub(crate) fn reads(kit: &Kit) -> Result<Group> {
    let mut deployment = Deployment::start(&kit.world)?;
    let supply = Arc::new(Supply::new(Ids::Counted, Keys::Flights));
    let numbers = take(kit.scale.stored);
    fill(kit, &deployment, &supply, numbers.clone())?;
    // So that its memory is what reading takes.
    deployment.service.stop();
    deployment.service.restart();
    let bare = Bare::on(&deployment.database)?;
    bare.execute("VACUUM ANALYZE")?;
    let group_by = "GROUP BY 1, 2, 3 ORDER BY 1, 2, 3";
    let (all, some) = (format!("{TOTALS} {group_by}"), format!("{TOTALS} WHERE {FILTER} {group_by}"));
    let (copy, sum, sum_some) =
        ("bare: COPY of all rows", "bare: sums in SQL", format!("bare: sums in SQL, {MATCHING}"));
    let ids = Arc::clone(&supply);
    let stored = numbers.end - numbers.start;
    let by_id = move |n: u64| format!("/v1/records/{}", ids.id(numbers.start + n.wrapping_mul(7_919) % stored));
    let ways = vec![
        Way::new(copy, |_| copied(kit, &bare)),
        Way::new("aggregate with all records, streamed", |_| streamed(kit, &deployment)).over(copy),
        Way::new(sum, |_| summed(kit, &bare, &all)),
        Way::new("totals of all records", |_| totals(kit, &deployment, "")).over(sum),
        Way::new(&sum_some, |_| summed(kit, &bare, &some)),
        Way::new(format!("totals, {MATCHING}"), |_| totals(kit, &deployment, FILTER_QUERY)).over(&sum_some),
        Way::new("record by id, 64 connections", |_| Ok(ask(kit, &deployment, CONNECTIONS, by_id.clone())?.1)),
    ];
    let what = format!(
        "{stored} stored records; rows a second, and answers a second where the answer is one; time of the \
                        processors by row or by answer"
    );
    measure("reads", what, kit.scale.rounds.min(3), ways)
}

/// Fills a store through the service, until all is published.
pub(crate) fn fill(kit: &Kit, deployment: &Deployment, supply: &Supply, numbers: std::ops::Range<u64>) -> Result<()> {
    kit.world.redis.reset_counts()?;
    let mut first = numbers.start;
    while first < numbers.end {
        let last = numbers.end.min(first + FILL);
        send_lines(deployment.service.address(), &supply.lines_request(first..last))?;
        first = last;
    }
    await_published(&kit.world, numbers.end - numbers.start)
}

fn copied(kit: &Kit, bare: &Bare) -> Result<Figures> {
    let meter = Meter::begin(&kit.world, None);
    let (bytes, took) = bare.copy_out(ROWS)?;
    let mut figures = meter.end(kit.scale.stored, Some(took));
    figures.push((own("MB a second", 0), bytes as f64 / 1e6 / took.as_secs_f64()));
    Ok(figures)
}

fn streamed(kit: &Kit, deployment: &Deployment) -> Result<Figures> {
    let requests = get("/v1/aggregates");
    let mut load = Load::connect(deployment.service.address(), 1)?;
    let meter = Meter::begin(&kit.world, Some(deployment.service.pid()));
    let seen = load.closed(0..1, UNTIL_DONE, &requests);
    ensure!(seen.successes() == 1, "no answer: {:?}", seen.answers);
    let mut figures = meter.end(kit.scale.stored, Some(seen.took));
    figures.push((own("MB a second", 0), seen.body_bytes as f64 / 1e6 / seen.took.as_secs_f64()));
    figures.push(peak(deployment.service.pid()));
    Ok(figures)
}

fn summed(kit: &Kit, bare: &Bare, sql: &str) -> Result<Figures> {
    let meter = Meter::begin(&kit.world, None);
    bare.count_rows(sql)?;
    Ok(in_answers(meter.end(1, None)))
}

fn totals(kit: &Kit, deployment: &Deployment, filter: &str) -> Result<Figures> {
    let requests = get(&format!("/v1/aggregates?records=false&{filter}"));
    let mut load = Load::connect(deployment.service.address(), 1)?;
    let meter = Meter::begin(&kit.world, Some(deployment.service.pid()));
    let seen = load.closed(0..1, UNTIL_DONE, &requests);
    ensure!(seen.successes() == 1, "no answer: {:?}", seen.answers);
    let mut figures = in_answers(meter.end(1, Some(seen.took)));
    figures.push(peak(deployment.service.pid()));
    Ok(figures)
}

/// Names the rate for what it is: one answer, in so much of a second.
fn in_answers(figures: Figures) -> Figures {
    figures.into_iter().map(|(metric, figure)| (if metric == RATE { ANSWERS } else { metric }, figure)).collect()
}

fn get(path: &str) -> Arc<Requests> {
    let request = format!("GET {} HTTP/1.1\r\nHost: localhost\r\n\r\n", path.trim_end_matches(['&', '?']));
    Arc::new(move |_, _, out: &mut Vec<u8>| out.extend_from_slice(request.as_bytes()))
}
