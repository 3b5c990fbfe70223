//! What the service says of itself is so: real answers of every call are held against the OpenAPI document, messages
//! against their schemas, and the examples of the document against its own schemas.

use std::time::Duration;

use serde_json::{Value, json};
use tallyhouse_tests::clients::http::{Answer, Client, send};
use tallyhouse_tests::clients::sse::Events;
use tallyhouse_tests::clients::wire::Wire;
use tallyhouse_tests::data::records::{record, record_with};
use tallyhouse_tests::folder::workspace;
use tallyhouse_tests::servers::fleet::{self, Fleet};
use tallyhouse_tests::servers::redis_server::RedisServer;
use tallyhouse_tests::servers::service::{Options, Service};
use tallyhouse_tests::wait;

use crate::api::access::with_keys;
use crate::interfaces::description::{Description, check};

/// The calls that read pages, with a target for each.
const PAGES: [(&str, &str); 11] = [
    ("/v1/records", "/v1/records?limit=1"),
    ("/v1/records/{recordId}", "/v1/records/a"),
    ("/v1/records/batch", "/v1/records/batch"),
    ("/v1/aggregates", "/v1/aggregates?limit=1"),
    ("/v1/export", "/v1/export"),
    ("/v1/summaries/{destinationId}", "/v1/summaries/IAH?limit=1"),
    ("/v1/notifications", "/v1/notifications?limit=1"),
    ("/v1/alerts", "/v1/alerts"),
    ("/v1/dead-letters", "/v1/dead-letters?limit=1"),
    ("/v1/alert-rules", "/v1/alert-rules"),
    ("/v1/alert-rules/{name}", "/v1/alert-rules/default"),
];

/// The calls with a body, with a target for each.
const WRITES: [(&str, &str, &str); 4] = [
    ("POST", "/v1/records", "/v1/records"),
    ("POST", "/v1/records/batch", "/v1/records/batch"),
    ("PUT", "/v1/alert-rules/{name}", "/v1/alert-rules/late"),
    ("POST", DRY_RUN.0, DRY_RUN.1),
];

/// The dry run of a rule.
const DRY_RUN: (&str, &str) = ("/v1/alert-rules/{name}/dry-run", "/v1/alert-rules/late/dry-run");

/// The calls without a body that change something.
const CHANGES: [(&str, &str, &str); 3] = [
    ("DELETE", "/v1/alert-rules/{name}", "/v1/alert-rules/none"),
    ("DELETE", "/v1/dead-letters/{id}", "/v1/dead-letters/1-0"),
    ("POST", "/v1/dead-letters/{id}/replay", "/v1/dead-letters/1-0/replay"),
];

const STREAMS: [&str; 2] = ["/v1/notifications/stream", "/v1/alerts/stream"];

/// The pages, and what the service counts, which needs no storage.
fn pages(all: &Description) -> impl Iterator<Item = (&'static str, &'static str)> + use<> {
    let counts = ["/metrics", "/v1/rates"].into_iter().filter(|path| all.describes(path));
    PAGES.into_iter().chain(counts.map(|path| (path, path)).collect::<Vec<_>>())
}

fn with(http: &Client, method: &str, target: &str, headers: &[(&str, &str)], body: impl Into<Vec<u8>>) -> Answer {
    let request =
        headers.iter().fold(http.request(method, target), |request, (name, value)| request.header(*name, *value));
    send(request.body(body.into()))
}

const JSON: (&str, &str) = ("content-type", "application/json");
const NDJSON: (&str, &str) = ("content-type", "application/x-ndjson");

/// A service with a queue, so that there are dead letters.
fn with_queue() -> (RedisServer, Service) {
    let redis = RedisServer::start().expect("Redis is installed");
    let options = Options::new()
        .env("TALLYHOUSE_REDIS__URL", redis.url())
        .env("TALLYHOUSE_ALERTS__THRESHOLD", "100")
        .env("TALLYHOUSE_HTTP__EVENT_STREAMS_MAX", "1")
        .env("TALLYHOUSE_HTTP__BODY_PAUSE_TIMEOUT_MS", "200");
    let service = Service::start_with(options);
    (redis, service)
}

