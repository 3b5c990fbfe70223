//! The families of metrics: name, help text, and the source of their samples. A test compares the names with
//! docs/METRICS.md.

use tallyhouse_http::ServerReadings;
use tallyhouse_pipeline::ports::Backlog;
use tallyhouse_pipeline::{Breaker, BreakerState, IngressReading, Readings, Timestamp};
use tallyhouse_postgres::PoolUsage;
use tallyhouse_redis::QueueFigures;

use super::page::Page;
use super::process::Process;

/// Microseconds in a second.
const MICROS: f64 = 1e6;

/// The version of the program.
pub(super) fn build(page: &mut Page, database: &str) {
    let labels = [("version", env!("CARGO_PKG_VERSION")), ("database", database)];
    page.gauge("tallyhouse_build_info", "Version of the program and kind of its database; always 1.")
        .count(&labels, 1_u64)
        .end();
}

/// The counter of the log.
pub(super) fn log(page: &mut Page, lost_lines: u64) {
    page.counter("tallyhouse_log_lines_lost_total", "Lines of the log that could not be written, or not fast enough.")
        .count(&[], lost_lines)
        .end();
}

/// The files that are reloaded when they change: the keys, and the certificate with its key.
pub(super) fn reloads(page: &mut Page, keys: bool, tls: bool) {
    let help = "Whether a changed file can't be used, so that its content before stays in force: 1, else 0.";
    page.gauge("tallyhouse_reload_failing", help)
        .count(&[("file", "keys")], u64::from(keys))
        .count(&[("file", "tls")], u64::from(tls))
        .end();
}

/// The counters of the pipeline.
pub(super) fn pipeline(page: &mut Page, readings: &Readings) {
    ingresses(page, &readings.ingresses);
    page.histogram("tallyhouse_batch_records", "Records per committed batch.")
        .reading(&[], &readings.batch_records, 1.0)
        .end();
    page.histogram("tallyhouse_commit_duration_seconds", "Duration of successful commits.")
        .reading(&[], &readings.commit_micros, MICROS)
        .end();
    page.counter("tallyhouse_commit_failures_total", "Failed attempts to commit; each batch is retried.")
        .count(&[], readings.commits_failed)
        .end();
    page.histogram(
        "tallyhouse_accept_to_commit_seconds",
        "Time of each record from its arrival at the intake to its outcome.",
    )
    .reading(&[], &readings.accept_to_commit_micros, MICROS)
    .end();
    page.histogram(
        "tallyhouse_commit_to_publish_seconds",
        "Time of each record from its commit to the publication of its messages.",
    )
    .reading(&[], &readings.commit_to_publish_micros, MICROS)
    .end();
    let mut published = page.counter("tallyhouse_messages_published_total", "Published messages, repeats included.");
    for (topic, count) in readings.published {
        published = published.count(&[("topic", topic.name())], count);
    }
    published.end();
    page.counter("tallyhouse_publish_failures_total", "Failed attempts to publish; the messages are retried.")
        .count(&[], readings.publishing_failed)
        .end();
    page.gauge(
        "tallyhouse_outbox_foreign_batches",
        "Abandoned batches that only an emitter with other settings may publish.",
    )
    .count(&[], readings.foreign_batches)
    .end();
}

fn ingresses(page: &mut Page, ingresses: &[IngressReading]) {
    let mut records = page.counter("tallyhouse_records_total", "Records by ingress and outcome.");
    for ingress in ingresses {
        let outcomes = &ingress.outcomes;
        for (outcome, count) in [
            ("processed", outcomes.processed),
            ("duplicate", outcomes.duplicates),
            ("conflict", outcomes.conflicts),
            ("rejected", outcomes.rejected),
        ] {
            records = records.count(&[("ingress", ingress.name), ("outcome", outcome)], count);
        }
    }
    records.end();
    let help = "Records that got no outcome, by reason; the sender repeats them.";
    let mut unanswered = page.counter("tallyhouse_records_unanswered_total", help);
    for ingress in ingresses {
        for (reason, count) in
            [("overloaded", ingress.overloaded), ("unavailable", ingress.unavailable), ("stopped", ingress.stopped)]
        {
            unanswered = unanswered.count(&[("ingress", ingress.name), ("reason", reason)], count);
        }
    }
    unanswered.end();
    for (name, help, of) in INTAKE_GAUGES {
        let mut gauge = page.gauge(name, help);
        for ingress in ingresses {
            gauge = gauge.count(&[("ingress", ingress.name)], of(ingress));
        }
        gauge.end();
    }
}

