//! The alerts of all time: filtered by rule and by record, and what is new.

use serde_json::{Value, json};
use tallyhouse_tests::browser::Browser;
use tallyhouse_tests::data::records::record_with;
use tallyhouse_tests::servers::service::{Options, Service};

use super::{check_quiet, open};

const RULES: &str = "[[alerts.rules]]\nname = \"late\"\nthreshold = \"60\"\nunit = \"minute\"\n";

/// Waits until the ids in the list are these.
#[track_caller]
fn lists(browser: &Browser, ids: &str) {
    let script = "return [...document.querySelectorAll('.record-table .record-link')].map((link) => link.innerText).join() === arguments[0]";
    browser.until(&format!("the list {ids}"), script, &[json!(ids)]);
}

fn at(day: u32, value: &str, destination: &str) -> Value {
    let time = format!("2013-01-{day:02}T10:00:00Z");
    record_with(&format!("r-{day}"), json!({"time": time, "value": value, "destinationId": destination}))
}

#[test]
fn alerts_come_newest_first_by_rule_and_by_filters() {
    let service = Service::start_with(Options::new().file(RULES));
    let http = service.http();
    http.batch(&[at(3, "61", "IAH"), at(1, "20000", "IAH"), at(2, "61", "MIA"), at(4, "60", "IAH")]);
    let browser = open(&service, "/");
    browser.choose(".feed-card.alerts a", "All alerts");
    browser.leads_to("/?view=alerts");
    lists(&browser, "r-3,r-2,r-1");

    browser.choose(".record-table a", "default");
    browser.leads_to("/?view=alerts&rule=default");
    lists(&browser, "r-1");
    browser.reload();
    lists(&browser, "r-1");
    browser.write("#filter-rule", "late");
    browser.write("#filter-destinationId", "IAH");
    browser.choose("form button", "Apply");
    browser.leads_to("/?view=alerts&rule=late&destinationId=IAH");
    lists(&browser, "r-3,r-1");
    browser.choose("form a", "Clear");
    lists(&browser, "r-3,r-2,r-1");

    // A list under the pointer does not move by itself.
    assert_eq!(http.record(&at(5, "99", "IAH")).status, 201);
    browser.choose(".news button", "Show 1 new alert");
    lists(&browser, "r-5,r-3,r-2,r-1");
    browser.lacks(".news button");
    check_quiet(&browser, &service);
}
