//! Stored records, running summaries and aggregates.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use serde_json::{Value, json};

use crate::records::batches::heavy;
use crate::support::raw::exchange;
use crate::support::service::{Service, record, various};

/// Follows the links from a first page to the last, and returns what each page has under `member`.
async fn pages(service: &Service, first: &str, member: &str) -> Vec<Vec<Value>> {
    let (mut pages, mut path) = (Vec::new(), Some(first.to_owned()));
    while let Some(this) = path {
        let answer = service.get(&this).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        pages.push(answer.json()[member].as_array().unwrap().clone());
        path = answer.next();
        assert!(pages.len() < 1_000, "the pages have no end");
    }
    pages
}

fn ids(records: &[Value]) -> Vec<&str> {
    records.iter().map(|record| record["recordId"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_record_is_read_as_it_was_stored() {
    let service = Service::start().await;
    let mut odd = record("a/b ü%");
    odd["value"] = json!("1200.50");
    service.post_record(&odd).await;
    let answer = service.get("/v1/records/a%2Fb%20%C3%BC%25").await;
    assert_eq!(answer.status, 200);
    let json = answer.json();
    for (name, value) in odd.as_object().unwrap() {
        assert_eq!(&json[name], value);
    }
    assert_eq!(json["sequence"], 1);
    assert_eq!(json["previous"]["count"], 0);
    assert_eq!(json["alerts"], json!(["large"]));
    assert!(json["processedAt"].is_string());
}

#[tokio::test]
async fn a_record_named_batch_can_be_read_too() {
    let service = Service::start().await;
    assert_eq!(service.post_record(&record("batch")).await.status, 201);
    assert_eq!(service.get("/v1/records/batch").await.json()["recordId"], "batch");
}

#[tokio::test]
async fn what_is_not_there_is_not_found_whether_it_could_be_or_not() {
    let service = Service::start().await;
    service.get("/v1/records/a").await.is_problem(404, "not-found");
    service.get("/v1/records/%00").await.is_problem(404, "not-found");
    service.get(&format!("/v1/records/{}", "x".repeat(256))).await.is_problem(404, "not-found");
}

#[tokio::test]
async fn the_pages_of_records_are_all_records_in_their_order() {
    let service = Service::start().await;
    let records = various(250);
    service.store_all(&records).await;
    let mut expect: Vec<(&str, &str)> =
        records.iter().map(|r| (r["time"].as_str().unwrap(), r["recordId"].as_str().unwrap())).collect();
    expect.sort_unstable();
    let expect: Vec<&str> = expect.into_iter().map(|(_, id)| id).collect();
    for (limit, lens) in [(7, 36), (250, 1), (249, 2), (1000, 1)] {
        let pages = pages(&service, &format!("/v1/records?limit={limit}"), "records").await;
        assert_eq!(pages.len(), lens);
        assert_eq!(ids(&pages.concat()), expect);
    }
    assert_eq!(
        pages(&service, "/v1/records", "records").await.iter().map(Vec::len).collect::<Vec<_>>(),
        [100, 100, 50]
    );
}

#[tokio::test]
async fn records_come_newest_first_and_by_the_rules_that_they_met_where_asked_to() {
    let service = Service::start().await;
    let mut records = various(60);
    for large in records.iter_mut().step_by(7) {
        large["value"] = json!("1001");
    }
    service.store_all(&records).await;
    let mut expect: Vec<&Value> = records.iter().collect();
    expect.sort_by_key(|r| std::cmp::Reverse((r["time"].as_str().unwrap(), r["recordId"].as_str().unwrap())));
    let all: Vec<&str> = expect.iter().map(|r| r["recordId"].as_str().unwrap()).collect();
    assert_eq!(ids(&pages(&service, "/v1/records?order=newest&limit=7", "records").await.concat()), all);
    let is_large = |r: &&&Value| r["value"] == "1001";
    let large: Vec<&str> = expect.iter().filter(is_large).map(|r| r["recordId"].as_str().unwrap()).collect();
    for query in ["alerting=true", "rule=large", "alerting=true&rule=large"] {
        let path = format!("/v1/records?order=newest&limit=2&{query}");
        assert_eq!(ids(&pages(&service, &path, "records").await.concat()), large, "{query}");
    }
    let oldest: Vec<&str> = large.iter().rev().copied().collect();
    let path = "/v1/records?alerting=true&order=oldest";
    assert_eq!(ids(&pages(&service, path, "records").await.concat()), oldest);
    assert_eq!(service.get("/v1/records?rule=other").await.json()["records"], json!([]));
    for query in ["order=descending", "order=", "alerting=yes", "alerting=false", "rule=", "rule=a%25", "rule=A"] {
        service.get(&format!("/v1/records?{query}")).await.is_problem(400, "bad-parameter");
    }
}

#[tokio::test]
async fn the_pages_of_a_filter_are_its_records_alone() {
    let service = Service::start().await;
    let records = various(200);
    service.store_all(&records).await;
    let pages =
        pages(&service, "/v1/records?limit=3&reference=r%261&destinationId=d+2/%C3%BC&type=positive", "records").await;
    let mut found: Vec<String> = ids(&pages.concat()).into_iter().map(str::to_owned).collect();
    let wanted = |r: &&Value| r["reference"] == "r&1" && r["destinationId"] == "d 2/ü" && r["type"] == "positive";
    let mut expect: Vec<&str> = records.iter().filter(wanted).map(|r| r["recordId"].as_str().unwrap()).collect();
    found.sort();
    expect.sort_unstable();
    assert!(expect.len() > 3);
    assert_eq!(found, expect);
}

#[tokio::test]
async fn a_time_bound_with_a_bare_plus_sign_is_understood() {
    let service = Service::start().await;
    service.post_record(&record("a")).await;
    let at = |query: &str| format!("/v1/records?{query}");
    let found = service.get(&at("start=2013-01-01T11:00:00+01:00&end=2013-01-01T11:00:00.0000001+01:00")).await.json();
    assert_eq!(ids(found["records"].as_array().unwrap()), ["a"]);
    let none = service.get(&at("end=2013-01-01T11:00:00%2B01:00")).await.json();
    assert_eq!(none, json!({ "records": [], "next": null }));
}

#[tokio::test]
async fn the_summaries_of_a_destination_come_by_reference() {
    let service = Service::start().await;
    service.store_all(&various(140)).await;
    let whole = service.get("/v1/summaries/d%201%2F%C3%BC").await;
    let json = whole.json();
    assert_eq!(json["destinationId"], "d 1/ü");
    let summaries = json["summaries"].as_array().unwrap();
    let references: Vec<&str> = summaries.iter().map(|s| s["reference"].as_str().unwrap()).collect();
    assert_eq!(references, ["r&0", "r&1", "r&2", "r&3", "r&4"]);
    assert_eq!(whole.next(), None);
    for summary in summaries {
        assert_eq!(summary["sequence"], 4);
        assert_eq!(summary["count"], 4);
        assert!(summary["totals"][0]["net"].is_string() && summary["firstTime"].is_string());
    }
    let pages = pages(&service, "/v1/summaries/d%201%2F%C3%BC?limit=2", "summaries").await;
    assert_eq!(pages.iter().map(Vec::len).collect::<Vec<_>>(), [2, 2, 1]);
    assert_eq!(&pages.concat(), summaries);

    let one = service.get("/v1/summaries/d%201%2F%C3%BC?reference=r%263").await.json();
    assert_eq!(one["summaries"], json!([summaries[3]]));
    let unknown = service.get("/v1/summaries/nowhere").await;
    assert_eq!(
        (unknown.status, unknown.json()),
        (200, json!({ "destinationId": "nowhere", "summaries": [], "next": null }))
    );
}

/// Checks a group against the records it should be made of.
#[track_caller]
fn check_group(group: &Value, records: &[Value]) {
    let of_group: Vec<&Value> = records.iter().filter(|r| r["destinationId"] == group["destinationId"]).collect();
    assert_eq!(group["count"], of_group.len());
    let mut expect: Vec<(&str, &str)> =
        of_group.iter().map(|r| (r["time"].as_str().unwrap(), r["recordId"].as_str().unwrap())).collect();
    expect.sort_unstable();
    assert_eq!(group["firstTime"], expect[0].0);
    let listed = group["records"].as_array().unwrap();
    assert_eq!(ids(listed), expect.into_iter().map(|(_, id)| id).collect::<Vec<_>>());
    let counted: u64 = group["totals"].as_array().unwrap().iter().map(|t| t["count"].as_u64().unwrap()).sum();
    assert_eq!(counted, of_group.len() as u64);
    assert!(listed.iter().all(|r| r["sequence"].is_u64() && r["processedAt"].is_string()));
}

#[tokio::test]
async fn aggregates_are_groups_with_their_totals_and_records() {
    let service = Service::start().await;
    let records = various(3_000);
    service.store_all(&records).await;
    let answer = service.get("/v1/aggregates").await;
    let json = answer.json();
    assert_eq!((answer.header("content-type"), answer.next()), ("application/json", None));
    assert_eq!((&json["groupCount"], &json["recordCount"]), (&json!(7), &json!(3_000)));
    let groups = json["groups"].as_array().unwrap();
    assert!(groups.is_sorted_by_key(|group| group["destinationId"].as_str().unwrap().to_owned()));
    groups.iter().for_each(|group| check_group(group, &records));

    let totals = service.get("/v1/aggregates?records=false").await.json();
    assert_eq!((&totals["groupCount"], &totals["recordCount"]), (&json!(7), &json!(3_000)));
    for (mut group, total) in groups.iter().cloned().zip(totals["groups"].as_array().unwrap()) {
        group.as_object_mut().unwrap().remove("records");
        assert_eq!(&group, total);
    }

    let pages = pages(&service, "/v1/aggregates?limit=3", "groups").await;
    assert_eq!(pages.iter().map(Vec::len).collect::<Vec<_>>(), [3, 3, 1]);
    assert_eq!(&pages.concat(), groups);
}

#[tokio::test]
async fn aggregates_come_a_group_a_line_to_who_asks_for_lines() {
    let service = Service::start().await;
    service.store_all(&various(300)).await;
    let request =
        service.client.get(service.url("/v1/aggregates?type=positive")).header("accept", "application/x-ndjson");
    let response = request.send().await.unwrap();
    assert_eq!(response.headers()["content-type"], "application/x-ndjson");
    let text = response.text().await.unwrap();
    let groups: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let json = service.get("/v1/aggregates?type=positive").await.json();
    assert_eq!(json["groups"], Value::from(groups));
}

#[tokio::test]
async fn aggregates_of_nothing_are_empty() {
    let service = Service::start().await;
    let expect = json!({ "groups": [], "groupCount": 0, "recordCount": 0, "next": null });
    assert_eq!(service.get("/v1/aggregates").await.json(), expect);
    assert_eq!(service.get("/v1/aggregates?records=false").await.json(), expect);
    let lines = service.client.get(service.url("/v1/aggregates")).header("accept", "application/x-ndjson");
    assert_eq!(lines.send().await.unwrap().text().await.unwrap(), "");
}

#[tokio::test]
async fn aggregates_that_fail_on_the_way_break_the_connection() {
    let service = Service::start().await;
    service.store_all(&various(2_000)).await;
    let parts: BTreeMap<&str, usize> = [("at once", 0), ("after the first group", 1), ("after its records", 2)].into();
    for (when, left) in parts {
        service.store.parts_left.store(left, Ordering::SeqCst);
        for accept in ["application/json", "application/x-ndjson"] {
            let broken = service.client.get(service.url("/v1/aggregates")).header("accept", accept).send().await;
            let broken = match broken {
                Ok(response) => response.bytes().await.is_err(),
                Err(_) => true,
            };
            assert!(broken, "{when}: {accept}");
        }
        let raw = exchange(service.addr, "GET /v1/aggregates HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
        assert!(!raw.ends_with("0\r\n\r\n"), "{when}: {raw:?}");
    }
    service.store.parts_left.store(1 << 20, Ordering::SeqCst);
    assert_eq!(service.get("/v1/aggregates").await.json()["recordCount"], 2_000);
}

/// Reads pages of a thousand to the end: their bodies.
async fn bounded_pages(service: &Service, path: &str) -> Vec<Value> {
    let mut address = format!("{path}?limit=1000");
    let mut pages = Vec::new();
    loop {
        let page = service.get(&address).await;
        assert_eq!(page.status, 200);
        assert!(page.body.len() < 6 * 1024 * 1024, "{path}: {}", page.body.len());
        pages.push(page.json());
        let Some(next) = page.next() else { return pages };
        assert!(page.json()["next"].is_string());
        address = next;
    }
}

#[tokio::test]
async fn pages_of_large_records_end_early_and_say_where_to_go_on() {
    let service = Service::start().await;
    let records: Vec<Value> = (0..800).map(heavy).collect();
    service.store_all(&records).await;
    let read = bounded_pages(&service, "/v1/records").await;
    let ids: Vec<&Value> =
        read.iter().flat_map(|page| page["records"].as_array().unwrap()).map(|r| &r["recordId"]).collect();
    assert!(
        read.len() > 2 && ids.iter().copied().eq(records.iter().map(|record| &record["recordId"])),
        "{}",
        read.len()
    );

    let (mut after, mut found, mut read) = ("0".to_owned(), Vec::new(), 0);
    loop {
        let page = service.get(&format!("/v1/notifications?limit=1000&after={after}")).await;
        assert!(page.body.len() < 6 * 1024 * 1024, "{}", page.body.len());
        let page = page.json();
        let messages = page["messages"].as_array().unwrap();
        if messages.is_empty() {
            break;
        }
        found.extend(messages.iter().map(|message| message["id"].clone()));
        (after, read) = (page["next"].as_str().unwrap().to_owned(), read + 1);
    }
    assert!(read > 2 && found.iter().eq(records.iter().map(|record| &record["recordId"])), "{read}");
}

#[tokio::test]
async fn pages_of_large_summaries_end_early_and_say_where_to_go_on() {
    let service = Service::start().await;
    let of = |n: usize| {
        let mut record = heavy(n);
        record["reference"] = json!(format!("{:03}", n / 100));
        record
    };
    let records: Vec<Value> = (0..40_000).map(of).collect();
    service.store_all(&records).await;
    let read = bounded_pages(&service, "/v1/summaries/IAH").await;
    let references = read.iter().flat_map(|page| page["summaries"].as_array().unwrap()).map(|s| s["reference"].clone());
    assert!(read.len() > 1 && references.eq((0..400).map(|n| json!(format!("{n:03}")))), "{}", read.len());
}
