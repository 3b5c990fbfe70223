//! Logs and traces: what a record leaves behind on its way, and that nothing depends on who listens.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tallyhouse_tests::clients::http::{Answer, Client, send};
use tallyhouse_tests::data::records::{many, record};
use tallyhouse_tests::servers::collector::{Collector, Seen, drawn};
use tallyhouse_tests::servers::fleet::{self, Fleet};
use tallyhouse_tests::servers::service::{Options, Service};
use tallyhouse_tests::wait;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALLER: &str = "00f067aa0ba902b7";

fn traceparent(flags: &str) -> String {
    format!("00-{TRACE}-{CALLER}-{flags}")
}

fn post(http: &Client, path: &str, body: &Value, traceparent: Option<&str>) -> Answer {
    let request = http.request("POST", path).header("content-type", "application/json").body(body.to_string());
    send(match traceparent {
        Some(traceparent) => request.header("traceparent", traceparent),
        None => request,
    })
}

/// Options with which spans are delivered soon.
fn traced(collector: &str) -> Options {
    Options::new().env("OTEL_EXPORTER_OTLP_ENDPOINT", collector).env("OTEL_BSP_SCHEDULE_DELAY", "100")
}

#[track_caller]
fn only<'a>(spans: &'a [Seen], name: &str) -> &'a Seen {
    let mut found = spans.iter().filter(|span| span.name == name);
    let first = found.next().unwrap_or_else(|| panic!("no {name} in\n{}", drawn(spans)));
    assert!(found.next().is_none(), "more than one {name} in\n{}", drawn(spans));
    first
}

/// Checks that three spans follow one another: what brought a record in, its commit, its publication.
#[track_caller]
fn check_chain(spans: &[Seen], entry: &str, caller: &str) {
    println!("{}", drawn(spans));
    let [entry, commit, publish] = [entry, "commit", "publish"].map(|name| only(spans, name));
    assert_eq!((&*entry.parent, &commit.parent, &publish.parent), (caller, &entry.id, &commit.id));
    assert!(entry.times.0 <= commit.times.0 && commit.times.1 <= publish.times.0);
    assert_eq!(commit.attributes["tallyhouse.batch.processed"], "1");
    assert_eq!(publish.attributes["messaging.batch.message_count"], "1");
    assert!(spans.iter().all(|span| span.service == "tallyhouse" && !span.failed));
}

#[test]
fn one_trace_leads_from_a_request_by_its_commit_to_its_message() {
    let collector = Collector::start();
    let fleet = Fleet::start_with(1, &traced(&collector.url()));
    let subscriber = fleet.subscribe();
    let http = fleet.instances[0].http();

    post(&http, "/v1/records", &record("a"), Some(&traceparent("01"))).expect_status(201);
    let spans = collector.await_trace(TRACE, 3);
    check_chain(&spans, "POST /v1/records", CALLER);
    let request = only(&spans, "POST /v1/records");
    assert_eq!(request.attributes["http.response.status_code"], "201");
    let message = subscriber.await_ids(1, wait::PATIENCE).remove(0);
    assert_eq!(message["traceparent"], *traceparent("01"), "handed on as it came");

    // Without a caller's, a trace begins here, and the message bears it.
    post(&http, "/v1/records", &record("b"), None).expect_status(201);
    let messages = subscriber.await_ids(2, wait::PATIENCE);
    let ours = messages.iter().find(|message| message["id"] == "b").expect("its message");
    let ours = ours["traceparent"].as_str().expect("a trace").to_owned();
    let [_, trace, id, flags] = ours.split('-').collect::<Vec<_>>().try_into().expect("four parts");
    assert_eq!(flags, "01");
    let spans = collector.await_trace(trace, 3);
    check_chain(&spans, "POST /v1/records", "");
    assert_eq!(only(&spans, "POST /v1/records").id, id);

    // By the stream, the payload is where it begins.
    let trace = "0af7651916cd43dd8448eb211c80319c";
    let theirs = format!("00-{trace}-b7ad6b7169203331-01");
    let payload = record("c").to_string();
    fleet.cli(&["XADD", "tallyhouse:records:stream", "*", "record", &payload, "traceparent", &theirs]);
    check_chain(&collector.await_trace(trace, 3), "process stream", "b7ad6b7169203331");
}