/// Reads one figure of an ingress.
type ReadFigure = fn(&IngressReading) -> u64;

/// The gauges of each ingress: name, help text and figure.
const INTAKE_GAUGES: [(&str, &str, ReadFigure); 4] = [
    ("tallyhouse_intake_records", "Records that wait in the intake or are being committed.", |ingress| {
        ingress.waiting_records
    }),
    ("tallyhouse_intake_records_max", "Records that the intake can hold.", |ingress| ingress.intake_records_max),
    ("tallyhouse_intake_bytes", "Bytes of the records that wait in the intake or are being committed.", |ingress| {
        ingress.waiting_bytes
    }),
    ("tallyhouse_intake_bytes_max", "Bytes of records that the intake can hold.", |ingress| ingress.intake_bytes_max),
];

/// The states of the circuit breakers.
pub(super) fn breakers(page: &mut Page, breakers: &[Breaker]) {
    let help = "Circuit breakers by dependency: 1 for the current state, 0 for the others.";
    let mut states = page.gauge("tallyhouse_breaker_state", help);
    for breaker in breakers {
        let current = breaker.state();
        for state in [BreakerState::Closed, BreakerState::HalfOpen, BreakerState::Open] {
            let labels = [("dependency", breaker.name()), ("state", state.name())];
            states = states.count(&labels, u64::from(state == current));
        }
    }
    states.end();
}

/// The outbox that all instances share.
pub(super) fn outbox(page: &mut Page, backlog: &Backlog, now: Timestamp) {
    page.gauge("tallyhouse_outbox_batches", "Batches with unpublished messages, of all instances.")
        .count(&[], backlog.batches)
        .end();
    page.gauge("tallyhouse_outbox_records", "Records with unpublished messages, of all instances.")
        .count(&[], backlog.records)
        .end();
    let micros = backlog.oldest.map_or(0, |oldest| now.as_micros().saturating_sub(oldest.as_micros()).max(0));
    page.gauge("tallyhouse_outbox_oldest_age_seconds", "Age of the oldest record with unpublished messages.")
        .sample(&[], micros as f64 / MICROS)
        .end();
}

/// The queues and dead letters in Redis.
pub(super) fn queues(page: &mut Page, queues: &QueueFigures) {
    let (list, stream) = ([("queue", "list")], [("queue", "stream")]);
    let waiting = page
        .gauge("tallyhouse_queue_waiting", "Payloads in a queue that no instance has received yet.")
        .count(&list, queues.list);
    // Redis can't always tell the lag of a group; then there is no sample.
    match queues.lag {
        Some(lag) => waiting.count(&stream, lag).end(),
        None => waiting.end(),
    }
    page.gauge("tallyhouse_queue_pending", "Payloads that an instance has received and not acknowledged yet.")
        .count(&list, queues.processing)
        .count(&stream, queues.pending)
        .end();
    page.gauge("tallyhouse_queue_length", "Payloads in a queue, received but unacknowledged ones included.")
        .count(&list, queues.list + queues.processing)
        .count(&stream, queues.stream)
        .end();
    page.gauge("tallyhouse_dead_letters", "Dead letters that are kept.").count(&[], queues.dead_letters).end();
}

