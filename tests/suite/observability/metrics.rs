//! `/metrics`: what it counts is what happened, to the last record; it is served while other parts are unavailable; and docs/METRICS.md
//! lists it.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use serde_json::json;
use tallyhouse_tests::clients::http::{Client, send};
use tallyhouse_tests::clients::scrape::Scrape;
use tallyhouse_tests::data::records::{many, ndjson, nth, record_with};
use tallyhouse_tests::folder::workspace;
use tallyhouse_tests::servers::fleet::{self, Fleet, PATIENCE};
use tallyhouse_tests::servers::service::Service;
use tallyhouse_tests::wait;

const OUTCOMES: [&str; 4] = ["processed", "duplicate", "conflict", "rejected"];

/// The counts of a ingress, by outcome.
#[track_caller]
fn counted(scrape: &Scrape, ingress: &str) -> [f64; 4] {
    OUTCOMES.map(|outcome| scrape.value("tallyhouse_records_total", &[("ingress", ingress), ("outcome", outcome)]))
}

/// Reads until a condition holds: what is asked of others is some seconds old.
#[track_caller]
fn until(client: &Client, what: &str, holds: impl Fn(&Scrape) -> bool) -> Scrape {
    let found = wait::within(PATIENCE, || Some(Scrape::of(client)).filter(|scrape| holds(scrape)));
    found.unwrap_or_else(|| panic!("waited in vain: {what}\n{}", Scrape::of(client).text))
}

/// Sends 50 new records, 10 repeats, 3 conflicts and 4 that are rejected, in every way that HTTP has.
fn send_by_http(http: &Client) {
    for i in 0..20 {
        http.record(&nth("single", i)).expect_status(201);
    }
    http.record(&nth("single", 0)).expect_status(200);
    http.record(&record_with("single-000001", json!({"value": "77"}))).expect_status(409);
    http.record(&record_with("broken", json!({"value": "-1"}))).expect_status(422);
    http.post("/v1/records", "{").problem(400, "not-json");
    let mut batch = many("batch", 20);
    batch.extend((0..9).map(|i| nth("batch", i)));
    batch.push(record_with("batch-000003", json!({"unit": "EUR"})));
    batch.push(json!({"recordId": "no"}));
    let answer = http.batch(&batch);
    assert_eq!((&answer["processed"], &answer["rejected"]), (&json!(20), &json!(1)));
    let lines =
        ndjson(&many("line", 10)) + &record_with("line-000001", json!({"unit": "EUR"})).to_string() + "\nnot json\n";
    assert_eq!(http.lines("", lines).len(), 12);
}

#[test]
fn records_are_counted_by_ingress_and_outcome() {
    let fleet = Fleet::start(1);
    let http = fleet.instances[0].http();
    let before = Scrape::of(&http);
    for ingress in ["http", "list", "stream", "library"] {
        assert_eq!(counted(&before, ingress), [0.0; 4], "{ingress} before anything came");
    }
    send_by_http(&http);
    fleet::push(&fleet.redis, &many("list", 30));
    fleet::push_payloads(&fleet.redis, [b"{".as_slice(), b"[]"].into_iter());
    fleet::add(&fleet.redis, &many("stream", 40));
    fleet::add(&fleet.redis, &many("list", 5));
    let _follower = http.request("GET", "/v1/notifications/stream").send().expect("a stream begins");

    let done = until(&http, "all is published and settled", |scrape| {
        let all = scrape.sum("tallyhouse_records_total", &[]) == (67 + 32 + 45) as f64;
        all && scrape.find("tallyhouse_outbox_records", &[]) == Some(0.0)
            && scrape.find("tallyhouse_queue_length", &[("queue", "stream")]) == Some(0.0)
            && scrape.find("tallyhouse_dead_letters", &[]) == Some(2.0)
    });
    assert_eq!(counted(&done, "http"), [50.0, 10.0, 3.0, 4.0]);
    assert_eq!(counted(&done, "list")[3], 2.0);
    let queued = ["list", "stream"].map(|ingress| counted(&done, ingress));
    // Five came by both ingresses; the second of each is the duplicate.
    assert_eq!((queued[0][0] + queued[1][0], queued[0][1] + queued[1][1]), (70.0, 5.0));
    assert_eq!(done.value("tallyhouse_messages_published_total", &[("topic", "notifications")]), 120.0);
    assert_eq!(done.value("tallyhouse_commit_to_publish_seconds_count", &[]), 120.0);
    // Those that broke a rule had no way to the database.
    assert_eq!(done.value("tallyhouse_accept_to_commit_seconds_count", &[]), (67 + 32 + 45 - 6) as f64);
    assert_eq!(done.value("tallyhouse_batch_records_sum", &[]), (67 + 32 + 45 - 6) as f64);
    let commits = done.value("tallyhouse_commit_duration_seconds_count", &[]);
    assert_eq!(commits, done.value("tallyhouse_batch_records_count", &[]));
    assert_eq!(done.sum("tallyhouse_records_unanswered_total", &[]), 0.0);
    assert_eq!((done.sum("tallyhouse_intake_records", &[]), done.sum("tallyhouse_intake_bytes", &[])), (0.0, 0.0));

    let requests = |method, route, status| {
        let labels = [("method", method), ("route", route), ("status", status)];
        done.value("tallyhouse_http_requests_total", &labels)
    };
    let singles = [("201", 20.0), ("200", 1.0), ("409", 1.0), ("422", 1.0), ("400", 1.0)];
    singles.iter().for_each(|(status, count)| assert_eq!(requests("POST", "/v1/records", status), *count));
    assert_eq!(requests("POST", "/v1/records/batch", "200"), 2.0);
    let times = [("method", "POST"), ("route", "/v1/records")];
    assert_eq!(done.value("tallyhouse_http_request_duration_seconds_count", &times), 24.0);
    assert_eq!(done.value("tallyhouse_http_event_streams", &[]), 1.0);
    // The stream, and the question for this page.
    assert_eq!(done.value("tallyhouse_http_requests_in_flight", &[]), 2.0);
    assert!(done.value("tallyhouse_http_connections", &[]) >= 2.0);
    check_the_rest(&fleet.instances[0], &done);
}

