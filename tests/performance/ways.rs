//! Ways to bring records to the service, each measured once.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Result, ensure};
use tallyhouse_tests::bench::deployment::{Deployment, Queue, await_published};
use tallyhouse_tests::bench::load::{Load, Requests, UNTIL_DONE};
use tallyhouse_tests::bench::measurements::Seen;
use tallyhouse_tests::bench::supply::{Supply, take};

use crate::figure::{Figures, Meter, answered, peak};
use crate::floors::bare_postgres::{Bare, Row, Single};
use crate::kit::Kit;

/// More requests than any round sends.
const ENOUGH: u64 = 1 << 32;

/// For how large a part of a round the way is warmed up before.
const WARM_UP: u32 = 4;

/// Connections that send JSON batches.
const BATCH_CONNECTIONS: usize = 8;

/// Of ten records, how many are duplicates, where there are some.
const DUPLICATES_OF_TEN: u64 = 3;

/// How far back the original of a duplicate lies: long enough that it was answered, and such that it is no duplicate
/// itself.
const BACK: u64 = 9_997;

/// Who is asked.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Target {
    pub(crate) address: SocketAddr,
    pub(crate) pid: u32,
    /// Whether it publishes what it processes.
    pub(crate) publishes: bool,
}

impl Target {
    /// The service of a deployment.
    pub(crate) fn service(deployment: &Deployment) -> Self {
        Self { address: deployment.service.address(), pid: deployment.service.pid(), publishes: true }
    }
}

/// Returns single records, each new.
pub(crate) fn fresh(supply: &Arc<Supply>) -> Arc<Requests> {
    let supply = Arc::clone(supply);
    Arc::new(move |n, _, request: &mut Vec<u8>| supply.append_request(n, request))
}

/// Returns single records, three of ten sent before.
pub(crate) fn repeated(supply: &Arc<Supply>) -> Arc<Requests> {
    let supply = Arc::clone(supply);
    Arc::new(move |n, _, request: &mut Vec<u8>| supply.append_request(original(n), request))
}

/// Returns the number of the record that is sent n-th where three of ten are duplicates.
fn original(n: u64) -> u64 {
    if n % 10 < DUPLICATES_OF_TEN && n > BACK { n - BACK } else { n }
}

/// Posts single records over connections that are kept, each its next one as soon as it has an answer.
pub(crate) fn post(kit: &Kit, target: Target, connections: usize, requests: &Arc<Requests>) -> Result<Figures> {
    let world = &kit.world;
    let mut load = Load::connect(target.address, connections)?;
    world.redis.reset_counts()?;
    let warm = load.closed(take(ENOUGH), kit.scale.lasts / WARM_UP, requests);
    if target.publishes {
        await_published(world, created(&warm))?;
    }
    world.redis.reset_counts()?;
    let meter = Meter::begin(world, Some(target.pid));
    let seen = load.closed(take(ENOUGH), kit.scale.lasts, requests);
    ensure!(seen.failures() == 0, "not all were taken: {:?}, {} broken", seen.answers, seen.broken);
    if target.publishes {
        await_published(world, created(&seen))?;
    }
    let mut figures = meter.end(seen.successes(), Some(seen.took));
    figures.extend(answered(&seen.served));
    figures.push(peak(target.pid));
    Ok(figures)
}

/// Returns how many records were new.
fn created(seen: &Seen) -> u64 {
    seen.answers.get(&201).copied().unwrap_or_default()
}

/// Posts JSON batches of this many records, until all of them are published.
pub(crate) fn batches(kit: &Kit, deployment: &Deployment, supply: &Supply, size: u64) -> Result<Figures> {
    let numbers = take(kit.scale.records);
    let batches: Vec<Vec<u8>> = (numbers.start..numbers.end)
        .step_by(usize::try_from(size)?)
        .map(|first| supply.batch_request(first..numbers.end.min(first + size)))
        .collect();
    let count = batches.len() as u64;
    let requests: Arc<Requests> = Arc::new(move |n, _, request: &mut Vec<u8>| {
        let batch = usize::try_from(n).ok().and_then(|n| batches.get(n));
        request.extend_from_slice(batch.expect("as many requests as batches"));
    });
    let mut load = Load::connect(deployment.service.address(), BATCH_CONNECTIONS)?;
    kit.world.redis.reset_counts()?;
    let meter = Meter::begin(&kit.world, Some(deployment.service.pid()));
    let seen = load.closed(0..count, UNTIL_DONE, &requests);
    ensure!(seen.successes() == count, "not all were taken: {:?}, {} broken", seen.answers, seen.broken);
    await_published(&kit.world, kit.scale.records)?;
    let mut figures = meter.end(kit.scale.records, None);
    figures.extend(answered(&seen.served));
    figures.push(peak(deployment.service.pid()));
    Ok(figures)
}

