//! What a queue brought and was refused: seen, tried again, deleted.

use serde_json::json;
use tallyhouse_tests::data::records::{nth, record, record_with};
use tallyhouse_tests::servers::fleet::{self, Fleet};
use tallyhouse_tests::servers::redis_server::RedisServer;
use tallyhouse_tests::servers::service::{Options, Service};
use tallyhouse_tests::wait;

use super::looks::check_legible;
use super::{check_at_home, check_marked, check_quiet, mark, open};

/// Whether so many letters that are not done are to be seen.
const SHOWN: &str =
    "return [...document.querySelectorAll('.letter:not(.done)')].filter((letter) => letter.checkVisibility()).length
    === arguments[0]";

#[test]
fn a_dead_letter_is_replayed_once_its_cause_is_gone_and_another_is_deleted() {
    let fleet = Fleet::start(1);
    let (service, http) = (&fleet.instances[0], fleet.instances[0].http());
    assert_eq!(http.record(&record("known")).status, 201);
    // As when a database refuses what the service takes for good.
    fleet.psql("ALTER TABLE records ADD CONSTRAINT refused CHECK (record_id <> 'poison')");
    let sent = [record_with("poison", json!({"value": "20000"})), record_with("known", json!({"value": "12"}))];
    fleet::push(&fleet.redis, &sent);
    fleet::push_payloads(&fleet.redis, [&b"{\"recordId\": <b>"[..]].into_iter());
    // It takes another commit in between to blame a record.
    let mut more = 0;
    wait::until("the dead letters", || {
        assert_eq!(http.record(&nth("more", more)).status, 201);
        more += 1;
        (fleet.dead_letters() == 3).then_some(())
    });

    let browser = open(service, "/?view=dead-letters");
    mark(&browser);
    browser.reads("main h1", "Dead letters 3");
    browser.reads("main", "not-json is not well-formed JSON");
    browser.reads(".payload", "{\"recordId\": <b>");
    browser.reads("main", "conflict was processed before with other content");
    // The letters of the list, by what is in their payloads.
    let letter = |what: &str| {
        let script =
            "[...document.querySelectorAll('.letter')].find((letter) => letter.innerText.includes(arguments[0]))
            .id = arguments[1]";
        browser.run(script, &[json!(format!("\"recordId\":\"{what}\"")), json!(what)]);
        format!("#{what}")
    };
    let (poison, known) = (letter("poison"), letter("known"));

    // A conflict stays one, and what is no JSON does not become any: only the third may recover.
    browser.reads(&known, "A replay would be refused again");
    browser.until("one button to replay", "return document.querySelectorAll('.letter .primary').length === 1", &[]);
    browser.choose(&format!("{poison} button"), "Replay");
    browser.until("a refusal", "return document.querySelector(arguments[0] + ' .result').innerText", &[json!(poison)]);
    browser.reads("main h1", "Dead letters 3");
    assert_eq!(fleet.dead_letters(), 3, "what is not processed stays");

    fleet.psql("ALTER TABLE records DROP CONSTRAINT refused");
    browser.choose(&format!("{poison} button"), "Replay");
    browser.reads(&format!("{poison} .result"), "Processed as no.");
    browser.choose(&format!("{known} button"), "Delete");
    browser.reads(&known, "This can't be undone.");
    assert_eq!(fleet.dead_letters(), 2, "it asks first");
    browser.choose(&format!("{known} button"), "Delete");
    browser.reads(&format!("{known} .result"), "Deleted");
    browser.reads("main h1", "Dead letters 1");
    check_legible(&browser, "what is done");
    assert_eq!(fleet.dead_letters(), 1);
    assert_eq!(http.get("/v1/records/known").json()["value"], "11");

    // What was replayed is a record like any other, with its alert.
    browser.choose(&format!("{poison} .result a"), "poison");
    browser.reads("dialog", "+20,000 minute");
    browser.click("dialog [aria-label=Close]");
    browser.choose("nav a", "Overview");
    browser.reads(".feed.alerts", "+20,000 minute IAH above 10,000 by default");
    check_marked(&browser);
    check_at_home(&browser, service);
}

#[test]
fn dead_letters_are_worked_off_by_reason_and_one_that_was_forged_hides_no_other() {
    let redis = RedisServer::start().expect("Redis starts");
    let service = Service::start_with(Options::new().env("TALLYHOUSE_REDIS__URL", redis.url()));
    let http = service.http();
    let xadd = |reason: &str, detail: &str, at: &str, payload: &str| {
        let fields = ["payload", payload, "reason", reason, "detail", detail, "origin", "list", "at", at];
        let command = [&["XADD", "tallyhouse:dead-letters", "*"], &fields[..]].concat();
        redis.cli(&command).expect("Redis answers");
    };
    let at = "2026-01-01T00:00:00Z";
    for id in ["a", "b"] {
        xadd("rejected", "storage refuses the record", at, &record(id).to_string());
    }
    xadd("rejected", "the record must be a JSON object", at, "[]");
    xadd("rejected", "/value must have no sign", at, &record_with("c", json!({"value": "-1"})).to_string());
    for payload in ["{", "[", "x"] {
        xadd("not-json", "is not well-formed JSON", at, payload);
    }
    // Every writer to Redis may write this. Its time is that of its entry.
    xadd("<b>", "", "yesterday", "");

    let browser = open(&service, "/?view=dead-letters");
    browser.reads("nav .badge", "8");
    browser.reads("main h1", "Dead letters 8");
    browser.reads(".reasons", "All 8 <b> 1 not-json 3 rejected 4");

    browser.click("[data-reason=not-json]");
    browser.until("three letters", SHOWN, &[json!(3)]);
    browser.choose(".letter-bar button", "Delete 3 letters");
    browser.reads(".letter-bar", "This can't be undone.");
    browser.choose(".letter-bar button", "Delete");
    browser.reads("nav .badge", "5");
    browser.reads(".reasons", "All 5 <b> 1 rejected 4");
    assert_eq!(http.get("/v1/dead-letters").json()["deadLetters"].as_array().map(Vec::len), Some(5));

    // Of the four, those that break a rule are left alone.
    browser.click("[data-reason=rejected]");
    browser.choose(".letter-bar button", "Replay 2 letters");
    browser.reads(".letter-bar .result", "Replayed 2 letters.");
    browser.reads("nav .badge", "3");
    browser.reads(".reasons", "All 3 <b> 1 rejected 2");
    for id in ["a", "b"] {
        assert_eq!(http.get(&format!("/v1/records/{id}")).status, 200);
    }
    check_legible(&browser, "what is left");
    check_quiet(&browser, &service);
}