#[test]
fn a_batch_of_many_traces_is_seen_in_each_of_them_up_to_a_bound() {
    const TRACES: usize = 100;
    let collector = Collector::start();
    let fleet = Fleet::start_with(1, &traced(&collector.url()));
    let mut xadd = Vec::new();
    let trace = |n: usize| format!("{:032x}", n + 1);
    for (n, record) in many("r", TRACES).iter().enumerate() {
        xadd.push((record.to_string(), format!("00-{}-{CALLER}-01", trace(n))));
    }
    let mut connection = fleet.redis.connection().expect("Redis answers");
    let mut pipeline = redis::pipe();
    pipeline.atomic();
    for (record, traceparent) in &xadd {
        let add = pipeline.cmd("XADD").arg("tallyhouse:records:stream").arg("*");
        add.arg("record").arg(record).arg("traceparent").arg(traceparent).ignore();
    }
    pipeline.exec(&mut connection).expect("Redis takes them");
    fleet.await_drained();
    let commits = wait::until("the spans of a large commit", || {
        let commits: Vec<Seen> = collector.spans().into_iter().filter(|span| span.name == "commit").collect();
        (commits.len() > 1).then_some(commits)
    });
    let size = |span: &Seen| span.attributes["tallyhouse.batch.records"].parse::<usize>().expect("a number");
    let largest = commits.iter().map(size).max().expect("there is one");
    let together: Vec<&Seen> = commits.iter().filter(|span| size(span) == largest).collect();
    let traces: BTreeSet<&str> = together.iter().map(|span| span.trace.as_str()).collect();
    assert_eq!(traces.len(), together.len(), "one in each");
    assert!(together.len() <= 64, "{}", together.len());
    let first = together.iter().max_by_key(|span| span.links.len()).expect("there is one");
    assert_eq!(first.links.len(), together.len() - 1, "the first is linked to all others");
    let backwards = (first.trace.clone(), first.id.clone());
    assert!(together.iter().filter(|span| span.id != first.id).all(|span| span.links == [backwards.clone()]));
}

