//! The reference at `/docs`, which tries calls for real.

use tallyhouse_tests::servers::service::Service;

use super::{check_quiet, open};
use crate::api::access::with_keys;

#[test]
fn a_call_is_tried_from_the_reference_and_its_answer_shown() {
    let service = Service::start();
    let browser = open(&service, "/docs");
    browser.reads("main h1", "Tallyhouse API");
    // A service without keys asks for none.
    browser.lacks("#tools .button");
    browser.reads(".contents", "dead letter");
    browser.write("#search", "writeRecord");
    browser.until(
        "one call alone",
        "return [...document.querySelectorAll('.entry')].filter((entry) => entry.checkVisibility()).length === 1",
        &[],
    );

    browser.click("#writeRecord > summary");
    browser.choose("#writeRecord .try button", "Send");
    browser.reads("#writeRecord .answered .status", "201");
    browser.reads("#writeRecord .answered", "\"outcome\": \"processed\"");
    browser.choose("#writeRecord .try button", "Send");
    browser.reads("#writeRecord .answered .status", "200");
    browser.reads("#writeRecord .answered", "idempotent-replayed: true");
    browser.reads("#writeRecord .answered", "\"outcome\": \"duplicate\"");
    assert_eq!(service.http().get("/v1/aggregates").json()["recordCount"], 1);

    // What is named in an address is opened, and links lead to the schemas.
    browser.open(&format!("{}/docs#listRecords", service.url()));
    browser.reload();
    browser.choose("#listRecords .try button", "Send");
    browser.reads("#listRecords .answered", "\"records\": [");
    browser.choose(".brand span", "Tallyhouse");
    browser.reads("#totals", "1 destination, 1 record");
    check_quiet(&browser, &service);
}

#[test]
fn a_key_is_asked_for_once_the_service_wants_one() {
    let (service, [_, read, _]) = with_keys();
    let browser = open(&service, "/docs#listRecords");
    browser.reads("main h1", "Tallyhouse API");
    browser.lacks("#tools .button");
    browser.choose("#listRecords .try button", "Send");
    browser.reads("dialog", "This call needs a key.");
    browser.write("dialog #key", "th_unknown");
    browser.choose("dialog button", "Use this key");
    browser.reads("#tools", "Key in use");
    browser.choose("#listRecords .try button", "Send");
    browser.reads("dialog", "The service does not know this key.");
    browser.write("dialog #key", &read);
    browser.choose("dialog button", "Use this key");
    browser.choose("#listRecords .try button", "Send");
    browser.reads("#listRecords .answered", "\"records\": [");
    browser.choose("#tools button", "Key in use");
    browser.choose("dialog button", "Forget the key");
    browser.reads("#tools", "Give a key");
}
