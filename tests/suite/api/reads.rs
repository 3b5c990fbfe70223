//! Stored records and running summaries: filters, order, pages.

use serde_json::{Value, json};
use tallyhouse_tests::clients::http::Client;
use tallyhouse_tests::data::records::{many, record, record_with};
use tallyhouse_tests::data::sums;
use tallyhouse_tests::servers::service::Service;

fn ids(page: &Value) -> Vec<&str> {
    let records = page["records"].as_array().expect("a list");
    records.iter().map(|record| record["recordId"].as_str().expect("an id")).collect()
}

fn id_list(http: &Client, query: &str) -> Vec<String> {
    let page = http.get(&format!("/v1/records{query}")).expect_status(200).json();
    ids(&page).into_iter().map(str::to_owned).collect()
}

#[test]
fn a_stored_record_is_the_eight_fields_and_what_became_of_it() {
    let service = Service::start();
    let http = service.http();
    let processed = http.record(&record("a")).expect_status(201).json();
    let at = processed["processedAt"].as_str().expect("a time");
    let answer = http.get("/v1/records/a").expect_status(200);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let expected = format!(
        "{{\"recordId\":\"a\",\"time\":\"2013-01-01T10:00:00Z\",\"sourceId\":\"UA\",\"destinationId\":\"IAH\",\
         \"type\":\"positive\",\"value\":\"11\",\"unit\":\"minute\",\"reference\":\"EWR\",\"sequence\":1,\
         \"processedAt\":\"{at}\",\"previous\":{{\"count\":0,\"firstTime\":null,\"lastTime\":null,\"totals\":[]}},\"alerts\":[]}}"
    );
    assert_eq!(answer.text().trim_end(), expected);
    assert_eq!(http.get("/v1/records").json()["records"][0], answer.json());
    http.get("/v1/records/b").problem(404, "not-found");
    http.get(&format!("/v1/records/{}", "x".repeat(256))).problem(404, "not-found");
}

#[test]
fn path_parts_are_percent_decoded() {
    let service = Service::start();
    let http = service.http();
    for id in ["a/b", "50%", "a b", "ü"] {
        assert_eq!(http.record(&record_with(id, json!({"destinationId": id}))).status, 201);
    }
    for (path, id) in [("a%2Fb", "a/b"), ("50%25", "50%"), ("a%20b", "a b"), ("%C3%BC", "ü"), ("%c3%bc", "ü")] {
        assert_eq!(http.get(&format!("/v1/records/{path}")).expect_status(200).json()["recordId"], id);
        let summaries = http.get(&format!("/v1/summaries/{path}")).expect_status(200).json();
        assert_eq!(summaries["destinationId"], id);
        assert_eq!(summaries["summaries"][0]["count"], 1);
    }
    http.get("/v1/records/a+b").problem(404, "not-found");
    for bad in ["%ff", "%C3"] {
        let answer = http.get(&format!("/v1/records/{bad}"));
        assert!([400, 404].contains(&answer.status), "{bad}: {}", answer.text());
        assert_eq!(answer.header("content-type"), Some("application/problem+json"));
    }
}

#[test]
fn records_come_by_time_then_id_in_bytes() {
    let service = Service::start();
    let http = service.http();
    let sent: Vec<Value> = [("b", 2), ("Z", 2), ("a", 2), ("é", 2), ("zz", 1), ("A", 3), ("𝔘", 2), ("\u{fffd}", 2)]
        .map(|(id, second)| record_with(id, json!({"time": format!("2013-01-01T10:00:0{second}Z")})))
        .to_vec();
    http.batch(&sent);
    assert_eq!(id_list(&http, ""), ["zz", "Z", "a", "b", "é", "\u{fffd}", "𝔘", "A"]);
}

/// Says whether a filter should keep a record.
type Keep = fn(&Value) -> bool;

