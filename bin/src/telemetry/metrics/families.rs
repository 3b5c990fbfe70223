//! The families of metrics: their names, what they mean, and where their samples come from. docs/METRICS.md is the same
//! for readers, and a test compares the two.

use tallyhouse_http::ServerReadings;
use tallyhouse_pipeline::ports::Backlog;
use tallyhouse_pipeline::{Breaker, BreakerState, IngressReading, Readings, Timestamp};
use tallyhouse_postgres::PoolUsage;
use tallyhouse_redis::QueueFigures;

use super::page::Page;
use super::process::Process;

/// Microseconds in a second.
const MICROS: f64 = 1e6;

/// Which program this is.
pub(super) fn build(page: &mut Page, database: &str) {
    let labels = [("version", env!("CARGO_PKG_VERSION")), ("database", database)];
    page.gauge("tallyhouse_build_info", "Which program runs, on which database; always 1.").count(&labels, 1_u64).end();
}

/// What the pipeline has counted.
pub(super) fn pipeline(page: &mut Page, readings: &Readings) {
    ingresses(page, &readings.ingresses);
    page.histogram("tallyhouse_batch_records", "Records that were committed together.")
        .reading(&[], &readings.batch_records, 1.0)
        .end();
    page.histogram("tallyhouse_commit_duration_seconds", "Time that commits took which were done.")
        .reading(&[], &readings.commit_micros, MICROS)
        .end();
    page.counter("tallyhouse_commit_failures_total", "Tries to commit that failed; each batch is tried again.")
        .count(&[], readings.commits_failed)
        .end();
    page.histogram("tallyhouse_accept_to_commit_seconds", "Time of each record from the intake to its outcome.")
        .reading(&[], &readings.accept_to_commit_micros, MICROS)
        .end();
    page.histogram(
        "tallyhouse_commit_to_publish_seconds",
        "Time of each record from its commit until its messages were published.",
    )
    .reading(&[], &readings.commit_to_publish_micros, MICROS)
    .end();
    let mut published =
        page.counter("tallyhouse_messages_published_total", "Messages that were published, repeats too.");
    for (topic, count) in readings.published {
        published = published.count(&[("topic", topic.name())], count);
    }
    published.end();
    page.counter("tallyhouse_publish_failures_total", "Tries to publish that failed; the messages are tried again.")
        .count(&[], readings.publishing_failed)
        .end();
}

fn ingresses(page: &mut Page, ingresses: &[IngressReading]) {
    let mut records =
        page.counter("tallyhouse_records_total", "Records by the ingress they came by and what became of them.");
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
    let help = "Records that were sent back without an outcome, to be sent again.";
    let mut unanswered = page.counter("tallyhouse_records_unanswered_total", help);
    for ingress in ingresses {
        for (reason, count) in
            [("overloaded", ingress.overloaded), ("unavailable", ingress.unavailable), ("stopped", ingress.stopped)]
        {
            unanswered = unanswered.count(&[("ingress", ingress.name), ("reason", reason)], count);
        }
    }
    unanswered.end();
    for (name, help, of) in GAUGES_OF_DOORS {
        let mut gauge = page.gauge(name, help);
        for ingress in ingresses {
            gauge = gauge.count(&[("ingress", ingress.name)], of(ingress));
        }
        gauge.end();
    }
}

/// A look at a ingress.
type Look = fn(&IngressReading) -> u64;

/// What there is to see of a ingress at one moment.
const GAUGES_OF_DOORS: [(&str, &str, Look); 4] = [
    ("tallyhouse_intake_records", "Records that wait or are being committed.", |ingress| ingress.waiting_records),
    ("tallyhouse_intake_records_max", "Records for which there is room.", |ingress| ingress.room_records),
    ("tallyhouse_intake_bytes", "Bytes of records that wait or are being committed.", |ingress| ingress.waiting_bytes),
    ("tallyhouse_intake_bytes_max", "Bytes of records for which there is room.", |ingress| ingress.room_bytes),
];

/// The states of the circuit breakers.
pub(super) fn breakers(page: &mut Page, breakers: &[Breaker]) {
    let help = "State of the circuit breaker of a dependency: 1 for the one that it is in, else 0.";
    let mut states = page.gauge("tallyhouse_breaker_state", help);
    for breaker in breakers {
        let is = breaker.state();
        for state in [BreakerState::Closed, BreakerState::HalfOpen, BreakerState::Open] {
            let labels = [("dependency", breaker.name()), ("state", state.name())];
            states = states.count(&labels, u64::from(state == is));
        }
    }
    states.end();
}