#[test]
fn what_is_not_sampled_leaves_no_span_and_its_context_is_handed_on() {
    let collector = Collector::start();
    let service = Service::start_with(traced(&collector.url()).env("TALLYHOUSE_OTLP__SAMPLE_PER_THOUSAND", "0"));
    let http = service.http();
    post(&http, "/v1/records", &record("a"), Some(&traceparent("00"))).expect_status(201);
    post(&http, "/v1/records", &record("b"), None).expect_status(201);
    // Sampled, and the last: what was before it would have been delivered by now.
    post(&http, "/v1/records", &record("c"), Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"))
        .expect_status(201);
    let spans = collector.await_trace("0af7651916cd43dd8448eb211c80319c", 2);
    assert_eq!(collector.spans().len(), spans.len(), "{:#?}", collector.spans());
    let messages = http.get("/v1/notifications").json()["messages"].clone();
    assert_eq!(messages[0]["traceparent"], *traceparent("00"));
    assert_eq!(messages[1].get("traceparent"), None);
}

/// Checks that a service goes on and stops in time though its collector takes nothing.
#[track_caller]
fn check_without_collector(address: &str) {
    let mut service = Service::start_with(traced(address));
    let http = service.http();
    for batch in 0..20 {
        let records = many(&format!("r{batch}-"), 500);
        let body = records.iter().map(Value::to_string).collect::<Vec<_>>().join(",");
        let answer = http.post("/v1/records/batch", format!("[{body}]")).expect_status(200);
        assert_eq!(answer.json()["processed"], 500);
        for n in 0..50 {
            http.get(&format!("/v1/records/r{batch}-{n:06}"));
        }
    }
    assert!(service.memory_kib() < 200 * 1024, "{} KiB", service.memory_kib());
    let began = Instant::now();
    service.ask_to_stop();
    let (code, _) = service.ended();
    assert_eq!(code, Some(0), "{}", service.log());
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
}

#[test]
fn a_collector_that_is_unavailable_or_silent_holds_up_nothing() {
    // A port that nobody has: it was free a moment ago.
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = free.local_addr().expect("it is bound");
    drop(free);
    check_without_collector(&format!("http://{address}"));
    // One that takes connections and never says a word.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    check_without_collector(&format!("http://{}", silent.local_addr().expect("it is bound")));
}

#[test]
fn the_log_says_once_that_the_collector_is_unavailable() {
    let options = traced("http://127.0.0.1:1");
    let service = Service::start_with(options);
    for i in 0..3 {
        service.http().record(&record(&format!("r{i}"))).expect_status(201);
        std::thread::sleep(Duration::from_millis(300));
    }
    let count = || service.log().matches("traces can't be sent").count();
    wait::until("it is told", || (count() > 0).then_some(()));
    assert_eq!(count(), 1, "{}", service.log());
}

#[test]
fn each_request_and_batch_is_a_line_where_that_is_asked_for() {
    let quiet = Service::start();
    quiet.http().record(&record("a")).expect_status(201);
    assert!(!quiet.log().contains("answered") && !quiet.log().contains("committed"), "{}", quiet.log());

    let options = Options::new()
        .env("TALLYHOUSE_LOG__REQUESTS", "true")
        .env("TALLYHOUSE_LOG__FILTER", "info,tallyhouse_pipeline=debug");
    let service = Service::start_with(options);
    let body = record("a").to_string();
    let request = service.http().request("POST", "/v1/records").header("content-type", "application/json");
    let request = request.header("traceparent", traceparent("01")).header("x-request-id", "till-3.1").body(body);
    send(request).expect_status(201);
    service.http().get("/v1/records/unknown").problem(404, "not-found");
    let lines = wait::until("the lines", || {
        let lines: Vec<Value> = service.log().lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        let has = |message: &str| lines.iter().any(|line| line["message"] == message);
        (has("answered") && has("a batch is committed") && has("messages are published")).then_some(lines)
    });
    let all = |message: &str| lines.iter().filter(|line| line["message"] == message).cloned().collect::<Vec<_>>();
    let [answered, missing] = all("answered").try_into().expect("one line for each request");
    assert_eq!(answered["request_id"], "till-3.1");
    assert_eq!((&answered["method"], &answered["path"]), (&json!("POST"), &json!("/v1/records")));
    assert_eq!((&answered["status"], &missing["status"]), (&json!(201), &json!(404)));
    assert_eq!(missing.get("trace_id"), None);
    let committed = all("a batch is committed").remove(0);
    assert_eq!((&committed["processed"], &committed["rejected"]), (&json!(1), &json!(0)));
    for line in [&answered, &committed, &all("messages are published")[0]] {
        assert_eq!(line["trace_id"], TRACE, "{line}");
        assert_eq!(line["level"], "DEBUG");
    }
}

#[test]
fn a_replay_hands_on_the_trace_of_who_asked_for_it() {
    let fleet = Fleet::start(1);
    let subscriber = fleet.subscribe();
    let id = fleet::add_dead_letter(&fleet.redis, &record("again").to_string());
    let path = format!("/v1/dead-letters/{id}/replay");
    post(&fleet.instances[0].http(), &path, &Value::Null, Some(&traceparent("01"))).expect_status(201);
    let message = subscriber.await_ids(1, wait::PATIENCE).remove(0);
    assert_eq!((&message["id"], &message["traceparent"]), (&json!("again"), &json!(traceparent("01"))));
}
