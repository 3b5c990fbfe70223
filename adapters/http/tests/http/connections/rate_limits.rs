//! Rate limits: what draws, what is refused, and what is slowed down.

use std::fmt::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

use reqwest::header::AUTHORIZATION;
use serde_json::{Value, json};
use tallyhouse_http::{HttpSettings, KeyRing, NewKey, RateLimit, Scope};

use crate::support::service::{Plan, Response, Service, record, various};

/// A rate at which little is gained while a test runs: a unit a second.
async fn hardly_gaining(burst: u64) -> Service {
    limited(RateLimit { per_second: 1, burst }).await
}

async fn limited(limit: RateLimit) -> Service {
    Plan::http(HttpSettings { rate_limit: Some(limit), ..HttpSettings::default() }).start().await
}

/// What `RateLimit` says is left.
#[track_caller]
fn left(answer: &Response) -> u64 {
    let rest = answer.header("ratelimit").strip_prefix("\"default\";r=");
    let (left, reset) = rest.and_then(|rest| rest.split_once(";t=")).unwrap_or_else(|| panic!("{answer:?}"));
    assert!(reset.parse::<u64>().is_ok(), "{answer:?}");
    left.parse().unwrap()
}

fn lines(n: usize) -> String {
    various(n).iter().fold(String::new(), |mut lines, record| {
        writeln!(lines, "{record}").unwrap();
        lines
    })
}

#[tokio::test]
async fn every_call_draws_one_and_then_is_refused() {
    let service = hardly_gaining(1_000).await;
    // Some units may be gained while the test runs, but far fewer than are drawn.
    let first = left(&service.get("/v1/records").await);
    assert_eq!(first, 999);
    for path in ["/v1/records/a", "/v1/aggregates", "/v1/notifications", "/nothing", "/v1/records?limit=0"] {
        for _ in 0..40 {
            service.get(path).await;
        }
    }
    let then = left(&service.get("/v1/summaries/a").await);
    assert!((798..=900).contains(&then), "{then}");
    assert!(left(&service.post_record(&record("a")).await) < 900);
}

#[tokio::test]
async fn what_is_beyond_the_limit_is_told_when_to_come_back() {
    let service = hardly_gaining(2).await;
    let batch = json!(various(60)).to_string();
    // Larger than the burst by far: it passes, once, and is paid for afterwards.
    let answer = service.post("/v1/records/batch", "application/json", batch.clone()).await;
    assert_eq!((answer.status, &answer.json()["processed"]), (200, &json!(60)));
    assert_eq!((answer.header("ratelimit-policy"), left(&answer)), ("\"default\";q=2;w=2", 0));
    for refused in [
        service.post("/v1/records/batch", "application/json", batch).await,
        service.post_record(&record("a")).await,
        service.get("/v1/records").await,
        service.get("/nothing").await,
    ] {
        refused.is_problem(429, "rate-limited");
        let retry_after: u64 = refused.header("retry-after").parse().unwrap();
        assert!((30..=59).contains(&retry_after), "{refused:?}");
        assert_eq!((refused.header("ratelimit-policy"), left(&refused)), ("\"default\";q=2;w=2", 0));
    }
    // Health is nobody's to use up.
    for path in ["/healthz", "/readyz"] {
        let open = service.get(path).await;
        assert_eq!((open.status, open.header("ratelimit"), open.header("ratelimit-policy")), (200, "", ""), "{path}");
    }
}

#[tokio::test]
async fn who_comes_back_in_time_is_served() {
    let service = limited(RateLimit { per_second: 10, burst: 10 }).await;
    service.store_all(&various(15)).await;
    let refused = service.get("/v1/records").await;
    refused.is_problem(429, "rate-limited");
    let retry_after: u64 = refused.header("retry-after").parse().unwrap();
    tokio::time::sleep(Duration::from_secs(retry_after)).await;
    assert_eq!(service.get("/v1/records").await.status, 200);
}

