//! Serves a repository in memory: the whole API to try, without a database. Nothing is left when it ends.
//!
//! Run it with `cargo run -p tallyhouse-http --example serve_memory`, then
//! `curl -H 'content-type: application/json' -d @record.json http://127.0.0.1:8080/v1/records`.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use tallyhouse_http::{AlertRules, HttpApp, HttpServer, HttpSettings, RateHistory};
use tallyhouse_pipeline::ports::Clock;
use tallyhouse_pipeline::{Feed, MessageFormat, Pipeline, PipelineParts, PipelineSettings, RuleSet, Timestamp};
use tallyhouse_testing::MemoryRepository;
use tokio_util::sync::CancellationToken;

/// The time of day, which the core asks its host for.
struct HostClock(Instant);

#[async_trait::async_trait]
impl Clock for HostClock {
    fn now(&self) -> Timestamp {
        #[expect(clippy::disallowed_methods, reason = "a clock port is where the time of day is read")]
        let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let micros = i64::try_from(since_1970.as_micros()).unwrap_or(i64::MAX);
        Timestamp::from_micros(micros).unwrap_or(Timestamp::MAX)
    }

    fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }

    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let clock = Arc::new(HostClock(Instant::now()));
    let repository = Arc::new(MemoryRepository::new(clock.clone()));
    let (pipeline, driver) = Pipeline::new(PipelineParts {
        repository: repository.clone(),
        clock: clock.clone(),
        rules: RuleSet::default(),
        publisher: None,
        settings: PipelineSettings::default(),
    });
    tokio::spawn(driver.run());
    let app = HttpApp {
        reader: repository.clone(),
        ingress: pipeline.ingress(),
        batch_ingress: pipeline.ingress(),
        feed: Feed::new(repository.clone(), clock.clone(), pipeline.watch_commits(), Duration::from_millis(200)),
        alert_rules: Some(AlertRules { own: RuleSet::default(), repository: repository.clone(), clock: clock.clone() }),
        repository,
        format: MessageFormat::default(),
        dead_letters: None,
        breakers: pipeline.breakers(),
        probes: Vec::new(),
        keys: None,
    };
    let server = HttpServer::bind("127.0.0.1:8080", HttpSettings::default())
        .await?
        .with_rates(RateHistory::new(pipeline, clock));
    println!("listening on http://{}", server.local_addr());
    server.serve(app, CancellationToken::new()).await;
    Ok(())
}