#[test]
fn every_answer_is_as_it_is_described() {
    let (redis, service) = with_queue();
    let http = service.http();
    let mut all = Description::of(&http);
    writes(&mut all, &http);
    dead_letters(&mut all, &http, &redis);
    rules(&mut all, &http);
    reads(&mut all, &http);
    refusals(&mut all, &service);
    streams(&mut all, &service);
    all.add(refusals_of_strangers());
    all.add(refusals_of_the_eager());
    all.add(answers_while_storage_is_unavailable());
    // A fault of the service can't be provoked from outside; a slow body and a large head are the same for every call.
    let statuses = ["200", "201", "204", "304", "401", "403", "404", "409", "412", "422", "429", "503"];
    let unseen = all.unseen(&statuses);
    let known = [
        // There are always rules to be managed.
        "GET /v1/alert-rules 404",
        "PUT /v1/alert-rules/{name} 404",
        "POST /v1/alert-rules/{name}/dry-run 404",
    ];
    let unseen: Vec<&String> = unseen.iter().filter(|place| !known.contains(&place.as_str())).collect();
    assert!(unseen.is_empty(), "never seen: {unseen:#?}");
}

fn writes(all: &mut Description, http: &Client) {
    let path = "/v1/records";
    let mut post = |status: u16, body: Value| {
        let answer = with(http, "POST", path, &[JSON], body.to_string());
        all.check("POST", path, answer.expect_status(status));
    };
    post(201, record("a"));
    post(200, record("a"));
    post(201, record_with("large", json!({"value": 1e3})));
    post(201, record("batch"));
    post(409, record_with("a", json!({"value": "12"})));
    post(422, record_with("b", json!({"unit": "", "time": "never"})));
    post(422, record_with("", json!({})));
    post(422, json!([]));
    let path = "/v1/records/batch";
    let records = json!([record("c"), record("a"), record_with("a", json!({"unit": "EUR"})), {"recordId": null}, 1]);
    for query in ["", "?results=failed"] {
        let answer = with(http, "POST", &format!("{path}{query}"), &[JSON], records.to_string());
        all.check("POST", path, answer.expect_status(200));
        let lines =
            format!("{}\n{}\nnot json\n{}\n", record("d"), record("a"), record_with("a", json!({"value": "1"})));
        let long = format!("{lines}{}\n", "x".repeat(70_000));
        let answer = with(http, "POST", &format!("{path}{query}"), &[NDJSON], long);
        all.check("POST", path, answer.expect_status(200));
    }
    all.check("POST", path, with(http, "POST", path, &[JSON], "{}").expect_status(422));
}

fn dead_letters(all: &mut Description, http: &Client, redis: &RedisServer) {
    let late = record_with("late", json!({"value": "99"})).to_string();
    let conflict = record_with("a", json!({"value": "13"})).to_string();
    let large = format!("\"{}\"", "x".repeat(70_000));
    http.record(&record("late")).expect_status(201);
    for payload in ["not json", "[]", &conflict, &late, &large] {
        redis.cli(&["LPUSH", "tallyhouse:records", payload]).expect("Redis answers");
    }
    let mut connection = redis.connection().expect("Redis answers");
    redis::cmd("LPUSH").arg("tallyhouse:records").arg(&b"\xff\xfe"[..]).exec(&mut connection).expect("Redis answers");
    let path = "/v1/dead-letters";
    wait::until("six dead letters", || {
        let page = http.get(path).json();
        (page["deadLetters"].as_array().expect("a list").len() == 6).then_some(())
    });
    all.call(http, "GET", path, "/v1/dead-letters?limit=2").expect_status(200);
    let page = all.call(http, "GET", path, path).expect_status(200).json();
    let replay = "/v1/dead-letters/{id}/replay";
    let mut statuses = Vec::new();
    for letter in page["deadLetters"].as_array().expect("a list") {
        let target = format!("{path}/{}", letter["id"].as_str().expect("a text"));
        statuses.push(all.call(http, "POST", replay, &format!("{target}/replay")).status);
        all.call(http, "DELETE", "/v1/dead-letters/{id}", &target).expect_status(204);
    }
    statuses.sort_unstable();
    assert_eq!(statuses, [400, 400, 409, 409, 413, 422]);
    // What was refused for a moment only: the record is deleted by nobody, so it is put among the dead letters by hand.
    for (id, status) in [("fresh", 201), ("a", 200)] {
        let id = fleet::add_dead_letter(redis, &record(id).to_string());
        all.call(http, "POST", replay, &format!("{path}/{id}/replay")).expect_status(status);
    }
    for (method, path, target) in CHANGES {
        all.call(http, method, path, target).expect_status(404);
    }
}

