//! Keys that are bound to prefixes: what they write in each way of writing, and that nothing else of the store is theirs.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use tallyhouse_http::{KeyRing, NewKey, Scope, WritePrefixes};
use tempfile::TempDir;

use crate::support::raw::Raw;
use crate::support::service::{Plan, Response, Service, record};

const NDJSON: &str = "application/x-ndjson";
const EVENTS: &str = "application/cloudevents-batch+json";

/// A service with a key that is bound to a source, one that is bound to a source and a destination, and one that is not.
struct Bound {
    service: Service,
    source: NewKey,
    both: NewKey,
    free: NewKey,
    folder: TempDir,
}

impl Bound {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let key = |source: Option<&str>, destination: Option<&str>| {
            let prefixes = WritePrefixes::new(source, destination).unwrap();
            NewKey::make_bound("a", &[Scope::Ingest], &prefixes).unwrap()
        };
        let (source, both) = (key(Some("till-"), None), key(Some("till-"), Some("shop-9/")));
        let free = NewKey::make("free", &[Scope::Ingest, Scope::Read]).unwrap();
        let path = folder.path().join("keys.toml");
        fs::write(&path, format!("{}{}{}", source.entry(), both.entry(), free.entry())).unwrap();
        let keys = Some(Arc::new(KeyRing::open(path).unwrap()));
        let service = Plan { keys, ..Plan::default() }.start().await;
        Self { service, source, both, free, folder }
    }

    fn request(&self, method: Method, path: &str, key: &NewKey) -> RequestBuilder {
        let request = self.service.client.request(method, self.service.url(path));
        request.header(AUTHORIZATION, format!("Bearer {}", key.text()))
    }

    async fn post(&self, path: &str, key: &NewKey, media: &str, body: String) -> Response {
        let request = self.request(Method::POST, path, key).header(CONTENT_TYPE, media).body(body);
        Response::of(request.send().await.unwrap()).await
    }

    /// Sends one record in each way in which one is sent.
    async fn write(&self, key: &NewKey, way: Way, record: &Value) -> Response {
        match way {
            Way::Json => self.post("/v1/records", key, "application/json", record.to_string()).await,
            Way::Event | Way::PackedEvent => {
                let event = event(record, way == Way::PackedEvent).to_string();
                self.post("/v1/records", key, "application/cloudevents+json", event).await
            }
            Way::BinaryEvent => {
                let mut request = self.request(Method::POST, "/v1/records", key);
                for (name, value) in [("specversion", "1.0"), ("id", "e"), ("source", "/s"), ("type", "t")] {
                    request = request.header(format!("ce-{name}"), value);
                }
                let request = request.header(CONTENT_TYPE, "application/json").body(record.to_string());
                Response::of(request.send().await.unwrap()).await
            }
        }
    }

    /// Sends records in each way in which many are sent, and returns their results.
    async fn write_all(&self, key: &NewKey, media: &str, records: &[Value]) -> Vec<Value> {
        let body = match media {
            NDJSON => records.iter().map(|record| format!("{record}\n")).collect(),
            EVENTS => {
                let events = records.iter().enumerate();
                Value::from_iter(events.map(|(i, record)| event(record, i % 2 == 1))).to_string()
            }
            _ => json!(records).to_string(),
        };
        let answer = self.post("/v1/records/batch", key, media, body).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        if media == NDJSON {
            return answer.body.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        }
        answer.json()["results"].as_array().unwrap().clone()
    }

    /// Says whether a record is stored.
    async fn stores(&self, id: &str) -> bool {
        let answer = self.request(Method::GET, &format!("/v1/records/{id}"), &self.free).send().await.unwrap();
        answer.status() == 200
    }
}

/// A way of sending one record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Json,
    Event,
    PackedEvent,
    BinaryEvent,
}

const WAYS: [Way; 4] = [Way::Json, Way::Event, Way::PackedEvent, Way::BinaryEvent];

/// A CloudEvent that holds a record, as JSON or packed.
fn event(record: &Value, packed: bool) -> Value {
    let mut event = json!({ "specversion": "1.0", "id": "e", "source": "/s", "type": "t" });
    if packed {
        event["data_base64"] = STANDARD.encode(record.to_string()).into();
    } else {
        event["data"] = record.clone();
    }
    event
}

fn of(id: &str, source: &str, destination: &str) -> Value {
    let mut record = record(id);
    record["sourceId"] = source.into();
    record["destinationId"] = destination.into();
    record
}