/// What all instances owe together.
pub(super) fn outbox(page: &mut Page, owed: &Backlog, now: Timestamp) {
    page.gauge("tallyhouse_outbox_batches", "Batches whose messages are owed, of all instances.")
        .count(&[], owed.batches)
        .end();
    page.gauge("tallyhouse_outbox_records", "Records whose messages are owed, of all instances.")
        .count(&[], owed.records)
        .end();
    let micros = owed.oldest.map_or(0, |oldest| now.as_micros().saturating_sub(oldest.as_micros()).max(0));
    page.gauge(
        "tallyhouse_outbox_oldest_age_seconds",
        "Time since the oldest record was processed whose messages are owed.",
    )
    .sample(&[], micros as f64 / MICROS)
    .end();
}

/// What waits in Redis.
pub(super) fn queues(page: &mut Page, queues: &QueueFigures) {
    let (list, stream) = ([("queue", "list")], [("queue", "stream")]);
    let waiting = page
        .gauge("tallyhouse_queue_waiting", "Payloads in a queue that no instance has taken yet.")
        .count(&list, queues.list);
    // A server that does not know has no sample.
    match queues.lag {
        Some(lag) => waiting.count(&stream, lag).end(),
        None => waiting.end(),
    }
    page.gauge("tallyhouse_queue_pending", "Payloads that an instance has taken from a queue and not settled yet.")
        .count(&list, queues.processing)
        .count(&stream, queues.pending)
        .end();
    page.gauge("tallyhouse_queue_length", "Payloads in a queue, those that an instance has taken included.")
        .count(&list, queues.list + queues.processing)
        .count(&stream, queues.stream)
        .end();
    page.gauge("tallyhouse_dead_letters", "Refused payloads that wait for somebody.")
        .count(&[], queues.dead_letters)
        .end();
}

/// The connections to Postgres.
pub(super) fn pools(page: &mut Page, pools: &[PoolUsage]) {
    let mut busy =
        page.gauge("tallyhouse_postgres_connections_busy", "Connections to Postgres at work, by what they are for.");
    for pool in pools {
        busy = busy.count(&[("pool", pool.name)], pool.busy);
    }
    busy.end();
    let mut max = page.gauge("tallyhouse_postgres_connections_max", "Connections to Postgres that there may be.");
    for pool in pools {
        max = max.count(&[("pool", pool.name)], pool.size);
    }
    max.end();
}

/// How batches were committed on Postgres.
pub(super) fn commits(page: &mut Page, commits: &[(&'static str, u64)]) {
    let mut ways = page.counter(
        "tallyhouse_postgres_commits_total",
        "Batches for Postgres, by the way in which it was done, or tried in vain.",
    );
    for (way, count) in commits {
        ways = ways.count(&[("way", *way)], *count);
    }
    ways.end();
}

/// What the server has counted.
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
    page.gauge("tallyhouse_http_requests_in_flight", "Requests whose answers are not wholly sent.")
        .count(&[], server.under_way)
        .end();
    for (name, help, count) in [
        ("tallyhouse_http_connections", "Open connections.", server.connections),
        ("tallyhouse_http_connections_max", "Connections that may be open.", server.connections_max),
        ("tallyhouse_http_event_streams", "Event streams that are followed.", server.event_streams),
        ("tallyhouse_http_event_streams_max", "Event streams that may be followed.", server.event_streams_max),
        ("tallyhouse_http_aggregates", "Aggregates, exports and dry runs under way.", server.aggregates),
        (
            "tallyhouse_http_aggregates_max",
            "Aggregates, exports and dry runs that may be under way.",
            server.aggregates_max,
        ),
    ] {
        page.gauge(name, help).count(&[], count).end();
    }
    let [hits, misses] = server.cache;
    page.counter("tallyhouse_totals_cache_total", "Questions for totals, by whether the answer was in memory.")
        .count(&[("result", "hit")], hits)
        .count(&[("result", "miss")], misses)
        .end();
}

/// What the process has taken of the system, by the names that all programs have for it.
pub(super) fn process(page: &mut Page, process: &Process) {
    page.counter("process_cpu_seconds_total", "Time of the processor that was taken, in seconds.")
        .sample(&[], process.cpu_seconds)
        .end();
    let max_fds = process.max_fds.map_or(f64::INFINITY, |max| max as f64);
    for (name, help, value) in [
        ("process_resident_memory_bytes", "Memory that is resident.", process.resident_bytes as f64),
        ("process_virtual_memory_bytes", "Memory that is addressed.", process.virtual_bytes as f64),
        ("process_open_fds", "Open file descriptors.", process.open_fds as f64),
        ("process_max_fds", "File descriptors that may be open.", max_fds),
        ("process_threads", "Threads.", process.threads as f64),
        ("process_start_time_seconds", "When the process was started, since the epoch.", process.start_seconds),
    ] {
        page.gauge(name, help).sample(&[], value).end();
    }
}
