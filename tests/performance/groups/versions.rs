//! This version of the service beside another one, in turns within one run.

use std::path::Path;

use anyhow::{Result, ensure};
use tallyhouse_tests::bench::deployment::{Deployment, Queue};
use tallyhouse_tests::bench::supply::Keys;
use tallyhouse_tests::servers::service::Options;

use crate::figure::Figures;
use crate::kit::{Kit, supply};
use crate::rounds::{Group, Way, measure};
use crate::ways::{Target, batches, fresh, lines, post, queue, repeated};

/// What both versions do.
const WORKLOADS: [Workload; 7] = [
    Workload::Post(1),
    Workload::Post(64),
    Workload::Repeated(64),
    Workload::Batches,
    Workload::Lines,
    Workload::Queue(Queue::List),
    Workload::Queue(Queue::Stream),
];

/// Records of a JSON batch.
const BATCH: u64 = 1_000;

#[derive(Debug, Clone, Copy)]
enum Workload {
    Post(usize),
    Repeated(usize),
    Batches,
    Lines,
    Queue(Queue),
}

impl Workload {
    fn name(self) -> String {
        match self {
            Self::Post(connections) => format!("POST, connections: {connections}"),
            Self::Repeated(connections) => format!("POST, 30 % duplicates, connections: {connections}"),
            Self::Batches => "JSON batches of 1,000, 8 connections".to_owned(),
            Self::Lines => "NDJSON, 1 request".to_owned(),
            Self::Queue(Queue::List) => "list".to_owned(),
            Self::Queue(Queue::Stream) => "stream".to_owned(),
        }
    }

    fn run(self, kit: &Kit, deployment: &Deployment) -> Result<Figures> {
        let supply = supply(Keys::Flights);
        match self {
            Self::Post(connections) => post(kit, Target::service(deployment), connections, &fresh(&supply)),
            Self::Repeated(connections) => post(kit, Target::service(deployment), connections, &repeated(&supply)),
            Self::Batches => batches(kit, deployment, &supply, BATCH),
            Self::Lines => lines(kit, deployment, &supply, false),
            Self::Queue(which) => queue(kit, deployment, &supply, which),
        }
    }
}

/// Measures the main workloads with this version and with another binary.
pub(crate) fn versions(kit: &Kit, other: &Path) -> Result<Group> {
    ensure!(other.is_file(), "{} is no binary", other.display());
    let mut deployments = Vec::new();
    for workload in WORKLOADS {
        deployments.push((workload, start(kit, Options::new().program(other))?, start(kit, Options::new())?));
    }
    let mut ways = Vec::new();
    for (workload, before, now) in &deployments {
        let floor = format!("the other version: {}", workload.name());
        ways.push(Way::new(&floor, move |_| workload.run(kit, before)));
        ways.push(Way::new(workload.name(), move |_| workload.run(kit, now)).over(floor));
    }
    measure("versions", "this version beside another one, which is the floor", kit.scale.rounds, ways)
}

fn start(kit: &Kit, options: Options) -> Result<Deployment> {
    Deployment::start_with(&kit.world, options)
}
