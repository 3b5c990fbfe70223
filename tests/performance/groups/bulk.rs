//! Records in bulk: batches, lines and queues; keys and duplicates of several kinds.

use anyhow::Result;
use tallyhouse_tests::bench::deployment::{Deployment, Queue};
use tallyhouse_tests::bench::supply::Keys;

use crate::kit::{Kit, supply};
use crate::rounds::{Group, Way, measure};
use crate::ways::{Target, bare_many, batches, fresh, lines, post, queue, repeated};

/// As many records as the service commits together at most.
const BATCH: usize = 1_000;

/// The keys over which cold records are spread.
const COLD_KEYS: u64 = 100_000;

/// Connections of single `POST`s.
const CONNECTIONS: usize = 64;

const FLOOR: &str = "bare: unnest of 1,000";

/// Measures JSON batches and NDJSON.
pub(crate) fn batch(kit: &Kit) -> Result<Group> {
    let (rows, bare) = kit.bare()?;
    let supply = supply(Keys::Flights);
    let deployments = (0..3).map(|_| Deployment::start(&kit.world)).collect::<Result<Vec<_>>>()?;
    let floor = "bare: unnest of 100";
    let ways = vec![
        Way::new(floor, |_| bare_many(kit, &bare, &rows, 100)),
        Way::new("JSON batches of 100, 8 connections", |_| batches(kit, &deployments[0], &supply, 100)).over(floor),
        Way::new(FLOOR, |_| bare_many(kit, &bare, &rows, BATCH)),
        Way::new("JSON batches of 1,000, 8 connections", |_| batches(kit, &deployments[1], &supply, 1_000)).over(FLOOR),
        Way::new("NDJSON, 1 request", |_| lines(kit, &deployments[2], &supply, false)).over(FLOOR),
    ];
    let what = "records in bulk over HTTP, until the last message is published; the floor is one bare statement for as many \
                rows, on one connection";
    measure("batch", what, kit.scale.rounds, ways)
}

/// Measures the queues of Redis.
pub(crate) fn queues(kit: &Kit) -> Result<Group> {
    let (rows, bare) = kit.bare()?;
    let supply = supply(Keys::Flights);
    let (list, stream) = (Deployment::start(&kit.world)?, Deployment::start(&kit.world)?);
    let ways = vec![
        Way::new(FLOOR, |_| bare_many(kit, &bare, &rows, BATCH)),
        Way::new("list", |_| queue(kit, &list, &supply, Queue::List)).over(FLOOR),
        Way::new("stream", |_| queue(kit, &stream, &supply, Queue::Stream)).over(FLOOR),
    ];
    measure("queues", "a full queue, until the last message is published", kit.scale.rounds, ways)
}

/// Measures keys that are hot, real and cold.
pub(crate) fn keys(kit: &Kit) -> Result<Group> {
    let (rows, bare) = kit.bare()?;
    let all = [
        ("the flights' keys", supply(Keys::Flights)),
        ("100,000 keys", supply(Keys::Spread(COLD_KEYS))),
        ("one key", supply(Keys::One)),
    ];
    let deployments = all
        .iter()
        .map(|_| Ok([Deployment::start(&kit.world)?, Deployment::start(&kit.world)?]))
        .collect::<Result<Vec<_>>>()?;
    let mut ways = vec![Way::new(FLOOR, |_| bare_many(kit, &bare, &rows, BATCH))];
    for ((name, supply), [bulk, single]) in all.iter().zip(&deployments) {
        ways.push(Way::new(format!("NDJSON, {name}"), move |_| lines(kit, bulk, supply, false)).over(FLOOR));
        let requests = fresh(supply);
        let post = move |_| post(kit, Target::service(single), CONNECTIONS, &requests);
        ways.push(Way::new(format!("POST, 64 connections, {name}"), post));
    }
    measure("keys", "what the spread of keys costs", kit.scale.rounds, ways)
}

/// Measures records of which some were sent before.
pub(crate) fn duplicates(kit: &Kit) -> Result<Group> {
    let supply = supply(Keys::Flights);
    let deployments = (0..4).map(|_| Deployment::start(&kit.world)).collect::<Result<Vec<_>>>()?;
    let (new, again) = (Target::service(&deployments[2]), Target::service(&deployments[3]));
    let (requests, repeats) = (fresh(&supply), repeated(&supply));
    let ways = vec![
        Way::new("NDJSON, all new", |_| lines(kit, &deployments[0], &supply, false)),
        Way::new("NDJSON, 30 % duplicates", |_| lines(kit, &deployments[1], &supply, true)).over("NDJSON, all new"),
        Way::new("POST, all new", |_| post(kit, new, CONNECTIONS, &requests)),
        Way::new("POST, 30 % duplicates", |_| post(kit, again, CONNECTIONS, &repeats)).over("POST, all new"),
    ];
    measure("duplicates", "what records cost that were sent before", kit.scale.rounds, ways)
}