#[test]
fn filters_are_combined_with_and() {
    let service = Service::start();
    let http = service.http();
    let sent = many("r", 300);
    http.batch(&sent);
    #[rustfmt::skip]
    let queries: [(&str, Keep); 9] = [
        ("type=negative", |r| r["type"] == "negative"),
        ("destinationId=D3", |r| r["destinationId"] == "D3"),
        ("sourceId=S4", |r| r["sourceId"] == "S4"),
        ("reference=", |r| r["reference"] == ""),
        ("reference=R2&unit=EUR", |r| r["reference"] == "R2" && r["unit"] == "EUR"),
        ("unit=minute&type=positive&destinationId=D1", |r| r["unit"] == "minute" && r["type"] == "positive" && r["destinationId"] == "D1"),
        ("start=2013-01-10T00:00:00Z&end=2013-01-20T00:00:00Z", |r| ("2013-01-10"..="2013-01-19T24").contains(&r["time"].as_str().unwrap())),
        ("start=2013-01-10T01:00:00%2B01:00&sourceId=S0", |r| r["time"].as_str().unwrap() >= "2013-01-10" && r["sourceId"] == "S0"),
        ("destinationId=nowhere", |_| false),
    ];
    for (query, keep) in queries {
        let mut expected: Vec<(&str, &str)> = sent
            .iter()
            .filter(|r| keep(r))
            .map(|r| (r["time"].as_str().unwrap(), r["recordId"].as_str().unwrap()))
            .collect();
        expected.sort_unstable();
        let expected: Vec<&str> = expected.into_iter().map(|(_, id)| id).collect();
        assert_eq!(id_list(&http, &format!("?{query}&limit=1000")), expected, "{query}");
        let groups = http.get(&format!("/v1/aggregates?{query}")).expect_status(200).json();
        assert_eq!(groups["recordCount"], expected.len(), "{query}");
    }
}

#[test]
fn start_is_inclusive_and_end_exclusive_and_both_round_up() {
    let service = Service::start();
    let http = service.http();
    let at = |id: &str, micros: &str| record_with(id, json!({"time": format!("2013-01-01T10:00:00.{micros}Z")}));
    http.batch(&[at("1", "000001"), at("2", "000002"), at("3", "000003")]);
    #[rustfmt::skip]
    let cases = [
        ("?start=2013-01-01T10:00:00.000002Z", vec!["2", "3"]),
        ("?end=2013-01-01T10:00:00.000002Z", vec!["1"]),
        ("?start=2013-01-01T10:00:00.000001001Z", vec!["2", "3"]),
        ("?end=2013-01-01T10:00:00.000002001Z", vec!["1", "2"]),
        ("?start=2013-01-01T10:00:00.000002Z&end=2013-01-01T10:00:00.000002Z", vec![]),
        ("?start=2013-01-01T10:00:00.000003Z&end=2013-01-01T10:00:00Z", vec![]),
        ("?start=0001-01-01T00:00:00Z&end=9999-12-31T23:59:59.9999999Z", vec!["1", "2", "3"]),
    ];
    for (query, expected) in cases {
        assert_eq!(id_list(&http, query), expected, "{query}");
    }
}

#[test]
fn pages_follow_their_links_and_lose_nothing() {
    let service = Service::start();
    let http = service.http();
    let sent = many("r", 250);
    http.batch(&sent);
    let whole = id_list(&http, "?limit=1000");
    assert_eq!(whole.len(), 250);
    let default = http.get("/v1/records").expect_status(200);
    assert_eq!(ids(&default.json()).len(), 100);
    assert!(default.header("link").is_some());
    for query in ["", "?limit=1", "?limit=7", "?limit=125", "?limit=249", "?limit=250", "?limit=1000"] {
        if query == "?limit=1" {
            let first = http.get("/v1/records?limit=1").next_link().expect("more");
            assert!(first.contains("limit=1"), "the link keeps the limit: {first}");
            continue;
        }
        let pages = http.pages(&format!("/v1/records{query}"));
        let all: Vec<&str> = pages.iter().flat_map(ids).collect();
        assert_eq!(all, whole, "{query}");
        assert!(
            pages.len() == 1 || !ids(pages.last().expect("a page")).is_empty(),
            "no empty page at the end: {query}"
        );
    }
    // Filters go along with the cursor.
    let filtered: Vec<Value> = http.pages("/v1/records?unit=EUR&reference=&limit=10");
    let all: Vec<&str> = filtered.iter().flat_map(ids).collect();
    assert_eq!(all, id_list(&http, "?unit=EUR&reference=&limit=1000"));
    assert!(filtered.len() > 2);
}

#[test]
fn a_page_is_not_moved_by_records_that_come_between() {
    let service = Service::start();
    let http = service.http();
    let sent = many("r", 40);
    http.batch(&sent);
    let before = id_list(&http, "");
    let first = http.get("/v1/records?limit=20");
    http.record(&record_with("early", json!({"time": "2012-12-31T00:00:00Z"})));
    let second = http.get(&first.next_link().expect("more")).json();
    let both: Vec<String> = ids(&first.json()).into_iter().chain(ids(&second)).map(str::to_owned).collect();
    assert_eq!(both, before);
}

