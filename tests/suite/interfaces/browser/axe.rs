//! axe-core looks at every view, in both themes and on a phone, and finds nothing.

use serde_json::json;
use tallyhouse_tests::browser::Browser;
use tallyhouse_tests::packages;

use super::looks::{PLACES, busy, settled};
use super::open;

/// A package that brings axe-core 4.12.1. Of this version, so that what it finds changes only when we change something.
const PACKAGE: (&str, &str) = ("axe-playwright-python", "0.1.8");

const RUN: &str = "return axe.run().then(({ violations }) => violations.map(({ id, nodes }) => ({ id, nodes: nodes.map(({ html, failureSummary }) => `${html} ${failureSummary}`) })))";

#[track_caller]
fn finds_nothing(browser: &Browser, axe: &str, what: &str) {
    browser.run(axe, &[]);
    assert_eq!(browser.run(RUN, &[]), json!([]), "{what}");
}

#[test]
fn axe_finds_nothing() {
    let folder = packages::installed(PACKAGE.0, PACKAGE.1, false);
    let file = folder.join("axe_playwright_python/axe.min.js");
    let axe = std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let service = busy();
    let browser = open(&service, "/");
    for (scheme, width) in [("light", 1280), ("dark", 390)] {
        browser.prefer(scheme);
        browser.resize(width, 844);
        for place in PLACES {
            browser.open(&format!("{}{place}", service.url()));
            settled(&browser);
            finds_nothing(&browser, &axe, &format!("{place} in {scheme}, {width} wide"));
        }
    }
}
