//! All ingresses at once, with readers beside them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use tallyhouse_tests::bench::deployment::{Deployment, Queue, published};
use tallyhouse_tests::bench::load::{Load, Requests};
use tallyhouse_tests::bench::measurements::Seen;
use tallyhouse_tests::bench::supply::{Keys, Supply, take};

use crate::figure::{Figures, Meter, answered, own, peak};
use crate::kit::{Kit, supply};
use crate::rounds::{Group, Way, measure};
use crate::ways::fresh;

const POSTING: usize = 32;
const BATCHING: usize = 2;
const READING: usize = 4;
const BATCH: u64 = 100;

/// Records of a push, and how many may wait in a queue before the next one.
const PUSH: u64 = 200;
const QUEUED_MAX: u64 = 1_000;

const ENOUGH: u64 = 1 << 32;

/// Measures all ingresses at once.
pub(crate) fn mixed(kit: &Kit) -> Result<Group> {
    let deployment = Deployment::start(&kit.world)?;
    let supply = supply(Keys::Flights);
    let ways = vec![Way::new("all ingresses and readers", |_| all(kit, &deployment, &supply))];
    let what = "32 connections of single POSTs, 2 of JSON batches of 100, list and stream never empty, and 4 readers of records, \
                summaries and totals, all at once; answers are those to single POSTs";
    measure("mixed", what, kit.scale.rounds, ways)
}

fn all(kit: &Kit, deployment: &Deployment, supply: &Arc<Supply>) -> Result<Figures> {
    let (address, lasts) = (deployment.service.address(), kit.scale.lasts);
    let stop = AtomicBool::new(false);
    kit.world.redis.reset_counts()?;
    let meter = Meter::begin(&kit.world, Some(deployment.service.pid()));
    let began = Instant::now();
    let run = |connections: usize, requests: Arc<Requests>| -> Result<Seen> {
        let seen = Load::connect(address, connections)?.closed(take(ENOUGH), lasts, &requests);
        ensure!(seen.failures() == 0, "not all were taken: {:?}, {} broken", seen.answers, seen.broken);
        Ok(seen)
    };
    let (posted, read) = std::thread::scope(|scope| {
        let pushing = [Queue::List, Queue::Stream].map(|queue| {
            let stop = &stop;
            scope.spawn(move || keep_full(kit, deployment, queue, supply, stop))
        });
        let batching = scope.spawn(|| run(BATCHING, batches(supply)));
        let reading = scope.spawn(|| run(READING, reads()));
        let posted = run(POSTING, fresh(supply));
        let (batched, read) = (batching.join(), reading.join());
        stop.store(true, Ordering::Relaxed);
        for pusher in pushing {
            pusher.join().ok().context("a producer panicked")??;
        }
        batched.ok().context("a sender panicked")??;
        anyhow::Ok((posted?, read.ok().context("a reader panicked")??))
    })?;
    let mut connection = kit.world.redis.connection()?;
    while deployment.waiting(Queue::List, &mut connection)? + deployment.waiting(Queue::Stream, &mut connection)? > 0 {
        ensure!(began.elapsed() < lasts + Duration::from_secs(60), "the queues do not empty");
        sleep(Duration::from_millis(5));
    }
    let records = published(&mut connection)?;
    let mut figures = meter.end(records, None);
    figures.push((own("reads a second", 0), read.successes() as f64 / read.took.as_secs_f64()));
    figures.extend(answered(&posted.served));
    figures.push(peak(deployment.service.pid()));
    Ok(figures)
}

fn batches(supply: &Arc<Supply>) -> Arc<Requests> {
    let supply = Arc::clone(supply);
    // Of small batches, built while they are sent: a large part of them is copied anyway.
    Arc::new(move |_, _, request: &mut Vec<u8>| request.extend_from_slice(&supply.batch_request(take(BATCH))))
}

fn reads() -> Arc<Requests> {
    Arc::new(|n, _, request: &mut Vec<u8>| {
        let path = match n % 10 {
            0 => "/v1/aggregates?records=false&destinationId=IAH",
            1..5 => "/v1/summaries/ORD",
            _ => "/v1/records?limit=10&destinationId=MIA",
        };
        for part in ["GET ", path, " HTTP/1.1\r\nHost: localhost\r\n\r\n"] {
            request.extend_from_slice(part.as_bytes());
        }
    })
}

fn keep_full(kit: &Kit, deployment: &Deployment, queue: Queue, supply: &Supply, stop: &AtomicBool) -> Result<()> {
    let mut connection = kit.world.redis.connection()?;
    while !stop.load(Ordering::Relaxed) {
        if deployment.waiting(queue, &mut connection)? < QUEUED_MAX {
            deployment.pushes(queue, supply, take(PUSH)).exec(&mut connection)?;
        } else {
            sleep(Duration::from_millis(2));
        }
    }
    Ok(())
}
