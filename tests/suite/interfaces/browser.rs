//! The dashboard as people use it: a real browser on the real service.

use tallyhouse_tests::browser::Browser;
use tallyhouse_tests::servers::service::Service;

mod first;
mod records;
mod alerts;
mod visits;
mod strangers;
mod dead_letters;
mod outages;
mod keys;
mod looks;
mod axe;
mod reference;

/// Starts a browser at a page of a service.
#[track_caller]
fn open(service: &Service, path: &str) -> Browser {
    let browser = Browser::start();
    browser.open(&format!("{}{path}", service.url()));
    browser
}

/// Puts a mark on the page that is gone when it is loaded again.
#[track_caller]
fn mark(browser: &Browser) {
    browser.run("globalThis.marked = true", &[]);
}

/// Checks that the page has not been loaded again since it was marked.
#[track_caller]
fn check_marked(browser: &Browser) {
    assert_eq!(browser.run("return globalThis.marked === true", &[]), true, "the page was loaded again");
}

/// Checks that nothing was to be complained of, and that the page has asked nobody else for anything.
#[track_caller]
fn check_quiet(browser: &Browser, service: &Service) {
    assert_eq!(browser.complaints(), Vec::<String>::new());
    check_at_home(browser, service);
}

/// Checks that the page has asked nobody but the service for anything.
#[track_caller]
fn check_at_home(browser: &Browser, service: &Service) {
    let (asked, home) = (browser.requests(), format!("{}/", service.url()));
    assert!(asked.len() > 10, "a page of many parts asks for them: {asked:?}");
    let abroad: Vec<&String> = asked.iter().filter(|address| !address.starts_with(&home)).collect();
    assert!(abroad.is_empty(), "{abroad:?}");
}
