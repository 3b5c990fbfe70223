//! Many records by `POST /v1/records/batch`, as a JSON array.

use serde_json::{Value, json};
use tallyhouse_tests::clients::http::check_problem;
use tallyhouse_tests::data::records::{many, nth, record, record_with};
use tallyhouse_tests::servers::service::{Options, Service};

const PATH: &str = "/v1/records/batch";

#[test]
fn a_batch_answers_one_result_per_record_in_order() {
    let service = Service::start();
    let http = service.http();
    assert_eq!(http.record(&record("known")).status, 201);
    let batch = [
        record("new"),
        record("known"),
        record_with("known", json!({"value": "12"})),
        record_with("bad", json!({"value": "x", "unit": ""})),
        json!(7),
        record("new"),
        record_with("new", json!({"type": "negative"})),
        json!([]),
        record("last"),
    ];
    let answer = http.batch(&batch);
    let counts = ["processed", "duplicates", "conflicts", "rejected"].map(|name| answer[name].as_u64());
    assert_eq!(counts, [Some(2), Some(2), Some(2), Some(3)]);
    let results = answer["results"].as_array().expect("a list");
    let outcomes: Vec<&str> = results.iter().map(|r| r["outcome"].as_str().expect("an outcome")).collect();
    #[rustfmt::skip]
    assert_eq!(outcomes, ["processed", "duplicate", "conflict", "rejected", "rejected", "duplicate", "conflict", "rejected", "processed"]);
    for (i, result) in results.iter().enumerate() {
        assert_eq!(result["index"], i);
    }
    assert_eq!(results[0]["sequence"], 2);
    assert_eq!(results[5]["sequence"], 2);
    assert_eq!(results[8]["sequence"], 3);
    assert_eq!(results[8]["previous"]["count"], 2, "a batch is as good as its records one by one");
    check_problem(&results[2]["error"], 409, "conflict");
    assert_eq!(results[2]["error"]["differs"], json!(["value"]));
    assert_eq!(results[6]["error"]["differs"], json!(["type"]));
    check_problem(&results[3]["error"], 422, "rejected");
    assert_eq!(results[3]["recordId"], "bad");
    assert_eq!(results[3]["error"]["errors"].as_array().map(Vec::len), Some(2));
    for i in [4, 7] {
        assert_eq!(results[i]["recordId"], Value::Null);
        check_problem(&results[i]["error"], 422, "rejected");
    }
    for i in [0, 1, 5, 8] {
        assert!(results[i].get("error").is_none());
    }
}

#[test]
fn failed_results_alone_can_be_asked_for() {
    let service = Service::start();
    let http = service.http();
    let batch = json!([
        record("a"),
        record_with("b", json!({"value": "x"})),
        record("a"),
        record_with("a", json!({"value": "1"}))
    ]);
    let answer = http.post(&format!("{PATH}?results=failed"), batch.to_string()).expect_status(200).json();
    let counts = ["processed", "duplicates", "conflicts", "rejected"].map(|name| answer[name].as_u64());
    assert_eq!(counts, [Some(1), Some(1), Some(1), Some(1)]);
    let results = answer["results"].as_array().expect("a list");
    let seen: Vec<(u64, &str)> =
        results.iter().map(|r| (r["index"].as_u64().expect("n"), r["outcome"].as_str().expect("s"))).collect();
    assert_eq!(seen, [(1, "rejected"), (3, "conflict")]);
}

#[test]
fn an_empty_batch_is_answered() {
    let service = Service::start();
    let answer = service.http().post(PATH, "[]").expect_status(200);
    let empty = json!({"processed": 0, "duplicates": 0, "conflicts": 0, "rejected": 0, "results": []});
    assert_eq!(answer.json(), empty);
}

#[test]
fn a_batch_that_is_no_array_is_refused_whole() {
    let service = Service::start();
    let http = service.http();
    let good = record("a").to_string();
    for body in [
        "",
        "[",
        &format!("[{good}"),
        &format!("[{good},]"),
        &format!("[{good}]]"),
        &format!("[{good}] x"),
        "[\"\\ud800\"]",
    ] {
        http.post(PATH, body.to_owned()).problem(400, "not-json");
    }
    for body in [&good, "null", "7", "\"a\""] {
        let answer = http.post(PATH, body.to_owned());
        assert!([400, 422].contains(&answer.status), "{body}: {}", answer.text());
        assert_eq!(answer.header("content-type"), Some("application/problem+json"));
    }
    http.get("/v1/records/a").problem(404, "not-found");
}