#[tokio::test]
async fn lines_are_slowed_down_and_none_is_refused() {
    let service = limited(RateLimit { per_second: 50, burst: 50 }).await;
    let began = Instant::now();
    let answer = service.post("/v1/records/batch", "application/x-ndjson", lines(150)).await;
    let took = began.elapsed();
    assert_eq!(answer.status, 200);
    let outcomes: Vec<Value> = answer.body.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(outcomes.len(), 150);
    for (i, outcome) in outcomes.iter().enumerate() {
        assert_eq!((&outcome["outcome"], &outcome["index"]), (&json!("processed"), &json!(i)));
    }
    // The first fifty are there; the last fifty begin once one more than fifty were gained.
    assert!(took >= Duration::from_millis(1_000), "{took:?}");
}

#[tokio::test]
async fn lines_are_taken_even_where_other_calls_are_refused() {
    let service = limited(RateLimit { per_second: 20, burst: 20 }).await;
    service.store_all(&various(40)).await;
    service.get("/v1/records").await.is_problem(429, "rate-limited");
    let answer = service.post("/v1/records/batch?results=failed", "application/x-ndjson", lines(40)).await;
    let counts: Value = serde_json::from_str(answer.body.trim_end()).unwrap();
    assert_eq!((answer.status, &counts["duplicates"]), (200, &json!(40)));
}

#[tokio::test]
async fn without_a_limit_no_answer_speaks_of_one() {
    let service = Service::start().await;
    let answer = service.get("/v1/records").await;
    assert_eq!((answer.header("ratelimit"), answer.header("ratelimit-policy")), ("", ""));
}

#[tokio::test]
async fn the_keys_of_one_name_have_one_limit_and_others_their_own() {
    let folder = tempfile::tempdir().unwrap();
    let key = |name: &str| NewKey::make(name, &[Scope::Read]).unwrap();
    let (old, new, other) = (key("a"), key("a"), key("b"));
    let path = folder.path().join("keys.toml");
    std::fs::write(&path, format!("{}{}{}", old.entry(), new.entry(), other.entry())).unwrap();
    let http = HttpSettings { rate_limit: Some(RateLimit { per_second: 1, burst: 60 }), ..HttpSettings::default() };
    let keys = Some(Arc::new(KeyRing::open(path).unwrap()));
    let service = Plan { http, keys, ..Plan::default() }.start().await;
    let get = async |key: &NewKey| {
        let request = service.client.get(service.url("/v1/records/a"));
        let request = request.header(AUTHORIZATION, format!("Bearer {}", key.text()));
        Response::of(request.send().await.unwrap()).await
    };
    for _ in 0..20 {
        get(&old).await;
    }
    assert!(left(&get(&new).await) < 55);
    assert_eq!(left(&get(&other).await), 59);
    // Who is not let in has nothing to use up.
    let stranger = service.get("/v1/records").await;
    stranger.is_problem(401, "unauthorized");
    assert_eq!(stranger.header("ratelimit"), "");
}

#[tokio::test]
async fn bodies_without_lines_draw_units_too() {
    let service = hardly_gaining(100).await;
    let post = async |body: String| {
        let answer = service.post("/v1/records/batch", "application/x-ndjson", body).await;
        assert_eq!((answer.status, answer.body.as_str()), (200, ""));
    };
    for _ in 0..40 {
        post(String::new()).await;
        post("\n \n\r\n".to_owned()).await;
    }
    // Far less than eighty units are gained meanwhile.
    assert!(left(&service.get("/v1/records").await) < 60);
    let service = hardly_gaining(100).await;
    let blank = service.post("/v1/records/batch", "application/x-ndjson", " \n".repeat(40 * 64 * 1024)).await;
    assert_eq!(blank.body, "");
    assert!(left(&service.get("/v1/records").await) < 60, "a unit for each 64 KiB");
}

#[tokio::test]
async fn a_line_draws_one_unit_and_no_more() {
    let service = limited(RateLimit { per_second: 1, burst: 1_000 }).await;
    service.post("/v1/records/batch", "application/x-ndjson", lines(200)).await;
    let left = left(&service.get("/v1/records").await);
    assert!((799..=850).contains(&left), "{left}");
}
