//! A newcomer's first minutes: an empty service, a first record, what comes of it.

use std::process::Command;

use serde_json::json;
use tallyhouse_tests::data::records::{record, record_with};
use tallyhouse_tests::servers::service::Service;

use super::{check_marked, check_quiet, mark, open};

#[test]
fn an_empty_service_shows_how_to_send_a_first_record_and_shows_it_when_it_comes() {
    let service = Service::start();
    let browser = open(&service, "/");
    browser.reads("#totals", "No records yet");
    browser.reads(".feed.alerts", "appears here at once");
    browser.reads("#status", "Ready");
    mark(&browser);

    // What is shown is typed into a terminal as it is.
    let command = browser.text(".command");
    let ran = Command::new("sh").args(["-c", &command]).output().expect("a shell can be started");
    let answer = String::from_utf8_lossy(&ran.stdout);
    assert!(answer.contains(r#""outcome":"processed""#) && answer.contains(r#""alerts":["default"]"#), "{answer}");

    browser.reads("#totals", "1 destination, 1 record");
    browser.reads("#totals tbody", "shop-9");
    browser.reads("#totals tbody .net", "12,500.00");
    browser.reads(".feed.notifications li", "+12,500.00 EUR shop-9 ref. invoice-7 · no. 1");
    browser.reads(".feed.alerts li", "+12,500.00 EUR shop-9 above 10,000 by default");
    browser.lacks(".command");
    check_marked(&browser);
    check_quiet(&browser, &service);
}

#[test]
fn what_became_of_each_record_is_counted() {
    let service = Service::start();
    let browser = open(&service, "/");
    let http = service.http();
    let sent = [
        (201, record("a")),
        (201, record("b")),
        (200, record("a")),
        (200, record("a")),
        (200, record_with("b", json!({"value": "11.0"}))),
        (409, record_with("a", json!({"value": "12"}))),
        (422, record_with("c", json!({"value": "-1"}))),
    ];
    for (status, record) in sent {
        assert_eq!(http.record(&record).status, status, "{record}");
    }
    for (row, count) in [("processed", "2"), ("duplicate", "3"), ("conflict", "1"), ("rejected", "1")] {
        let script =
            "return [...document.querySelectorAll('.legend tbody tr')].some((row) => row.cells[0].innerText.trim()
            === arguments[0] && row.cells[2].innerText.trim() === arguments[1])";
        browser.until(&format!("{count} {row}"), script, &[json!(row), json!(count)]);
    }
    // A repeat changes nothing: neither the totals nor the feed.
    browser.reads("#totals", "1 destination, 2 records");
    browser.reads("#totals tbody .net", "22");
    assert_eq!(browser.run("return document.querySelectorAll('.feed.notifications li').length", &[]), 2);
    check_quiet(&browser, &service);
}