#[tokio::test]
async fn a_bound_key_writes_single_records_within_its_prefixes_alone() {
    let bound = Bound::start().await;
    for (key, source, destination, faults) in [
        (&bound.source, "till-3", "anywhere", &[][..]),
        (&bound.source, "UA", "anywhere", &["sourceId must begin with \"till-\""]),
        (&bound.both, "till-3", "shop-9/a", &[]),
        (&bound.both, "till-3", "shop-91", &["destinationId must begin with \"shop-9/\""]),
        (
            &bound.both,
            "UA",
            "IAH",
            &["sourceId must begin with \"till-\"", "destinationId must begin with \"shop-9/\""],
        ),
        (&bound.free, "UA", "IAH", &[]),
    ] {
        for way in WAYS {
            let id = format!("{source}-{}-{way:?}", destination.replace('/', "-"));
            let answer = bound.write(key, way, &of(&id, source, destination)).await;
            assert_eq!(answer.status, if faults.is_empty() { 201 } else { 403 }, "{id}: {answer:?}");
            assert_eq!(bound.stores(&id).await, faults.is_empty(), "{id}");
            if faults.is_empty() {
                assert_eq!(bound.write(key, way, &of(&id, source, destination)).await.status, 200, "{id}");
                continue;
            }
            answer.is_problem(403, "forbidden");
            let place = if way == Way::Event { "/data/" } else { "/" };
            let detail = answer.json()["detail"].as_str().unwrap().to_owned();
            for fault in faults {
                assert!(detail.contains(&format!("{place}{fault} for this key")), "{id}: {detail}");
            }
        }
    }
}

#[tokio::test]
async fn a_record_that_is_none_is_refused_for_that_whatever_its_prefix() {
    let bound = Bound::start().await;
    let mut broken = of("a", "UA", "IAH");
    broken["unit"] = "".into();
    let answer = bound.write(&bound.both, Way::Json, &broken).await;
    answer.is_problem(422, "rejected");
    assert_eq!(answer.json()["errors"].as_array().unwrap().len(), 1, "{answer:?}");
}

#[tokio::test]
async fn in_a_batch_a_record_outside_the_prefixes_is_rejected_alone() {
    let bound = Bound::start().await;
    for (media, data) in [("application/json", ""), (NDJSON, ""), (EVENTS, "/data")] {
        let id = |i: usize| format!("{}-{i}", media.replace('/', "-"));
        let records = [
            of(&id(0), "till-3", "shop-9/a"),
            of(&id(1), "UA", "shop-9/a"),
            of(&id(2), "till-4", "shop-9/b"),
            of(&id(3), "till-4", "shop-8"),
            of(&id(4), "UA", "IAH"),
            of(&id(5), "till-4", "shop-9/c"),
        ];
        let results = bound.write_all(&bound.both, media, &records).await;
        let (source, destination) = ("/sourceId", "/destinationId");
        // Every other event is packed: pointers into the record are given.
        let expected: [&[String]; 6] = [
            &[],
            &[source.to_owned()],
            &[],
            &[destination.to_owned()],
            &[format!("{data}{source}"), format!("{data}{destination}")],
            &[],
        ];
        for (i, (result, faults)) in results.iter().zip(expected).enumerate() {
            assert_eq!((&result["index"], &result["recordId"]), (&json!(i), &json!(id(i))), "{result}");
            assert_eq!(bound.stores(&id(i)).await, faults.is_empty(), "{result}");
            if faults.is_empty() {
                assert_eq!(result["outcome"], "processed", "{result}");
                continue;
            }
            assert_eq!((&result["outcome"], &result["error"]["status"]), (&json!("rejected"), &json!(422)), "{result}");
            let errors = result["error"]["errors"].as_array().unwrap();
            let pointers: Vec<&str> = errors.iter().map(|error| error["pointer"].as_str().unwrap()).collect();
            assert_eq!(pointers, faults, "{result}");
        }
        assert_eq!(results.len(), records.len());
        let results =
            bound.write_all(&bound.source, media, &[of(&id(6), "till-1", "IAH"), of(&id(7), "UA", "IAH")]).await;
        let outcomes: Vec<&Value> = results.iter().map(|result| &result["outcome"]).collect();
        assert_eq!(outcomes, ["processed", "rejected"], "{results:?}");
    }
}

