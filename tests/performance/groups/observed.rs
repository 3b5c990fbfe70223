//! What it costs to be watched: logs, metrics and traces, beside a service that says nothing.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{scope, sleep};
use std::time::Duration;

use anyhow::Result;
use tallyhouse_tests::bench::deployment::Deployment;
use tallyhouse_tests::bench::supply::Keys;
use tallyhouse_tests::clients::http::Client;
use tallyhouse_tests::servers::collector::Collector;
use tallyhouse_tests::servers::service::Options;

use crate::figure::Figures;
use crate::kit::{Kit, supply};
use crate::rounds::{Group, Way, measure};
use crate::ways::{Target, fresh, post};

const CONNECTIONS: usize = 64;

/// How often metrics are asked for: far more often than a usual Prometheus does, so that a short round has some.
const SCRAPED_EVERY: Duration = Duration::from_secs(1);

/// Measures single `POST`s, the dearest way to bring a record, watched more and more closely.
pub(crate) fn observed(kit: &Kit) -> Result<Group> {
    let collector = Collector::start();
    let start = |options: Options| Deployment::start_with(&kit.world, options);
    // But for the one line that tells where it listens.
    let silent = start(Options::new().env("TALLYHOUSE_LOG__FILTER", "off,tallyhouse::service=info"))?;
    let defaults = start(Options::new())?;
    let lines = start(Options::new().env("TALLYHOUSE_LOG__REQUESTS", "true"))?;
    let some = start(traced(&collector, "10"))?;
    let all = start(traced(&collector, "1000"))?;
    let requests = fresh(&supply(Keys::Flights));
    let floor = "no logs, no traces";
    let run = |deployment: &Deployment| post(kit, Target::service(deployment), CONNECTIONS, &requests);
    let ways = vec![
        Way::new(floor, |_| run(&silent)),
        Way::new("as by default", |_| run(&defaults)).over(floor),
        Way::new("metrics asked for each second", |_| scraped(&defaults, || run(&defaults))).over(floor),
        Way::new("a line in the log for each request", |_| run(&lines)).over(floor),
        Way::new("one trace of a hundred", |_| run(&some)).over(floor),
        Way::new("every trace", |_| run(&all)).over(floor),
    ];
    let what =
        format!("{CONNECTIONS} connections of single POSTs; whoever reads the log and the traces is part of the load");
    measure("observed", what, kit.scale.rounds, ways)
}

/// Options by which so many of a thousand traces go to a collector.
fn traced(collector: &Collector, per_thousand: &str) -> Options {
    Options::new()
        .env("TALLYHOUSE_OTLP__ENDPOINT", collector.url())
        .env("TALLYHOUSE_OTLP__SAMPLE_PER_THOUSAND", per_thousand)
}

/// Asks for metrics while something runs.
fn scraped(deployment: &Deployment, run: impl FnOnce() -> Result<Figures>) -> Result<Figures> {
    let (over, http): (AtomicBool, Client) = (AtomicBool::new(false), deployment.service.http());
    scope(|scope| {
        let asking = scope.spawn(|| {
            let mut times = 0;
            while !over.load(Ordering::Relaxed) {
                http.get("/metrics").expect_status(200);
                times += 1;
                sleep(SCRAPED_EVERY);
            }
            times
        });
        let figures = run();
        over.store(true, Ordering::Relaxed);
        anyhow::ensure!(asking.join().expect("it does not panic") > 0, "nobody has asked for metrics");
        figures
    })
}
