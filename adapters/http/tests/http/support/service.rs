//! A running service, and what tests ask of it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use reqwest::header::CONTENT_TYPE;
use serde_json::{Value, json};
use tallyhouse_http::{AlertRules, HealthProbe, HttpApp, HttpServer, HttpSettings, KeyRing, RateHistory, TlsIdentity};
use tallyhouse_pipeline::ports::{Clock, DeadLetters};
use tallyhouse_pipeline::{
    Feed, MessageFormat, Pipeline, PipelineParts, PipelineSettings, RetryPolicy, Rule, RuleDraft, RuleSet,
};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::support::store::{FaultyStore, RunningClock};

/// A service on a free port. Its tasks end with the runtime of the test.
pub(crate) struct Service {
    pub(crate) addr: SocketAddr,
    base: String,
    pub(crate) store: Arc<FaultyStore>,
    pub(crate) pipeline: Pipeline,
    pub(crate) stop: CancellationToken,
    pub(crate) served: JoinHandle<()>,
    pub(crate) client: reqwest::Client,
}

/// What a test may want to be otherwise.
pub(crate) struct Plan {
    pub(crate) http: HttpSettings,
    pub(crate) pipeline: PipelineSettings,
    pub(crate) dead_letters: Option<Arc<dyn DeadLetters>>,
    pub(crate) probes: Vec<Arc<dyn HealthProbe>>,
    pub(crate) keys: Option<Arc<KeyRing>>,
    pub(crate) tls: Option<TlsIdentity>,
    /// Hosts that callers without keys may name.
    pub(crate) hosts: &'static [&'static str],
}

impl Default for Plan {
    fn default() -> Self {
        let retry = RetryPolicy { wait_min: Duration::from_millis(5), wait_max: Duration::from_millis(20) };
        let pipeline =
            PipelineSettings { commit_retry_timeout: Duration::from_millis(100), retry, ..PipelineSettings::default() };
        Self {
            http: HttpSettings::default(),
            pipeline,
            dead_letters: None,
            probes: Vec::new(),
            keys: None,
            tls: None,
            hosts: &[],
        }
    }
}

impl Plan {
    pub(crate) fn http(http: HttpSettings) -> Self {
        Self { http, ..Self::default() }
    }

    pub(crate) async fn start(self) -> Service {
        let clock: Arc<dyn Clock> = Arc::new(RunningClock::new());
        let store = Arc::new(FaultyStore::new(Arc::clone(&clock)));
        let large = RuleDraft { name: "large".to_owned(), threshold: "1000".to_owned(), ..RuleDraft::default() };
        let own = RuleSet::new([Rule::new(large).unwrap()]).unwrap();
        let (pipeline, driver) = Pipeline::new(PipelineParts {
            repository: store.clone(),
            clock: Arc::clone(&clock),
            rules: own.clone(),
            publisher: None,
            settings: self.pipeline,
        });
        tokio::spawn(driver.run());
        let feed = Feed::new(store.clone(), Arc::clone(&clock), pipeline.watch_commits(), Duration::from_millis(50));
        let app = HttpApp {
            ingress: pipeline.ingress(),
            batch_ingress: pipeline.named_ingress("batches"),
            reader: store.clone(),
            repository: store.clone(),
            feed,
            format: MessageFormat::default(),
            dead_letters: self.dead_letters,
            alert_rules: Some(AlertRules { own, repository: store.clone(), clock: Arc::clone(&clock) }),
            breakers: pipeline.breakers(),
            probes: self.probes,
            keys: self.keys,
        };
        let server = HttpServer::bind("127.0.0.1:0", self.http).await.unwrap();
        let server = server.with_hosts(self.hosts).with_rates(RateHistory::new(pipeline.clone(), clock));
        let server = match self.tls {
            Some(identity) => server.with_tls(identity),
            None => server,
        };
        let (addr, base, stop) = (server.local_addr(), server.url(), CancellationToken::new());
        let served = tokio::spawn(server.serve(app, stop.clone()));
        Service { addr, base, store, pipeline, stop, served, client: reqwest::Client::new() }
    }
}