/// The connections to Postgres.
pub(super) fn pools(page: &mut Page, pools: &[PoolUsage]) {
    let mut busy = page.gauge("tallyhouse_postgres_connections_busy", "Busy connections to Postgres, by pool.");
    for pool in pools {
        busy = busy.count(&[("pool", pool.name)], pool.busy);
    }
    busy.end();
    let mut max =
        page.gauge("tallyhouse_postgres_connections_max", "Largest number of connections to Postgres, by pool.");
    for pool in pools {
        max = max.count(&[("pool", pool.name)], pool.size);
    }
    max.end();
}

/// The commits on Postgres, by strategy.
pub(super) fn commits(page: &mut Page, commits: &[(&'static str, u64)]) {
    let mut ways = page.counter(
        "tallyhouse_postgres_commits_total",
        "Batches committed on Postgres by strategy, failed optimistic attempts included.",
    );
    for (way, count) in commits {
        ways = ways.count(&[("way", *way)], *count);
    }
    ways.end();
}

/// The counters of the HTTP server.
pub(super) fn server(page: &mut Page, server: &ServerReadings) {
    let mut requests =
        page.counter("tallyhouse_http_requests_total", "Requests by route, method and status of the answer.");
    for reading in &server.requests {
        for (status, count) in &reading.statuses {
            let status = if *status == 0 { "other".to_owned() } else { status.to_string() };
            let labels = [("route", reading.route), ("method", reading.method), ("status", status.as_str())];
            requests = requests.count(&labels, *count);
        }
    }
    requests.end();
    let help = "Time from the head of a request to the head of its answer.";
    let mut times = page.histogram("tallyhouse_http_request_duration_seconds", help);
    for reading in &server.requests {
        times = times.reading(&[("route", reading.route), ("method", reading.method)], &reading.micros, MICROS);
    }
    times.end();
    page.gauge("tallyhouse_http_requests_in_flight", "Requests whose answers are not sent completely yet.")
        .count(&[], server.in_flight)
        .end();
    for (name, help, count) in [
        ("tallyhouse_http_connections", "Open connections.", server.connections),
        ("tallyhouse_http_connections_max", "Largest number of open connections.", server.connections_max),
        ("tallyhouse_http_event_streams", "Open event streams.", server.event_streams),
        ("tallyhouse_http_event_streams_max", "Largest number of open event streams.", server.event_streams_max),
        ("tallyhouse_http_aggregates", "Aggregates, exports and dry runs in progress.", server.aggregates),
        (
            "tallyhouse_http_aggregates_max",
            "Largest number of aggregates, exports and dry runs in progress.",
            server.aggregates_max,
        ),
    ] {
        page.gauge(name, help).count(&[], count).end();
    }
    let [hits, misses] = server.cache;
    page.counter("tallyhouse_totals_cache_total", "Queries for totals, by whether the response cache had the answer.")
        .count(&[("result", "hit")], hits)
        .count(&[("result", "miss")], misses)
        .end();
}

/// The resources of the process, by the names that Prometheus' client libraries use.
pub(super) fn process(page: &mut Page, process: &Process) {
    page.counter("process_cpu_seconds_total", "User and system CPU time.").sample(&[], process.cpu_seconds).end();
    let max_fds = process.max_fds.map_or(f64::INFINITY, |max| max as f64);
    for (name, help, value) in [
        ("process_resident_memory_bytes", "Resident memory.", process.resident_bytes as f64),
        ("process_virtual_memory_bytes", "Virtual memory.", process.virtual_bytes as f64),
        ("process_open_fds", "Open file descriptors.", process.open_fds as f64),
        ("process_max_fds", "Largest number of open file descriptors.", max_fds),
        ("process_threads", "Threads.", process.threads as f64),
        (
            "process_start_time_seconds",
            "Start time of the process, in seconds since the Unix epoch.",
            process.start_seconds,
        ),
    ] {
        page.gauge(name, help).sample(&[], value).end();
    }
}
