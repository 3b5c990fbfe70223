//! `HttpApp`: the parts that a host provides. `App`: those parts and the server's own state.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tallyhouse_pipeline::ports::{DeadLetters, RecordReader, RecordRepository};
use tallyhouse_pipeline::{Breakers, Feed, Ingress, MessageFormat};

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::access::concurrency_limit::ConcurrencyLimit;
use crate::access::rate_limit::Limits;
use crate::access::read_limit::ReadLimit;
use crate::app::alert_rules::AlertRules;
use crate::app::health_probe::HealthProbe;
use crate::app::metrics_page::MetricsPage;
use crate::app::rate_history::RateHistory;
use crate::bounds::body_budget::BodyBudget;
use crate::bounds::caller::Caller;
use crate::bounds::connection_limit::ConnectionLimit;
use crate::bounds::shared_budget::SharedBudget;
use crate::exchange::observe::request_meter::RequestMeter;
use crate::exchange::response::problem;
use crate::exchange::response::response_cache::ResponseCache;
use crate::keys::key_ring::KeyRing;
use crate::routes::table::ROUTES;
use crate::settings::HttpSettings;

/// The longest wait of an aggregate for a permit. Most aggregates finish sooner and return theirs.
const AGGREGATE_WAIT_MAX: Duration = Duration::from_secs(1);

/// The parts of the service that are reached by HTTP.
#[derive(Clone)]
pub struct HttpApp {
    /// The ingress of single records.
    pub ingress: Ingress,
    /// The ingress of batches: another one, so that uploads which fill its capacity leave single records theirs.
    pub batch_ingress: Ingress,
    /// The reader that answers queries.
    pub reader: Arc<dyn RecordReader>,
    /// The repository that commits records; `/readyz` pings it.
    pub repository: Arc<dyn RecordRepository>,
    /// The messages, for catch-up and streams.
    pub feed: Feed,
    /// The format of messages.
    pub format: MessageFormat,
    /// The refused queue payloads; `None` answers their routes with `404`.
    pub dead_letters: Option<Arc<dyn DeadLetters>>,
    /// The alert rules; `None` answers their routes with `404`.
    pub alert_rules: Option<AlertRules>,
    /// The circuit breakers that `/readyz` shows.
    pub breakers: Breakers,
    /// Further dependencies that `/readyz` shows. One that is down makes the service degraded, not unready.
    pub probes: Vec<Arc<dyn HealthProbe>>,
    /// The API keys; `None` lets every client that can connect make every call.
    pub keys: Option<Arc<KeyRing>>,
}

impl fmt::Debug for HttpApp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpApp").field("ingress", &self.ingress).field("format", &self.format).finish_non_exhaustive()
    }
}

/// The app, and the server's own state.
pub(crate) struct App {
    pub(crate) http: HttpApp,
    pub(crate) settings: HttpSettings,
    /// The memory budget for bodies of JSON batches.
    pub(crate) batch_budget: BodyBudget,
    /// The memory budget for results of batches that wait to be sent.
    pub(crate) result_budget: Arc<SharedBudget>,
    /// The memory budget for responses that wait to be read.
    pub(crate) response_budget: Arc<SharedBudget>,
    /// The limit on aggregates, each of which holds a snapshot of the database, and on exports and dry runs.
    pub(crate) aggregates: ConcurrencyLimit,
    /// The limit on short reads.
    pub(crate) reads: ReadLimit,
    /// The cache of responses with totals.
    pub(crate) response_cache: Arc<ResponseCache>,
    /// The limit on event streams.
    pub(crate) event_streams: ConcurrencyLimit,
    /// The rate limits of the callers; `None` without a limit.
    pub(crate) limits: Option<Arc<Limits>>,
    /// The limit on connections.
    pub(crate) connections: ConnectionLimit,
    /// The open connections.
    pub(crate) open: TaskTracker,
    /// The request counters.
    pub(crate) requests: Arc<RequestMeter>,
    /// The writer of the metrics page; `None` answers `/metrics` with `404`.
    pub(crate) metrics: Option<Arc<dyn MetricsPage>>,
    /// The recent rates; `None` answers their route with `404`.
    pub(crate) rates: Option<Arc<RateHistory>>,
    /// The hosts that callers without keys may name, beside `localhost` and addresses; `None` for any.
    pub(crate) hosts: Option<Vec<String>>,
    /// Cancelled when the service is stopping.
    pub(crate) stop: CancellationToken,
}

impl App {
    pub(crate) fn new(http: HttpApp, settings: HttpSettings, stop: CancellationToken) -> Self {
        let batch_budget = BodyBudget::new(settings.batch_buffer_bytes_max.max(settings.batch_bytes_max));
        let response_budget = SharedBudget::new(settings.response_buffer_bytes_max);
        let limits = settings.rate_limit.map(|limit| Arc::new(Limits::new(limit)));
        let aggregates =
            ConcurrencyLimit::new(settings.aggregates_max, AGGREGATE_WAIT_MAX, "aggregates, exports and dry runs");
        let reads = ReadLimit::new(Arc::clone(&http.reader), settings.reads_max);
        let response_cache = Arc::new(ResponseCache::new(settings.cache_bytes));
        // An event stream has no end, so waiting for a permit is pointless.
        let event_streams = ConcurrencyLimit::new(settings.event_streams_max, Duration::ZERO, "event streams");
        let connections = ConnectionLimit::new(settings.connections_max);
        let routes = ROUTES.iter().map(|route| route.path);
        let (requests, metrics) = (Arc::new(RequestMeter::new(routes, problem::statuses())), None);
        Self {
            http,
            settings,
            batch_budget,
            result_budget: SharedBudget::new(settings.result_buffer_bytes_max),
            response_budget,
            aggregates,
            reads,
            response_cache,
            event_streams,
            limits,
            connections,
            open: TaskTracker::new(),
            requests,
            metrics,
            rates: None,
            hosts: None,
            stop,
        }
    }

    /// Returns the reader for the requests of a caller.
    pub(crate) fn reader(&self, caller: &Caller) -> Arc<dyn RecordReader> {
        self.reads.reader(caller)
    }

    pub(crate) fn with_hosts(self, hosts: Option<Vec<String>>) -> Self {
        Self { hosts, ..self }
    }

    pub(crate) fn with_metrics(self, metrics: Option<Arc<dyn MetricsPage>>) -> Self {
        Self { metrics, ..self }
    }

    pub(crate) fn with_rates(self, rates: Option<Arc<RateHistory>>) -> Self {
        Self { rates, ..self }
    }
}
