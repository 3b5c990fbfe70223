//! The content of records is shown as text, even where it looks like markup.

use serde_json::json;
use tallyhouse_tests::data::records::record_with;
use tallyhouse_tests::servers::service::Service;

use super::open;

const MARKUP: &str = r#"<img src=x onerror="globalThis.broken=1"><script>globalThis.broken=1</script>"#;

/// Right to left, with an override that would turn the rest of a line around.
const TURNED: &str = "שלום \u{202e}gnp.exe";

#[test]
fn what_strangers_write_is_shown_as_text_and_runs_nowhere() {
    let service = Service::start();
    let long = "long".repeat(60);
    let fields = |id: &str, text: &str| {
        record_with(id, json!({"destinationId": text, "sourceId": text, "reference": text, "value": "20000"}))
    };
    let unit = record_with("unit", json!({"unit": &MARKUP[..64]}));
    service.http().batch(&[fields(MARKUP, MARKUP), fields("turned", TURNED), fields("long", &long), unit]);
    let browser = open(&service, "/");
    for selector in ["#totals tbody", ".feed.notifications", ".feed.alerts"] {
        for text in [MARKUP, TURNED, &long] {
            browser.reads(selector, text);
        }
    }
    check_harmless(&browser);

    browser.choose("#totals a", MARKUP);
    browser.reads("#active-filters", MARKUP);
    browser.choose(".record-table .record-link", MARKUP);
    browser.reads("dialog .fields", MARKUP);
    check_harmless(&browser);
    browser.open(&format!("{}/?view=records&destinationId={long}", service.url()));
    browser.reads(".record-table", &long);
    check_harmless(&browser);
    // An address is a stranger's text, too.
    browser.open(&format!(
        "{}/?view=records&record=%3Cimg%20src%3Dx%20onerror%3D%22globalThis.broken%3D1%22%3E",
        service.url()
    ));
    browser.reads("dialog", "There is no record with this id.");
    check_harmless(&browser);
    let complaints = browser.complaints();
    assert!(complaints.iter().all(|line| line.contains("404")), "only what is not there is logged: {complaints:?}");
}

/// Checks that no text has become an element, that nothing has run, and that nothing reaches beyond the page's side.
#[track_caller]
fn check_harmless(browser: &tallyhouse_tests::browser::Browser) {
    let made = "return document.querySelectorAll('main img, main script, dialog img, dialog script').length";
    assert_eq!(browser.run(made, &[]), 0);
    assert_eq!(browser.run("return globalThis.broken === undefined", &[]), true);
    assert_eq!(browser.run("return document.documentElement.scrollWidth <= innerWidth", &[]), true, "it is too wide");
}
