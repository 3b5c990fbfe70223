//! Measures how many payloads a second each source receives and acknowledges, and how many messages the emitter publishes,
//! against a server of its own: `cargo run --release -p tallyhouse-redis --example throughput`.

use std::error::Error;
use std::sync::Arc;
use std::time::Instant;

use tallyhouse_core::ports::{Acknowledgement, Disposition, MessageEmitter, RecordSource};
use tallyhouse_core::{Message, MessageFormat};
use tallyhouse_redis::{RedisClient, RedisEmitter, RedisListSource, RedisSettings, RedisStreamSource};
use tallyhouse_testing::generate::messages;
use tallyhouse_testing::{Generator, TestClock};
use tallyhouse_tests::servers::redis_server::RedisServer;

/// How many payloads go through each source.
const COUNT: usize = 200_000;

/// How many a batch has at most.
const BATCH: usize = 1000;

type Outcome<T> = Result<T, Box<dyn Error>>;

#[tokio::main]
async fn main() -> Outcome<()> {
    for (server, how) in [(RedisServer::start()?, "in memory"), (RedisServer::start_durable()?, "appendfsync always")] {
        let settings = RedisSettings::new(&server.url());
        let client = RedisClient::open(settings)?;
        fill(&server)?;
        let clock = Arc::new(TestClock::default());
        let list = RedisListSource::new(&client, Arc::clone(&clock) as _);
        drain(&list, how).await?;
        drain(&RedisStreamSource::new(&client, clock), how).await?;
        publish(&client, how).await?;
    }
    Ok(())
}

fn fill(server: &RedisServer) -> Outcome<()> {
    let mut link = server.connection()?;
    for first in (0..COUNT).step_by(BATCH) {
        let mut pipeline = redis::pipe();
        for n in first..first + BATCH {
            let payload = format!(
                r#"{{"recordId":"2013-01-01-UA{n}-EWR-IAH","time":"2013-01-01T10:00:00Z","sourceId":"UA","destinationId":"IAH","type":"positive","value":"11","unit":"minute","reference":"EWR"}}"#
            );
            pipeline.cmd("LPUSH").arg("tallyhouse:records").arg(&payload).ignore();
            pipeline.cmd("XADD").arg("tallyhouse:records:stream").arg("*").arg("record").arg(&payload).ignore();
        }
        pipeline.exec(&mut link)?;
    }
    Ok(())
}

async fn drain(source: &dyn RecordSource, how: &str) -> Outcome<()> {
    let (mut count, begun) = (0, Instant::now());
    while count < COUNT {
        let deliveries = source.receive(BATCH).await?;
        count += deliveries.len();
        let done = |delivery: tallyhouse_core::ports::Delivery| Acknowledgement {
            tag: delivery.tag,
            disposition: Disposition::Ack,
        };
        source.ack(deliveries.into_iter().map(done).collect()).await?;
    }
    report(source.name(), how, count, begun);
    Ok(())
}

async fn publish(client: &RedisClient, how: &str) -> Outcome<()> {
    let emitter = RedisEmitter::new(client, MessageFormat::default());
    let messages: Vec<Message> = messages(Generator::new(1).records("r", 20_000));
    let begun = Instant::now();
    for batch in messages.chunks(BATCH) {
        emitter.emit(batch).await?;
    }
    report("emitter", how, messages.len(), begun);
    Ok(())
}

fn report(what: &str, how: &str, count: usize, begun: Instant) {
    println!("{what:8} {how:20} {:9.0} a second", count as f64 / begun.elapsed().as_secs_f64());
}
