//! Alert rules that are managed while the service runs.

use serde_json::{Value, json};
use tallyhouse_tests::clients::http::{Answer, Client, send};
use tallyhouse_tests::data::records::record_with;
use tallyhouse_tests::folder::workspace;
use tallyhouse_tests::servers::fleet::Fleet;
use tallyhouse_tests::servers::service::{Options, Service};

const OWN: &str = "[alerts]\nthreshold = \"100\"\n[[alerts.rules]]\nname = \"large\"\nthreshold = 50\n";

fn put(http: &Client, name: &str, rule: &Value) -> Answer {
    send(http.request("PUT", &format!("/v1/alert-rules/{name}")).body(rule.to_string()))
}

fn delete(http: &Client, name: &str) -> Answer {
    send(http.request("DELETE", &format!("/v1/alert-rules/{name}")))
}

/// Posts a record; returns the names of the rules that it met.
fn met(http: &Client, id: &str, value: &str) -> Value {
    http.record(&record_with(id, json!({ "value": value }))).expect_status(201).json()["alerts"].clone()
}

fn listed(http: &Client) -> Vec<String> {
    let rules = http.get("/v1/alert-rules").expect_status(200).json()["rules"].as_array().expect("rules").clone();
    let line = |rule: &Value| format!("{} {} {}", rule["name"], rule["origin"], rule["inForce"]).replace('"', "");
    rules.iter().map(line).collect()
}

#[test]
fn managed_rules_win_over_those_of_the_settings_survive_a_kill_and_give_them_back() {
    let mut service = Service::start_with(Options::new().file(OWN));
    let http = service.http();
    assert_eq!(listed(&http), ["default setting true", "large file true"]);
    put(&http, "large", &json!({"threshold": "200"})).expect_status(201);
    put(&http, "small", &json!({"threshold": 1, "destinationId": "nowhere"})).expect_status(201);
    let all = ["default setting true", "large file false", "large managed true", "small managed true"];
    assert_eq!(listed(&http), all);
    assert_eq!(met(&http, "a", "150"), json!(["default"]));
    put(&http, "default", &json!({"threshold": "1000"})).expect_status(201);
    assert_eq!(met(&http, "b", "300"), json!(["large"]));

    service.kill();
    service.restart();
    let http = service.http();
    assert_eq!(met(&http, "c", "300"), json!(["large"]), "before anything else is asked");
    delete(&http, "default").expect_status(204);
    delete(&http, "large").expect_status(204);
    delete(&http, "large").problem(404, "not-found");
    assert_eq!(listed(&http), ["default setting true", "large file true", "small managed true"]);
    assert_eq!(met(&http, "d", "101"), json!(["default", "large"]));
    assert_eq!(service.run(&["verify"]).code, Some(0));
}

#[test]
fn a_rule_put_on_one_instance_is_in_force_on_all_when_it_is_answered() {
    let fleet = Fleet::start(2);
    let [one, other] = &fleet.clients()[..] else { panic!("there are two") };
    for n in 0..20 {
        put(one, "busy", &json!({"threshold": n})).expect_status(if n == 0 { 201 } else { 200 });
        assert_eq!(met(other, &format!("above-{n}"), &format!("{}", n + 1)), json!(["busy"]), "{n}");
        assert_eq!(met(other, &format!("at-{n}"), &format!("{n}")), json!([]), "{n}");
    }
    assert_eq!(one.get("/v1/alert-rules").body, other.get("/v1/alert-rules").body);
    delete(other, "busy").expect_status(204);
    assert_eq!(met(one, "last", "100"), json!([]));
}

#[test]
fn a_rule_on_totals_alerts_each_time_the_total_rises_above_its_threshold() {
    let own =
        "[alerts]\nthreshold = \"none\"\n[[alerts.rules]]\nname = \"filed\"\nthreshold = \"10\"\non = \"total\"\n";
    let mut service = Service::start_with(Options::new().file(own));
    let http = service.http();
    put(&http, "total", &json!({"threshold": "20.50", "on": "total", "unit": "minute"})).expect_status(201);
    let steps = [
        ("positive", "10", json!([])),
        ("positive", "10.50", json!(["filed"])),
        ("positive", "0.01", json!(["total"])),
        ("positive", "100", json!([])),
        ("negative", "100.01", json!([])),
        ("positive", "0.000000000000000000000001", json!(["total"])),
        ("negative", "50", json!([])),
        ("positive", "1000", json!(["filed", "total"])),
    ];
    for (n, (record_type, value, expected)) in steps.iter().enumerate() {
        let record = record_with(&format!("r-{n}"), json!({"type": record_type, "value": value}));
        assert_eq!(http.record(&record).expect_status(201).json()["alerts"], *expected, "step {n}");
    }
    let alerts = http.get("/v1/alerts").body;
    let messages = http.get("/v1/alerts").json()["messages"].as_array().expect("messages").clone();
    let ids: Vec<&str> = messages.iter().filter_map(|message| message["id"].as_str()).collect();
    assert_eq!(ids, ["r-1/filed", "r-2/total", "r-5/total", "r-7/filed", "r-7/total"]);
    let rule = json!({"name": "total", "threshold": "20.50", "on": "total", "unit": "minute"});
    assert_eq!(messages[1]["data"]["rule"], rule);
    // As they were at the commit, though the rules have changed since.
    put(&http, "total", &json!({"threshold": "1"})).expect_status(200);
    service.stop();
    service.restart();
    assert_eq!(service.http().get("/v1/alerts").body, alerts);
    assert_eq!(service.run(&["verify"]).code, Some(0));
}

