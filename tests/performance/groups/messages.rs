//! Messages without the service.

use std::time::Instant;

use anyhow::{Result, ensure};
use tallyhouse_tests::bench::deployment::{Deployment, await_published};
use tallyhouse_tests::bench::supply::{Keys, take};

use crate::figure::{Figures, Meter};
use crate::kit::{Kit, supply};
use crate::rounds::{Group, Way, measure};
use crate::ways::send_lines;

/// Messages of one round trip.
const TRIP: usize = 1_000;

/// Measures how fast Redis takes the service's messages.
pub(crate) fn publish(kit: &Kit) -> Result<Group> {
    let deployment = Deployment::start(&kit.world)?;
    kit.world.redis.reset_counts()?;
    let numbers = take(TRIP as u64);
    send_lines(deployment.service.address(), &supply(Keys::Flights).lines_request(numbers))?;
    await_published(&kit.world, TRIP as u64)?;
    let page = deployment.service.http().get("/v1/notifications?limit=1000").expect_status(200).json();
    let messages: Vec<String> = page["messages"].as_array().into_iter().flatten().map(ToString::to_string).collect();
    ensure!(messages.len() == TRIP, "{} messages", messages.len());
    let channel = format!("{}:notifications", deployment.prefix);
    let ways = vec![Way::new("bare: PUBLISH, 1,000 a round trip", |_| pipelines(kit, &channel, &messages))];
    measure(
        "publish",
        "the service's very messages to a channel that nobody listens to, on one connection",
        kit.scale.rounds,
        ways,
    )
}

fn pipelines(kit: &Kit, channel: &str, messages: &[String]) -> Result<Figures> {
    let mut pipeline = redis::pipe();
    for message in messages {
        pipeline.cmd("PUBLISH").arg(channel).arg(message).ignore();
    }
    let packed = pipeline.get_packed_pipeline();
    let mut connection = kit.world.redis.connection()?;
    let meter = Meter::begin(&kit.world, None);
    let (began, mut sent) = (Instant::now(), 0);
    while began.elapsed() < kit.scale.lasts {
        redis::ConnectionLike::req_packed_commands(&mut connection, &packed, 0, messages.len())?;
        sent += messages.len() as u64;
    }
    Ok(meter.end(sent, None))
}