#[test]
fn bad_parameters_are_named() {
    let service = Service::start();
    let http = service.http();
    let paths = ["/v1/records", "/v1/aggregates"];
    #[rustfmt::skip]
    let queries = [
        ("limit=0", "limit"), ("limit=1001", "limit"), ("limit=-1", "limit"), ("limit=x", "limit"), ("limit=", "limit"), ("limit=1.5", "limit"),
        ("limit=99999999999999999999999", "limit"), ("limit=%2B5", "limit"), ("start=yesterday", "start"), ("end=2013-01-01", "end"), ("start=", "start"),
        ("type=neutral", "type"), ("type=", "type"), ("destinationId=", "destinationId"), ("unit=", "unit"), ("sourceId=", "sourceId"),
        ("unit=a%00b", "unit"), ("cursor=nonsense", "cursor"), ("cursor=", "cursor"), ("destinationid=x", "destinationid"), ("foo=1", "foo"),
        ("unit=EUR&unit=EUR", "unit"), ("limit=5&limit=6", "limit"), ("type=positive&type=positive", "type"), ("reference=&reference=", "reference"),
    ];
    for path in paths {
        for (query, name) in queries {
            if path == "/v1/aggregates" && query == "limit=1001" {
                continue;
            }
            let answer = http.get(&format!("{path}?{query}"));
            assert_eq!(answer.status, 400, "{path}?{query}: {}", answer.text());
            let problem = answer.problem(400, "bad-parameter");
            assert!(problem["detail"].as_str().is_some_and(|detail| detail.contains(name)), "{query}: {problem}");
        }
    }
    for path in [
        "/v1/records/a?x=1",
        "/v1/summaries/a?limit=0",
        "/v1/summaries/a?unit=EUR",
        "/v1/summaries/a?reference=a&reference=b",
    ] {
        http.get(path).problem(400, "bad-parameter");
    }
    for path in
        ["/v1/aggregates?records=maybe", "/v1/aggregates?records=", "/v1/aggregates?records=false&records=false"]
    {
        http.get(path).problem(400, "bad-parameter");
    }
    for path in [
        "/v1/records/batch?results=all-of-them",
        "/v1/records/batch?x=1",
        "/v1/records/batch?results=failed&results=failed",
    ] {
        http.post(path, "[]").problem(400, "bad-parameter");
    }
    http.post("/v1/records?x=1", record("a").to_string()).problem(400, "bad-parameter");
    http.get("/v1/records/a").problem(404, "not-found");
}

#[test]
fn a_cursor_of_one_query_is_not_taken_for_another_kind() {
    let service = Service::start();
    let http = service.http();
    http.batch(&many("r", 50));
    let next = http.get("/v1/records?limit=10").next_link().expect("more");
    let cursor = next.split("cursor=").nth(1).expect("a cursor").split('&').next().expect("a cursor");
    http.get(&format!("/v1/aggregates?limit=2&cursor={cursor}")).problem(400, "bad-parameter");
}

#[test]
fn summaries_are_kept_per_reference() {
    let service = Service::start();
    let http = service.http();
    let sent = many("r", 420);
    http.batch(&sent);
    let answer = http.get("/v1/summaries/D3").expect_status(200).json();
    assert_eq!(answer["destinationId"], "D3");
    let summaries = answer["summaries"].as_array().expect("a list");
    let references: Vec<&str> = summaries.iter().map(|s| s["reference"].as_str().expect("text")).collect();
    assert_eq!(references, ["", "R1", "R2"]);
    for summary in summaries {
        let mine = sent.iter().filter(|r| r["destinationId"] == "D3" && r["reference"] == summary["reference"]);
        let mut expected = sums::summary(mine);
        assert_eq!(summary["sequence"], expected["count"]);
        expected["reference"] = summary["reference"].clone();
        expected["sequence"] = summary["sequence"].clone();
        assert_eq!(*summary, expected);
    }
    for (query, expected) in [
        ("?reference=", vec![""]),
        ("?reference=R2", vec!["R2"]),
        ("?reference=nothing", vec![]),
        ("?limit=2", vec!["", "R1"]),
    ] {
        let answer = http.get(&format!("/v1/summaries/D3{query}")).expect_status(200);
        let found = answer.json()["summaries"].clone();
        let found: Vec<&str> =
            found.as_array().expect("a list").iter().map(|s| s["reference"].as_str().expect("text")).collect();
        assert_eq!(found, expected, "{query}");
        assert_eq!(answer.header("link").is_some(), query == "?limit=2");
    }
    let paged: usize =
        http.pages("/v1/summaries/D3?limit=1").iter().map(|p| p["summaries"].as_array().map_or(0, Vec::len)).sum();
    assert_eq!(paged, 3);
    let none = http.get("/v1/summaries/unknown").expect_status(200).json();
    assert_eq!(none, json!({"destinationId": "unknown", "summaries": [], "next": null}));
}