/// Checks what is not counted, but looked at.
#[track_caller]
fn check_the_rest(service: &Service, scrape: &Scrape) {
    for dependency in ["storage", "publishing", "queue-list", "queue-stream"] {
        let state = |state| scrape.value("tallyhouse_breaker_state", &[("dependency", dependency), ("state", state)]);
        assert_eq!([state("closed"), state("half-open"), state("open")], [1.0, 0.0, 0.0], "{dependency}");
    }
    for pool in ["writers", "readers", "streams", "upkeep"] {
        let of_pool = [("pool", pool)];
        let [busy, max] =
            ["busy", "max"].map(|what| scrape.value(&format!("tallyhouse_postgres_connections_{what}"), &of_pool));
        assert!(max >= 1.0 && busy <= max, "{pool}: {busy} of {max}");
    }
    let ways = ["optimistic", "pipelined", "locked"];
    let commits = ways.map(|way| scrape.value("tallyhouse_postgres_commits_total", &[("way", way)]));
    assert!(commits.iter().sum::<f64>() >= scrape.value("tallyhouse_batch_records_count", &[]), "{commits:?}");
    let kib = service.memory_kib() as f64;
    let resident = scrape.value("process_resident_memory_bytes", &[]) / 1024.0;
    assert!((kib / 2.0..kib * 2.0).contains(&resident), "{resident} KiB and {kib} KiB");
    assert!(scrape.value("process_cpu_seconds_total", &[]) > 0.0);
    assert!(scrape.value("process_open_fds", &[]) > 5.0);
    let labels = [("version", env!("CARGO_PKG_VERSION")), ("database", "postgres")];
    assert_eq!(scrape.value("tallyhouse_build_info", &labels), 1.0);
}