#[test]
fn ten_thousand_records_fit_and_one_more_does_not() {
    let service = Service::start();
    let http = service.http();
    let mut records = many("r", 10_000);
    let answer = http.batch(&records);
    assert_eq!(answer["processed"], 10_000);
    assert_eq!(answer["results"].as_array().map(Vec::len), Some(10_000));
    records.push(nth("r", 10_000));
    http.post(PATH, Value::from(records).to_string()).problem(413, "too-large");
    http.get("/v1/records/r-010000").problem(404, "not-found");
}

#[test]
fn sixteen_mib_fit_and_one_byte_more_does_not() {
    const MAX: usize = 16 * 1024 * 1024;
    let service = Service::start();
    let http = service.http();
    let body = |id: &str, bytes: usize| {
        let batch = json!([record(id)]).to_string();
        format!("{batch}{}", " ".repeat(bytes - batch.len()))
    };
    assert_eq!(http.post(PATH, body("fits", MAX)).status, 200);
    http.post(PATH, body("does-not", MAX + 1)).problem(413, "too-large");
    http.get("/v1/records/does-not").problem(404, "not-found");
}

#[test]
fn a_batch_of_one_media_type_only() {
    let service = Service::start();
    let http = service.http();
    let body = json!([record("a")]).to_string();
    for media_type in ["text/plain", "application/xml", "application/jsonx", "multipart/form-data", "nonsense"] {
        http.post_as(media_type, PATH, body.clone()).problem(415, "unsupported-media-type");
        http.post_as(media_type, "/v1/records", record("a").to_string()).problem(415, "unsupported-media-type");
    }
    http.post_as("application/x-ndjson", "/v1/records", record("a").to_string()).problem(415, "unsupported-media-type");
    for media_type in ["application/json; charset=utf-8", "Application/JSON", "application/json;charset=UTF-8"] {
        assert_eq!(http.post_as(media_type, PATH, body.clone()).status, 200, "{media_type}");
    }
    assert_eq!(http.post_as("Application/X-NDJSON; charset=utf-8", PATH, record("b").to_string()).status, 200);
}

#[test]
fn results_of_a_batch_bear_no_null_members() {
    let service = Service::start();
    let answer = service.http().post(PATH, json!([record("a"), record("a")]).to_string()).expect_status(200);
    let results = answer.json()["results"].clone();
    for result in results.as_array().expect("a list") {
        let object = result.as_object().expect("an object");
        assert!(object.values().all(|value| !value.is_null()), "{result}");
    }
    assert!(
        answer.text().starts_with("{\"processed\":1,\"duplicates\":1,\"conflicts\":0,\"rejected\":0,\"results\":[{")
    );
}

/// The largest results that there can be: a batch of 4 MB whose results are forty times as large.
#[test]
fn a_batch_with_large_results_and_pages_of_them_fit_into_512_mib() {
    // From the start: the allocator reserves more where it may.
    let service = Service::start_with(Options::new().limit("-d 524288"));
    let http = service.http();
    let large = |n: usize| record_with(&format!("r{n}"), json!({"unit": format!("{:𝄞>20}", n % 100)}));
    let batch: Vec<Value> = (0..10_000).map(large).collect();
    let answer = http.post(PATH, Value::from(batch).to_string()).expect_status(200);
    let text = answer.text();
    assert!(
        text.starts_with(
            "{\"processed\":10000,\"duplicates\":0,\"conflicts\":0,\"rejected\":0,\"results\":[{\"index\":0"
        )
    );
    assert!(text.ends_with("]}"), "it is whole");
    assert_eq!(text.matches("\"outcome\":\"processed\",\"sequence\":").count(), 10_000);
    assert!(text.len() > 150_000_000, "the results are large: {}", text.len());
    drop(answer);

    std::thread::scope(|scope| {
        for path in ["/v1/records?limit=1000", "/v1/notifications?limit=1000"].into_iter().cycle().take(6) {
            let http = service.http();
            scope.spawn(move || assert!(http.get(path).expect_status(200).text().len() < 8_000_000, "{path}"));
        }
    });
    assert_eq!(http.get("/v1/records/r9999").expect_status(200).json()["sequence"], 10_000);
}