fn rules(all: &mut Description, http: &Client) {
    let (path, target) = ("/v1/alert-rules/{name}", "/v1/alert-rules/late");
    let rule = json!({"threshold": "120", "unit": "minute", "type": "positive"});
    let mut put = |status: u16, headers: &[(&str, &str)], rule: &Value| {
        let answer = with(http, "PUT", target, headers, rule.to_string());
        all.check("PUT", path, answer.expect_status(status))
    };
    put(201, &[], &rule);
    put(200, &[], &rule);
    put(200, &[], &json!({"threshold": 5, "on": "total", "reference": ""}));
    put(412, &[("if-none-match", "*")], &rule);
    put(422, &[], &json!({"treshold": 1}));
    let met = json!({"threshold": "0"});
    for (status, target, rule) in [
        (200, DRY_RUN.1.to_owned(), &rule),
        (200, DRY_RUN.1.to_owned(), &met),
        (200, format!("{}?end=2000-01-01T00:00:00Z", DRY_RUN.1), &met),
        (422, DRY_RUN.1.to_owned(), &json!({"treshold": 1})),
    ] {
        let answer = with(http, "POST", &target, &[], rule.to_string());
        all.check("POST", DRY_RUN.0, answer.expect_status(status));
    }
    all.check("DELETE", path, with(http, "DELETE", target, &[("if-match", "\"0\"")], "").expect_status(412));
    all.call(http, "GET", "/v1/alert-rules", "/v1/alert-rules").expect_status(200);
    for name in ["late", "default"] {
        all.call(http, "GET", path, &format!("/v1/alert-rules/{name}")).expect_status(200);
    }
    all.call(http, "GET", path, "/v1/alert-rules/none").expect_status(404);
    all.call(http, "DELETE", path, target).expect_status(204);
}

fn reads(all: &mut Description, http: &Client) {
    for (path, target) in pages(all) {
        let answer = all.call(http, "GET", path, target).expect_status(200);
        // The tag of a rule is for those who change it. By all others, who has the answer is told that it still holds.
        if let Some(tag) = answer.headers.get("etag").filter(|_| !path.starts_with("/v1/alert-rules")) {
            let held = [("if-none-match", tag.to_str().expect("a text"))];
            all.check("GET", path, with(http, "GET", target, &held, "").expect_status(304));
        }
    }
    for path in ["/v1/records", "/v1/aggregates", "/v1/export"] {
        for form in ["application/json", "application/x-ndjson", "text/csv"] {
            let answer = with(http, "GET", path, &[("accept", form)], "");
            all.check("GET", path, answer.expect_status(200));
        }
    }
    all.call(http, "GET", "/v1/aggregates", "/v1/aggregates?records=false").expect_status(200);
    all.call(http, "GET", "/v1/records/{recordId}", "/v1/records/none").expect_status(404);
    for path in ["/healthz", "/readyz"] {
        all.call(http, "GET", path, path).expect_status(200);
    }
    for path in ["/", "/docs", "/openapi.json"] {
        let answer = all.call(http, "GET", path, path).expect_status(200);
        let tag = answer.header("etag").expect("a tag");
        all.check("GET", path, with(http, "GET", path, &[("if-none-match", tag)], "").expect_status(304));
    }
    let without = Service::start();
    let http = without.http();
    all.call(&http, "GET", "/v1/dead-letters", "/v1/dead-letters").expect_status(404);
    all.call(&http, "GET", "/v1/records/batch", "/v1/records/batch").expect_status(404);
}

fn refusals(all: &mut Description, service: &Service) {
    let http = service.http();
    let pages = pages(all).map(|(path, target)| ("GET", path, target));
    let streams = STREAMS.iter().map(|path| ("GET", *path, *path));
    for (method, path, target) in pages.chain(streams).chain(CHANGES).chain(WRITES) {
        let target = format!("{}?unknown=1", target.split('?').next().expect("it begins"));
        all.call(&http, method, path, &target).problem(400, "bad-parameter");
    }
    for (method, path, target) in WRITES {
        let strange = [("origin", "http://elsewhere.example")];
        all.check(method, path, with(&http, method, target, &strange, "{}").expect_status(403));
        let answer = with(&http, method, target, &[JSON], "{");
        all.check(method, path, answer).problem(400, "not-json");
        all.check(
            method,
            path,
            with(&http, method, target, &[("content-type", "text/plain")], "{}").expect_status(415),
        );
        all.check(method, path, with(&http, method, target, &[JSON], vec![b' '; 17 * 1024 * 1024]).expect_status(413));
        let head = format!("{method} {target}");
        let mut wire = Wire::connect(service.address());
        wire.head(&[&head, "Content-Type: application/json", "Content-Length: 9"]).expect("sent");
        all.check(method, path, whole(wire).expect_status(408));
    }
    for (path, target) in PAGES {
        let mut wire = Wire::connect(service.address());
        // It is refused while it comes.
        drop(wire.head(&[&format!("GET {target}"), &format!("X-Large: {}", "x".repeat(70_000))]));
        all.check("GET", path, whole(wire).expect_status(431));
    }
}