#[test]
fn metrics_are_asked_for_as_everything_else_is() {
    let service = Service::start();
    let http = service.http();
    let page = Scrape::of(&http);
    assert_eq!(page.value("tallyhouse_build_info", &[("database", "sqlite")]), 1.0);
    assert!(!page.text.contains("redis") && !page.kinds.contains_key("tallyhouse_queue_length"), "there is no Redis");
    let head = send(http.request("HEAD", "/metrics")).expect_status(200);
    assert!(head.header("content-length").is_some_and(|length| length.parse::<usize>().is_ok_and(|n| n > 1_000)));
    assert_eq!(head.text(), "");
    http.get("/metrics?x=1").problem(400, "bad-parameter");
    for _ in 0..3 {
        http.get("/v1/aggregates?records=false").expect_status(200);
    }
    let page = Scrape::of(&http);
    let asked = |result| page.value("tallyhouse_totals_cache_total", &[("result", result)]);
    assert_eq!([asked("hit"), asked("miss")], [2.0, 1.0]);
    http.post("/metrics", "").problem(405, "method-not-allowed");
    // Calls of unknown paths and methods add no time series.
    for i in 0..20 {
        http.get(&format!("/nowhere/{i}")).problem(404, "not-found");
        http.get(&format!("/v1/records/{i}")).problem(404, "not-found");
        send(http.request(&format!("BREW{i}"), "/v1/records")).problem(405, "method-not-allowed");
    }
    let page = Scrape::of(&http);
    let asked = |route, method, status| {
        let labels = [("route", route), ("method", method), ("status", status)];
        page.value("tallyhouse_http_requests_total", &labels)
    };
    assert_eq!(asked("none", "GET", "404"), 20.0);
    assert_eq!(asked("/v1/records/{recordId}", "GET", "404"), 20.0);
    assert_eq!(asked("/v1/records", "other", "405"), 20.0);
    assert!(!page.text.contains("nowhere"), "{}", page.text);
}

#[test]
fn while_servers_are_unavailable_the_page_comes_without_what_they_know() {
    let mut fleet = Fleet::start(1);
    let http = fleet.instances[0].http();
    let began = until(&http, "all is there", |scrape| scrape.find("tallyhouse_outbox_records", &[]).is_some());
    assert!(began.find("tallyhouse_dead_letters", &[]).is_some());
    fleet.postgres.freeze();
    fleet.redis.stop().expect("Redis stops");
    let without = |scrape: &Scrape| {
        scrape.find("tallyhouse_outbox_records", &[]).is_none() && scrape.find("tallyhouse_dead_letters", &[]).is_none()
    };
    let deadline = Instant::now() + PATIENCE;
    loop {
        let asked = Instant::now();
        let scrape = Scrape::of(&http);
        assert!(asked.elapsed() < Duration::from_secs(4), "a page took {:?}", asked.elapsed());
        let states = [("dependency", "storage"), ("state", "closed")];
        if without(&scrape) && scrape.value("tallyhouse_breaker_state", &states) == 0.0 {
            break;
        }
        assert!(Instant::now() < deadline, "{}", scrape.text);
    }
    fleet.postgres.thaw();
    fleet.redis.restart().expect("Redis comes back");
    until(&http, "all is there again", |scrape| {
        // That of storage is half-open until somebody wants a commit.
        let is_passable = |dependency| {
            let labels = [("dependency", dependency), ("state", "open")];
            scrape.find("tallyhouse_breaker_state", &labels) == Some(0.0)
        };
        scrape.find("tallyhouse_outbox_records", &[]).is_some()
            && scrape.find("tallyhouse_dead_letters", &[]).is_some()
            && ["storage", "queue-list", "queue-stream"].into_iter().all(is_passable)
    });
}

/// The rows of the catalogue: name, kind and labels.
fn catalogue() -> BTreeSet<(String, String, BTreeSet<String>)> {
    let page = std::fs::read_to_string(workspace().join("docs/METRICS.md")).expect("the page is there");
    let row = |line: &str| {
        let mut cells = line.strip_prefix("| `")?.split(" | ");
        let name = cells.next()?.strip_suffix('`')?.to_owned();
        let kind = cells.next()?.to_owned();
        let named = cells.next()?.split('`').skip(1).step_by(2).map(str::to_owned).collect();
        ["counter", "gauge", "histogram"].contains(&kind.as_str()).then_some((name, kind, named))
    };
    page.lines().filter_map(row).collect()
}

#[test]
fn the_catalogue_lists_what_a_service_shows_and_nothing_else() {
    let fleet = Fleet::start(1);
    let http = fleet.instances[0].http();
    http.record(&nth("r", 0)).expect_status(201);
    let scrape = until(&http, "all is there", |scrape| scrape.kinds.contains_key("tallyhouse_dead_letters"));
    let shown: BTreeSet<_> =
        scrape.kinds.iter().map(|(name, kind)| (name.clone(), kind.clone(), scrape.labels(name))).collect();
    let listed = catalogue();
    let unlisted: Vec<_> = shown.difference(&listed).collect();
    let idle: Vec<_> = listed.difference(&shown).collect();
    assert!(
        unlisted.is_empty() && idle.is_empty(),
        "shown and not listed so: {unlisted:#?}\nlisted and not shown so: {idle:#?}"
    );
}
