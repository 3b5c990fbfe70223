//! Keys and rate limits, from the command that makes a key to the answers that callers get.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tallyhouse_tests::clients::http::{Answer, send};
use tallyhouse_tests::clients::wire::Wire;
use tallyhouse_tests::data::records::{many, ndjson, nth, record, record_with};
use tallyhouse_tests::folder::Folder;
use tallyhouse_tests::servers::service::{Options, Service};

/// Makes a key, puts its lines into the file of keys, and returns the key.
pub(crate) fn new_key(folder: &Folder, name: &str, scopes: &str) -> String {
    new_key_with(folder, &["--name", name, "--scope", scopes])
}

fn new_key_with(folder: &Folder, options: &[&str]) -> String {
    let printed = folder.run(&[&["keys", "new"], options].concat()).ok().stdout;
    let (first, entry) = printed.split_once('\n').expect("the key, and the lines to keep");
    let key = first.strip_prefix("key: ").expect("the key comes first").to_owned();
    assert!(!entry.contains(&key), "what is kept is not the key");
    let kept = folder.path().join("keys.toml");
    let mut file = std::fs::read_to_string(&kept).unwrap_or_default();
    file.push_str(entry);
    std::fs::write(kept, file).expect("a file can be written");
    key
}

/// Starts a service with keys for each scope, and returns them: ingest, read, admin.
pub(crate) fn with_keys() -> (Service, [String; 3]) {
    let folder = Folder::new();
    let keys = ["ingest", "read", "admin"].map(|scope| new_key(&folder, scope, scope));
    let options = Options::new().env("TALLYHOUSE_AUTH__KEYS_FILE", "keys.toml");
    (Service::start_in(Arc::new(folder), options), keys)
}

fn call(service: &Service, method: &str, path: &str, authorization: Option<&str>) -> Answer {
    let mut request = service.http().request(method, path);
    if let Some(authorization) = authorization {
        request = request.header("authorization", authorization);
    }
    if method == "POST" {
        request = request.header("content-type", "application/json").body(record("a").to_string());
    }
    send(request)
}

#[test]
fn each_call_needs_the_scope_that_it_is_for() {
    let (service, keys) = with_keys();
    let calls = [
        ("POST", "/v1/records", 0),
        ("POST", "/v1/records/batch", 0),
        ("GET", "/v1/records", 1),
        ("HEAD", "/v1/records", 1),
        ("GET", "/v1/records/a", 1),
        ("GET", "/v1/aggregates", 1),
        ("GET", "/v1/export", 1),
        ("GET", "/v1/summaries/IAH", 1),
        ("GET", "/v1/notifications", 1),
        ("GET", "/v1/alerts", 1),
        ("GET", "/metrics", 1),
        ("HEAD", "/metrics", 1),
        ("GET", "/v1/dead-letters", 2),
        ("POST", "/v1/dead-letters/1-0/replay", 2),
        ("DELETE", "/v1/dead-letters/1-0", 2),
        ("GET", "/v1/alert-rules", 2),
        ("GET", "/v1/alert-rules/default", 2),
        ("PUT", "/v1/alert-rules/default", 2),
        ("DELETE", "/v1/alert-rules/default", 2),
        ("POST", "/v1/alert-rules/default/dry-run", 2),
    ];
    for (method, path, needed) in calls {
        for (scope, key) in keys.iter().enumerate() {
            let answer = call(&service, method, path, Some(&format!("Bearer {key}")));
            assert_ne!(answer.status, 401, "{method} {path}");
            assert_eq!(answer.status == 403, scope != needed, "{method} {path} with scope {scope}: {}", answer.status);
            if answer.status == 403 && method != "HEAD" {
                answer.problem(403, "forbidden");
            }
        }
        let wrong =
            ["Bearer", "Bearer ", "Bearer nonsense", "Basic dTpw", &format!("Token {}", keys[0])].map(str::to_owned);
        let cut = format!("Bearer {}", &keys[needed][..keys[needed].len() - 1]);
        for authorization in wrong.iter().map(|text| Some(text.as_str())).chain([None, Some(cut.as_str())]) {
            let answer = call(&service, method, path, authorization);
            assert_eq!(answer.status, 401, "{method} {path} {authorization:?}");
            assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
            if method != "HEAD" {
                answer.problem(401, "unauthorized");
            }
        }
    }
    for path in ["/healthz", "/readyz", "/openapi.json", "/docs"] {
        assert_eq!(call(&service, "GET", path, None).status, 200);
    }
    for stream in ["/v1/notifications/stream", "/v1/alerts/stream"] {
        assert_eq!(call(&service, "GET", stream, None).status, 401);
    }
    let log = service.log();
    assert!(keys.iter().all(|key| !log.contains(key)), "a key in the log: {log}");
    let config = service.run(&["config"]).ok().stdout;
    assert!(keys.iter().all(|key| !config.contains(key)));
}

