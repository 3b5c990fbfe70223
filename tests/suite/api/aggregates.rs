//! Records grouped by destination: both forms, pages, one snapshot.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};
use tallyhouse_tests::clients::http::{Answer, Client, send};
use tallyhouse_tests::clients::wire::Wire;
use tallyhouse_tests::data::records::{many, record, record_with};
use tallyhouse_tests::data::sums;
use tallyhouse_tests::servers::service::Service;

fn as_lines(http: &Client, query: &str) -> Answer {
    send(http.request("GET", &format!("/v1/aggregates{query}")).header("accept", "application/x-ndjson"))
        .expect_status(200)
}

/// Groups records as the service should, without what only the service knows.
fn expected_groups(sent: &[Value]) -> Vec<Value> {
    let mut groups: BTreeMap<&str, Vec<&Value>> = BTreeMap::new();
    for record in sent {
        groups.entry(record["destinationId"].as_str().expect("text")).or_default().push(record);
    }
    let group = |(destination, mut records): (&str, Vec<&Value>)| {
        records.sort_by_key(|r| (r["time"].as_str(), r["recordId"].as_str()));
        let mut group = sums::summary(records.iter().copied());
        group["destinationId"] = json!(destination);
        group["records"] = json!(records);
        group
    };
    groups.into_iter().map(group).collect()
}

/// Takes away what only the service knows, after a look that it is there.
fn bare(mut group: Value) -> Value {
    for record in group["records"].as_array_mut().into_iter().flatten() {
        let record = record.as_object_mut().expect("an object");
        assert!(record.remove("sequence").is_some_and(|n| n.as_u64() > Some(0)));
        assert!(record.remove("processedAt").is_some_and(|at| at.is_string()));
        assert_eq!(record.len(), 8, "{record:?}");
    }
    group
}

#[test]
fn groups_hold_exact_totals_and_their_records() {
    let service = Service::start();
    let http = service.http();
    let sent = many("r", 500);
    http.batch(&sent);
    let answer = http.get("/v1/aggregates").expect_status(200);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let answer = answer.json();
    assert_eq!((&answer["groupCount"], &answer["recordCount"]), (&json!(7), &json!(500)));
    let groups: Vec<Value> = answer["groups"].as_array().expect("a list").iter().cloned().map(bare).collect();
    assert_eq!(groups, expected_groups(&sent));
}

#[test]
fn the_two_forms_say_the_same() {
    let service = Service::start();
    let http = service.http();
    http.batch(&many("r", 300));
    for query in ["", "?records=false", "?unit=EUR&records=true", "?destinationId=nowhere", "?limit=3"] {
        let whole = http.get(&format!("/v1/aggregates{query}")).expect_status(200);
        let lines = as_lines(&http, query);
        assert!(lines.header("content-type").unwrap_or_default().starts_with("application/x-ndjson"));
        assert_eq!(whole.json()["groups"], Value::from(lines.json_lines()), "{query}");
        assert_eq!(lines.next_link(), whole.next_link(), "{query}");
    }
}

#[test]
fn totals_alone_have_no_records() {
    let service = Service::start();
    let http = service.http();
    let sent = many("r", 100);
    http.batch(&sent);
    let answer = http.get("/v1/aggregates?records=false").expect_status(200).json();
    for (group, mut expected) in answer["groups"].as_array().expect("a list").iter().zip(expected_groups(&sent)) {
        expected.as_object_mut().expect("an object").remove("records");
        assert_eq!(*group, expected);
    }
    assert_eq!(answer["groupCount"], 7);
    assert_eq!(
        http.get("/v1/aggregates?records=true").json()["groups"][0]["records"].as_array().map(Vec::is_empty),
        Some(false)
    );
}

#[test]
fn an_empty_answer_is_an_answer_to_the_letter() {
    let service = Service::start();
    let answer = service.http().get("/v1/aggregates").expect_status(200);
    assert_eq!(answer.text().trim_end(), "{\"groups\":[],\"groupCount\":0,\"recordCount\":0,\"next\":null}");
    assert_eq!(answer.header("link"), None);
    assert_eq!(as_lines(&service.http(), "").text(), "");
}

#[test]
fn a_group_is_the_same_to_the_letter() {
    let service = Service::start();
    let http = service.http();
    let at = http.record(&record("a")).json()["processedAt"].as_str().expect("a time").to_owned();
    let expected = format!(
        "{{\"groups\":[{{\"destinationId\":\"IAH\",\"count\":1,\"firstTime\":\"2013-01-01T10:00:00Z\",\"lastTime\":\"2013-01-01T10:00:00Z\",\
         \"totals\":[{{\"unit\":\"minute\",\"count\":1,\"positive\":{{\"count\":1,\"sum\":\"11\"}},\"negative\":{{\"count\":0,\"sum\":\"0\"}},\"net\":\"11\"}}],\
         \"records\":[{{\"recordId\":\"a\",\"time\":\"2013-01-01T10:00:00Z\",\"sourceId\":\"UA\",\"destinationId\":\"IAH\",\"type\":\"positive\",\
         \"value\":\"11\",\"unit\":\"minute\",\"reference\":\"EWR\",\"sequence\":1,\"processedAt\":\"{at}\"}}]}}],\"groupCount\":1,\"recordCount\":1,\"next\":null}}"
    );
    assert_eq!(http.get("/v1/aggregates").text().trim_end(), expected);
}

