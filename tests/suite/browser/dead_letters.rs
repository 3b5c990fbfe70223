//! What a queue brought and was refused: seen, tried again, deleted.

use serde_json::json;
use tallyhouse_tests::fleet::{self, Fleet};
use tallyhouse_tests::records::{nth, record, record_with};
use tallyhouse_tests::wait;

use super::looks::check_legible;
use super::{check_at_home, check_marked, mark, open};

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

    browser.choose(&format!("{known} button"), "Replay");
    browser.reads(&format!("{known} .result"), "Other than before: value.");
    browser.choose(&format!("{poison} button"), "Replay");
    browser.until("a refusal", "return document.querySelector(arguments[0] + ' .result').innerText", &[json!(poison)]);
    browser.reads("main h1", "Dead letters 3");
    assert_eq!(fleet.dead_letters(), 3, "what is not processed stays");

    fleet.psql("ALTER TABLE records DROP CONSTRAINT refused");
    browser.choose(&format!("{poison} button"), "Replay");
    browser.reads(&format!("{poison} .result"), "Processed as no.");
    browser.choose(&format!("{known} button"), "Delete");
    browser.reads(&known, "It can't be had back.");
    assert_eq!(fleet.dead_letters(), 2, "it asks first");
    browser.choose(&format!("{known} button"), "Yes, delete it");
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