/// Reads the answer of a bare connection.
#[track_caller]
/// The address of an answer whose links are not followed.
fn nowhere() -> reqwest::Url {
    "http://localhost/".parse().expect("an address")
}

fn whole(wire: Wire) -> Answer {
    let answer = wire.answer().expect("an answer");
    let status = answer.status;
    let mut headers = reqwest::header::HeaderMap::new();
    for (name, value) in &answer.headers {
        let name: reqwest::header::HeaderName = name.parse().expect("a name");
        headers.insert(name, value.parse().expect("a value"));
    }
    Answer { url: nowhere(), status, headers, body: answer.text().expect("a body").into_bytes() }
}

fn streams(all: &mut Description, service: &Service) {
    for path in STREAMS {
        wait::until("the stream before has ended", || (service.http().get("/readyz").status == 200).then_some(()));
        let mut events = wait::until("room for a stream", || {
            let mut wire = Wire::connect(service.address());
            wire.head(&[&format!("GET {path}?after=0"), "Accept: text/event-stream"]).expect("sent");
            let answer = wire.answer().expect("an answer");
            (answer.status == 200).then_some(answer)
        });
        let mut headers = reqwest::header::HeaderMap::new();
        for name in ["content-type", "x-request-id"] {
            headers.insert(name, events.header(name).expect("it is there").parse().expect("a value"));
        }
        let mut begun = [0; 16];
        std::io::Read::read_exact(&mut events, &mut begun).expect("it begins");
        all.check("GET", path, Answer { url: nowhere(), status: 200, headers, body: begun.to_vec() });
        all.call(&service.http(), "GET", path, path).problem(503, "overloaded");
        drop(events);
    }
}

/// Calls without a key, and with one that lacks the scope.
fn refusals_of_strangers() -> Description {
    let (service, [ingest, read, _]) = with_keys();
    let http = service.http();
    let mut all = Description::of(&http);
    let pages = pages(&all).map(|(path, target)| ("GET", path, target));
    let streams = STREAMS.iter().map(|path| ("GET", *path, *path));
    for (method, path, target) in pages.chain(streams).chain(CHANGES).chain(WRITES) {
        all.call(&http, method, path, target).problem(401, "unauthorized");
        let lacks = format!("Bearer {}", if method == "GET" { &ingest } else { &read });
        all.check(method, path, with(&http, method, target, &[("authorization", &lacks)], ""))
            .problem(403, "forbidden");
    }
    all
}

/// Calls beyond the rate limit.
fn refusals_of_the_eager() -> Description {
    let options = Options::new().env("TALLYHOUSE_RATE_LIMIT__PER_SECOND", "1").env("TALLYHOUSE_RATE_LIMIT__BURST", "2");
    let service = Service::start_with(options);
    let http = service.http();
    let mut all = Description::of(&http);
    all.check("POST", "/v1/records", http.record(&record("a")).expect_status(201));
    let debt: Vec<Value> = (0..100).map(|n| record(&format!("debt-{n}"))).collect();
    http.batch(&debt);
    let pages = pages(&all).map(|(path, target)| ("GET", path, target));
    let streams = STREAMS.iter().map(|path| ("GET", *path, *path));
    for (method, path, target) in pages.chain(streams).chain(CHANGES).chain(WRITES) {
        all.call(&http, method, path, target).problem(429, "rate-limited");
    }
    all
}