#[test]
fn what_is_the_service_s_to_say_can_t_be_sent() {
    let service = Service::start();
    let http = service.http();
    let forged = json!({
        "sequence": 99, "processedAt": "1999-01-01T00:00:00Z", "previous": {"count": 7}, "alerts": ["default"],
        "outcome": "duplicate", "admin": true,
    });
    let answer = http.record(&record_with("a", forged)).expect_status(201).json();
    assert_eq!(
        (&answer["outcome"], &answer["sequence"], &answer["alerts"]),
        (&json!("processed"), &json!(1), &json!([]))
    );
    let stored = http.get("/v1/records/a").expect_status(200).json();
    assert_eq!(
        (&stored["sequence"], &stored["previous"]["count"], &stored["alerts"]),
        (&json!(1), &json!(0), &json!([]))
    );
    assert_eq!(stored["processedAt"], answer["processedAt"]);
    assert_eq!(stored.as_object().map(serde_json::Map::len), Some(12), "the eight fields and four more: {stored}");
}

#[test]
fn a_key_is_asked_for_before_the_body_is_read() {
    let (service, _) = with_keys();
    let mut wire = Wire::connect(service.address());
    wire.head(&["POST /v1/records/batch", "Content-Type: application/x-ndjson", "Transfer-Encoding: chunked"])
        .expect("sent");
    let answer = wire.answer().expect("an answer before any of the body");
    assert_eq!(answer.status, 401);
    let mut wire = Wire::connect(service.address());
    wire.head(&["POST /v1/records", "Content-Type: application/json", "Content-Length: 60000"]).expect("sent");
    assert_eq!(wire.answer().expect("an answer before any of the body").status, 401);
}

#[test]
fn several_scopes_may_be_given_and_keys_differ() {
    let folder = Folder::new();
    let (one, other) = (new_key(&folder, "both", "ingest,read"), new_key(&folder, "both", "read"));
    assert_ne!(one, other);
    let options = Options::new().env("TALLYHOUSE_AUTH__KEYS_FILE", "keys.toml");
    let service = Service::start_in(Arc::new(folder), options);
    let bearer = format!("bearer {one}");
    assert_eq!(call(&service, "POST", "/v1/records", Some(&bearer)).status, 201, "the scheme has no case (RFC 9110)");
    assert_eq!(call(&service, "GET", "/v1/records/a", Some(&bearer)).status, 200);
    assert_eq!(call(&service, "GET", "/v1/records/a", Some(&format!("Bearer {other}"))).status, 200);
    assert_eq!(call(&service, "GET", "/v1/dead-letters", Some(&bearer)).status, 403);
    for bad in [&["keys", "new", "--name", "x", "--scope", "everything"][..], &["keys", "new", "--name", "x"]] {
        assert_eq!(service.run(bad).code, Some(2), "{bad:?}");
    }
}