#[tokio::test]
async fn a_bound_key_reads_nothing_and_manages_nothing() {
    let bound = Bound::start().await;
    assert_eq!(bound.write(&bound.source, Way::Json, &of("a", "till-3", "IAH")).await.status, 201);
    for (method, path) in [
        (Method::GET, "/v1/records/a"),
        (Method::GET, "/v1/aggregates"),
        (Method::GET, "/v1/summaries/IAH"),
        (Method::GET, "/v1/notifications/stream"),
        (Method::GET, "/v1/export"),
        (Method::POST, "/v1/dead-letters/1-0/replay"),
        (Method::DELETE, "/v1/dead-letters/1-0"),
        (Method::DELETE, "/v1/alert-rules/large"),
    ] {
        let answer = Response::of(bound.request(method, path, &bound.source).send().await.unwrap()).await;
        answer.is_problem(403, "forbidden");
    }
}

/// The stored records differ in every field but their ids and what the senders may know.
#[tokio::test]
async fn a_conflict_with_a_record_outside_the_prefixes_names_the_bound_id_alone() {
    let bound = Bound::start().await;
    let conflicting = |id: &str, source: &str, destination: &str| {
        let mut other = of(id, source, destination);
        (other["value"], other["unit"]) = ("99".into(), "other".into());
        other
    };
    for (i, (key, stored, sent, differs)) in [
        (&bound.source, ("UA", "IAH"), ("till-3", "shop-9/a"), &["sourceId"][..]),
        (&bound.both, ("UA", "IAH"), ("till-3", "shop-9/a"), &["sourceId"]),
        (&bound.both, ("till-3", "IAH"), ("till-3", "shop-9/a"), &["destinationId"]),
        (&bound.both, ("till-3", "shop-9/a"), ("till-3", "shop-9/a"), &["value", "unit"]),
        (&bound.free, ("UA", "IAH"), ("till-3", "shop-9/a"), &["sourceId", "destinationId", "value", "unit"]),
    ]
    .into_iter()
    .enumerate()
    {
        let id = format!("c-{i}");
        assert_eq!(bound.write(&bound.free, Way::Json, &of(&id, stored.0, stored.1)).await.status, 201);
        let sent = conflicting(&id, sent.0, sent.1);
        let answer = bound.write(key, Way::Json, &sent).await;
        answer.is_problem(409, "conflict");
        assert_eq!(answer.json()["differs"], json!(differs), "{answer:?}");
        for media in ["application/json", NDJSON, EVENTS] {
            let results = bound.write_all(key, media, std::slice::from_ref(&sent)).await;
            assert_eq!(results[0]["outcome"], "conflict", "{results:?}");
            assert_eq!(results[0]["error"]["differs"], json!(differs), "{media}: {results:?}");
        }
    }
}

#[tokio::test]
async fn a_changed_prefix_holds_for_the_lines_to_come() {
    let bound = Bound::start().await;
    let mut raw = Raw::connect(bound.service.addr).await;
    let head = format!(
        "POST /v1/records/batch HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {}\r\ncontent-type: {NDJSON}\r\n\
         transfer-encoding: chunked\r\n\r\n",
        bound.source.text()
    );
    raw.send(head).await;
    let mut sent = 0;
    let mut answer = async |source: &str, expect: &str| {
        let line = format!("{}\n", of(&format!("l-{sent}"), source, "IAH"));
        raw.send(format!("{:x}\r\n{line}\r\n", line.len())).await;
        let result = raw.until("}\n").await;
        let outcome = format!("\"recordId\":\"l-{sent}\",\"outcome\":\"{expect}\"");
        assert!(result.contains(&outcome), "{source}: {result}");
        sent += 1;
    };
    answer("till-3", "processed").await;
    answer("UA", "rejected").await;

    let path = bound.folder.path().join("keys.toml");
    let changed = bound.source.entry().replace("till-", "UA");
    fs::write(&path, format!("{changed}{}", bound.free.entry())).unwrap();
    let knows = async || {
        let sees = bound.write(&bound.source, Way::Json, &of("probe", "UA", "IAH")).await.status;
        matches!(sees, 200 | 201)
    };
    let waiting = async {
        while !knows().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    assert!(tokio::time::timeout(Duration::from_secs(20), waiting).await.is_ok(), "the file is read again");
    answer("till-3", "rejected").await;
    answer("UA", "processed").await;
}