/// Calls while Postgres is unavailable.
fn answers_while_storage_is_unavailable() -> Description {
    let mut fleet = Fleet::start(1);
    let http = fleet.instances[0].http();
    let mut all = Description::of(&http);
    fleet.postgres.kill().expect("it is killed");
    wait::until("it is noticed", || (http.get("/readyz").status == 503).then_some(()));
    all.call(&http, "GET", "/readyz", "/readyz").problem(503, "unavailable");
    let pages = PAGES.iter().filter(|(path, _)| *path != "/v1/dead-letters");
    for (path, target) in pages {
        all.call(&http, "GET", path, target).problem(503, "unavailable");
    }
    for path in STREAMS {
        all.call(&http, "GET", path, path).problem(503, "unavailable");
    }
    let one = record("x");
    all.check("POST", "/v1/records", http.record(&one)).problem(503, "unavailable");
    let batch = http.post("/v1/records/batch", json!([one]).to_string());
    all.check("POST", "/v1/records/batch", batch).problem(503, "unavailable");
    let (path, target) = ("/v1/alert-rules/{name}", "/v1/alert-rules/late");
    all.check("PUT", path, with(&http, "PUT", target, &[], r#"{"threshold":1}"#)).problem(503, "unavailable");
    all.call(&http, "DELETE", path, target).problem(503, "unavailable");
    let tried = with(&http, "POST", DRY_RUN.1, &[], r#"{"threshold":1}"#);
    all.check("POST", DRY_RUN.0, tried).problem(503, "unavailable");
    let payload = one.to_string();
    let id = fleet.cli(&[
        "XADD",
        "tallyhouse:dead-letters",
        "*",
        "payload",
        &payload,
        "reason",
        "rejected",
        "detail",
        "by hand",
        "origin",
        "list",
        "at",
        "2026-01-01T00:00:00Z",
    ]);
    let replay = format!("/v1/dead-letters/{id}/replay");
    all.call(&http, "POST", "/v1/dead-letters/{id}/replay", &replay).problem(503, "unavailable");
    fleet.redis.kill().expect("it is killed");
    all.call(&http, "GET", "/v1/dead-letters", "/v1/dead-letters").problem(503, "unavailable");
    all.call(&http, "DELETE", "/v1/dead-letters/{id}", "/v1/dead-letters/1-0").problem(503, "unavailable");
    all
}

#[test]
fn messages_are_as_their_schemas_say() {
    let schema = |name: &str| -> Value {
        let text = std::fs::read_to_string(workspace().join("docs/schemas").join(name)).expect("it is there");
        serde_json::from_str(&text).expect("a schema is JSON")
    };
    let (notification, alert) = (schema("notification.json"), schema("alert.json"));
    let service = Service::start_with(Options::new().env("TALLYHOUSE_ALERTS__THRESHOLD", "100"));
    let http = service.http();
    let rule = r#"{"threshold":"20","on":"total","unit":"minute","destinationId":"IAH","reference":"EWR"}"#;
    with(&http, "PUT", "/v1/alert-rules/total", &[], rule).expect_status(201);
    let trace = [JSON, ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")];
    with(&http, "POST", "/v1/records", &trace, record("a").to_string()).expect_status(201);
    for (id, value) in [("b", "1000.5"), ("c", "9999999999999999999999999999")] {
        http.record(&record_with(id, json!({"value": value}))).expect_status(201);
    }
    for (topic, schema, count) in [("notifications", &notification, 3), ("alerts", &alert, 3)] {
        let mut events = Events::open(service.address(), &format!("/v1/{topic}/stream?after=0"), None);
        let page = http.get(&format!("/v1/{topic}")).json();
        let messages = page["messages"].as_array().expect("a list");
        assert_eq!(messages.len(), count);
        for message in messages {
            check(topic, schema, message);
            let event = events.next_within(Duration::from_secs(10)).expect("it comes by the stream, too");
            assert_eq!(event.message(), *message);
            // A schema that takes everything shows nothing.
            for member in message.as_object().expect("an object").keys().filter(|name| *name != "traceparent") {
                let mut less = message.clone();
                less.as_object_mut().expect("an object").remove(member);
                let is_valid = jsonschema::is_valid(schema, &less);
                assert!(!is_valid, "a message without {member} is taken for one");
            }
        }
    }
}

#[test]
fn the_examples_of_the_document_are_as_its_schemas_say() {
    let service = Service::start();
    let all = Description::of(&service.http());
    let document = service.http().get("/openapi.json").json();
    let mut shown = 0;
    visit(&document, &mut |value| {
        let Some(examples) = value.get("examples") else { return };
        for example in examples.as_object().into_iter().flat_map(serde_json::Map::values) {
            all.check_value("an example", &value["schema"], &example["value"]);
            shown += 1;
        }
        for example in examples.as_array().into_iter().flatten() {
            all.check_value("an example", value, example);
            shown += 1;
        }
    });
    assert!(shown >= 15, "only {shown} examples");
}

fn visit(value: &Value, seen: &mut impl FnMut(&Value)) {
    seen(value);
    match value {
        Value::Array(items) => items.iter().for_each(|item| visit(item, seen)),
        Value::Object(members) => members.values().for_each(|member| visit(member, seen)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
