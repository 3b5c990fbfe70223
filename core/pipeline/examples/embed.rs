//! A whole program that processes records exactly once, without HTTP and without a database.
//!
//! Run it with `cargo run -p tallyhouse-pipeline --example embed`.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};
use tallyhouse_core::ports::{Clock, Owner, PortError};
use tallyhouse_core::{Draft, Message, MessageFormat, Rule, RuleDraft, RuleSet, Timestamp};
use tallyhouse_pipeline::{Pipeline, PipelineParts, PipelineSettings, Publisher};
use tallyhouse_testing::MemoryRepository;

/// The host's clock: the core has none of its own.
struct HostClock(Instant);

#[async_trait::async_trait]
impl Clock for HostClock {
    fn now(&self) -> Timestamp {
        #[expect(clippy::disallowed_methods, reason = "a clock port is where the time of day is read")]
        let now = SystemTime::now();
        Timestamp::try_from(chrono::DateTime::<chrono::Utc>::from(now)).unwrap_or(Timestamp::MIN)
    }

    fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }

    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}

/// Where messages go: here, to the terminal.
struct Terminal(MessageFormat);

#[async_trait::async_trait]
impl tallyhouse_core::ports::MessageEmitter for Terminal {
    async fn emit(&self, messages: &[Message]) -> Result<(), PortError> {
        messages.iter().for_each(|message| println!("{}", self.0.to_json(message)));
        Ok(())
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let clock = Arc::new(HostClock(Instant::now()));
    let large = RuleDraft { name: "large".to_owned(), threshold: "1000".to_owned(), ..RuleDraft::default() };
    let repository = Arc::new(MemoryRepository::new(clock.clone()));
    let (pipeline, driver) = Pipeline::new(PipelineParts {
        repository: repository.clone(),
        clock,
        rules: RuleSet::new([Rule::new(large)?])?,
        publisher: Some(Publisher::new(
            Owner::new("embedded"),
            Arc::new(Terminal(MessageFormat::default())),
            repository,
        )),
        settings: PipelineSettings::default(),
    });
    let work = tokio::spawn(driver.run());

    let payment = Draft {
        record_id: "payment-1",
        time: "2026-01-01T09:30:00Z",
        source_id: "till-3",
        destination_id: "shop-9",
        record_type: "positive",
        value: "1250.00",
        unit: "EUR",
        reference: "",
    };
    for _ in 0..2 {
        let outcome = pipeline.process(payment.check().map_err(|refused| refused.detail())?).await?;
        println!("{}", outcome.name());
    }

    pipeline.close();
    Ok(work.await?)
}