#[test]
fn a_bound_key_writes_its_own_records_and_no_others() {
    let folder = Folder::new();
    let by_source = new_key_with(&folder, &["--name", "till", "--scope", "ingest", "--source-prefix", "till-\"3\"/"]);
    let by_destination =
        new_key_with(&folder, &["--name", "shop", "--scope", "ingest", "--destination-prefix", "shop-9/"]);
    for bad in [
        &["--scope", "ingest", "--source-prefix", ""][..],
        &["--scope", "ingest", "--destination-prefix", "a\nb"],
        &["--scope", "ingest,read", "--source-prefix", "till-"],
        &["--scope", "admin", "--destination-prefix", "shop-9/"],
    ] {
        let ran = folder.run(&[&["keys", "new", "--name", "x", "--append", "none.toml"], bad].concat()).exits(2);
        assert!(ran.stderr.contains("_prefix must"), "{ran:?}");
        assert!(ran.stdout.is_empty() && !folder.path().join("none.toml").exists(), "{bad:?}");
    }
    let options = Options::new().env("TALLYHOUSE_AUTH__KEYS_FILE", "keys.toml");
    let service = Service::start_in(Arc::new(folder), options);
    let own = record_with("own", json!({"sourceId": "till-\"3\"/a", "destinationId": "shop-9/b"}));
    let foreign = record_with("foreign", json!({"sourceId": "till-4", "destinationId": "shop-8"}));
    service.folder().write("a.ndjson", ndjson(&[own.clone(), foreign.clone()]));
    for (key, pointer, counts) in
        [(&by_source, "/sourceId", [1, 0, 0, 1]), (&by_destination, "/destinationId", [0, 1, 0, 1])]
    {
        let send = |record: &Value| {
            let request =
                service.http().request("POST", "/v1/records").header("authorization", format!("Bearer {key}"));
            send(request.header("content-type", "application/json").body(record.to_string()))
        };
        let errors = format!("refused-{}.ndjson", &pointer[1..]);
        let arguments = ["import", "a.ndjson", "--url", &service.url(), "--key", key, "--errors", &errors];
        let imported = service.run(&arguments).exits(1);
        assert_eq!(imported.counts(), counts);
        let refused = service.folder().read(&errors);
        assert!(refused.contains(pointer) && refused.lines().count() == 1, "{refused}");
        assert_eq!(send(&own).status, 200, "it was imported before");
        let detail = send(&foreign).problem(403, "forbidden")["detail"].to_string();
        assert!(detail.contains(pointer), "{detail}");
        assert_eq!(call(&service, "GET", "/v1/records/own", Some(&format!("Bearer {key}"))).status, 403);
    }
}

#[test]
fn commands_send_their_key() {
    let (service, [ingest, read, _]) = with_keys();
    let url = service.url();
    service.folder().write("a.ndjson", ndjson(&many("r", 50)));
    let refused = service.run(&["import", "a.ndjson", "--url", &url]);
    assert!(refused.code.is_some_and(|code| code != 0), "{refused:?}");
    let ran = service.run(&["import", "a.ndjson", "--url", &url, "--key", &ingest]).ok();
    assert_eq!(ran.counts(), [50, 0, 0, 0]);
    let variable = [("TALLYHOUSE_KEY", read.as_str())];
    let shown = service.folder().run_with(&variable, &["aggregate", "--format", "json", "--url", &url], b"").ok();
    assert!(shown.stdout.contains("\"D3\""), "{}", shown.stdout);
    let wrong = service.folder().run_with(&variable, &["import", "a.ndjson", "--url", &url], b"");
    assert!(wrong.code.is_some_and(|code| code != 0));
    assert!(!wrong.stderr.contains(&read) && !refused.stderr.contains(&ingest), "a key is never shown");
}

