//! How long answers and messages take: at a steady rate, and as fast as it goes.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, ensure};
use tallyhouse_tests::bench::arrivals::count_in;
use tallyhouse_tests::bench::deployment::Deployment;
use tallyhouse_tests::bench::latency_subscriber::{Expected, LatencySubscriber};
use tallyhouse_tests::bench::load::{Load, Requests};
use tallyhouse_tests::bench::measurements::Seen;
use tallyhouse_tests::bench::supply::{Ids, Keys, Supply, take};

use crate::figure::{Figures, Meter, answered, heard, peak};
use crate::kit::{Kit, supply};
use crate::rounds::{Group, Way, measure};

/// Connections for what comes at a steady rate: more than are ever in flight while all is well.
const CONNECTIONS: usize = 64;

/// How many times longer than others a round lasts in which little comes.
const LONGER: u32 = 5;

/// More records than any round sends as fast as it goes; each takes eight bytes.
const ENOUGH: u64 = 2_000_000;

/// How long messages may take after the last one.
const PATIENCE: Duration = Duration::from_secs(20);

/// Measures how long single records take from when they are due to their answer and to their message.
pub(crate) fn latency(kit: &Kit) -> Result<Group> {
    let deployment = Deployment::start(&kit.world)?;
    let supply = supply(Keys::Flights);
    let lasts = kit.scale.lasts;
    let ways = vec![
        Way::new("28 a second", |_| steady(kit, &deployment, &supply, 28.0, lasts * LONGER)),
        Way::new("1,000 a second", |_| steady(kit, &deployment, &supply, 1_000.0, lasts)),
        Way::new("as fast as 64 connections go", |_| fastest(kit, &deployment, &supply)),
    ];
    let what = "single records; at a steady rate the time counts from when a record is due, whether or not a connection is \
                free, and a subscriber in Redis notes when the message comes";
    measure("latency", what, kit.scale.rounds, ways)
}

fn steady(
    kit: &Kit,
    deployment: &Deployment,
    supply: &Arc<Supply>,
    per_second: f64,
    lasts: Duration,
) -> Result<Figures> {
    let records = count_in(per_second, lasts).max(1);
    listened(kit, deployment, supply, take(records), |load, numbers, requests| {
        let seen = load.open(per_second, numbers, requests);
        ensure!(seen.successes() == records, "not all were taken: {:?}, {} broken", seen.answers, seen.broken);
        Ok(seen)
    })
}

fn fastest(kit: &Kit, deployment: &Deployment, supply: &Arc<Supply>) -> Result<Figures> {
    listened(kit, deployment, supply, take(ENOUGH), |load, numbers, requests| {
        let seen = load.closed(numbers, kit.scale.lasts, requests);
        ensure!(seen.failures() == 0, "not all were taken: {:?}, {} broken", seen.answers, seen.broken);
        Ok(seen)
    })
}

/// Sends, and listens to the messages.
fn listened(
    kit: &Kit,
    deployment: &Deployment,
    supply: &Arc<Supply>,
    numbers: Range<u64>,
    send: impl FnOnce(&mut Load, Range<u64>, &Arc<Requests>) -> Result<Seen>,
) -> Result<Figures> {
    let expected = Expected::new(numbers.clone());
    let subscriber = LatencySubscriber::subscribe(&kit.world.redis, &deployment.prefix, Ids::Counted, &expected)?;
    let (supply, noted) = (Arc::clone(supply), Arc::clone(&expected));
    let requests: Arc<Requests> = Arc::new(move |n, due, request: &mut Vec<u8>| {
        noted.record_sent(n, due);
        supply.append_request(n, request);
    });
    let mut load = Load::connect(deployment.service.address(), CONNECTIONS)?;
    let meter = Meter::begin(&kit.world, Some(deployment.service.pid()));
    let seen = send(&mut load, numbers, &requests)?;
    let sent = seen.successes();
    let messages = subscriber.finish(sent, PATIENCE);
    ensure!(messages.times.count() == sent, "{} messages of {sent} records", messages.times.count());
    let mut figures = meter.end(sent, Some(seen.took));
    figures.extend(answered(&seen.accepted));
    figures.extend(heard(&messages.times));
    figures.push(peak(deployment.service.pid()));
    Ok(figures)
}