/// Posts NDJSON in one request, until all of it is published. Of ten records, three may have been sent before.
pub(crate) fn lines(kit: &Kit, deployment: &Deployment, supply: &Supply, repeats: bool) -> Result<Figures> {
    let numbers = take(kit.scale.records);
    let sent = |n| if repeats && original(n) >= numbers.start { original(n) } else { n };
    let new: std::collections::HashSet<u64> = numbers.clone().map(sent).collect();
    let request = supply.lines_request(numbers.clone().map(sent));
    kit.world.redis.reset_counts()?;
    let meter = Meter::begin(&kit.world, Some(deployment.service.pid()));
    send_lines(deployment.service.address(), &request)?;
    await_published(&kit.world, new.len() as u64)?;
    let mut figures = meter.end(kit.scale.records, None);
    figures.push(peak(deployment.service.pid()));
    Ok(figures)
}

/// Posts one request, and waits for the end of the answer.
pub(crate) fn send_lines(address: SocketAddr, request: &[u8]) -> Result<()> {
    let request = request.to_vec();
    let requests: Arc<Requests> = Arc::new(move |_, _, out: &mut Vec<u8>| out.extend_from_slice(&request));
    let seen = Load::connect(address, 1)?.closed(0..1, UNTIL_DONE, &requests);
    ensure!(seen.successes() == 1, "it was not taken: {:?}", seen.answers);
    Ok(())
}

/// Lets the service take a full queue, until all of it is published.
pub(crate) fn queue(kit: &Kit, deployment: &Deployment, supply: &Supply, queue: Queue) -> Result<Figures> {
    kit.world.redis.reset_counts()?;
    deployment.preload(&kit.world, queue, supply, take(kit.scale.records))?;
    let meter = Meter::begin(&kit.world, Some(deployment.service.pid()));
    await_published(&kit.world, kit.scale.records)?;
    let mut figures = meter.end(kit.scale.records, None);
    figures.push(peak(deployment.service.pid()));
    Ok(figures)
}

/// Writes the service's rows to Postgres without the service, one a transaction.
pub(crate) fn bare_singles(
    kit: &Kit,
    bare: &Bare,
    rows: &[Row],
    single: Single,
    connections: usize,
) -> Result<Figures> {
    bare.singles(single, rows, connections, kit.scale.lasts / WARM_UP)?;
    let meter = Meter::begin(&kit.world, None);
    let written = bare.singles(single, rows, connections, kit.scale.lasts)?;
    let mut figures = meter.end(written.records, Some(written.took));
    figures.extend(answered(&written.times));
    Ok(figures)
}

/// Writes the service's rows to Postgres without the service, by `unnest`.
pub(crate) fn bare_many(kit: &Kit, bare: &Bare, rows: &[Row], batch: usize) -> Result<Figures> {
    let meter = Meter::begin(&kit.world, None);
    let took = bare.many("records", rows, batch, true)?;
    Ok(meter.end(rows.len() as u64, Some(took)))
}

/// Asks without an end, over connections that are kept.
pub(crate) fn ask(
    kit: &Kit,
    deployment: &Deployment,
    connections: usize,
    paths: impl Fn(u64) -> String + Send + Sync + 'static,
) -> Result<(Seen, Figures)> {
    let requests: Arc<Requests> = Arc::new(move |n, _: Instant, request: &mut Vec<u8>| {
        for part in ["GET ", &paths(n), " HTTP/1.1\r\nHost: localhost\r\n\r\n"] {
            request.extend_from_slice(part.as_bytes());
        }
    });
    let mut load = Load::connect(deployment.service.address(), connections)?;
    let meter = Meter::begin(&kit.world, Some(deployment.service.pid()));
    let seen = load.closed(0..ENOUGH, kit.scale.lasts, &requests);
    ensure!(seen.failures() == 0, "not all were answered: {:?}, {} broken", seen.answers, seen.broken);
    let mut figures = meter.end(seen.successes(), Some(seen.took));
    figures.extend(answered(&seen.served));
    figures.push(peak(deployment.service.pid()));
    Ok((seen, figures))
}