#[test]
fn with_keys_the_service_may_listen_beyond_this_machine() {
    let folder = Folder::new();
    let key = new_key(&folder, "a", "ingest");
    let options =
        Options::new().env("TALLYHOUSE_AUTH__KEYS_FILE", "keys.toml").env("TALLYHOUSE_AUTH__ANONYMOUS", "false");
    let service = Service::start_in(Arc::new(folder), options);
    assert_eq!(call(&service, "POST", "/v1/records", Some(&format!("Bearer {key}"))).status, 201);
    let empty = Folder::new();
    for file in ["", "[[keys]]\nname = \"a\"\n", "nonsense"] {
        empty.write("keys.toml", file);
        let ran = empty.run_with(&[("TALLYHOUSE_AUTH__KEYS_FILE", "keys.toml")], &["serve"], b"");
        assert!(ran.code.is_some_and(|code| code != 0), "{file:?}");
        assert!(ran.stderr.contains("auth.keys_file"), "{}", ran.stderr);
    }
    let missing = empty.run_with(&[("TALLYHOUSE_AUTH__KEYS_FILE", "missing.toml")], &["serve"], b"");
    assert!(
        missing.code.is_some_and(|code| code != 0) && missing.stderr.contains("missing.toml"),
        "{}",
        missing.stderr
    );
}

fn limited(per_second: &str, burst: &str) -> Service {
    let options =
        Options::new().env("TALLYHOUSE_RATE_LIMIT__PER_SECOND", per_second).env("TALLYHOUSE_RATE_LIMIT__BURST", burst);
    Service::start_with(options)
}

#[track_caller]
fn check_limited(answer: &Answer) {
    answer.problem(429, "rate-limited");
    let wait: u64 = answer.header("retry-after").and_then(|text| text.parse().ok()).expect("Retry-After in seconds");
    assert!(wait > 0);
    for header in ["ratelimit", "ratelimit-policy"] {
        assert!(answer.header(header).is_some(), "{header}: {:?}", answer.headers);
    }
}

#[test]
fn who_sends_too_much_is_told_when_to_come_again() {
    let service = limited("1", "5");
    let http = service.http();
    let answers: Vec<Answer> = (0..8).map(|i| http.record(&nth("r", i))).collect();
    let taken = answers.iter().filter(|answer| answer.status == 201).count();
    assert!((5..=7).contains(&taken), "five at once, and one a second: {taken}");
    let refused: Vec<&Answer> = answers.iter().filter(|answer| answer.status != 201).collect();
    refused.iter().for_each(|answer| check_limited(answer));
    assert!(answers[0].header("ratelimit").is_some() && answers[0].header("ratelimit-policy").is_some());
    // Reads draw from the same, and what must always answer does.
    let read = (0..20).map(|_| http.get("/v1/records")).find(|answer| answer.status != 200).expect("a read draws one");
    check_limited(&read);
    for _ in 0..20 {
        assert_eq!(http.get("/healthz").status, 200);
    }
    // A client that waits as long as `Retry-After` says is served.
    let wait: u64 = read.header("retry-after").and_then(|text| text.parse().ok()).expect("seconds");
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(wait) {
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(http.get("/v1/records").status, 200);
}

#[test]
fn a_batch_larger_than_the_burst_passes_once() {
    let service = limited("1", "5");
    let http = service.http();
    assert_eq!(http.batch(&many("r", 100))["processed"], 100);
    check_limited(&http.post("/v1/records/batch", Value::from(many("s", 100)).to_string()));
    check_limited(&http.record(&record("a")));
    http.get("/healthz").expect_status(200);
}

#[test]
fn lines_are_slowed_down_and_never_refused() {
    let service = limited("50", "10");
    let began = Instant::now();
    let counts = service.http().lines("?results=failed", ndjson(&many("r", 110)));
    assert_eq!(counts, [json!({"processed": 110, "duplicates": 0, "conflicts": 0, "rejected": 0})]);
    // A hundred beyond the burst, at fifty a second.
    assert!(began.elapsed() >= Duration::from_millis(1_500), "{:?}", began.elapsed());
}

#[test]
fn without_a_limit_no_answer_speaks_of_one() {
    let service = Service::start();
    let answer = service.http().record(&record("a"));
    assert!(answer.header("ratelimit").is_none() && answer.header("ratelimit-policy").is_none());
}
