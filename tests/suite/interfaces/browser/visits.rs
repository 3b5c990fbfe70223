//! What a visitor finds who comes late, goes astray, or looks for a record.

use serde_json::json;
use tallyhouse_tests::browser::Browser;
use tallyhouse_tests::data::records::{many, record};
use tallyhouse_tests::servers::service::Service;
use tallyhouse_tests::wait;

use super::{check_marked, check_quiet, mark, open};
use crate::api::history::{restore, saved};

#[test]
fn the_chart_has_what_was_before_the_page_was_opened() {
    let service = Service::start();
    let http = service.http();
    http.batch(&many("r", 500));
    wait::until("the rates", || {
        let rates = http.get("/v1/rates").json();
        let counts = rates["counts"]["processed"].as_array().expect("a list").iter().map(|count| count.as_u64());
        (counts.flatten().sum::<u64>() == 500).then_some(())
    });
    let browser = open(&service, "/");
    // All in one interval of two seconds, or half of them in each of two.
    let script =
        "const peak = document.querySelector('.rate-peak strong').innerText; return peak === '–' ? null : peak";
    let peak = browser.until("a peak", script, &[]);
    let peak: f64 = peak.as_str().and_then(|peak| peak.parse().ok()).expect("a number");
    assert!((100.0..=250.0).contains(&peak), "{peak}");
    browser.reads(".health-card .program", &format!("Version {} · up ", env!("CARGO_PKG_VERSION")));
    check_quiet(&browser, &service);
}

#[test]
fn the_chart_is_drawn_in_a_language_that_the_browser_itself_refuses() {
    let service = Service::start();
    service.http().batch(&many("r", 5));
    let browser = Browser::start();
    // Chromium's name of the POSIX locale, and others that Intl refuses.
    for language in ["en-US@posix", "C.UTF-8", ""] {
        browser.speak(language);
        browser.open(&service.url());
        browser.until("the chart", "return document.querySelector('.chart canvas') !== null", &[]);
        browser.reads("#totals", "5 records");
        assert_eq!(browser.run("return navigator.language", &[]), "en-US", "{language:?} is replaced");
        check_quiet(&browser, &service);
    }
    browser.speak("de-DE");
    browser.open(&service.url());
    browser.until("the chart", "return document.querySelector('.chart canvas') !== null", &[]);
    assert_eq!(browser.run("return navigator.language", &[]), "de-DE");
}

#[test]
fn a_record_is_found_by_its_id_from_any_view() {
    let service = Service::start();
    service.http().batch(&[record("one"), record("a/b ü%")]);
    let browser = open(&service, "/?view=rules");
    mark(&browser);
    browser.write("#find", "a/b ü%\u{e007}");
    browser.reads("dialog .fields", "a/b ü%");
    browser.leads_to("/?view=rules&record=a%2Fb+%C3%BC%25");
    browser.click("dialog [aria-label=Close]");
    browser.lacks("dialog");
    browser.write("#find", " two \u{e007}");
    browser.reads("dialog", "There is no record with this id. two");
    check_marked(&browser);
}

#[test]
fn a_visitor_who_goes_astray_is_led_back() {
    let service = Service::start();
    let browser = open(&service, "/dashboard/of/old");
    browser.reads("main h1", "There is no such page");
    let styled = "return getComputedStyle(document.querySelector('.notice')).borderLeftWidth";
    assert_eq!(browser.run(styled, &[]), "3px", "its styles are found");
    browser.choose("main a", "Dashboard");
    browser.leads_to("/");
    browser.reads("#totals", "No records yet");
}

#[test]
fn a_history_that_goes_back_is_said_and_the_page_starts_over() {
    let mut service = Service::start();
    let http = service.http();
    http.batch(&[record("kept-1"), record("kept-2")]);
    let copy = saved(&mut service);
    service.http().batch(&many("lost", 3));
    let browser = open(&service, "/");
    mark(&browser);
    browser.reads(".feed.notifications", "lost-000002");
    browser.reads("#totals", "4 destinations, 5 records");
    browser.lacks("#changed");
    service.stop();
    restore(&service, &copy);
    service.restart();
    browser.reads("#changed", "The history has changed, as when a backup is restored.");
    browser.reads("#totals", "1 destination, 2 records");
    let shown =
        "const ids = [...document.querySelectorAll('.feed.notifications .record-link')].map((link) => link.innerText);
        return ids.join() === arguments[0]";
    browser.until("the feed to start over", shown, &[json!("kept-2,kept-1")]);
    // It goes on from there, and what was said is closed when it was read.
    assert_eq!(service.http().record(&record("new")).status, 201);
    browser.until("the feed to go on", shown, &[json!("new,kept-2,kept-1")]);
    browser.click("#changed button");
    browser.lacks("#changed");
    check_marked(&browser);
}
