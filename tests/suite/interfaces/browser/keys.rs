//! The page where the service has keys.

use std::sync::Arc;

use tallyhouse_tests::browser::Browser;
use tallyhouse_tests::clients::http::send;
use tallyhouse_tests::data::records::record;
use tallyhouse_tests::folder::Folder;
use tallyhouse_tests::servers::redis_server::RedisServer;
use tallyhouse_tests::servers::service::{Options, Service};

use super::{check_at_home, check_marked, mark, open};
use crate::api::access::new_key;

#[track_caller]
fn give(browser: &Browser, key: &str) {
    browser.write("dialog #key", key);
    browser.choose("dialog button", "Use this key");
}

#[test]
fn the_page_asks_for_a_key_says_what_it_does_not_reach_and_forgets_it_when_told() {
    let redis = RedisServer::start().expect("Redis starts");
    let folder = Folder::new();
    let [ingest, read, all] =
        ["ingest", "read", "read,admin"].map(|scopes| new_key(&folder, &scopes.replace(',', "-"), scopes));
    let options =
        Options::new().env("TALLYHOUSE_AUTH__KEYS_FILE", "keys.toml").env("TALLYHOUSE_REDIS__URL", redis.url());
    let service = Service::start_in(Arc::new(folder), options);
    let post = service.http().request("POST", "/v1/records").header("content-type", "application/json");
    let sent = send(post.bearer_auth(&ingest).body(record("kept").to_string()));
    assert_eq!(sent.status, 201, "{}", sent.text());

    let browser = open(&service, "/");
    mark(&browser);
    browser.reads("dialog", "This service has keys: it shows nothing without one.");
    // How the service is, is open to all.
    browser.reads("#status", "Ready");
    give(&browser, "no-such-key");
    browser.reads("dialog", "The service does not know this key.");
    give(&browser, &ingest);
    browser.reads("#totals", "This key lacks the scope");
    browser.choose("#totals button", "Use another key");
    give(&browser, &read);
    browser.reads("#totals", "1 destination, 1 record");
    browser.reads(".feed.notifications", "kept");

    browser.choose("nav a", "Dead letters");
    browser.reads("main", "This key lacks the scope");
    browser.choose("main button", "Use another key");
    give(&browser, &all);
    browser.reads("main", "No dead letters.");

    // It is in this tab alone, and nowhere where it would stay.
    let kept = "return sessionStorage.getItem('tallyhouse.key') + JSON.stringify(localStorage) + document.cookie + location.href";
    let places = browser.run(kept, &[]);
    assert_eq!(places.as_str().map(|places| places.matches(&all).count()), Some(1), "{places}");
    browser.reload();
    browser.reads("main", "No dead letters.");
    mark(&browser);
    browser.click("#key-button");
    browser.choose("dialog button", "Forget the key");
    browser.reads("dialog", "This service has keys: it shows nothing without one.");
    browser.reads("main", "This needs a key");
    assert_eq!(browser.run("return sessionStorage.length", &[]), 0);
    check_marked(&browser);
    check_at_home(&browser, &service);
    let complaints = browser.complaints();
    let refused = |line: &&String| line.contains("401") || line.contains("403");
    assert!(complaints.iter().all(|line| refused(&line)), "only what was refused is logged: {complaints:?}");
    assert!(!complaints.concat().contains(&all), "the key is not logged");
}