#[test]
fn an_import_meets_the_managed_rules() {
    let mut service = Service::start();
    put(&service.http(), "small", &json!({"threshold": 1})).expect_status(201);
    service.stop();
    let file = service.folder().path().join("records.ndjson");
    std::fs::write(&file, record_with("r", json!({})).to_string()).expect("a file is written");
    assert_eq!(service.run(&["import", file.to_str().expect("a text")]).code, Some(0));
    service.restart();
    assert_eq!(service.http().get("/v1/records/r").json()["alerts"], json!(["small"]));
}

/// What a dry run counts, and the ids of the alerts that it lists, the latest first.
fn tried(http: &Client, query: &str, rule: &Value) -> (Value, Vec<String>) {
    let path = format!("/v1/alert-rules/tried/dry-run{query}");
    let report = send(http.request("POST", &path).body(rule.to_string())).expect_status(200).json();
    let alerts = report["alerts"].as_array().expect("a list").iter();
    let ids = alerts.map(|alert| alert["id"].as_str().expect("a text").to_owned()).collect();
    (report, ids)
}

/// Tries rules over the flights of a day, and then sends the flights again where the rules are in force.
fn a_dry_run_says_what_is_raised(past: &Client, live: &Client) {
    let flights = std::fs::read_to_string(workspace().join("tests/data/flights-sample.ndjson")).expect("it is there");
    let rules = [
        ("late", json!({"threshold": "60", "unit": "minute", "type": "positive"})),
        ("airport", json!({"threshold": "0", "destinationId": "MIA"})),
        ("total", json!({"threshold": "100", "on": "total"})),
        ("never", json!({"threshold": "99999", "on": "total", "reference": "EWR"})),
    ];
    past.lines("?results=failed", flights.clone());
    let before = past.get("/v1/alerts").body;
    for (name, rule) in &rules {
        put(live, name, rule).expect_status(201);
    }
    live.lines("?results=failed", flights);
    let raised = live.get("/v1/alerts?limit=1000").json()["messages"].as_array().expect("messages").clone();
    for (name, rule) in &rules {
        let mut own: Vec<&Value> = raised.iter().filter(|alert| alert["data"]["rule"]["name"] == *name).collect();
        own.reverse();
        let (report, ids) = tried(past, "", rule);
        assert_eq!((&report["complete"], &report["recordCount"]), (&json!(true), &json!(300)), "{name}");
        assert_eq!(report["alertCount"], json!(own.len()), "{name}");
        assert_eq!(own.is_empty(), *name == "never", "{name}");
        let listed = own.iter().take(20).map(|alert| alert["id"].as_str().expect("a text"));
        assert!(listed.eq(ids.iter().map(|id| id.replace("/tried", &format!("/{name}")))), "{name}: {ids:?}");
        // Half of the time has the alerts of that half, whatever the totals had come to before.
        let half = "2013-01-01T13:00:00Z";
        let later = own.iter().filter(|alert| alert["data"]["record"]["time"].as_str().expect("a text") >= half);
        let (report, _) = tried(past, &format!("?start={half}"), rule);
        assert_eq!(report["alertCount"], json!(later.count()), "{name}");
    }
    assert_eq!(past.get("/v1/alerts").body, before, "nothing was raised");
    assert_eq!(past.get("/v1/alert-rules").json()["rules"].as_array().map(Vec::len), Some(1), "and no rule was kept");
}

#[test]
fn a_dry_run_says_what_a_rule_would_have_raised_on_sqlite() {
    let (past, live) = (Service::start(), Service::start());
    a_dry_run_says_what_is_raised(&past.http(), &live.http());
    assert_eq!(past.run(&["verify"]).code, Some(0));
}

#[test]
fn a_dry_run_says_what_a_rule_would_have_raised_on_postgres() {
    let (past, live) = (Fleet::start(1), Fleet::start(1));
    a_dry_run_says_what_is_raised(&past.clients()[0], &live.clients()[0]);
}
