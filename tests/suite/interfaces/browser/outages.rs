//! What is unavailable is named, what is not goes on, and when it is back the page is, too, without being loaded again.

use serde_json::json;
use tallyhouse_tests::data::records::{record, record_with};
use tallyhouse_tests::servers::fleet::Fleet;
use tallyhouse_tests::servers::redis_server::RedisServer;
use tallyhouse_tests::servers::service::{Options, Service};
use tallyhouse_tests::wait;

use super::looks::check_legible;
use super::{check_at_home, check_marked, mark, open};

/// The state that the card of health shows for a part.
const STATE: &str = "const card = document.querySelector('.health-card');
    const row = [...card.querySelectorAll('.states > div')].find((row) => row.innerText.startsWith(arguments[0]));
    return row?.querySelector('.state').innerText === arguments[1]";

#[test]
fn a_redis_that_is_unavailable_is_named_while_records_go_on_and_its_return_is_shown() {
    let mut redis = RedisServer::start().expect("Redis starts");
    let service = Service::start_with(Options::new().env("TALLYHOUSE_REDIS__URL", redis.url()));
    let browser = open(&service, "/");
    mark(&browser);
    browser.reads("#status", "Ready");
    browser.until("Redis is up", STATE, &[json!("Redis"), json!("up")]);
    browser.until("publishing is ok", STATE, &[json!("Publishing"), json!("ok")]);

    redis.kill().expect("Redis can be killed");
    browser.reads("#status", "Degraded");
    browser.until("Redis is down", STATE, &[json!("Redis"), json!("down")]);
    browser.until("storage is up", STATE, &[json!("Storage"), json!("up")]);
    assert_eq!(service.http().record(&record_with("meanwhile", json!({"value": "20000"}))).status, 201);
    browser.reads(".feed.notifications", "meanwhile");
    browser.reads(".feed.alerts", "meanwhile");
    browser.until("publishing is paused", STATE, &[json!("Publishing"), json!("paused")]);
    browser.lacks("#banner");

    redis.restart().expect("Redis starts again");
    browser.reads("#status", "Ready");
    browser.until("Redis is up", STATE, &[json!("Redis"), json!("up")]);
    check_marked(&browser);
    check_at_home(&browser, &service);
}

#[test]
fn a_storage_that_is_unavailable_is_said_above_everything_and_its_return_is_shown() {
    let mut fleet = Fleet::start(1);
    assert_eq!(fleet.instances[0].http().record(&record("before")).status, 201);
    let browser = open(&fleet.instances[0], "/");
    mark(&browser);
    browser.reads("#totals", "1 destination, 1 record");
    browser.lacks("#banner");

    fleet.postgres.kill().expect("Postgres can be killed");
    browser.reads("#banner", "The service is not ready");
    browser.reads("#status", "Not ready");
    browser.until("storage is down", STATE, &[json!("Storage"), json!("down")]);
    // What was known stays.
    browser.reads("#totals", "1 destination, 1 record");

    fleet.postgres.resume().expect("Postgres starts again");
    browser.lacks("#banner");
    // The refused client sends again; the first record that is stored closes the breaker of storage.
    wait::until("a record to be taken", || {
        (fleet.instances[0].http().record(&record("after")).status == 201).then_some(())
    });
    browser.reads("#status", "Ready");
    browser.reads("#totals", "1 destination, 2 records");
    browser.reads(".feed.notifications", "after");
    check_marked(&browser);
    check_at_home(&browser, &fleet.instances[0]);
}

#[test]
fn a_service_that_is_killed_and_comes_back_is_followed_again_without_a_gap() {
    let mut service = Service::start();
    assert_eq!(service.http().record(&record("before")).status, 201);
    let browser = open(&service, "/");
    mark(&browser);
    browser.reads(".feed.notifications", "before");
    browser.reads("#totals", "1 destination, 1 record");

    service.kill();
    browser.reads("#banner", "The service does not answer; its last answer was at");
    browser.reads("#status", "No answer");
    browser.reads("#totals", "1 destination, 1 record");
    check_legible(&browser, "what is not up to date");

    service.restart();
    // Before the page has noticed: it asks from where it was.
    assert_eq!(service.http().record(&record("after")).status, 201);
    browser.lacks("#banner");
    browser.reads("#status", "Ready");
    browser.reads(".feed.notifications", "after");
    browser.reads("#totals", "1 destination, 2 records");
    assert_eq!(browser.run("return document.querySelectorAll('.feed.notifications li').length", &[]), 2);
    check_marked(&browser);
    check_at_home(&browser, &service);
}