impl Service {
    pub(crate) async fn start() -> Self {
        Plan::default().start().await
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    pub(crate) async fn get(&self, path: &str) -> Response {
        Response::of(self.client.get(self.url(path)).send().await.unwrap()).await
    }

    pub(crate) async fn post(&self, path: &str, content_type: &str, body: impl Into<reqwest::Body>) -> Response {
        let request = self.client.post(self.url(path)).header(CONTENT_TYPE, content_type).body(body);
        Response::of(request.send().await.unwrap()).await
    }

    pub(crate) async fn post_record(&self, record: &Value) -> Response {
        self.post("/v1/records", "application/json", record.to_string()).await
    }

    /// Waits until storage that was unavailable is believed to be back: a record is processed.
    pub(crate) async fn recovers(&self) {
        for i in 0..500 {
            if self.post_record(&record(&format!("recovery-{i}"))).await.status == 201 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("the service never recovers");
    }

    /// Stores records through the batch ingress.
    pub(crate) async fn store_all(&self, records: &[Value]) {
        for records in records.chunks(10_000) {
            let answer = self.post("/v1/records/batch", "application/json", json!(records).to_string()).await;
            assert_eq!(answer.json()["processed"], records.len());
        }
    }
}

/// An answer, read to its end.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) url: reqwest::Url,
    pub(crate) status: u16,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) body: String,
}

impl Response {
    pub(crate) async fn of(response: reqwest::Response) -> Self {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let url = response.url().clone();
        Self { url, status, headers, body: response.text().await.unwrap() }
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// Checks that it is a problem of this code, in the right form.
    #[track_caller]
    pub(crate) fn is_problem(&self, status: u16, code: &str) {
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(self.header("content-type"), "application/problem+json", "{self:?}");
        let json = self.json();
        assert_eq!(json["type"], format!("urn:tallyhouse:problem:{code}"), "{self:?}");
        assert_eq!(json["status"], status);
        assert!(json["title"].is_string() && json["detail"].is_string(), "{self:?}");
        assert!(!self.header("x-request-id").is_empty(), "{self:?}");
        assert!(!self.body.contains("hunter2") && !self.body.contains("db.internal"), "{self:?}");
        assert_eq!(self.headers.contains_key("retry-after"), matches!(status, 429 | 503), "{self:?}");
    }

    /// Returns the address of the next page.
    pub(crate) fn next(&self) -> Option<String> {
        let link = self.headers.get("link")?.to_str().unwrap();
        let reference = link.strip_prefix('<').and_then(|link| link.strip_suffix(">; rel=\"next\""));
        let address = reference.and_then(|reference| self.url.join(reference).ok());
        let address = address.unwrap_or_else(|| panic!("{link}"));
        Some(format!("{}?{}", address.path(), address.query().unwrap_or_default()))
    }
}

/// A good record.
pub(crate) fn record(id: &str) -> Value {
    json!({
        "recordId": id, "time": "2013-01-01T10:00:00Z", "sourceId": "UA", "destinationId": "IAH",
        "type": "positive", "value": "11", "unit": "minute", "reference": "EWR",
    })
}

/// Good records of several destinations, references, times and units, by number.
pub(crate) fn various(n: usize) -> Vec<Value> {
    let one = |i: usize| {
        json!({
            "recordId": format!("r-{i:05}"), "time": format!("2013-01-{:02}T10:00:{:02}Z", 1 + i % 28, i % 60),
            "sourceId": "UA", "destinationId": format!("d {}/ü", i % 7), "reference": format!("r&{}", i % 5),
            "type": if i.is_multiple_of(3) { "negative" } else { "positive" }, "value": format!("{}.{}", i, i % 10),
            "unit": format!("u{}", i % 2),
        })
    };
    (0..n).map(one).collect()
}

/// Waits until a condition holds.
pub(crate) async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let waiting = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(tokio::time::timeout(Duration::from_secs(10), waiting).await.is_ok(), "waited in vain: {what}");
}
