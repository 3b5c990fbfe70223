//! A service in memory: its clock stands still, its store is empty, and it ends with its caller.

use std::future::{Future, pending};
use std::sync::Arc;
use std::time::Duration;
use tallyhouse_pipeline::ports::{Clock, DeadLetters, Store};
use tallyhouse_pipeline::{
    Feed, MessageFormat, Pipeline, PipelineParts, PipelineSettings, Rule, RuleDraft, RuleSet, Timestamp,
};
use tallyhouse_testing::MemoryRepository;

use async_trait::async_trait;
use bytes::Bytes;
use hyper::Request;
use tallyhouse_http::testing::{Api, Response};
use tallyhouse_http::{AlertRules, HttpApp, HttpSettings};

/// Runs a future on a runtime of its own; what it spawned ends with it.
pub(crate) fn run<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    runtime.expect("a runtime needs nothing but memory").block_on(future)
}

/// The parts that a test may want to reach.
pub(crate) struct Service {
    pub(crate) repository: Arc<MemoryRepository>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) pipeline: Pipeline,
}

impl Service {
    /// Starts one, within [`run`].
    pub(crate) fn start() -> Self {
        let clock: Arc<dyn Clock> = Arc::new(StillClock);
        let repository = Arc::new(MemoryRepository::new(Arc::clone(&clock)));
        let (pipeline, driver) = Pipeline::new(PipelineParts {
            repository: repository.clone(),
            clock: Arc::clone(&clock),
            rules: rules(),
            publisher: None,
            settings: PipelineSettings::default(),
        });
        tokio::spawn(driver.run());
        Self { repository, clock, pipeline }
    }

    /// Returns its HTTP ingress.
    pub(crate) fn http(&self, settings: HttpSettings, dead_letters: Option<Arc<dyn DeadLetters>>) -> Api {
        let wait = Duration::from_secs(1);
        let repository: Arc<dyn Store> = self.repository.clone();
        let feed = Feed::new(repository.clone(), Arc::clone(&self.clock), self.pipeline.watch_commits(), wait);
        let ingress = self.pipeline.ingress();
        let (format, breakers) = (MessageFormat::default(), self.pipeline.breakers());
        let clock = Arc::clone(&self.clock);
        let alert_rules = Some(AlertRules { own: rules(), repository: self.repository.clone(), clock });
        let (probes, keys) = (Vec::new(), None);
        let app = HttpApp {
            batch_ingress: ingress.clone(),
            ingress,
            reader: repository.clone(),
            repository,
            feed,
            format,
            dead_letters,
            alert_rules,
            breakers,
            probes,
            keys,
        };
        Api::new(app, settings)
    }
}

/// Two rules: any value above 1,000, and negative ones above 5.
pub(crate) fn rules() -> RuleSet {
    let large = RuleDraft { name: "large".to_owned(), threshold: "1000".to_owned(), ..RuleDraft::default() };
    let record_type = Some("negative".to_owned());
    let taken = RuleDraft { name: "taken".to_owned(), threshold: "5".to_owned(), record_type, ..RuleDraft::default() };
    let rules = [large, taken].map(|draft| Rule::new(draft).expect("this is a rule"));
    RuleSet::new(rules).expect("the names differ")
}

/// A clock that stands still.
pub(crate) struct StillClock;

#[async_trait]
impl Clock for StillClock {
    fn now(&self) -> Timestamp {
        Timestamp::MIN
    }

    fn elapsed(&self) -> Duration {
        Duration::ZERO
    }

    async fn sleep(&self, _duration: Duration) {
        pending().await
    }
}

/// Asks, and waits for the whole answer.
pub(crate) async fn ask(api: &Api, method: &str, target: &str, media: &str, pieces: Vec<Bytes>) -> Response {
    let request =
        Request::builder().method(method).uri(target).header("host", "localhost").header("content-type", media);
    let request = request.body(pieces);
    api.answer(request.expect("this is a request")).await.expect("an answer of a service in memory never breaks off")
}