#[test]
fn groups_sort_by_bytes_and_page_by_groups() {
    let service = Service::start();
    let http = service.http();
    let names = ["b", "Z", "a", "é", "zz", "𝔘", "\u{fffd}", "10", "9", "a b"];
    let sent: Vec<Value> = names.iter().map(|name| record_with(name, json!({"destinationId": name}))).collect();
    http.batch(&sent);
    let mut sorted = names.to_vec();
    sorted.sort_unstable();
    let read = |pages: Vec<Value>| -> Vec<String> {
        let groups = pages.iter().flat_map(|page| page["groups"].as_array().expect("a list"));
        groups.map(|group| group["destinationId"].as_str().expect("text").to_owned()).collect()
    };
    assert_eq!(read(vec![http.get("/v1/aggregates").json()]), sorted);
    for limit in [1, 3, 5, 9, 10, 11, 1000] {
        let pages = http.pages(&format!("/v1/aggregates?limit={limit}&records=false"));
        assert_eq!(pages.len(), names.len().div_ceil(limit), "limit {limit}: a link only while there is more");
        for page in &pages {
            assert_eq!(page["groupCount"].as_u64(), page["groups"].as_array().map(|groups| groups.len() as u64));
        }
        assert_eq!(read(pages), sorted);
    }
}

#[test]
fn a_filtered_total_is_that_of_the_records_listed() {
    let service = Service::start();
    let http = service.http();
    let sent = many("r", 200);
    http.batch(&sent);
    let answer = http.get("/v1/aggregates?unit=EUR&type=negative&start=2013-01-05T00:00:00Z").json();
    let kept: Vec<Value> = sent
        .into_iter()
        .filter(|r| r["unit"] == "EUR" && r["type"] == "negative" && r["time"].as_str() >= Some("2013-01-05"))
        .collect();
    let groups: Vec<Value> = answer["groups"].as_array().expect("a list").iter().cloned().map(bare).collect();
    assert_eq!(groups, expected_groups(&kept));
    assert_eq!(groups[0]["totals"][0]["positive"], json!({"count": 0, "sum": "0"}));
}

/// While a writer is at work, each answer is one snapshot: its totals are those of the records it lists, and the counts
/// at its end are those of what it holds.
#[test]
fn an_answer_is_one_snapshot_while_records_come_in() {
    let service = Service::start();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let http = service.http();
            for (i, chunk) in many("w", 6_000).chunks(40).enumerate() {
                assert_eq!(http.batch(chunk)["processed"], 40, "{i}");
            }
            done.store(true, Ordering::Release);
        });
        let http = service.http();
        let mut last_seen = 0;
        let mut answers = 0;
        while !done.load(Ordering::Acquire) || answers == 0 {
            let answer = http.get("/v1/aggregates").expect_status(200).json();
            let groups = answer["groups"].as_array().expect("a list");
            let records: Vec<Value> =
                groups.iter().flat_map(|g| g["records"].as_array().expect("a list")).cloned().collect();
            assert_eq!(answer["recordCount"], records.len());
            let plain = bare(json!({ "records": records }));
            let groups: Vec<Value> = groups.iter().cloned().map(bare).collect();
            assert_eq!(groups, expected_groups(plain["records"].as_array().expect("a list")));
            assert!(records.len() >= last_seen);
            last_seen = records.len();
            answers += 1;
        }
        writer.join().expect("the writer does not panic");
        assert!(answers > 1, "the reader came too late to see anything");
    });
}

/// An answer of some 70 MB, read slowly enough that a service without bounds would have to hold it.
#[test]
fn an_answer_of_any_size_is_streamed_in_bounded_memory() {
    const RECORDS: usize = 40_000;
    let service = Service::start();
    let long = |i: usize| {
        let (id, reference) = (format!("{i:0>250}"), "r".repeat(255));
        record_with(
            &id,
            json!({"reference": reference, "sourceId": "𝔘".repeat(255), "destinationId": format!("D{}", i % 2)}),
        )
    };
    let body: String = (0..RECORDS).map(|i| format!("{}\n", long(i))).collect();
    let counts = service.http().lines("?results=failed", body);
    assert_eq!(counts[0]["processed"], RECORDS);
    let before = service.memory_kib();
    for accept in ["application/json", "application/x-ndjson"] {
        let mut wire = Wire::connect(service.address());
        wire.head(&["GET /v1/aggregates", &format!("Accept: {accept}")]).expect("sent");
        let mut answer = wire.answer().expect("an answer");
        assert_eq!(answer.status, 200);
        let (mut buffer, mut bytes) = (vec![0; 64 * 1024], 0);
        loop {
            match answer.read(&mut buffer).expect("a whole answer") {
                0 => break,
                read => bytes += read,
            }
        }
        assert!(bytes > RECORDS * 1_500, "{bytes}");
    }
    let grown = service.memory_kib().saturating_sub(before);
    assert!(grown < 32 * 1024, "the service grew by {grown} KiB");
}
